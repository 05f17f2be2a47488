// A request over a connected stream socket whose answer is waited for on the spot, for a moment.
#pragma once

#include <napi.h>

namespace rtprelay::api {

/// exchange(fd, request: Buffer, length, answer: Buffer, micros): sends the first `length` bytes of
/// `request` without waiting and waits up to `micros` for what comes. Bytes of `answer`; 0: nothing
/// has come; -1 - n: no more than n bytes could be sent.
Napi::Value exchange(const Napi::CallbackInfo& info);

} // namespace rtprelay::api
