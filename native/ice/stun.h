// STUN as ICE uses it (RFC 8489, RFC 8445 §7.1): Binding messages read and written in place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "../core/address.h"
#include "../core/packet.h"
#include "../srtp/hmac_sha1.h"

namespace rtprelay::ice {

constexpr std::size_t kStunHeader = 20;
/// Larger than any message that we write: a USERNAME of 513 bytes (RFC 8489 §14.3) and all else.
constexpr std::size_t kMaxStunMessage = 768;
/// Attributes that are named in one 420.
constexpr std::size_t kMaxUnknown = 8;

enum class StunClass : std::uint8_t { kRequest = 0, kIndication = 1, kSuccess = 2, kError = 3 };

/// Error codes (RFC 8489 §14.8, RFC 8445 §17.1).
constexpr std::uint16_t kBadRequest = 400;
constexpr std::uint16_t kUnauthenticated = 401;
constexpr std::uint16_t kUnknownAttribute = 420;
constexpr std::uint16_t kRoleConflict = 487;

using TransactionId = std::array<std::uint8_t, 12>;

/// What a message says. Views point into the packet.
struct StunMessage {
  StunClass kind = StunClass::kRequest;
  bool binding = false;
  TransactionId id{};
  std::string_view username;
  std::optional<std::uint32_t> priority;
  std::optional<std::uint64_t> controlling;
  std::optional<std::uint64_t> controlled;
  bool use_candidate = false;
  /// XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS.
  SocketAddress mapped;
  /// 0: none.
  std::uint16_t error = 0;
  /// Where MESSAGE-INTEGRITY begins; 0: it has none.
  std::size_t integrity_at = 0;
  bool fingerprint = false;
  /// Comprehension-required attributes that are none of ours.
  std::array<std::uint16_t, kMaxUnknown> unknown{};
  std::size_t unknown_count = 0;
};

/// Whether the packet begins like STUN (RFC 7983 §7): the cookie decides.
bool looks_like_stun(std::span<const std::uint8_t> packet);

/// false: no STUN message, or one that is broken (a wrong FINGERPRINT included).
bool read_stun(std::span<const std::uint8_t> packet, StunMessage& out);

/// The key of MESSAGE-INTEGRITY: a password of any length (RFC 8489 §9.1.1).
class StunKey {
public:
  /// false: OpenSSL refused.
  bool set(std::string_view password);
  [[nodiscard]] const srtp::HmacSha1& hmac() const { return hmac_; }

private:
  srtp::HmacSha1 hmac_;
};

/// `message` was read from `packet`. false also when it has no MESSAGE-INTEGRITY.
bool has_integrity_of(std::span<const std::uint8_t> packet, const StunMessage& message,
                      const StunKey& key);

/// Writes one message. What does not fit is left out and makes `finish` return nothing.
class StunWriter {
public:
  StunWriter(StunClass kind, const TransactionId& id);
  void username(std::string_view local, std::string_view remote);
  void priority(std::uint32_t value);
  void role(bool controlling, std::uint64_t tie_breaker);
  void use_candidate();
  void mapped_address(const SocketAddress& address);
  void error(std::uint16_t code);
  void unknown_attributes(std::span<const std::uint16_t> types);
  void software(std::string_view name);
  /// Adds MESSAGE-INTEGRITY if there is a key, and FINGERPRINT. Empty: no room, or OpenSSL refused.
  std::span<const std::uint8_t> finish(const StunKey* key);

private:
  /// Room for a value of `size` bytes and its padding; empty when there is none.
  std::span<std::uint8_t> attribute(std::uint16_t type, std::size_t size);
  void set_length(std::size_t total);

  std::array<std::uint8_t, kMaxStunMessage> buffer_{};
  std::size_t size_ = kStunHeader;
  bool overflow_ = false;
};

} // namespace rtprelay::ice
