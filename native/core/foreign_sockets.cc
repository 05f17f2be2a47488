#include "foreign_sockets.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <unistd.h>

#include "../netlink/reader.h"
#include "socket.h"

namespace rtprelay {

namespace {

/// How long the answer of the kernel holds, and by what factor longer than it took.
constexpr Micros kHoldsMicros = 200'000;
constexpr Micros kHoldsTimes = 50;

/// IPv6 addresses, and whether it is of IPv6 only, are told where there is one.
struct BoundSocket {
  SocketAddress local;
  bool ipv6_only = false;
};

BoundSocket bound_socket(const inet_diag_msg& told, netlink::Bytes attributes) {
  BoundSocket out;
  out.local.family = told.idiag_family == AF_INET6 ? Family::kIpv6 : Family::kIpv4;
  out.local.port = ntohs(told.id.idiag_sport);
  std::memcpy(out.local.bytes.data(), told.id.idiag_src, told.idiag_family == AF_INET6 ? 16 : 4);
  netlink::each_attribute(attributes, [&](int type, netlink::Bytes content) {
    if (type == INET_DIAG_SKV6ONLY)
      out.ipv6_only = netlink::number_of<std::uint8_t>(content) != 0;
  });
  return out;
}

std::string name_of(const SocketAddress& local) {
  std::string name(reinterpret_cast<const char*>(local.bytes.data()), local.bytes.size());
  name.push_back(static_cast<char>(local.port >> 8U));
  name.push_back(static_cast<char>(local.port & 0xffU));
  return name;
}

bool parse_hex(std::string_view text, std::uint32_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

std::string read_file(const char* file) {
  std::string text;
  const FileDescriptor fd(open(file, O_RDONLY | O_CLOEXEC));
  std::array<char, 16384> part{};
  while (fd.valid()) {
    const ssize_t size = ::read(fd.get(), part.data(), part.size());
    if (size <= 0)
      break;
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  return text;
}

} // namespace

bool parse_bound_socket(std::string_view line, Family family, SocketAddress& out) {
  // `  sl: ADDRESS:PORT ...`, the address as 32-bit numbers of this machine.
  const std::size_t colon = line.find(": ");
  const std::size_t words = family == Family::kIpv4 ? 1 : 4;
  const std::size_t digits = 8 * words;
  if (colon == std::string_view::npos || line.size() < colon + 2 + digits + 5)
    return false;
  const std::string_view text = line.substr(colon + 2, digits + 5);
  SocketAddress local;
  local.family = family;
  for (std::size_t i = 0; i < words; ++i) {
    std::uint32_t word = 0;
    if (!parse_hex(text.substr(8 * i, 8), word))
      return false;
    std::memcpy(local.bytes.data() + 4 * i, &word, sizeof(word));
  }
  std::uint32_t port = 0;
  if (text[digits] != ':' || !parse_hex(text.substr(digits + 1), port))
    return false;
  local.port = static_cast<std::uint16_t>(port);
  out = local;
  return true;
}

void ForeignSockets::add(const SocketAddress& local, bool ipv6_only) {
  if (local.bytes != std::array<std::uint8_t, 16>{}) {
    hosts_.insert(name_of(local));
    return;
  }
  any6_.set(local.port);
  if (!ipv6_only)
    any4_.set(local.port);
}

bool ForeignSockets::ask(Family family) {
  struct {
    nlmsghdr header = {};
    inet_diag_req_v2 body = {};
  } request;
  constexpr std::uint32_t sequence = 1;
  request.header = {sizeof(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0};
  request.body.sdiag_family = family == Family::kIpv6 ? AF_INET6 : AF_INET;
  request.body.sdiag_protocol = IPPROTO_UDP;
  request.body.idiag_states = ~0U;
  const FileDescriptor fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd.valid() ||
      send(fd.get(), &request, sizeof(request), 0) != static_cast<ssize_t>(sizeof(request)))
    return false;
  const netlink::Answer answer =
      netlink::read_answer(fd.get(), sequence, [&](const netlink::Message& message) {
        inet_diag_msg told = {};
        if (!message.read(told))
          return;
        const BoundSocket bound = bound_socket(told, message.attributes<inet_diag_msg>());
        add(bound.local, bound.ipv6_only);
      });
  return answer.complete && answer.error == 0;
}

void ForeignSockets::read(const char* file, Family family) {
  const std::string text = read_file(file);
  for (std::size_t begin = text.find('\n'); begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin + 1), text.size());
    SocketAddress local;
    if (parse_bound_socket(std::string_view(text).substr(begin + 1, end - begin - 1), family,
                           local)) {
      // Whether it is of IPv6 only is not told.
      add(local, false);
    }
    begin = end;
  }
}

bool ForeignSockets::has(const SocketAddress& local) {
  const Micros now = monotonic_micros();
  if (now >= until_) {
    hosts_.clear();
    any4_.reset();
    any6_.reset();
    // The files take time by the square of the sockets: seconds for some ten thousand.
    if (!ask(Family::kIpv4))
      read("/proc/self/net/udp", Family::kIpv4);
    if (!ask(Family::kIpv6))
      read("/proc/self/net/udp6", Family::kIpv6);
    const Micros done = monotonic_micros();
    until_ = done + std::max(kHoldsMicros, kHoldsTimes * (done - now));
  }
  const auto& any = local.family == Family::kIpv4 ? any4_ : any6_;
  return any.test(local.port) || hosts_.contains(name_of(local));
}

} // namespace rtprelay
