#include "address.h"

#include <cstring>

#include <arpa/inet.h>

namespace rtprelay {

socklen_t to_kernel(const SocketAddress& address, KernelAddress& out) {
  switch (address.family) {
  case Family::kIpv4:
    out.v4 = {};
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(address.port);
    std::memcpy(&out.v4.sin_addr, address.bytes.data(), 4);
    return sizeof(out.v4);
  case Family::kIpv6:
    out.v6 = {};
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(address.port);
    std::memcpy(&out.v6.sin6_addr, address.bytes.data(), 16);
    return sizeof(out.v6);
  case Family::kNone:
    break;
  }
  return 0;
}

SocketAddress from_kernel(const KernelAddress& address) {
  SocketAddress result;
  if (address.generic.sa_family == AF_INET) {
    result.family = Family::kIpv4;
    result.port = ntohs(address.v4.sin_port);
    std::memcpy(result.bytes.data(), &address.v4.sin_addr, 4);
  } else if (address.generic.sa_family == AF_INET6) {
    result.family = Family::kIpv6;
    result.port = ntohs(address.v6.sin6_port);
    std::memcpy(result.bytes.data(), &address.v6.sin6_addr, 16);
  }
  return result;
}

bool parse_address(std::string_view text, std::uint16_t port, SocketAddress& out) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.empty() || text.size() >= terminated.size())
    return false;
  std::memcpy(terminated.data(), text.data(), text.size());
  SocketAddress parsed;
  parsed.port = port;
  if (inet_pton(AF_INET, terminated.data(), parsed.bytes.data()) == 1) {
    parsed.family = Family::kIpv4;
  } else if (inet_pton(AF_INET6, terminated.data(), parsed.bytes.data()) == 1) {
    parsed.family = Family::kIpv6;
  } else {
    return false;
  }
  out = parsed;
  return true;
}

std::string format_host(const SocketAddress& address) {
  if (!address.valid())
    return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = address.family == Family::kIpv4 ? AF_INET : AF_INET6;
  if (inet_ntop(family, address.bytes.data(), text.data(), text.size()) == nullptr)
    return {};
  return text.data();
}

} // namespace rtprelay
