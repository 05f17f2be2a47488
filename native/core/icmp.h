// ICMP errors about datagrams of ours, as raw sockets get them.
#pragma once

#include <cstdint>
#include <span>

#include "address.h"

namespace rtprelay {

struct IcmpError {
  /// Where the datagram came from: a port of ours, if it is one.
  SocketAddress local;
  SocketAddress remote;
  /// errno, as a UDP socket would report it.
  int error = 0;
};

/// An ICMP message with its IPv4 header (RFC 792). false: it is no error about a UDP datagram.
bool parse_icmp4(std::span<const std::uint8_t> packet, IcmpError& out);
/// An ICMPv6 message without IPv6 header (RFC 4443).
bool parse_icmp6(std::span<const std::uint8_t> message, IcmpError& out);

} // namespace rtprelay
