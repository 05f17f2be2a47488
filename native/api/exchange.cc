#include "exchange.h"

#include <cstddef>
#include <cstdint>

#include <poll.h>
#include <sys/socket.h>

namespace rtprelay::api {

namespace {

constexpr std::int64_t kMostMicros = 1000;

/// Sleeps: whoever is to answer may need this processor.
std::ptrdiff_t receive_soon(int fd, std::uint8_t* to, std::size_t room, std::int64_t micros) {
  pollfd readable{fd, POLLIN, 0};
  const timespec limit{0, static_cast<long>(micros * 1000)};
  if (ppoll(&readable, 1, &limit, nullptr) <= 0)
    return 0;
  const std::ptrdiff_t count = recv(fd, to, room, MSG_DONTWAIT);
  // The end of the connection is for those to see who own it.
  return count < 0 ? 0 : count;
}

} // namespace

Napi::Value exchange(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 5 || !info[0].IsNumber() || !info[1].IsBuffer() || !info[2].IsNumber() ||
      !info[3].IsBuffer() || !info[4].IsNumber()) {
    Napi::TypeError::New(env, "exchange(fd, request: Buffer, length, answer: Buffer, micros)")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const int fd = info[0].As<Napi::Number>().Int32Value();
  const auto request = info[1].As<Napi::Buffer<std::uint8_t>>();
  const auto answer = info[3].As<Napi::Buffer<std::uint8_t>>();
  const std::int64_t length = info[2].As<Napi::Number>().Int64Value();
  const std::int64_t micros = info[4].As<Napi::Number>().Int64Value();
  if (length < 0 || static_cast<std::size_t>(length) > request.Length() || micros < 0 ||
      micros > kMostMicros) {
    Napi::RangeError::New(env, "exchange: length or time").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  std::ptrdiff_t sent =
      send(fd, request.Data(), static_cast<std::size_t>(length), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0)
    sent = 0;
  if (sent < length)
    return Napi::Number::New(env, static_cast<double>(-1 - sent));
  return Napi::Number::New(
      env, static_cast<double>(receive_soon(fd, answer.Data(), answer.Length(), micros)));
}

} // namespace rtprelay::api
