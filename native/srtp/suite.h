// The crypto suites of SRTP (RFC 3711, 4568 §6.2, 6188, 7714) and what each of them needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rtprelay::srtp {

/// In the order in which they are offered. The numbers are those of the plan's byte layout.
enum class Suite : std::uint8_t {
  kAeadAes256Gcm,
  kAeadAes128Gcm,
  kAes256CmSha1_80,
  kAes256CmSha1_32,
  kAes192CmSha1_80,
  kAes192CmSha1_32,
  kAes128CmSha1_80,
  kAes128CmSha1_32,
  kF8Sha1_80,
  kF8Sha1_32,
  kNullSha1_80,
  kNullSha1_32,
};
constexpr std::size_t kSuites = 12;

enum class CipherKind : std::uint8_t { kCounterMode, kF8, kNull, kGcm };

/// Sizes in bytes.
struct SuiteTraits {
  std::string_view name;
  CipherKind cipher;
  std::uint8_t key_size;
  std::uint8_t salt_size;
  std::uint8_t rtp_tag_size;
  std::uint8_t rtcp_tag_size;
};

/// RFC 3711 §5.2: the authentication key of HMAC-SHA1.
constexpr std::size_t kAuthKeySize = 20;
constexpr std::size_t kMaxKeySize = 32;
constexpr std::size_t kMaxSaltSize = 14;
/// RFC 4568 §6.1: the master key identifier in packets.
constexpr std::size_t kMaxMkiSize = 128;
/// What protecting adds to a packet at most: tag, SRTCP index, MKI.
constexpr std::size_t kMaxGrowth = 16 + 4 + kMaxMkiSize;

/// `suite` is one of the above.
const SuiteTraits& traits_of(Suite suite);

} // namespace rtprelay::srtp
