// HMAC-SHA1 (RFC 2104) with the key's two blocks hashed in advance.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "openssl.h"

namespace rtprelay::srtp {

constexpr std::size_t kSha1Size = 20;
using Sha1Digest = std::array<std::uint8_t, kSha1Size>;

// Thread: any; constant once keyed.
class HmacSha1 {
public:
  ~HmacSha1();
  /// `key` has at most 64 bytes. false: OpenSSL refused.
  bool set_key(std::span<const std::uint8_t> key);
  /// The digest of `message` followed by `trailer`. false: OpenSSL refused.
  bool digest(std::span<const std::uint8_t> message, std::span<const std::uint8_t> trailer,
              Sha1Digest& out) const;

private:
  SHA_CTX inner_{};
  SHA_CTX outer_{};
};

} // namespace rtprelay::srtp
