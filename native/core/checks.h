// ICE of one transport as its worker has it: the agent, its deadline and its way out. What a packet
// of a transport that checks its paths, or ends DTLS, goes through is in checks.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "../ice/agent.h"
#include "clock.h"
#include "plan.h"
#include "timer_heap.h"

namespace rtprelay {

struct Association;
struct Port;
struct Transport;
class Worker;

/// What the plan wants of a transport that does more than to pass packets on.
struct ChecksConfig {
  std::optional<IceSpec> ice;
  /// Its handshakes; null: DTLS is passed on.
  Association* association = nullptr;
  /// A handshake of its own is begun: it is not for the peer alone to begin.
  bool begins = false;
  /// The ports of the transport, in the order of the plan: the paths of the agent.
  std::vector<const Port*> ports;
  SocketAddress signalled;
};

// Thread: worker only.
class IceEnd final : public ice::Outlet {
public:
  IceEnd(Worker& worker, Transport& transport);

  void transmit(const ice::Route& route, std::span<const std::uint8_t> packet) override;
  void selected(const ice::Route& route) override;
  void status_changed(ice::AgentStatus status) override;
  void random(std::span<std::uint8_t> out) override;

  ice::Agent agent;
  Timer timer;
  /// The agent's paths.
  std::vector<std::uint32_t> port_ids;
  /// Not told yet.
  bool route_changed = false;
  bool status_is_new = false;
  bool told_controlling = false;

private:
  Worker& worker_;
  Transport& transport_;
};

} // namespace rtprelay
