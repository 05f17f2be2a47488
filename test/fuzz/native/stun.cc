// libFuzzer: STUN as it comes, and an ICE agent that gets checks which are authentic but odd.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "../../../native/ice/agent.h"

using namespace rtprelay;
using namespace rtprelay::ice;

namespace {

constexpr std::string_view kPassword = "password of the fuzzer";

struct Silent : Outlet {
  void transmit(const Route& route, std::span<const std::uint8_t> packet) override {
    StunMessage message;
    if (!route.remote.valid() || !read_stun(packet, message))
      std::abort();
    id = message.id;
  }
  void selected(const Route& route) override {
    if (!route.remote.valid())
      std::abort();
  }
  void status_changed(AgentStatus) override {}
  void random(std::span<std::uint8_t> out) override {
    for (std::uint8_t& octet : out)
      octet = ++counter;
  }
  TransactionId id{};
  std::uint8_t counter = 0;
};

/// Type, transaction and attributes given, integrity right.
std::vector<std::uint8_t> sign(std::uint16_t type, const TransactionId& id,
                               std::span<const std::uint8_t> attributes) {
  const std::size_t length = attributes.size() / 4 * 4 + 24;
  std::vector<std::uint8_t> packet = {static_cast<std::uint8_t>(type >> 8),
                                      static_cast<std::uint8_t>(type),
                                      static_cast<std::uint8_t>(length >> 8),
                                      static_cast<std::uint8_t>(length),
                                      0x21,
                                      0x12,
                                      0xa4,
                                      0x42};
  packet.insert(packet.end(), id.begin(), id.end());
  packet.insert(packet.end(), attributes.begin(),
                attributes.begin() + static_cast<std::ptrdiff_t>(length - 24));
  StunKey key;
  srtp::Sha1Digest digest;
  if (!key.set(kPassword) || !key.hmac().digest(packet, {}, digest))
    std::abort();
  packet.insert(packet.end(), {0, 8, 0, 20});
  packet.insert(packet.end(), digest.begin(), digest.end());
  return packet;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::span<const std::uint8_t> rest(data, size);
  StunMessage message;
  (void)read_stun(rest, message);
  Silent outlet;
  Agent agent(outlet);
  AgentSettings settings;
  settings.mode = size % 2 == 0 ? Mode::kFull : Mode::kLite;
  settings.local = {"ours", std::string(kPassword)};
  settings.remote = {"them", std::string(kPassword)};
  settings.paths = {Family::kIpv4, Family::kIpv6};
  if (!agent.configure(settings, 0))
    std::abort();
  Micros now = 0;
  constexpr std::uint16_t kTypes[] = {0x0001, 0x0011, 0x0101, 0x0111};
  while (rest.size() > 4) {
    const std::size_t length = std::min<std::size_t>(rest[0], rest.size() - 4);
    Route from{static_cast<std::uint8_t>(rest[1] & 1), {}};
    (void)parse_address("192.0.2.1", static_cast<std::uint16_t>(1 + (rest[1] >> 1)), from.remote);
    now += rest[2] * Micros{20'000};
    const auto packet = sign(kTypes[rest[3] & 3], outlet.id, rest.subspan(4, length));
    (void)agent.on_packet(packet, from, now);
    agent.add_remote({from.remote, rest[2]});
    agent.advance(now);
    if (agent.deadline() < now - kPaceMicros * 2)
      std::abort();
    (void)agent.admits(from);
    rest = rest.subspan(4 + length);
  }
  AgentState state = agent.state();
  state.settings.takeovers += size % 3 == 0 ? 1 : 0;
  Agent next(outlet);
  if (!next.restore(state, now))
    std::abort();
  next.advance(now);
  return 0;
}
