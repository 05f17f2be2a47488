// Changes of plans: what a command costs does not grow with what the call has besides.
#include <algorithm>

#include "relay.h"
#include "relay_parts.h"

namespace rtprelay {

namespace {

/// Routes that a list has room for at least.
constexpr std::size_t kLeastRoutes = 8;

const PartSpec* part_at(const PlanChangeSpec& change, std::size_t position) {
  const auto found = std::ranges::lower_bound(change.parts, position, {}, &PartSpec::position);
  return found == change.parts.end() || found->position != position ? nullptr : &*found;
}

bool has_part(const PlanChangeSpec& change, std::uint32_t stream) {
  return std::ranges::any_of(change.parts,
                             [stream](const PartSpec& part) { return part.stream.id == stream; });
}

/// The ports that a transport will have. `before`: null, it is new.
std::vector<std::uint32_t> ports_of(const TransportSpec& spec, const Transport* before,
                                    const std::vector<std::uint32_t>& closed) {
  std::vector<std::uint32_t> ids;
  if (before != nullptr)
    for (const Port* port : before->ports)
      if (std::ranges::find(closed, port->id) == closed.end())
        ids.push_back(port->id);
  ids.insert(ids.end(), spec.ports.begin(), spec.ports.end());
  return ids;
}

/// The list with room for more behind `shown`, which a worker has.
std::shared_ptr<RouteList> with_room(const std::shared_ptr<RouteList>& list,
                                     std::span<const RouteConfig> shown, std::size_t more) {
  if (list != nullptr && list->routes.capacity() - list->routes.size() >= more)
    return list;
  auto grown = std::make_shared<RouteList>();
  grown->routes.reserve(std::max(kLeastRoutes, 2 * (shown.size() + more)));
  grown->routes.assign(shown.begin(), shown.end());
  if (list != nullptr)
    grown->rewrites = list->rewrites;
  return grown;
}

} // namespace

PlanError Relay::change(std::span<const std::uint8_t> bytes, std::vector<PortFailure>& failures) {
  PlanChangeSpec change;
  if (const PlanError error = decode_change(bytes, change); error != PlanError::kNone)
    return error;
  const auto known = calls_.find(change.call_id);
  if (known == calls_.end() || !known->second.can_change)
    return PlanError::kUnknownPlan;
  Call& call = known->second;
  if (const PlanError error = check_change(change, call); error != PlanError::kNone)
    return error;
  FormerPorts former;
  for (const std::uint32_t id : change.closed)
    former.push_back(find(call.ports, id));
  NewPorts opened;
  if (!open_ports(change.ports, change.tos, &call, call.worker, former, opened, failures)) {
    give_back(opened);
    return PlanError::kNone;
  }
  if (watch_ports(call.worker, opened, failures)) {
    apply(change, call, std::move(opened));
    call.plan = {};
    // The record has whole plans.
    if (record_ != nullptr)
      record_->erase(std::exchange(call.recorded, kNotRecorded));
  }
  return PlanError::kNone;
}

PlanError Relay::check_change(const PlanChangeSpec& change, const Call& call) {
  if (const PlanError error = check_ports(change, call); error != PlanError::kNone)
    return error;
  return check_parts(change, call);
}

/// Ports that are closed are in nobody's use any more, and each new one belongs to one transport.
PlanError Relay::check_ports(const PlanChangeSpec& change, const Call& call) {
  std::vector<std::uint32_t> closed = change.closed;
  std::ranges::sort(closed);
  const ById<PortSpec> added(change.ports);
  if (std::ranges::adjacent_find(closed) != closed.end() || !added.unique())
    return PlanError::kDuplicateId;
  for (const PortSpec& port : change.ports)
    if (find(call.ports, port.id) != nullptr)
      return PlanError::kUnknownPlan;
  if (call.ports.size() + change.ports.size() > kMaxPlanEntries + closed.size())
    return PlanError::kTooMany;
  std::vector<bool> owned(change.ports.size());
  std::size_t count = 0;
  for (const PartSpec& part : change.parts) {
    for (const std::uint32_t id : part.transport.ports) {
      const PortSpec* port = added.find(id);
      if (port == nullptr)
        return PlanError::kUnknownId;
      const auto position = static_cast<std::size_t>(port - change.ports.data());
      if (owned[position])
        return PlanError::kBadValue;
      owned[position] = true;
      count += 1;
    }
    const std::uint32_t egress = part.transport.egress_port;
    if (egress != kNoPort && !added.contains(egress) &&
        (find(call.ports, egress) == nullptr || std::ranges::binary_search(closed, egress)))
      return PlanError::kUnknownId;
  }
  if (count != change.ports.size())
    return PlanError::kBadValue;
  for (const std::uint32_t id : closed) {
    const Port* port = find(call.ports, id);
    if (port == nullptr)
      return PlanError::kUnknownId;
    if (part_at(change, port->owner) == nullptr)
      return PlanError::kBadValue;
    const auto leaves = [&](const PartSpec& part) {
      return part.position < call.streams.size() &&
             call.streams[part.position]->config->transport->egress == port;
    };
    if (std::ranges::count_if(change.parts, leaves) != std::ptrdiff_t{port->senders})
      return PlanError::kUnknownId;
  }
  return PlanError::kNone;
}

/// Those that are there are what they were, and new ones come behind them.
PlanError Relay::check_parts(const PlanChangeSpec& change, const Call& call) {
  std::size_t end = call.streams.size();
  std::uint32_t last_stream = call.streams.back()->id;
  std::uint32_t last_transport = call.transports.back()->id;
  std::size_t routes = call.routes;
  for (const PartSpec& part : change.parts) {
    const auto& [position, transport, stream, adds_routes, list] = part;
    const bool fresh = position >= call.streams.size();
    if (fresh) {
      if (position != end || stream.id <= last_stream || transport.id <= last_transport)
        return PlanError::kBadValue;
      end += 1;
      last_stream = stream.id;
      last_transport = transport.id;
    } else if (call.streams[position]->id != stream.id ||
               call.transports[position]->id != transport.id) {
      return PlanError::kBadValue;
    }
    if (transport.ice) {
      const Transport* const before = fresh ? nullptr : call.transports[position].get();
      const auto ports = ports_of(transport, before, change.closed);
      if (const PlanError error = check_ice(*transport.ice, ports); error != PlanError::kNone)
        return error;
    }
    for (const RouteSpec& route : list)
      if (find(call.streams, route.to_stream) == nullptr && !has_part(change, route.to_stream))
        return PlanError::kUnknownId;
    routes += list.size();
    if (!fresh && !adds_routes) {
      const StreamConfig& before = *call.streams[position]->config;
      routes -= before.rtp_routes.size() + before.rtcp_routes.size();
    }
  }
  return end > kMaxPlanEntries || routes > kMaxPlanRoutes ? PlanError::kTooMany : PlanError::kNone;
}

void Relay::prepare_changes(const PlanSpec& plan, Call& call) {
  for (const auto& port : call.ports)
    port->senders = 0;
  for (std::uint32_t i = 0; i < plan.transports.size(); ++i) {
    const TransportSpec& spec = plan.transports[i];
    std::vector<Port*>& ports = call.transports[i]->ports;
    ports.clear();
    for (const std::uint32_t id : spec.ports) {
      ports.push_back(find(call.ports, id));
      ports.back()->owner = i;
    }
    if (spec.egress_port != kNoPort)
      find(call.ports, spec.egress_port)->senders += 1;
  }
  call.routes = plan.routes.size();
}

void Relay::close_ports(const PlanChangeSpec& change, Call& call, Exchange& order) {
  for (const std::uint32_t id : change.closed) {
    const auto at = std::ranges::lower_bound(call.ports, id, {}, id_of);
    std::erase(call.transports[(*at)->owner]->ports, at->get());
    order.retired_ports.push_back(std::move(*at));
    call.ports.erase(at);
  }
}

void Relay::adopt(const PlanChangeSpec& change, Call& call, Exchange& order) const {
  for (const PartSpec& part : change.parts) {
    const auto& [position, spec, stream, adds_routes, routes] = part;
    const bool heard = stream.packets > 0;
    if (position == call.streams.size()) {
      call.streams.push_back(std::make_unique<Stream>(stream));
      Transport& made =
          *call.transports.emplace_back(std::make_unique<Transport>(call.id, spec.id));
      made.received = heard;
      made.published.write(
          {spec.endpoint, spec.has(kConfirmed) && spec.endpoint.valid(), spec.generation});
    } else if (dormant_) {
      call.streams[position]->base = StreamBase(stream);
      call.transports[position]->received |= heard;
    }
    Transport& transport = *call.transports[position];
    for (const std::uint32_t id : spec.ports) {
      Port* const port = find(call.ports, id);
      port->owner = static_cast<std::uint32_t>(position);
      transport.ports.push_back(port);
      order.bindings.push_back({port, &transport});
    }
  }
}

void Relay::configure_part(const PartSpec& spec, Call& call, PartConfig& part) {
  Transport& transport = *call.transports[spec.position];
  Stream& stream = *call.streams[spec.position];
  part.transport.state = &transport;
  part.transport.stream = &part.stream;
  configure_transport(spec.transport, call, part.transport);
  if (part.transport.egress != nullptr)
    find(call.ports, spec.transport.egress_port)->senders += 1;
  if (spec.transport.ice) {
    TransportSpec whole = spec.transport;
    whole.ports.clear();
    for (const Port* port : transport.ports)
      whole.ports.push_back(port->id);
    part.transport.checks = checks_of(whole, call);
  }
  part.stream.state = &stream;
  part.stream.transport = &part.transport;
  part.stream.call = call.snapshot;
  configure_stream(spec.stream, part.stream);
  if (!transport.ports.empty())
    place(stream, transport.ports.front()->local, call.worker);
  else if (stream.sums.load(std::memory_order_relaxed) == nullptr)
    place(stream, {}, call.worker);
}

void Relay::configure_routes(const PartSpec& spec, const Call& call, const StreamConfig* before,
                             const PartConfig* part_before, PartConfig& part) {
  const bool adds = spec.adds_routes && before != nullptr;
  for (const RouteKind kind : {RouteKind::kRtp, RouteKind::kRtcp}) {
    const bool rtp = kind == RouteKind::kRtp;
    auto& list = rtp ? part.rtp_routes : part.rtcp_routes;
    auto& shown = rtp ? part.stream.rtp_routes : part.stream.rtcp_routes;
    if (adds) {
      shown = rtp ? before->rtp_routes : before->rtcp_routes;
      if (part_before != nullptr)
        list = rtp ? part_before->rtp_routes : part_before->rtcp_routes;
    }
    const auto count =
        static_cast<std::size_t>(std::ranges::count(spec.routes, kind, &RouteSpec::kind));
    if (count == 0)
      continue;
    list = with_room(list, shown, count);
    for (const RouteSpec& route : spec.routes)
      if (route.kind == kind)
        list->routes.push_back(route_of(route, call, share(route.rewrite, list->rewrites)));
    shown = list->routes;
  }
}

void Relay::apply(const PlanChangeSpec& change, Call& call, NewPorts opened) {
  auto order = std::make_unique<Exchange>();
  PacketIo& io = workers_[call.worker]->io();
  for (const PartSpec& spec : change.parts) {
    call.routes += spec.routes.size();
    if (spec.position >= call.streams.size())
      continue;
    const StreamConfig& before = *call.streams[spec.position]->config;
    if (!spec.adds_routes)
      call.routes -= before.rtp_routes.size() + before.rtcp_routes.size();
    if (const Port* const egress = before.transport->egress)
      find(call.ports, egress->id)->senders -= 1;
  }
  close_ports(change, call, *order);
  if (call.tos != change.tos) {
    for (const auto& port : call.ports)
      io.mark(*port, change.tos);
    call.tos = change.tos;
  }
  std::vector<Port*> inherited;
  take_in(std::move(opened), call, inherited);
  retire_ports(call, *order);
  adopt(change, call, *order);
  std::vector<std::unique_ptr<PartConfig>> made;
  std::vector<const StreamConfig*> before;
  for (const PartSpec& spec : change.parts) {
    PartConfig& part = *made.emplace_back(std::make_unique<PartConfig>());
    configure_part(spec, call, part);
    before.push_back(std::exchange(call.streams[spec.position]->config, &part.stream));
  }
  call.parts.resize(call.streams.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    std::unique_ptr<PartConfig>& place = call.parts[change.parts[i].position];
    configure_routes(change.parts[i], call, before[i], place.get(), *made[i]);
    order->parts.push_back(made[i].get());
    std::swap(place, made[i]);
    if (made[i] != nullptr)
      order->retired_parts.push_back(std::move(made[i]));
  }
  post(call.worker, std::move(order));
  for (Port* port : inherited)
    io.resume(*port);
}

} // namespace rtprelay
