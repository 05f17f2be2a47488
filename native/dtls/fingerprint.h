// Fingerprints of certificates (RFC 8122 §5).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "openssl.h"

namespace rtprelay::dtls {

enum class Hash : std::uint8_t { kSha1, kSha224, kSha256, kSha384, kSha512 };
constexpr std::uint8_t kHashes = 5;

struct Fingerprint {
  Hash hash = Hash::kSha256;
  std::uint8_t size = 0;
  std::array<std::uint8_t, 64> digest{};
  bool operator==(const Fingerprint&) const = default;
};

/// Of the certificate's DER form; `size` 0: OpenSSL refused.
Fingerprint fingerprint_of(const X509* certificate, Hash hash);

/// false also for a digest whose size is not that of its hash.
bool matches(const X509* certificate, const Fingerprint& expected);

} // namespace rtprelay::dtls
