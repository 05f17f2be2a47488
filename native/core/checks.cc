// The stage of a packet's life that only transports with ICE or DTLS have, and all that their
// agents do by time.
#include "checks.h"

#include <algorithm>

#include <sys/random.h>

#include "association.h"
#include "handshakes.h"
#include "packet.h"
#include "worker.h"

namespace rtprelay {

namespace {

std::uint8_t path_of(const ChecksConfig& checks, const Port* port) {
  const auto found = std::ranges::find(checks.ports, port);
  return static_cast<std::uint8_t>(std::distance(checks.ports.begin(), found));
}

const Port* port_of(const ChecksConfig& checks, std::uint32_t id) {
  const auto found = std::ranges::find(checks.ports, id, [](const Port* port) { return port->id; });
  return found == checks.ports.end() ? nullptr : *found;
}

/// What another process knew of the agent.
ice::AgentState resumed_state(const IceSpec& spec, const ice::AgentSettings& settings,
                              const std::vector<std::uint32_t>& port_ids) {
  ice::AgentState state{settings, spec.candidates, spec.route_endpoint.valid(), {}, 0};
  if (state.has_route) {
    const auto port = std::ranges::find(port_ids, spec.route_port);
    state.route.path = static_cast<std::uint8_t>(std::distance(port_ids.begin(), port));
    state.route.remote = spec.route_endpoint;
    state.route_priority = spec.route_priority;
  }
  return state;
}

} // namespace

IceEnd::IceEnd(Worker& worker, Transport& transport)
    : agent(*this), timer(TimerKind::kIce, transport), worker_(worker), transport_(transport) {}

void IceEnd::transmit(const ice::Route& route, std::span<const std::uint8_t> packet) {
  const ChecksConfig& checks = *transport_.config->checks;
  if (route.path < checks.ports.size())
    worker_.send_now(checks.ports[route.path], route.remote, packet, transport_);
}

void IceEnd::selected(const ice::Route& /*route*/) { route_changed = true; }
void IceEnd::status_changed(ice::AgentStatus /*status*/) { status_is_new = true; }

void IceEnd::random(std::span<std::uint8_t> out) {
  // Up to 256 bytes are always whole.
  while (getrandom(out.data(), out.size(), 0) != static_cast<ssize_t>(out.size())) {
  }
}

bool Worker::install_ice(const TransportConfig& transport) {
  Transport& state = *transport.state;
  if (transport.checks == nullptr || !transport.checks->ice) {
    const bool had = state.ice != nullptr;
    if (had)
      drop_ice(state);
    return had;
  }
  const ChecksConfig& checks = *transport.checks;
  const IceSpec& spec = *checks.ice;
  std::vector<std::uint32_t> port_ids;
  ice::AgentSettings settings = spec.settings;
  for (const Port* port : checks.ports) {
    port_ids.push_back(port->id);
    settings.paths.push_back(port->local.family);
  }
  const bool fresh = state.ice == nullptr;
  // With other ports its pairs would mean other paths.
  if (!fresh && state.ice->port_ids != port_ids)
    drop_ice(state);
  if (state.ice == nullptr) {
    state.ice = std::make_unique<IceEnd>(*this, state);
    state.ice->port_ids = port_ids;
    state.latch.restart({}, false, now_);
    publish(state);
  }
  ice::Agent& agent = state.ice->agent;
  if (fresh && spec.resumed) {
    (void)agent.restore(resumed_state(spec, settings, port_ids), now_);
    // What the plan has said is not told back.
    if (agent.has_route())
      use_route(state);
    state.ice->route_changed = state.ice->status_is_new = false;
    state.ice->told_controlling = agent.controlling();
  } else {
    (void)agent.configure(settings, now_);
    for (const ice::RemoteCandidate& candidate : spec.candidates)
      agent.add_remote(candidate);
  }
  if (fresh && !spec.resumed)
    state.ice->status_is_new = true;
  // The port may have been opened anew.
  if (agent.has_route())
    state.egress = checks.ports[agent.route().path];
  run_ice(state);
  return false;
}

void Worker::drop_ice(Transport& transport) {
  if (transport.ice == nullptr)
    return;
  timers_.cancel(transport.ice->timer);
  transport.ice.reset();
  transport.egress = nullptr;
}

void Worker::run_ice(Transport& transport) {
  IceEnd& end = *transport.ice;
  end.agent.advance(now_);
  if (end.route_changed) {
    end.route_changed = false;
    follow_route(transport);
  }
  if (end.status_is_new || end.told_controlling != end.agent.controlling()) {
    end.status_is_new = false;
    end.told_controlling = end.agent.controlling();
    transport.ice_view.status.store(static_cast<std::uint8_t>(end.agent.status()),
                                    std::memory_order_relaxed);
    transport.ice_view.controlling.store(end.told_controlling, std::memory_order_relaxed);
    raise(transport, kIceStatus);
  }
  timers_.set(end.timer, end.agent.deadline());
}

void Worker::use_route(Transport& transport) {
  const ice::Agent& agent = transport.ice->agent;
  const Port* const port = transport.config->checks->ports[agent.route().path];
  transport.egress = port;
  transport.latch.restart(agent.route().remote, true, now_);
  publish(transport);
  transport.ice_view.port.store(port->id, std::memory_order_relaxed);
  transport.ice_view.priority.store(agent.route_priority(), std::memory_order_relaxed);
}

void Worker::follow_route(Transport& transport) {
  use_route(transport);
  raise(transport, kIceSelected);
  begin_handshake(transport);
}

void Worker::install_association(const TransportConfig& transport) {
  Transport& state = *transport.state;
  Association* const next = transport.checks == nullptr ? nullptr : transport.checks->association;
  if (state.association != nullptr && state.association != next)
    state.association->transport = nullptr;
  state.association = next;
  if (next == nullptr)
    return;
  next->transport = &state;
  begin_handshake(state);
}

/// An association that is not passive begins as soon as its packets have a way.
void Worker::begin_handshake(Transport& transport) {
  Association* const association = transport.association;
  if (dormant_ || association == nullptr || association->begun || association->established ||
      !transport.config->checks->begins)
    return;
  const SocketAddress& endpoint = transport.latch.endpoint();
  const auto& ice = transport.config->checks->ice;
  const bool stands_by = ice && ice->settings.standby;
  if (!endpoint.valid() || endpoint.port == 0 || stands_by ||
      (transport.ice != nullptr && !transport.ice->agent.has_route()))
    return;
  association->begun = true;
  association->handshakes->begin(*association);
}

bool Worker::check(const TransportConfig& transport, const InPacket& packet, PacketKind kind) {
  const ChecksConfig& checks = *transport.checks;
  Transport& state = *transport.state;
  const auto refused = [&](DropReason reason) {
    refuse(*transport.stream, packet.bytes.size(), reason);
    return false;
  };
  if (packet.truncated)
    return refused(DropReason::kTruncated);
  if (state.ice != nullptr) {
    const ice::Route from{path_of(checks, packet.port), packet.source};
    if (kind == PacketKind::kStun) {
      if (!state.ice->agent.on_packet(packet.bytes, from, now_))
        return refused(DropReason::kMalformed);
      run_ice(state);
      return false;
    }
    if (!state.ice->agent.admits(from)) {
      state.stranger.write({packet.source});
      state.stranger_heard.set(moment());
      return refused(DropReason::kStrictSource);
    }
  }
  if (kind != PacketKind::kDtls || state.association == nullptr)
    return true;
  Association& association = *state.association;
  if (packet.source == state.latch.endpoint())
    state.dtls_heard = now_;
  const bool expected = association.checked || state.latch.endpoint().same_host(packet.source) ||
                        checks.signalled.same_host(packet.source);
  if (!association.datagrams[expected ? 1 : 0].take(now_) ||
      !association.handshakes->offer(association, {packet.port->id, packet.source}, expected,
                                     packet.bytes))
    return refused(DropReason::kHandshakeFlood);
  return false;
}

void Worker::send_flights() {
  for (Flight* next = flights_.take_all(); next != nullptr;) {
    const std::unique_ptr<Flight> flight(next);
    next = Mailbox<Flight>::next(next);
    Transport* const transport = flight->association->transport;
    if (transport == nullptr)
      continue;
    if (flight->proven)
      note_proven(*transport, flight->origin);
    else
      send_flight_of(*transport, *flight);
  }
}

void Worker::send_flight_of(Transport& transport, const Flight& flight) {
  const TransportConfig& config = *transport.config;
  const bool has_route = transport.ice != nullptr && transport.ice->agent.has_route();
  const bool answers = flight.origin.source.valid() && !has_route;
  const Port* egress = has_route ? transport.egress : config.egress;
  if (answers)
    egress = port_of(*config.checks, flight.origin.port_id);
  const SocketAddress& to = answers ? flight.origin.source : transport.latch.endpoint();
  if (egress != nullptr && to.valid() && to.port != 0)
    send_now(egress, to, flight.bytes, transport);
}

/// Who has shown that the fingerprint is his is as good a source as one of authentic media.
void Worker::note_proven(Transport& transport, const Origin& origin) {
  if (transport.ice != nullptr)
    return;
  const LatchOutcome outcome =
      transport.latch.on_packet(transport.config->policy, {origin.source, true}, now_);
  if (outcome.changed)
    note_learned(transport);
}

} // namespace rtprelay
