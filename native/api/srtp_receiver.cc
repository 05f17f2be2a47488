#include "srtp_receiver.h"

#include <algorithm>

namespace rtprelay::api {

namespace {

constexpr std::uint32_t kUnencryptedSrtp = 1;
constexpr std::uint32_t kUnencryptedSrtcp = 2;
constexpr std::uint32_t kUnauthenticatedSrtp = 4;

Napi::Value refuse(Napi::Env env, const char* signature) {
  Napi::TypeError::New(env, signature).ThrowAsJavaScriptException();
  return env.Undefined();
}

/// false: no suite, or a key or MKI of another length.
bool parameters_of(const Napi::CallbackInfo& info, srtp::Parameters& out) {
  if (info.Length() < 4 || !info[0].IsNumber() || !info[1].IsBuffer() || !info[2].IsBuffer() ||
      !info[3].IsNumber())
    return false;
  const std::uint32_t number = info[0].As<Napi::Number>().Uint32Value();
  if (number >= srtp::kSuites)
    return false;
  out.suite = static_cast<srtp::Suite>(number);
  const srtp::SuiteTraits& traits = srtp::traits_of(out.suite);
  const auto key = info[1].As<Napi::Buffer<std::uint8_t>>();
  const auto mki = info[2].As<Napi::Buffer<std::uint8_t>>();
  if (key.Length() != std::size_t{traits.key_size} + traits.salt_size ||
      mki.Length() > srtp::kMaxMkiSize)
    return false;
  std::copy_n(key.Data(), traits.key_size, out.master.key.begin());
  std::copy_n(key.Data() + traits.key_size, traits.salt_size, out.master.salt.begin());
  std::copy_n(mki.Data(), mki.Length(), out.mki.begin());
  out.mki_size = static_cast<std::uint8_t>(mki.Length());
  const std::uint32_t flags = info[3].As<Napi::Number>().Uint32Value();
  out.unencrypted_srtp = (flags & kUnencryptedSrtp) != 0;
  out.unencrypted_srtcp = (flags & kUnencryptedSrtcp) != 0;
  out.unauthenticated_srtp = (flags & kUnauthenticatedSrtp) != 0;
  return true;
}

} // namespace

Napi::Function SrtpReceiver::define(Napi::Env env) {
  return DefineClass(env, "SrtpReceiver",
                     {
                         InstanceMethod<&SrtpReceiver::resume>("resume"),
                         InstanceMethod<&SrtpReceiver::unprotect>("unprotect"),
                     });
}

// SrtpReceiver(suite: number, keyAndSalt: Buffer, mki: Buffer, flags: number)
SrtpReceiver::SrtpReceiver(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SrtpReceiver>(info) {
  srtp::Parameters parameters;
  if (parameters_of(info, parameters))
    receiver_ = srtp::Receiver::create(parameters);
  if (receiver_ == nullptr)
    refuse(info.Env(),
           "SrtpReceiver(suite: number, keyAndSalt: Buffer, mki: Buffer, flags: number)");
}

Napi::Value SrtpReceiver::resume(const Napi::CallbackInfo& info) {
  if (receiver_ == nullptr || info.Length() < 2 || !info[0].IsNumber() || !info[1].IsNumber())
    return refuse(info.Env(), "resume(ssrc: number, index: number)");
  const std::int64_t index = info[1].As<Napi::Number>().Int64Value();
  receiver_->resume({.ssrc = info[0].As<Napi::Number>().Uint32Value(),
                     .has_rtp = index >= 0,
                     .has_rtcp = false,
                     .rtp = index < 0 ? 0 : static_cast<std::uint64_t>(index),
                     .rtcp = 0});
  return info.Env().Undefined();
}

Napi::Value SrtpReceiver::unprotect(const Napi::CallbackInfo& info) {
  if (receiver_ == nullptr || info.Length() < 2 || !info[0].IsBuffer() || !info[1].IsBoolean())
    return refuse(info.Env(), "unprotect(packet: Buffer, rtcp: boolean)");
  auto buffer = info[0].As<Napi::Buffer<std::uint8_t>>();
  const std::span<std::uint8_t> packet(buffer.Data(), buffer.Length());
  const srtp::Outcome outcome = info[1].As<Napi::Boolean>().Value()
                                    ? receiver_->unprotect_rtcp(packet)
                                    : receiver_->unprotect_rtp(packet);
  const bool done = outcome.status == srtp::Status::kDone;
  return Napi::Number::New(info.Env(), done ? static_cast<double>(outcome.size) : -1.0);
}

} // namespace rtprelay::api
