// What a killed process had received and not sent, and the one that goes on with it.
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "../../native/core/held_packets.h"
#include "check.h"
#include "loopback.h"

namespace {

using namespace rtprelay;

/// A packet as a worker has it that ends at this moment.
void hold(const HeldByWorker& of, std::size_t at, const SocketAddress& to,
          const SocketAddress& from, std::span<const std::uint8_t> bytes, std::uint32_t begun) {
  HeldPacket& held = of.packets[at];
  held.prepare(of.headers[at], to);
  (void)to_kernel(from, held.source);
  std::ranges::copy(bytes, held.slot.body().begin());
  of.headers[at].msg_len = static_cast<unsigned>(bytes.size());
  held.begun = begun;
}

std::array<std::uint8_t, 172> rtp(std::uint8_t sequence) { return {0x80, 0, 0, sequence}; }

/// A relay of another process, which stands by with the calls of the one that ended.
struct Successor {
  explicit Successor(const HeldPackets& former) {
    place.wanted = true;
    place.left = FileDescriptor(fcntl(former.fd(), F_DUPFD_CLOEXEC, 0));
    RelayOptions options;
    options.workers = 2;
    options.dormant = true;
    options.held_packets = &place;
    relay = std::make_unique<Relay>(options, Notifier{ignore, nullptr});
    int error = 0;
    CHECK(relay->start(error));
  }
  void knows(const PlanSpec& plan) const {
    std::vector<PortFailure> failures;
    CHECK(relay->reconcile(encode_plan(plan), failures) == PlanError::kNone && failures.empty());
    relay->wake_workers_for_orders();
  }

