#include "dtls_identity.h"

#include "../dtls/identity.h"

namespace rtprelay::api {

Napi::Value create_dtls_identity(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 3 || !info[0].IsNumber() || !info[1].IsBoolean() || !info[2].IsString()) {
    Napi::TypeError::New(env, "createDtlsIdentity(rsaBits: number, sha1: boolean, ciphers: string)")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const std::uint32_t bits = info[0].As<Napi::Number>().Uint32Value();
  const dtls::IdentityOptions options{
      .kind = bits == 0 ? dtls::KeyKind::kP256 : dtls::KeyKind::kRsa,
      .rsa_bits = bits,
      .sha1 = info[1].As<Napi::Boolean>().Value(),
  };
  const dtls::SessionRules rules{.ciphers = info[2].As<Napi::String>().Utf8Value()};
  const auto identity = dtls::Identity::generate(options, rules);
  const std::string certificate = identity == nullptr ? "" : identity->certificate_pem();
  const std::string key = identity == nullptr ? "" : identity->key_pem();
  if (certificate.empty() || key.empty()) {
    Napi::Error::New(env, "OpenSSL makes no such certificate").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("certificate", certificate);
  object.Set("privateKey", key);
  return object;
}

} // namespace rtprelay::api
