// Certificates for DTLS.
#pragma once

#include <napi.h>

namespace rtprelay::api {

/// createDtlsIdentity(rsaBits): `{certificate, privateKey}`, PEM; 0: with a key on the curve P-256.
Napi::Value create_dtls_identity(const Napi::CallbackInfo& info);

} // namespace rtprelay::api
