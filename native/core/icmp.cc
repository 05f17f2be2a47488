#include "icmp.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "../bytes.h"

namespace rtprelay {

namespace {

constexpr std::uint8_t kProtocolUdp = 17;
constexpr std::size_t kIcmpHeaderSize = 8;
constexpr std::size_t kIpv4HeaderSize = 20;
constexpr std::size_t kIpv6HeaderSize = 40;
/// Both ports of a UDP header.
constexpr std::size_t kPortsSize = 4;

/// Length of an IPv4 header; 0: it is none, or not whole.
std::size_t ipv4_header_size(std::span<const std::uint8_t> packet) {
  if (packet.size() < kIpv4HeaderSize || packet[0] >> 4 != 4)
    return 0;
  const std::size_t size = std::size_t{4} * (packet[0] & 0x0fU);
  return size < kIpv4HeaderSize || size > packet.size() ? 0 : size;
}

SocketAddress address_at(std::span<const std::uint8_t> bytes, Family family, std::uint16_t port) {
  SocketAddress address;
  address.family = family;
  address.port = port;
  std::ranges::copy(bytes, address.bytes.begin());
  return address;
}

/// RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1: by code.
int unreachable4(std::uint8_t code) {
  constexpr std::array kErrors = {ENETUNREACH,  EHOSTUNREACH, ENOPROTOOPT,  ECONNREFUSED,
                                  EMSGSIZE,     EOPNOTSUPP,   ENETUNREACH,  EHOSTDOWN,
                                  ENONET,       ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
                                  EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};
  return code < kErrors.size() ? kErrors[code] : 0;
}

int error4(std::uint8_t type, std::uint8_t code) {
  switch (type) {
  case 3:
    return unreachable4(code);
  case 11:
    return EHOSTUNREACH;
  case 12:
    return EPROTO;
  default:
    return 0;
  }
}

/// RFC 4443 §3.1: by code.
int unreachable6(std::uint8_t code) {
  constexpr std::array kErrors = {ENETUNREACH,  EACCES, EHOSTUNREACH, EHOSTUNREACH,
                                  ECONNREFUSED, EACCES, EACCES};
  return code < kErrors.size() ? kErrors[code] : 0;
}

int error6(std::uint8_t type, std::uint8_t code) {
  switch (type) {
  case 1:
    return unreachable6(code);
  case 2:
    return EMSGSIZE;
  case 3:
    return EHOSTUNREACH;
  case 4:
    return EPROTO;
  default:
    return 0;
  }
}

} // namespace

bool parse_icmp4(std::span<const std::uint8_t> packet, IcmpError& out) {
  const std::size_t outer = ipv4_header_size(packet);
  if (outer == 0 || packet.size() < outer + kIcmpHeaderSize)
    return false;
  out.error = error4(packet[outer], packet[outer + 1]);
  const std::span<const std::uint8_t> inner = packet.subspan(outer + kIcmpHeaderSize);
  const std::size_t size = ipv4_header_size(inner);
  if (out.error == 0 || size == 0 || inner.size() < size + kPortsSize)
    return false;
  // A later fragment has no ports.
  if (inner[9] != kProtocolUdp || (read_u16(inner, 6) & 0x1fff) != 0)
    return false;
  out.local = address_at(inner.subspan(12, 4), Family::kIpv4, read_u16(inner, size));
  out.remote = address_at(inner.subspan(16, 4), Family::kIpv4, read_u16(inner, size + 2));
  return true;
}

bool parse_icmp6(std::span<const std::uint8_t> message, IcmpError& out) {
  if (message.size() < kIcmpHeaderSize + kIpv6HeaderSize + kPortsSize)
    return false;
  out.error = error6(message[0], message[1]);
  const std::span<const std::uint8_t> inner = message.subspan(kIcmpHeaderSize);
  if (out.error == 0 || inner[0] >> 4 != 6)
    return false;
  std::size_t ports = kIpv6HeaderSize;
  std::uint8_t next = inner[6];
  constexpr std::uint8_t kFragment = 44;
  constexpr std::size_t kFragmentSize = 8;
  // What is sent here has no other extension header (RFC 8200 §4.5).
  if (next == kFragment) {
    if (inner.size() < ports + kFragmentSize + kPortsSize ||
        (read_u16(inner, ports + 2) & 0xfff8) != 0)
      return false;
    next = inner[ports];
    ports += kFragmentSize;
  }
  if (next != kProtocolUdp)
    return false;
  out.local = address_at(inner.subspan(8, 16), Family::kIpv6, read_u16(inner, ports));
  out.remote = address_at(inner.subspan(24, 16), Family::kIpv6, read_u16(inner, ports + 2));
  return true;
}

} // namespace rtprelay
