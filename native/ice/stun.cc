#include "stun.h"

#include <algorithm>

#include "../bytes.h"

namespace rtprelay::ice {

namespace {

using Bytes = std::span<const std::uint8_t>;

enum Attribute : std::uint16_t {
  kMappedAddress = 0x0001,
  kUsername = 0x0006,
  kMessageIntegrity = 0x0008,
  kErrorCode = 0x0009,
  kUnknownAttributes = 0x000a,
  kRealm = 0x0014,
  kNonce = 0x0015,
  kXorMappedAddress = 0x0020,
  kPriority = 0x0024,
  kUseCandidate = 0x0025,
  kSoftware = 0x8022,
  kFingerprint = 0x8028,
  kIceControlled = 0x8029,
  kIceControlling = 0x802a,
};
/// Below, an attribute has to be understood (RFC 8489 §14).
constexpr std::uint16_t kComprehensionOptional = 0x8000;
constexpr std::uint16_t kBindingMethod = 1;
constexpr std::size_t kAttributeHeader = 4;
constexpr std::size_t kDigestSize = srtp::kSha1Size;
constexpr std::uint32_t kFingerprintXor = 0x5354554e;
constexpr std::uint8_t kIpv4Family = 1;
constexpr std::uint8_t kIpv6Family = 2;

std::size_t padded(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = (value & 1) != 0 ? 0xedb88320U ^ (value >> 1) : value >> 1;
    table[i] = value;
  }
  return table;
}
constexpr auto kCrcTable = crc_table();

/// RFC 8489 §14.7.
std::uint32_t fingerprint_of(Bytes message) {
  std::uint32_t crc = 0xffffffff;
  for (const std::uint8_t octet : message)
    crc = kCrcTable[(crc ^ octet) & 0xff] ^ (crc >> 8);
  return ~crc ^ kFingerprintXor;
}

/// What the address is combined with: cookie and transaction, as they stand in the header.
SocketAddress read_address(Bytes value, Bytes header, bool combined) {
  SocketAddress address;
  const bool ipv6 = value.size() == 20 && value[1] == kIpv6Family;
  if (!ipv6 && !(value.size() == 8 && value[1] == kIpv4Family))
    return address;
  address.family = ipv6 ? Family::kIpv6 : Family::kIpv4;
  address.port = read_u16(value.subspan(2));
  if (combined)
    address.port ^= static_cast<std::uint16_t>(kStunCookie >> 16);
  const Bytes host = value.subspan(4);
  for (std::size_t i = 0; i < host.size(); ++i)
    address.bytes[i] = combined ? static_cast<std::uint8_t>(host[i] ^ header[4 + i]) : host[i];
  return address;
}

void note_unknown(StunMessage& out, std::uint16_t type) {
  if (out.unknown_count < out.unknown.size())
    out.unknown[out.unknown_count++] = type;
}

bool read_number(std::uint16_t type, Bytes value, StunMessage& out) {
  const bool wide = type != kPriority;
  if (value.size() != (wide ? 8U : 4U))
    return false;
  if (type == kPriority)
    out.priority = out.priority.value_or(read_u32(value));
  else if (type == kIceControlled)
    out.controlled = out.controlled.value_or(read_u64(value));
  else
    out.controlling = out.controlling.value_or(read_u64(value));
  return true;
}

bool read_error(Bytes value, StunMessage& out) {
  if (value.size() < 4 || (value[2] & 7) < 3 || (value[2] & 7) > 6 || value[3] > 99)
    return false;
  out.error = static_cast<std::uint16_t>((value[2] & 7) * 100 + value[3]);
  return true;
}

/// Of an attribute that comes twice the first counts (RFC 8489 §14).
bool read_attribute(std::uint16_t type, Bytes value, Bytes packet, StunMessage& out) {
  switch (type) {
  case kUsername:
    if (out.username.empty())
      out.username = {reinterpret_cast<const char*>(value.data()), value.size()};
    return true;
  case kPriority:
  case kIceControlled:
  case kIceControlling:
    return read_number(type, value, out);
  case kUseCandidate:
    out.use_candidate = true;
    return true;
  case kErrorCode:
    return out.error != 0 || read_error(value, out);
  case kXorMappedAddress:
  case kMappedAddress:
    if (type == kXorMappedAddress || !out.mapped.valid())
      out.mapped = read_address(value, packet, type == kXorMappedAddress);
    return true;
  case kUnknownAttributes:
  case kRealm:
  case kNonce:
    return true;
  default:
    if (type < kComprehensionOptional)
      note_unknown(out, type);
    return true;
  }
}

std::string_view reason_of(std::uint16_t code) {
  switch (code) {
  case kUnauthenticated:
    return "Unauthorized";
  case kUnknownAttribute:
    return "Unknown Attribute";
  case kRoleConflict:
    return "Role Conflict";
  default:
    return "Bad Request";
  }
}

} // namespace

