// Writes plans as src/media/plan-codec.ts does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "../../native/core/plan.h"

namespace rtprelay {

/// RTP or RTCP of one stream goes to another.
inline RouteSpec route(std::uint32_t from, std::uint32_t to, RouteKind kind = RouteKind::kRtp) {
  return {from, to, kind, false, std::nullopt};
}

inline void add_routes(PlanSpec& plan, std::initializer_list<RouteSpec> routes) {
  plan.routes.insert(plan.routes.end(), routes);
}

/// `change`: null, the plan is written, else that.
inline std::vector<std::uint8_t> encode(const PlanSpec& plan, const PlanChangeSpec* change) {
  std::vector<std::uint8_t> out;
  const auto raw = [&](const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    out.insert(out.end(), bytes, bytes + size);
  };
  const auto number = [&](auto value) { raw(&value, sizeof(value)); };
  const auto text = [&](const std::string& value) { raw(value.data(), value.size()); };
  const auto address = [&](const SocketAddress& value) {
    const std::string host = format_host(value);
    number(static_cast<std::uint8_t>(host.size()));
    if (host.empty())
      return;
    text(host);
    number(value.port);
  };
  const auto long_text = [&](const std::string& value) {
    number(static_cast<std::uint16_t>(value.size()));
    text(value);
  };
  const auto credentials = [&](const ice::Credentials& value) {
    long_text(value.ufrag);
    long_text(value.password);
  };
  const auto section = [&](std::uint8_t tag, auto write) {
    number(tag);
    const std::size_t at = out.size();
    number(std::uint16_t{0});
    write();
    const auto size = static_cast<std::uint16_t>(out.size() - at - 2);
    out[at] = static_cast<std::uint8_t>(size & 0xff);
    out[at + 1] = static_cast<std::uint8_t>(size >> 8);
  };
  const auto ice = [&](const IceSpec& spec) {
    const ice::AgentSettings& settings = spec.settings;
    number(static_cast<std::uint8_t>(
        (settings.mode == ice::Mode::kLite ? 1 : 0) | (settings.controlling ? 2 : 0) |
        (settings.remote.ufrag.empty() ? 0 : 4) | (spec.resumed ? 8 : 0) |
        (settings.standby ? 16 : 0) | (spec.route_endpoint.valid() ? 32 : 0)));
    number(settings.component);
    number(settings.tie_breaker);
    number(settings.takeovers);
    credentials(settings.local);
    if (!settings.remote.ufrag.empty())
      credentials(settings.remote);
    if (spec.resumed)
      number(spec.route_priority);
    if (spec.route_endpoint.valid()) {
      number(spec.route_port);
      address(spec.route_endpoint);
    }
    number(static_cast<std::uint16_t>(spec.candidates.size()));
    for (const ice::RemoteCandidate& candidate : spec.candidates) {
      address(candidate.address);
      number(candidate.priority);
    }
  };
  const auto dtls = [&](const DtlsSpec& spec) {
    number(static_cast<std::uint8_t>((spec.active ? 1 : 0) | (spec.open ? 8 : 0) |
                                     (spec.established ? 2 : 0) | (spec.fingerprint ? 4 : 0)));
    number(spec.generation);
    number(spec.identity);
    if (!spec.fingerprint)
      return;
    number(spec.fingerprint->hash);
    raw(spec.fingerprint->digest.data(), spec.fingerprint->size);
  };
  const auto ids = [&](const std::vector<std::uint32_t>& values) {
    number(static_cast<std::uint16_t>(values.size()));
    for (const std::uint32_t value : values)
      number(value);
  };
  const auto bytes = [&](const std::vector<std::uint8_t>& values) {
    number(static_cast<std::uint8_t>(values.size()));
    raw(values.data(), values.size());
  };
  const auto table = [&](const DemuxSpec& spec) {
    number(spec.mid_extension);
    number(static_cast<std::uint16_t>(spec.entries.size()));
    for (const DemuxEntry& entry : spec.entries) {
      number(entry.stream);
      long_text(entry.mid);
      ids(entry.ssrcs);
      bytes(entry.payload_types);
    }
  };
  const auto ssrcs = [&](const SsrcMap& map) {
    number(static_cast<std::uint16_t>(map.size()));
    for (const SsrcPair& pair : map) {
      number(pair.from);
      number(pair.to);
    }
  };
  const auto extensions = [&](const ExtensionRules& rules) {
    number(static_cast<std::uint8_t>(rules.keeps_unknown ? 1 : 0));
    std::vector<std::uint8_t> changed;
    for (std::size_t id = 1; id < rules.ids.size(); ++id)
      if (rules.ids[id] != (rules.keeps_unknown ? id : 0))
        changed.push_back(static_cast<std::uint8_t>(id));
    number(static_cast<std::uint8_t>(changed.size()));
    for (const std::uint8_t id : changed) {
      number(id);
      number(rules.ids[id]);
    }
    number(rules.mid_id);
    long_text(std::string(rules.mid.begin(), rules.mid.begin() + rules.mid_size));
  };
  const auto rewrite = [&](const Rewrite& spec) {
    const bool about = !spec.about.empty() || spec.about_sequence_offset != 0;
    std::vector<std::uint8_t> types;
    for (std::uint8_t type = 0; type < 128; ++type)
      if (spec.payload_types[type] != type)
        types.push_back(type);
    number(static_cast<std::uint8_t>((spec.extensions ? 1 : 0) | (about ? 2 : 0)));
    number(static_cast<std::uint8_t>(types.size()));
    for (const std::uint8_t type : types) {
      number(type);
      number(spec.payload_types[type]);
    }
    ssrcs(spec.ssrcs);
    number(spec.sequence_offset);
    number(spec.timestamp_offset);
    if (spec.extensions)
      extensions(*spec.extensions);
    if (!about)
      return;
    ssrcs(spec.about);
    number(spec.about_sequence_offset);
  };
  const auto own_rtcp = [&](const OwnRtcpSpec& spec) {
    number(spec.by);
    number(spec.interval_ms);
    long_text(spec.cname);
    number(static_cast<std::uint8_t>((spec.pli ? 1 : 0) | (spec.fir ? 2 : 0)));
    bytes(spec.video_types);
  };
  const auto payloads = [&](const PayloadRules& rules) {
    const auto special = [&](PayloadAction action) { return action != rules.otherwise; };
    number(rules.otherwise);
    number(static_cast<std::uint8_t>(std::ranges::count_if(rules.types, special)));
    for (std::size_t type = 0; type < rules.types.size(); ++type) {
      if (!special(rules.types[type]))
        continue;
      number(static_cast<std::uint8_t>(type));
      number(rules.types[type]);
    }
  };
  const auto write_port = [&](const PortSpec& port) {
    number(port.id);
    number(std::uint8_t{0});
    address(port.local);
  };
  const auto write_transport = [&](const TransportSpec& transport) {
    number(transport.id);
    number(transport.learning);
    number(transport.demux);
    number(transport.flags);
    number(transport.generation);
    number(transport.egress_port);
    address(transport.endpoint);
    address(transport.signalled);
    number(transport.unprotect);
    number(transport.protect);
    ids(transport.ports);
    const bool has_former = transport.former != kNoSession || transport.former_plain;
    number(static_cast<std::uint8_t>((transport.ice ? 1 : 0) + (transport.dtls ? 1 : 0) +
                                     (transport.table ? 1 : 0) + (has_former ? 1 : 0)));
    if (transport.ice)
      section(1, [&] { ice(*transport.ice); });
    if (transport.dtls)
      section(2, [&] { dtls(*transport.dtls); });
    if (transport.table)
      section(3, [&] { table(*transport.table); });
    if (has_former)
      section(6, [&] {
        number(transport.former);
        number(transport.former_protect);
        number(transport.passing);
        number(static_cast<std::uint8_t>((transport.former_plain ? 1 : 0) |
                                         (transport.present_plain ? 2 : 0)));
      });
  };
  const auto write_stream = [&](const StreamSpec& stream) {
    const bool counted = (stream.packets | stream.bytes | stream.errors) != 0;
    const bool announced = stream.announced != kEveryType;
    number(stream.id);
    number(stream.transport);
    number(stream.kind);
    number(static_cast<std::uint8_t>((stream.blocked ? 1 : 0) | (counted ? 2 : 0) |
                                     (stream.payloads ? 4 : 0) | (stream.loop_checked ? 8 : 0) |
                                     (stream.measured ? 16 : 0) | (stream.own_rtcp ? 32 : 0) |
                                     (announced ? 128 : 0)));
    number(stream.clock_rate);
    if (counted) {
      number(static_cast<double>(stream.packets));
      number(static_cast<double>(stream.bytes));
      number(static_cast<double>(stream.errors));
      number(static_cast<double>(stream.last_packet_micros));
    }
    if (stream.payloads)
      payloads(*stream.payloads);
    if (announced)
      for (const std::uint64_t types : stream.announced)
        number(types);
    if (!stream.own_rtcp)
      return;
    number(std::uint8_t{1});
    section(5, [&] { own_rtcp(*stream.own_rtcp); });
  };
  const auto write_route = [&](const RouteSpec& route) {
    number(route.from_stream);
    number(route.to_stream);
    number(route.kind);
    number(static_cast<std::uint8_t>(route.without_feedback ? 1 : 0));
    number(static_cast<std::uint8_t>(route.rewrite ? 1 : 0));
    if (route.rewrite)
      section(4, [&] { rewrite(*route.rewrite); });
  };
  if (change != nullptr) {
    number(kPlanChangeMagic);
    long_text(change->call_id);
    number(static_cast<std::int16_t>(change->tos));
    ids(change->closed);
    number(static_cast<std::uint16_t>(change->ports.size()));
    for (const PortSpec& port : change->ports)
      write_port(port);
    number(static_cast<std::uint16_t>(change->parts.size()));
    for (const PartSpec& part : change->parts) {
      number(static_cast<std::uint16_t>(part.position));
      write_transport(part.transport);
      write_stream(part.stream);
      number(static_cast<std::uint8_t>(part.adds_routes ? 1 : 0));
      number(static_cast<std::uint16_t>(part.routes.size()));
      for (const RouteSpec& route : part.routes)
        write_route(route);
    }
    return out;
  }
  number(kPlanMagic);
  number(static_cast<std::uint16_t>(plan.call_id.size()));
  text(plan.call_id);
  number(static_cast<std::int16_t>(plan.tos));
  number(static_cast<std::uint16_t>(plan.ports.size()));
  number(static_cast<std::uint16_t>(plan.transports.size()));
  number(static_cast<std::uint16_t>(plan.streams.size()));
  number(static_cast<std::uint16_t>(plan.routes.size()));
  number(static_cast<std::uint16_t>(plan.sessions.size()));
  number(static_cast<std::uint16_t>(plan.identities.size()));
  for (const SrtpSpec& session : plan.sessions) {
    const srtp::Parameters& parameters = session.parameters;
    const srtp::SuiteTraits& traits = srtp::traits_of(parameters.suite);
    number(static_cast<std::uint8_t>(session.purpose == srtp::Purpose::kProtect ? 0 : 1));
    number(static_cast<std::uint8_t>(parameters.suite));
    number(static_cast<std::uint8_t>((parameters.unencrypted_srtp ? 1 : 0) |
                                     (parameters.unencrypted_srtcp ? 2 : 0) |
                                     (parameters.unauthenticated_srtp ? 4 : 0)));
    number(parameters.mki_size);
    raw(parameters.mki.data(), parameters.mki_size);
    raw(parameters.master.key.data(), traits.key_size);
    raw(parameters.master.salt.data(), traits.salt_size);
    number(static_cast<std::uint8_t>(session.resumed ? 1 : 0));
    number(static_cast<std::uint16_t>(session.indexes.size()));
    for (const srtp::SourceIndexes& source : session.indexes) {
      number(source.ssrc);
      number(source.has_rtp ? static_cast<double>(source.rtp) : -1.0);
      number(source.has_rtcp ? static_cast<double>(source.rtcp) : -1.0);
      number(source.offset);
    }
  }
  for (const IdentitySpec& identity : plan.identities) {
    long_text(identity.certificate);
    long_text(identity.key);
  }
  for (const PortSpec& port : plan.ports)
    write_port(port);
  for (const TransportSpec& transport : plan.transports)
    write_transport(transport);
  for (const StreamSpec& stream : plan.streams)
    write_stream(stream);
  for (const RouteSpec& route : plan.routes)
    write_route(route);
  return out;
}

inline std::vector<std::uint8_t> encode_plan(const PlanSpec& plan) { return encode(plan, nullptr); }

inline std::vector<std::uint8_t> encode_change(const PlanChangeSpec& change) {
  return encode({}, &change);
}

/// The plan that a change makes of one whose streams have all their transports.
inline PlanSpec changed(PlanSpec plan, const PlanChangeSpec& change) {
  const auto is_closed = [&](std::uint32_t id) {
    return std::ranges::find(change.closed, id) != change.closed.end();
  };
  plan.tos = change.tos;
  std::erase_if(plan.ports, [&](const PortSpec& port) { return is_closed(port.id); });
  plan.ports.insert(plan.ports.end(), change.ports.begin(), change.ports.end());
  std::ranges::sort(plan.ports, {}, &PortSpec::id);
  for (const PartSpec& part : change.parts) {
    if (part.position == plan.streams.size()) {
      plan.transports.emplace_back();
      plan.streams.emplace_back();
    }
    std::vector<std::uint32_t> ports = plan.transports[part.position].ports;
    std::erase_if(ports, is_closed);
    ports.insert(ports.end(), part.transport.ports.begin(), part.transport.ports.end());
    plan.transports[part.position] = part.transport;
    plan.transports[part.position].ports = ports;
    plan.streams[part.position] = part.stream;
    if (!part.adds_routes)
      std::erase_if(plan.routes,
                    [&](const RouteSpec& route) { return route.from_stream == part.stream.id; });
    plan.routes.insert(plan.routes.end(), part.routes.begin(), part.routes.end());
  }
  std::ranges::stable_sort(plan.routes, {}, [](const RouteSpec& route) {
    return std::pair(route.from_stream, route.kind);
  });
  return plan;
}

} // namespace rtprelay
