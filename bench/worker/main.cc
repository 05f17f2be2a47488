// What the worker alone costs for each packet of plain calls: no socket, no kernel. Packets come
// from memory and go nowhere. Prints nanoseconds of the thread's CPU time per packet, the best of
// several rounds.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <string>
#include <vector>

#include <ctime>
#include <poll.h>

#include "../../native/core/relay.h"
#include "../../test/native/plan_builder.h"

namespace rtprelay {

namespace {

constexpr std::size_t kCalls = 100;
constexpr std::size_t kPackets = 1'000'000;
constexpr std::size_t kRounds = 9;
constexpr std::uint16_t kFirstPort = 20'000;

std::atomic<bool> g_done{false};
std::vector<double> g_rounds;

double cpu_nanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/// Each port gets one packet after another from the other end of its call.
class MemoryIo final : public PacketIo {
public:
  MemoryIo() : slots_(kBatchSize) {}

  std::unique_ptr<Port> open(const PortSpec& spec, int /*tos*/, FileDescriptor /*inherited*/,
                             int& /*error*/) override {
    auto port = std::make_unique<Port>();
    port->id = spec.id;
    port->local = spec.local;
    return port;
  }
  void mark(Port& /*port*/, int /*tos*/) override {}
  const Port* watch(std::span<const std::unique_ptr<Port>> ports) override {
    for (const auto& port : ports)
      ports_.push_back(port.get());
    ready_.store(ports_.size() == 2 * kCalls, std::memory_order_release);
    return nullptr;
  }
  void resume(Port& /*port*/) override {}
  void close(Port& /*port*/) override {}

  Received receive(std::span<InPacket> out, int /*timeout_ms*/) override {
    if (!ready_.load(std::memory_order_acquire) || g_rounds.size() == kRounds) {
      g_done.store(g_rounds.size() == kRounds);
      (void)poll(nullptr, 0, 1);
      return {};
    }
    if (given_ == 0)
      began_ = cpu_nanoseconds();
    for (std::size_t i = 0; i < kBatchSize; ++i)
      fill(out[i], i);
    given_ += kBatchSize;
    if (given_ >= kPackets) {
      g_rounds.push_back((cpu_nanoseconds() - began_) / static_cast<double>(given_));
      given_ = 0;
    }
    return {kBatchSize, false};
  }
  void send(std::span<OutPacket> packets) override {
    for (OutPacket& packet : packets)
      packet.sent = true;
  }
  void wake() override {}

private:
  void fill(InPacket& packet, std::size_t slot) {
    Port* const port = ports_[next_];
    next_ = (next_ + 1) % ports_.size();
    packet.port = port;
    packet.source = port->local;
    packet.source.port = static_cast<std::uint16_t>(port->local.port + 10'000);
    packet.bytes = slots_[slot].body().first(172);
    packet.truncated = false;
    packet.bytes[0] = 0x80;
    packet.bytes[1] = 8;
    packet.bytes[11] = static_cast<std::uint8_t>(port->id);
    ++sequence_;
    packet.bytes[2] = static_cast<std::uint8_t>(sequence_ >> 8);
    packet.bytes[3] = static_cast<std::uint8_t>(sequence_ & 0xff);
  }

  std::vector<Slot> slots_;
  std::vector<Port*> ports_;
  std::atomic<bool> ready_{false};
  std::size_t next_ = 0;
  std::size_t given_ = 0;
  std::uint32_t sequence_ = 0;
  double began_ = 0;
};

PlanSpec call(std::size_t number) {
  PlanSpec plan;
  plan.call_id = std::to_string(number);
  for (std::uint32_t i = 0; i < 2; ++i) {
    SocketAddress local;
    (void)parse_address("127.0.0.1", static_cast<std::uint16_t>(kFirstPort + 4 * number + 2 * i),
                        local);
    SocketAddress remote = local;
    remote.port = static_cast<std::uint16_t>(local.port + 10'000);
    plan.ports.push_back({i, local});
    TransportSpec transport;
    transport.id = i;
    transport.flags = kConfirmed;
    transport.egress_port = i;
    transport.endpoint = transport.signalled = remote;
    transport.ports = {i};
    plan.transports.push_back(transport);
    StreamSpec stream;
    stream.id = stream.transport = i;
    stream.clock_rate = 8000;
    plan.streams.push_back(stream);
    add_routes(plan, {route(i, 1 - i)});
  }
  return plan;
}

} // namespace

/// In place of those of epoll_io.cc and steered_io.cc.
std::unique_ptr<PacketIo> make_epoll_io(FreeBind /*free_bind*/) {
  return std::make_unique<MemoryIo>();
}

std::unique_ptr<PacketIo> make_steered_io(const SteeredIoOptions& /*options*/, int& /*error*/) {
  return nullptr;
}

} // namespace rtprelay

int main() {
  using namespace rtprelay;
  RelayOptions options;
  Relay relay(options, {[](void*) {}, nullptr});
  if (int error = 0; !relay.start(error))
    return 1;
  for (std::size_t i = 0; i < kCalls; ++i) {
    std::vector<PortFailure> failures;
    if (relay.reconcile(encode_plan(call(i)), failures) != PlanError::kNone || !failures.empty())
      return 1;
  }
  std::vector<TransportEventRecord> events;
  for (int i = 0; i < 60'000 && !g_done.load(); ++i) {
    relay.collect(events);
    events.clear();
    (void)poll(nullptr, 0, 1);
  }
  const bool done = g_done.load();
  relay.close();
  if (!done || g_rounds.empty())
    return 1;
  std::printf("%.1f ns per packet\n", *std::min_element(g_rounds.begin(), g_rounds.end()));
  return 0;
}
