#include "suite.h"

#include <array>

namespace rtprelay::srtp {

namespace {

// The short tag is for SRTP alone: SRTCP's has 80 bits (RFC 3711 §5.2, RFC 4568 §6.2.2).
constexpr std::array<SuiteTraits, kSuites> kTraits{{
    {"AEAD_AES_256_GCM", CipherKind::kGcm, 32, 12, 16, 16},
    {"AEAD_AES_128_GCM", CipherKind::kGcm, 16, 12, 16, 16},
    {"AES_256_CM_HMAC_SHA1_80", CipherKind::kCounterMode, 32, 14, 10, 10},
    {"AES_256_CM_HMAC_SHA1_32", CipherKind::kCounterMode, 32, 14, 4, 10},
    {"AES_192_CM_HMAC_SHA1_80", CipherKind::kCounterMode, 24, 14, 10, 10},
    {"AES_192_CM_HMAC_SHA1_32", CipherKind::kCounterMode, 24, 14, 4, 10},
    {"AES_CM_128_HMAC_SHA1_80", CipherKind::kCounterMode, 16, 14, 10, 10},
    {"AES_CM_128_HMAC_SHA1_32", CipherKind::kCounterMode, 16, 14, 4, 10},
    {"F8_128_HMAC_SHA1_80", CipherKind::kF8, 16, 14, 10, 10},
    {"F8_128_HMAC_SHA1_32", CipherKind::kF8, 16, 14, 4, 10},
    {"NULL_HMAC_SHA1_80", CipherKind::kNull, 16, 14, 10, 10},
    {"NULL_HMAC_SHA1_32", CipherKind::kNull, 16, 14, 4, 10},
}};

} // namespace

const SuiteTraits& traits_of(Suite suite) { return kTraits[static_cast<std::size_t>(suite)]; }

} // namespace rtprelay::srtp
