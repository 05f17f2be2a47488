// Encryption and authentication of one protocol (SRTP or SRTCP) in one direction, with contexts
// that are keyed once and get only another initialisation vector for each packet.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "hmac_sha1.h"
#include "key_derivation.h"
#include "openssl.h"
#include "suite.h"

namespace rtprelay::srtp {

constexpr std::size_t kCipherBlock = 16;
/// RFC 7714 §8: without the counter.
constexpr std::size_t kGcmNonceSize = 12;
constexpr std::size_t kGcmTagSize = 16;
using CipherBlock = std::array<std::uint8_t, kCipherBlock>;

enum class Purpose : std::uint8_t { kProtect, kUnprotect };

/// What an initialisation vector is made of. `header`: RTP's fixed header, or RTCP's first 8 bytes.
struct PacketPosition {
  std::span<const std::uint8_t> header;
  std::uint32_t ssrc;
  /// SRTP: rollover counter and sequence number; SRTCP: index without the E bit.
  std::uint64_t index;
};

// Thread: one owner.
class SessionCipher {
public:
  /// false: OpenSSL refused.
  bool init(const SuiteTraits& suite, const SessionKeys& keys, Protocol protocol, Purpose purpose);

  /// Encrypts or decrypts in place; for all but GCM. false: OpenSSL refused.
  bool crypt(const PacketPosition& position, std::span<std::uint8_t> data);
  /// HMAC-SHA1 of the two, of which as much counts as the tag has bytes.
  bool authenticate(std::span<const std::uint8_t> message, std::span<const std::uint8_t> trailer,
                    Sha1Digest& out) const {
    return hmac_.digest(message, trailer, out);
  }

  /// GCM: encrypts in place and writes `tag`. What is authenticated only are the two spans.
  bool seal(const PacketPosition& position, std::span<const std::uint8_t> plain,
            std::span<const std::uint8_t> more_plain, std::span<std::uint8_t> data,
            std::span<std::uint8_t, kGcmTagSize> tag);
  /// GCM: decrypts in place. false: the tag is wrong, and `data` is as it was.
  bool open(const PacketPosition& position, std::span<const std::uint8_t> plain,
            std::span<const std::uint8_t> more_plain, std::span<std::uint8_t> data,
            std::span<const std::uint8_t, kGcmTagSize> tag);

private:
  [[nodiscard]] CipherBlock counter_of(const PacketPosition& position) const;
  [[nodiscard]] std::array<std::uint8_t, kGcmNonceSize>
  nonce_of(const PacketPosition& position) const;
  [[nodiscard]] CipherBlock f8_vector(const PacketPosition& position) const;
  bool init_f8(const SessionKeys& keys);
  bool crypt_counter_mode(const PacketPosition& position, std::span<std::uint8_t> data);
  bool crypt_f8(const PacketPosition& position, std::span<std::uint8_t> data);
  bool feed_gcm(std::span<const std::uint8_t> nonce, std::span<const std::uint8_t> plain,
                std::span<const std::uint8_t> more_plain, std::span<std::uint8_t> data);

  const SuiteTraits* suite_ = nullptr;
  Protocol protocol_ = Protocol::kSrtp;
  std::array<std::uint8_t, kMaxSaltSize> salt_{};
  HmacSha1 hmac_;
  CipherContext context_;
  /// F8: what makes the initialisation vector.
  CipherContext masked_;
};

} // namespace rtprelay::srtp