bool looks_like_stun(std::span<const std::uint8_t> packet) {
  return packet.size() >= kStunHeader && packet[0] < 4 &&
         read_u32(packet.subspan(4)) == kStunCookie;
}

bool read_stun(std::span<const std::uint8_t> packet, StunMessage& out) {
  if (!looks_like_stun(packet) || read_u16(packet.subspan(2)) + kStunHeader != packet.size() ||
      packet.size() % 4 != 0)
    return false;
  const std::uint16_t type = read_u16(packet);
  out.kind = static_cast<StunClass>(((type >> 4) & 1) | ((type >> 7) & 2));
  out.binding = ((type & 0xf) | ((type >> 1) & 0x70) | ((type >> 2) & 0xf80)) == kBindingMethod;
  std::ranges::copy(packet.subspan(8, out.id.size()), out.id.begin());
  for (std::size_t at = kStunHeader; at < packet.size();) {
    if (out.fingerprint || packet.size() - at < kAttributeHeader)
      return false;
    const std::uint16_t name = read_u16(packet.subspan(at));
    const std::size_t size = read_u16(packet.subspan(at + 2));
    if (padded(size) > packet.size() - at - kAttributeHeader)
      return false;
    const Bytes value = packet.subspan(at + kAttributeHeader, size);
    if (name == kFingerprint) {
      if (size != 4 || read_u32(value) != fingerprint_of(packet.first(at)))
        return false;
      out.fingerprint = true;
    } else if (out.integrity_at == 0) {
      // What follows MESSAGE-INTEGRITY is not authenticated and does not count (§14.5).
      if (name == kMessageIntegrity) {
        if (size != kDigestSize)
          return false;
        out.integrity_at = at;
      } else if (!read_attribute(name, value, packet, out)) {
        return false;
      }
    }
    at += kAttributeHeader + padded(size);
  }
  return true;
}

bool StunKey::set(std::string_view password) {
  const Bytes bytes{reinterpret_cast<const std::uint8_t*>(password.data()), password.size()};
  if (bytes.size() <= 64)
    return hmac_.set_key(bytes);
  // RFC 2104 §2: a longer key is hashed first.
  srtp::Sha1Digest digest;
  return SHA1(bytes.data(), bytes.size(), digest.data()) != nullptr && hmac_.set_key(digest);
}

bool has_integrity_of(std::span<const std::uint8_t> packet, const StunMessage& message,
                      const StunKey& key) {
  const std::size_t at = message.integrity_at;
  if (at == 0)
    return false;
  // The length counts as if MESSAGE-INTEGRITY were the last attribute (§14.5).
  std::array<std::uint8_t, kStunHeader> header;
  std::ranges::copy(packet.first(kStunHeader), header.begin());
  write_number(std::span(header).subspan(2),
               static_cast<std::uint16_t>(at + kAttributeHeader + kDigestSize - kStunHeader));
  srtp::Sha1Digest digest;
  return key.hmac().digest(header, packet.subspan(kStunHeader, at - kStunHeader), digest) &&
         CRYPTO_memcmp(digest.data(), packet.data() + at + kAttributeHeader, kDigestSize) == 0;
}

