// Making a Status.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>

#include "kernel_forwarder.h"

namespace rtprelay::kernel {

/// `code` as an errno value, with or without sign.
inline Status failure(int code, const std::string& what) {
  const int positive = code < 0 ? -code : code;
  return {positive == 0 ? EIO : positive,
          what + ": " + std::strerror(positive == 0 ? EIO : positive)};
}

inline Status refusal(int code, std::string sentence) { return {code, std::move(sentence)}; }

} // namespace rtprelay::kernel
