// SRTP read after the fact, from a capture: the session that also reads what comes off the wire.
#pragma once

#include <memory>

#include <napi.h>

#include "../srtp/session.h"

namespace rtprelay::api {

// Thread: JavaScript thread.
class SrtpReceiver : public Napi::ObjectWrap<SrtpReceiver> {
public:
  static Napi::Function define(Napi::Env env);
  explicit SrtpReceiver(const Napi::CallbackInfo& info);

private:
  /// resume(ssrc, index): a source whose newest packet index is known from elsewhere.
  Napi::Value resume(const Napi::CallbackInfo& info);
  /// unprotect(packet: Buffer, rtcp: boolean): in place; bytes of the plain packet, or -1.
  Napi::Value unprotect(const Napi::CallbackInfo& info);

  std::unique_ptr<srtp::Receiver> receiver_;
};

} // namespace rtprelay::api