StunWriter::StunWriter(StunClass kind, const TransactionId& id) {
  const auto bits = static_cast<unsigned>(kind);
  write_number(std::span(buffer_),
               static_cast<std::uint16_t>(kBindingMethod | ((bits & 1) << 4) | ((bits & 2) << 7)));
  write_number(std::span(buffer_).subspan(4), kStunCookie);
  std::ranges::copy(id, buffer_.begin() + 8);
}

std::span<std::uint8_t> StunWriter::attribute(std::uint16_t type, std::size_t size) {
  if (overflow_ || padded(size) + kAttributeHeader > buffer_.size() - size_) {
    overflow_ = true;
    return {};
  }
  const std::span<std::uint8_t> at = std::span(buffer_).subspan(size_);
  write_number(at, type);
  write_number(at.subspan(2), static_cast<std::uint16_t>(size));
  size_ += kAttributeHeader + padded(size);
  return at.subspan(kAttributeHeader, size);
}

void StunWriter::set_length(std::size_t total) {
  write_number(std::span(buffer_).subspan(2), static_cast<std::uint16_t>(total - kStunHeader));
}

void StunWriter::username(std::string_view local, std::string_view remote) {
  const auto value = attribute(kUsername, local.size() + 1 + remote.size());
  if (value.empty())
    return;
  auto at = std::ranges::copy(local, value.begin()).out;
  *at++ = ':';
  std::ranges::copy(remote, at);
}

void StunWriter::priority(std::uint32_t value) {
  if (const auto at = attribute(kPriority, sizeof value); !at.empty())
    write_number(at, value);
}

void StunWriter::role(bool controlling, std::uint64_t tie_breaker) {
  const auto at = attribute(controlling ? kIceControlling : kIceControlled, sizeof tie_breaker);
  if (!at.empty())
    write_number(at, tie_breaker);
}

void StunWriter::use_candidate() { attribute(kUseCandidate, 0); }

void StunWriter::mapped_address(const SocketAddress& address) {
  const std::size_t host = address.family == Family::kIpv6 ? 16 : 4;
  const auto at = attribute(kXorMappedAddress, 4 + host);
  if (at.empty())
    return;
  at[0] = 0;
  at[1] = host == 16 ? kIpv6Family : kIpv4Family;
  write_number(at.subspan(2), static_cast<std::uint16_t>(address.port ^ (kStunCookie >> 16)));
  for (std::size_t i = 0; i < host; ++i)
    at[4 + i] = static_cast<std::uint8_t>(address.bytes[i] ^ buffer_[4 + i]);
}

void StunWriter::error(std::uint16_t code) {
  const std::string_view reason = reason_of(code);
  const auto at = attribute(kErrorCode, 4 + reason.size());
  if (at.empty())
    return;
  at[0] = at[1] = 0;
  at[2] = static_cast<std::uint8_t>(code / 100);
  at[3] = static_cast<std::uint8_t>(code % 100);
  std::ranges::copy(reason, at.begin() + 4);
}

void StunWriter::unknown_attributes(std::span<const std::uint16_t> types) {
  const auto at = attribute(kUnknownAttributes, 2 * types.size());
  for (std::size_t i = 0; 2 * i < at.size(); ++i)
    write_number(at.subspan(2 * i), types[i]);
}

void StunWriter::software(std::string_view name) {
  if (const auto at = attribute(kSoftware, name.size()); !at.empty())
    std::ranges::copy(name, at.begin());
}

std::span<const std::uint8_t> StunWriter::finish(const StunKey* key) {
  if (key != nullptr) {
    const std::size_t covered = size_;
    const auto at = attribute(kMessageIntegrity, kDigestSize);
    set_length(size_);
    srtp::Sha1Digest digest;
    if (at.empty() || !key->hmac().digest(std::span(buffer_).first(covered), {}, digest))
      return {};
    std::ranges::copy(digest, at.begin());
  }
  const std::size_t covered = size_;
  const auto at = attribute(kFingerprint, 4);
  if (at.empty())
    return {};
  set_length(size_);
  write_number(at, fingerprint_of(std::span(buffer_).first(covered)));
  return std::span(buffer_).first(size_);
}

} // namespace rtprelay::ice
