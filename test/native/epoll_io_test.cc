// Ports with a socket each, without a worker: what is dropped while more comes than is taken.
#include <array>
#include <memory>
#include <vector>

#include "../../native/core/held_packets.h"
#include "../../native/core/packet_io.h"
#include "../../native/core/pressure.h"
#include "check.h"
#include "loopback.h"

using namespace rtprelay;

namespace {

struct Ports {
  Ports() {
    for (std::uint32_t i = 0; i < 48; ++i) {
      int error = 0;
      const SocketAddress local = Phone().address();
      ports.push_back(io->open({i, local}, -1, FileDescriptor(), error));
      CHECK(ports.back() != nullptr);
    }
    CHECK(io->watch(ports) == nullptr);
  }
  ~Ports() {
    for (const auto& port : ports)
      io->close(*port);
  }

  void send_to_each() const {
    for (const auto& port : ports)
      phone.send(port->local);
  }

  /// One round; what of it was stale.
  std::uint64_t round(std::size_t& taken) {
    const Received received = io->receive(in, 0);
    taken += received.packets;
    std::uint64_t stale = 0;
    for (const StalePackets& each : received.stale) {
      CHECK(each.port != nullptr && each.bytes == each.packets * 172);
      stale += each.packets;
    }
    io->let_go();
    return stale;
  }

  /// Takes all that is there.
  std::uint64_t drain(std::size_t& taken) {
    std::uint64_t stale = 0;
    for (std::size_t before = taken, seen = 1; seen > 0; before = taken) {
      const std::uint64_t now = round(taken);
      stale += now;
      seen = taken - before + now;
    }
    return stale;
  }

  Phone phone;
  std::unique_ptr<PacketIo> io = make_epoll_io(FreeBind::kNo);
  std::vector<std::unique_ptr<Port>> ports;
  std::array<InPacket, kBatchSize> in{};
};

void sleep_ms(int duration) { (void)poll(nullptr, 0, duration); }

/// Packets that nobody would play any more are dropped while rounds stay full, and only then.
void drops_stale(Ports& here) {
  std::size_t taken = 0;
  here.send_to_each();
  sleep_ms(100);
  CHECK(here.drain(taken) == 0U);
  CHECK(taken == here.ports.size());

  // More than a round has room for comes before each.
  std::uint64_t stale = 0;
  for (int i = 0; i < 2000 && stale == 0; ++i) {
    here.send_to_each();
    sleep_ms(20);
    stale += here.round(taken);
  }
  CHECK(stale > 0);

  // It goes on; what is fresh is relayed all the same.
  here.drain(taken);
  const std::size_t before = taken;
  here.send_to_each();
  stale = here.drain(taken);
  CHECK(taken - before + stale == here.ports.size());

  // Calm again.
  const Micros until = monotonic_micros() + Pressure::kCalm + 200'000;
  while (monotonic_micros() < until) {
    here.round(taken);
    sleep_ms(10);
  }
  const std::size_t calm = taken;
  here.send_to_each();
  sleep_ms(100);
  CHECK(here.drain(taken) == 0U);
  CHECK(taken - calm == here.ports.size());
}

} // namespace

TEST("while more comes than is taken, what has waited for long is dropped") {
  Ports here;
  drops_stale(here);
}

TEST("the same where packets lie in memory that outlives the process") {
  const std::unique_ptr<HeldPackets> held = HeldPackets::make(1);
  CHECK(held != nullptr);
  Ports here;
  here.io->hold_in(held->of(0));
  drops_stale(here);
}
