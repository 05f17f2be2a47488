// Bytes that JavaScript holds in a string.
#pragma once

#include <string>

#include <napi.h>

namespace rtprelay::api {

/// A latin1 string, byte by byte; empty when it is no string.
inline std::string byte_string(const Napi::Value& value) {
  std::size_t length = 0;
  if (napi_get_value_string_latin1(value.Env(), value, nullptr, 0, &length) != napi_ok)
    return {};
  std::string result(length + 1, '\0');
  napi_get_value_string_latin1(value.Env(), value, result.data(), result.size(), &length);
  result.resize(length);
  return result;
}

} // namespace rtprelay::api
