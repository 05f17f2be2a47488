// UDP headers as they go out of raw sockets (RFC 768).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "address.h"

namespace rtprelay {

constexpr std::size_t kUdpHeaderSize = 8;

/// Ones' complement sum of 16-bit words (RFC 1071), not folded yet; an odd last octet counts as the
/// first of its word. In the order of the machine, which the sum doesn't depend on.
std::uint64_t add_to_sum(std::uint64_t sum, std::span<const std::uint8_t> bytes);
/// The checksum that the sum makes, as it stands in a header in memory.
std::uint16_t fold_sum(std::uint64_t sum);

/// The header of a datagram between two addresses of one family, with its checksum (RFC 768, RFC
/// 8200 §8.1). `payload` is shorter than 64 KiB by the header at least.
void write_udp_header(const SocketAddress& from, const SocketAddress& to,
                      std::span<const std::uint8_t> payload,
                      std::span<std::uint8_t, kUdpHeaderSize> out);

} // namespace rtprelay
