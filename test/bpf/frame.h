// Ethernet frames built and summed from scratch: the expectation the programs' output is held to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "../../native/core/address.h"

namespace frames {

using Bytes = std::vector<std::uint8_t>;
using Mac = std::array<std::uint8_t, 6>;

enum class UdpSum { kRight, kNone, kWrong };

/// A UDP packet in all the variety that the tests need; the defaults are plain.
struct Frame {
  Mac to{};
  Mac from{};
  std::vector<std::uint16_t> vlans;
  rtprelay::SocketAddress source;
  rtprelay::SocketAddress destination;
  std::uint8_t ttl = 64;
  std::uint8_t tos = 0;
  std::uint8_t protocol = 17;
  Bytes payload;
  UdpSum sum = UdpSum::kRight;
  /// IPv4: options after the header (a multiple of four bytes); IPv6: extension headers, of which
  /// `protocol` is the first and the last one names UDP.
  Bytes options;
  /// IPv4 flags and fragment offset.
  std::uint16_t fragment = 0;
  bool wrong_header_sum = false;
  /// Added to the length in the UDP header.
  int udp_length_error = 0;
  /// Bytes after the IP packet (Ethernet's minimum length).
  std::size_t padding = 0;
};

Bytes build(const Frame& frame);

rtprelay::SocketAddress at(const std::string& host, std::uint16_t port);

/// RTP: version 2 (RFC 3550 §5.1).
Bytes rtp(std::uint8_t payload_type, std::uint16_t sequence, std::uint32_t timestamp,
          std::uint32_t ssrc, std::size_t size = 172);
/// A receiver report without blocks.
Bytes rtcp(std::uint32_t ssrc);

} // namespace frames