  HeldPacketsOptions place;
  std::unique_ptr<Relay> relay;
};

std::uint8_t sequence_of(const std::vector<std::uint8_t>& packet) {
  CHECK(packet.size() == rtp(0).size());
  return packet[3];
}

TEST("what a process held is relayed by the next one, and what it had sent is not") {
  Fixture call;
  // The phone hears itself, too: two packets are made of each, this one first.
  add_routes(call.plan, {route(0, 0, RouteKind::kRtp)});
  const auto held_packets = HeldPackets::make(2);
  CHECK(held_packets != nullptr && HeldPackets::is_one(held_packets->fd()) &&
        !HeldPackets::is_one(STDOUT_FILENO));
  const HeldByWorker of = held_packets->of(1);
  *of.moment = monotonic_micros();
  const SocketAddress from = call.phones[0].address();
  hold(of, 0, call.facing(0), from, rtp(1), 0);
  hold(of, 1, call.facing(0), from, rtp(2), 1);
  hold(of, 2, call.facing(0), from, rtp(3), 2);
  // Done with, and never come.
  hold(of, 3, call.facing(0), from, rtp(4), 0);
  of.packets[3].let_go();
  of.packets[4].prepare(of.headers[4], call.facing(0));
  Successor next(*held_packets);
  next.knows(call.plan);
  CHECK(next.relay->activate());
  std::array<std::vector<std::uint8_t>, 2> heard;
  for (std::size_t i = 0; i < 2; ++i)
    while (call.phones[i].hears(heard[i].empty() ? 2000 : 50))
      heard[i].push_back(0);
  CHECK(heard[0].size() + heard[1].size() == 3);
}

TEST("what a process held of a call that is known later waits for it; what is old does not") {
  Fixture call;
  const auto held_packets = HeldPackets::make(2);
  *held_packets->of(0).moment = monotonic_micros();
  *held_packets->of(1).moment = monotonic_micros() - 10'000'000;
  const SocketAddress from = call.phones[0].address();
  hold(held_packets->of(0), 7, call.facing(0), from, rtp(7), 0);
  hold(held_packets->of(1), 0, call.facing(0), from, rtp(8), 0);
  Successor next(*held_packets);
  CHECK(next.relay->activate());
  next.knows(call.plan);
  CHECK(next.relay->replay_left(true) == 1);
  CHECK(sequence_of(call.phones[1].receive()) == 7 && !call.phones[1].hears(50));
}

/// As the kernel writes where a packet was sent to; returns the length.
std::size_t write_destination(std::span<std::uint8_t> control, const SocketAddress& to) {
  KernelAddress address{};
  const std::size_t length = to_kernel(to, address);
  const bool v4 = to.family == Family::kIpv4;
  cmsghdr header{};
  header.cmsg_level = v4 ? static_cast<int>(IPPROTO_IP) : IPPROTO_IPV6;
  header.cmsg_type = v4 ? IP_ORIGDSTADDR : IPV6_ORIGDSTADDR;
  header.cmsg_len = CMSG_LEN(length);
  std::memcpy(control.data(), &header, sizeof(header));
  std::memcpy(control.data() + CMSG_LEN(0), &address, length);
  return CMSG_SPACE(length);
}

TEST("a packet of a steered port says itself where it came to") {
  const auto held_packets = HeldPackets::make(1);
  const HeldByWorker of = held_packets->of(0);
  *of.moment = monotonic_micros();
  std::array<SocketAddress, 3> locals;
  CHECK(parse_address("192.0.2.1", 30000, locals[0]) &&
        parse_address("2001:db8::1", 30002, locals[1]));
  for (std::size_t i = 0; i < locals.size(); ++i) {
    hold(of, i, {}, locals[0], rtp(static_cast<std::uint8_t>(i)), 0);
    // The last one has not got so far.
    of.headers[i].msg_hdr.msg_controllen =
        locals[i].valid() ? write_destination(of.packets[i].control, locals[i]) : 0;
  }
  const std::vector<LeftPacket> left = HeldPackets::read(held_packets->fd(), monotonic_micros());
  CHECK(left.size() == locals.size());
  for (std::size_t i = 0; i < locals.size(); ++i)
    CHECK(left[i].local == locals[i]);
  // A length that is not the kernel's.
  of.headers[0].msg_hdr.msg_controllen = SIZE_MAX;
  of.headers[1].msg_hdr.msg_controllen = CMSG_LEN(sizeof(sockaddr_in6)) - 1;
  const std::vector<LeftPacket> odd = HeldPackets::read(held_packets->fd(), monotonic_micros());
  CHECK(odd[0].local == locals[0] && !odd[1].local.valid());
}

TEST("a worker that is one of a pair lets go of what it has sent") {
  Fixture call;
  const auto former = HeldPackets::make(1);
  Successor relay(*former);
  relay.knows(call.plan);
  CHECK(relay.relay->activate());
  for (int i = 0; i < 50; ++i) {
    call.phones[0].send(call.facing(0));
    CHECK(call.phones[1].hears());
  }
  CHECK(eventually([&] { return HeldPackets::read(relay.relay->held_packets_fd(), 0).empty(); }));
}

TEST("a relay that never had its turn ends while its threads wait") {
  RelayOptions options;
  options.dormant = true;
  Relay relay(options, Notifier{ignore, nullptr});
  int error = 0;
  CHECK(relay.start(error));
  relay.close();
}

TEST("a call whose sockets come one after the other gets all of them") {
  Fixture call;
  SocketStore sockets;
  int error = 0;
  std::array<FileDescriptor, 2> fds;
  for (std::size_t i = 0; i < 2; ++i)
    fds[i] = open_udp_socket(call.facing(i), -1, FreeBind::kNo, error);
  FileDescriptor first(fcntl(fds[0].get(), F_DUPFD_CLOEXEC, 0));
  CHECK(sockets.inherit(first));
  RelayOptions options;
  options.dormant = true;
  options.sockets = &sockets;
  Relay relay(options, Notifier{ignore, nullptr});
  CHECK(relay.start(error));
  std::vector<PortFailure> failures;
  CHECK(relay.reconcile(encode_plan(call.plan), failures) == PlanError::kNone);
  CHECK(failures.size() == 1 && failures[0].error == EADDRINUSE);
  CHECK(sockets.inherit(fds[1]));
  failures.clear();
  CHECK(relay.reconcile(encode_plan(call.plan), failures) == PlanError::kNone && failures.empty());
  call.phones[0].send(call.facing(0));
  CHECK(relay.activate() && call.phones[1].hears());
}

} // namespace
