// The pure parts of steered ports: UDP headers, ICMP errors, the table of ports, the kernel's list
// of sockets. The checksums and messages written out here are those of RFC 1071 and of packets
// seen.
#include <algorithm>
#include <cerrno>
#include <memory>
#include <random>
#include <ranges>
#include <string>
#include <vector>

#include "../../native/bytes.h"
#include "../../native/core/foreign_sockets.h"
#include "../../native/core/icmp.h"
#include "../../native/core/parked_packets.h"
#include "../../native/core/port_table.h"
#include "../../native/core/udp_header.h"
#include "check.h"

using namespace rtprelay;

namespace {

SocketAddress at(const char* host, std::uint16_t port) {
  SocketAddress address;
  CHECK(parse_address(host, port, address));
  return address;
}

/// Octet by octet, as RFC 1071 §4.1 has it.
std::uint16_t plain_sum(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8U : bytes[i];
  while (sum >> 16U != 0)
    sum = (sum & 0xffff) + (sum >> 16U);
  return static_cast<std::uint16_t>(sum);
}

/// Pseudo header, header and payload of a datagram.
std::vector<std::uint8_t> whole(const SocketAddress& from, const SocketAddress& to,
                                std::span<const std::uint8_t> header,
                                std::span<const std::uint8_t> payload) {
  const std::size_t size = from.family == Family::kIpv4 ? 4 : 16;
  std::vector<std::uint8_t> bytes(from.bytes.begin(), from.bytes.begin() + static_cast<long>(size));
  bytes.insert(bytes.end(), to.bytes.begin(), to.bytes.begin() + static_cast<long>(size));
  bytes.insert(bytes.end(), {0, 17, header[4], header[5]});
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

bool is_right(const SocketAddress& from, const SocketAddress& to,
              std::span<const std::uint8_t> payload) {
  std::array<std::uint8_t, kUdpHeaderSize> header{};
  write_udp_header(from, to, payload, header);
  return read_u16(header) == from.port && read_u16(header, 2) == to.port &&
         read_u16(header, 4) == payload.size() + 8 && read_u16(header, 6) != 0 &&
         plain_sum(whole(from, to, header, payload)) == 0xffff;
}

/// What a router returns of a datagram from 10.0.0.1:30000 to 192.0.2.7:4000.
std::vector<std::uint8_t> icmp4(std::uint8_t type, std::uint8_t code) {
  std::vector<std::uint8_t> bytes(20 + 8 + 20 + 8);
  bytes[0] = 0x45;
  bytes[20] = type;
  bytes[21] = code;
  bytes[28] = 0x45;
  bytes[28 + 9] = 17;
  std::ranges::copy(at("10.0.0.1", 0).bytes | std::views::take(4), bytes.begin() + 40);
  std::ranges::copy(at("192.0.2.7", 0).bytes | std::views::take(4), bytes.begin() + 44);
  write_number(std::span(bytes).subspan(48), std::uint16_t{30000});
  write_number(std::span(bytes).subspan(50), std::uint16_t{4000});
  return bytes;
}

std::vector<std::uint8_t> icmp6(std::uint8_t type, std::uint8_t code, bool fragment) {
  std::vector<std::uint8_t> bytes(8 + 40 + (fragment ? 8 : 0) + 8);
  bytes[0] = type;
  bytes[1] = code;
  bytes[8] = 0x60;
  bytes[8 + 6] = fragment ? 44 : 17;
  std::ranges::copy(at("2001:db8::1", 0).bytes, bytes.begin() + 16);
  std::ranges::copy(at("2001:db8::2", 0).bytes, bytes.begin() + 32);
  if (fragment)
    bytes[48] = 17;
  const std::size_t ports = bytes.size() - 8;
  write_number(std::span(bytes).subspan(ports), std::uint16_t{30000});
  write_number(std::span(bytes).subspan(ports + 2), std::uint16_t{4000});
  return bytes;
}

} // namespace

TEST("a UDP header's checksum is right for every length, in both families") {
  std::mt19937 random(7);
  std::vector<std::uint8_t> payload;
  for (std::size_t size = 0; size < 300; ++size) {
    CHECK(is_right(at("10.1.2.3", 30000), at("192.0.2.255", 65535), payload));
    CHECK(is_right(at("2001:db8::1", 30001), at("fd00::ffff:1", 9), payload));
    payload.push_back(static_cast<std::uint8_t>(random()));
  }
}

TEST("a sum of ones does not overflow") {
  CHECK(is_right(at("255.255.255.255", 65535), at("255.255.255.255", 65535),
                 std::vector<std::uint8_t>(9000, 0xff)));
}

TEST("a checksum of zero is sent as ones") {
  // The payload makes up for all the rest.
  std::array<std::uint8_t, kUdpHeaderSize> header{};
  std::array<std::uint8_t, 2> payload{};
  const SocketAddress from = at("10.0.0.1", 1);
  write_udp_header(from, from, payload, header);
  write_number(std::span(payload), read_u16(header, 6));
  write_udp_header(from, from, payload, header);
  CHECK(read_u16(header, 6) == 0xffff);
}

TEST("an ICMP error says which port of ours it is about, and why") {
  IcmpError error;
  CHECK(parse_icmp4(icmp4(3, 3), error));
  CHECK(error.local == at("10.0.0.1", 30000) && error.remote == at("192.0.2.7", 4000));
  CHECK(error.error == ECONNREFUSED);
  CHECK(parse_icmp4(icmp4(3, 1), error) && error.error == EHOSTUNREACH);
  CHECK(parse_icmp4(icmp4(3, 4), error) && error.error == EMSGSIZE);
  CHECK(parse_icmp4(icmp4(11, 0), error) && error.error == EHOSTUNREACH);
  for (const bool fragment : {false, true}) {
    CHECK(parse_icmp6(icmp6(1, 4, fragment), error) && error.error == ECONNREFUSED);
    CHECK(error.local == at("2001:db8::1", 30000) && error.remote == at("2001:db8::2", 4000));
    CHECK(parse_icmp6(icmp6(2, 0, fragment), error) && error.error == EMSGSIZE);
  }
}

TEST("what is no ICMP error about a datagram is none") {
  IcmpError error;
  CHECK(!parse_icmp4(icmp4(0, 0), error) && !parse_icmp4(icmp4(3, 16), error));
  std::vector<std::uint8_t> tcp = icmp4(3, 3);
  tcp[28 + 9] = 6;
  CHECK(!parse_icmp4(tcp, error));
  std::vector<std::uint8_t> later_fragment = icmp4(3, 3);
  later_fragment[28 + 7] = 1;
  CHECK(!parse_icmp4(later_fragment, error));
  const std::vector<std::uint8_t> whole4 = icmp4(3, 3);
  for (std::size_t size = 0; size < 52; ++size)
    CHECK(!parse_icmp4(std::span(whole4).first(size), error));
  const std::vector<std::uint8_t> whole6 = icmp6(1, 4, true);
  for (std::size_t size = 0; size < 60; ++size)
    CHECK(!parse_icmp6(std::span(whole6).first(size), error));
}

TEST("a table of ports finds those that are in it, against a list that is searched") {
  std::mt19937 random(11);
  std::vector<std::unique_ptr<Port>> ports;
  for (std::uint16_t i = 0; i < 400; ++i) {
    ports.push_back(std::make_unique<Port>());
    ports.back()->local =
        at(i % 2 == 0 ? "10.0.0.1" : "fd00::1", static_cast<std::uint16_t>(i / 4));
  }
  PortTable table;
  std::vector<Port*> inside;
  for (int step = 0; step < 20'000; ++step) {
    Port& port = *ports[random() % ports.size()];
    const auto same = [&port](const Port* each) { return each->local == port.local; };
    if (random() % 2 == 0) {
      std::erase_if(inside, same);
      table.insert(port);
      inside.push_back(&port);
    } else {
      table.erase(port);
      std::erase(inside, &port);
    }
    Port& looked_for = *ports[random() % ports.size()];
    const auto wanted = std::ranges::find_if(
        inside, [&](const Port* each) { return each->local == looked_for.local; });
    CHECK(table.find(looked_for.local) == (wanted == inside.end() ? nullptr : *wanted));
  }
  CHECK(table.size() == inside.size());
}

TEST("packets of ports that nobody knows yet wait, and come in their order once one is known") {
  Port known;
  known.local = at("10.0.0.1", 30000);
  const SocketAddress unknown = at("10.0.0.1", 30002);
  ParkedPackets parked;
  std::array<std::uint8_t, 2> bytes{};
  for (std::uint8_t i = 0; i < 10; ++i) {
    InPacket packet;
    packet.local = i % 2 == 0 ? known.local : unknown;
    packet.source = at("192.0.2.7", i);
    bytes = {i, i};
    packet.bytes = bytes;
    CHECK(parked.park(packet));
  }
  PortTable table;
  CHECK(!parked.may_have());
  table.insert(known);
  parked.look();
  std::array<InPacket, 3> out;
  CHECK(parked.take(table, out) == 3 && parked.may_have());
  for (std::uint8_t i = 0; i < 3; ++i)
    CHECK(out[i].port == &known && out[i].bytes[1] == 2 * i && out[i].source.port == 2 * i);
  CHECK(parked.take(table, out) == 2 && !parked.may_have());
  CHECK(out[0].bytes[0] == 6 && out[1].bytes[0] == 8 && out[1].bytes.size() == 2);
  InPacket large;
  std::vector<std::uint8_t> too_much(1501);
  large.bytes = too_much;
  CHECK(!parked.park(large));
}

TEST("the kernel's list of sockets is understood") {
  SocketAddress local;
  CHECK(parse_bound_socket("  513: 0100007F:1F90 00000000:0000 07 00000000:00000000", Family::kIpv4,
                           local));
  CHECK(local == at("127.0.0.1", 8080));
  CHECK(parse_bound_socket("   1: 00000000000000000000000001000000:0035 "
                           "00000000000000000000000000000000:0000 07",
                           Family::kIpv6, local));
  CHECK(local == at("::1", 53));
  CHECK(!parse_bound_socket("   sl  local_address rem_address   st", Family::kIpv4, local));
  CHECK(!parse_bound_socket("  513: 0100007F:1F9", Family::kIpv4, local));
  CHECK(!parse_bound_socket("", Family::kIpv6, local));
}

TEST("a socket that is bound is seen, and no longer when it is closed") {
  int error = 0;
  ForeignSockets foreign;
  FileDescriptor socket = open_udp_socket(at("127.0.0.1", 0), -1, FreeBind::kNo, error);
  const SocketAddress local = local_address(socket.get());
  CHECK(foreign.has(local));
  CHECK(!foreign.has(at("127.0.0.2", local.port)));
  socket = FileDescriptor();
  foreign.forget();
  CHECK(!foreign.has(local));
  FileDescriptor any = open_udp_socket(at("0.0.0.0", 0), -1, FreeBind::kNo, error);
  foreign.forget();
  CHECK(foreign.has(at("127.0.0.3", local_address(any.get()).port)));
}

TEST("a socket of IPv6 only leaves the port to IPv4") {
  for (const int only : {0, 1}) {
    const FileDescriptor socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    CHECK(setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) == 0);
    sockaddr_in6 any = {};
    any.sin6_family = AF_INET6;
    CHECK(bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) == 0);
    const std::uint16_t port = local_address(socket.get()).port;
    ForeignSockets foreign;
    CHECK(foreign.has(at("::1", port)));
    CHECK(foreign.has(at("127.0.0.1", port)) == (only == 0));
  }
}
