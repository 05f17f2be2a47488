// Phones on loopback sockets, a call between two of them, and a relay with real workers.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

#include "../../native/core/relay.h"
#include "check.h"
#include "plan_builder.h"

namespace rtprelay {

inline void ignore(void* /*context*/) {}

inline SocketAddress local_address(int fd) {
  KernelAddress address{};
  socklen_t length = sizeof(address);
  CHECK(getsockname(fd, &address.generic, &length) == 0);
  return from_kernel(address);
}

class Phone {
public:
  Phone() {
    SocketAddress any;
    CHECK(parse_address("127.0.0.1", 0, any));
    int error = 0;
    fd_ = open_udp_socket(any, -1, FreeBind::kNo, error);
    CHECK(fd_.valid());
    address_ = local_address(fd_.get());
  }
  [[nodiscard]] const SocketAddress& address() const { return address_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  void send(const SocketAddress& to, std::uint8_t type = 0) const {
    const std::array<std::uint8_t, 172> packet{0x80, type};
    send_bytes(to, packet);
  }

  void send_bytes(const SocketAddress& to, std::span<const std::uint8_t> packet) const {
    KernelAddress kernel;
    const socklen_t length = to_kernel(to, kernel);
    (void)sendto(fd_.get(), packet.data(), packet.size(), 0, &kernel.generic, length);
  }

  /// The datagram that comes within `wait_ms`; empty: none.
  [[nodiscard]] std::vector<std::uint8_t> receive(int wait_ms = 2000) const {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (poll(&ready, 1, wait_ms) <= 0)
      return {};
    std::vector<std::uint8_t> packet(2000);
    const ssize_t size = recv(fd_.get(), packet.data(), packet.size(), 0);
    packet.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return packet;
  }
  [[nodiscard]] bool hears(int wait_ms = 2000) const { return !receive(wait_ms).empty(); }

private:
  FileDescriptor fd_;
  SocketAddress address_;
};

/// A sender report without blocks (RFC 3550 §6.4.1).
inline constexpr std::array<std::uint8_t, 28> kReport{0x80, 200, 0, 6, 0, 0, 0, 7};

/// A call between two phones: transports and streams 0 and 1, each with the port of the same id.
struct Fixture {
  explicit Fixture(const char* id = "call") {
    plan.call_id = id;
    for (std::uint32_t i = 0; i < 2; ++i) {
      plan.ports.push_back({i, Phone().address()});
      TransportSpec transport;
      transport.id = i;
      transport.learning = Learning::kImmediate;
      transport.egress_port = i;
      transport.endpoint = transport.signalled = phones[i].address();
      transport.ports = {i};
      plan.transports.push_back(transport);
      StreamSpec stream;
      stream.id = stream.transport = i;
      plan.streams.push_back(stream);
      add_routes(plan, {route(i, 1 - i)});
    }
  }
  [[nodiscard]] const SocketAddress& facing(std::size_t i) const { return plan.ports[i].local; }

  std::array<Phone, 2> phones;
  PlanSpec plan;
};

struct TestRelay : Relay {
  TestRelay() : Relay({2, FreeBind::kNo}, {ignore, nullptr}) {
    int error = 0;
    CHECK(start(error));
  }
  bool apply(const PlanSpec& plan) {
    std::vector<PortFailure> failures;
    return reconcile(encode_plan(plan), failures) == PlanError::kNone && failures.empty();
  }
  bool end(const std::string& id) {
    PlanSpec nothing;
    nothing.call_id = id;
    return apply(nothing);
  }
};

inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition())
      return true;
    (void)poll(nullptr, 0, 2);
  }
  return false;
}

} // namespace rtprelay
