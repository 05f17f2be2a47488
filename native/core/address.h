// Transport addresses without the weight of sockaddr_storage.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <sys/socket.h>

namespace rtprelay {

enum class Family : std::uint8_t { kNone = 0, kIpv4 = 4, kIpv6 = 6 };

/// An IP address with a port; `kNone` means "no endpoint". IPv4 uses the first four bytes.
struct SocketAddress {
  std::array<std::uint8_t, 16> bytes{};
  std::uint16_t port = 0;
  Family family = Family::kNone;

  [[nodiscard]] bool valid() const { return family != Family::kNone; }
  [[nodiscard]] bool same_host(const SocketAddress& other) const {
    // Every packet is compared several times: two words, not a call of memcmp.
    using Words = std::array<std::uint64_t, 2>;
    const auto mine = std::bit_cast<Words>(bytes);
    const auto theirs = std::bit_cast<Words>(other.bytes);
    return ((mine[0] ^ theirs[0]) | (mine[1] ^ theirs[1])) == 0 && family == other.family;
  }
  bool operator==(const SocketAddress& other) const {
    return port == other.port && same_host(other);
  }
};

/// Room for either kernel form of an address.
union KernelAddress {
  sockaddr generic;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

/// Fills `out` and returns its length; 0 for an address without family.
socklen_t to_kernel(const SocketAddress& address, KernelAddress& out);

/// IPv4-mapped IPv6 sources do not occur (sockets are IPV6_V6ONLY).
SocketAddress from_kernel(const KernelAddress& address);

/// Numeric text (no brackets, no zone) to an address; false when `text` is neither IPv4 nor IPv6.
bool parse_address(std::string_view text, std::uint16_t port, SocketAddress& out);

/// Numeric text without port; empty for `kNone`.
std::string format_host(const SocketAddress& address);

} // namespace rtprelay
