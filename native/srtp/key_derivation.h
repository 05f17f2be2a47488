// Session keys from a master key (RFC 3711 §4.3, RFC 6188 §3, RFC 7714 §11), key derivation rate 0.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "suite.h"

namespace rtprelay::srtp {

struct MasterKey {
  std::array<std::uint8_t, kMaxKeySize> key{};
  std::array<std::uint8_t, kMaxSaltSize> salt{};
};

/// What encrypts and authenticates SRTP, or SRTCP. Only the suite's sizes of it count.
struct SessionKeys {
  std::array<std::uint8_t, kMaxKeySize> key{};
  std::array<std::uint8_t, kMaxSaltSize> salt{};
  std::array<std::uint8_t, kAuthKeySize> auth_key{};
  SessionKeys() = default;
  SessionKeys(const SessionKeys&) = delete;
  SessionKeys& operator=(const SessionKeys&) = delete;
  ~SessionKeys();
};

enum class Protocol : std::uint8_t { kSrtp, kSrtcp };

/// false: OpenSSL refused.
bool derive_session_keys(const SuiteTraits& suite, const MasterKey& master, Protocol protocol,
                         SessionKeys& out);

} // namespace rtprelay::srtp
