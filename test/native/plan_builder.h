// Writes plans as src/media/plan-codec.ts does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../../native/core/plan.h"

namespace rtprelay {

inline std::vector<std::uint8_t> encode_plan(const PlanSpec& plan) {
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
  const auto ids = [&](const std::vector<std::uint32_t>& values) {
    number(static_cast<std::uint16_t>(values.size()));
    for (const std::uint32_t value : values)
      number(value);
  };
  number(kPlanMagic);
  number(static_cast<std::uint16_t>(plan.call_id.size()));
  text(plan.call_id);
  number(static_cast<std::int16_t>(plan.tos));
  number(static_cast<std::uint16_t>(plan.sockets.size()));
  number(static_cast<std::uint16_t>(plan.streams.size()));
  number(static_cast<std::uint16_t>(plan.sessions.size()));
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
    }
  }
  for (const SocketSpec& socket : plan.sockets) {
    number(socket.id);
    number(socket.stream_id);
    address(socket.local);
  }
  for (const StreamSpec& stream : plan.streams) {
    number(stream.id);
    number(stream.component);
    number(static_cast<std::uint8_t>(stream.learning));
    number(stream.flags);
    number(stream.latch_epoch);
    number(stream.clock_rate);
    number(stream.egress_socket);
    address(stream.endpoint);
    address(stream.signalled);
    number(stream.unprotect);
    number(stream.protect);
    number(static_cast<double>(stream.packets));
    number(static_cast<double>(stream.bytes));
    number(static_cast<double>(stream.errors));
    number(static_cast<double>(stream.last_packet_micros));
    ids(stream.rtp_sinks);
    ids(stream.rtcp_sinks);
    number(static_cast<std::uint8_t>(stream.payloads ? 1 : 0));
    if (!stream.payloads)
      continue;
    number(stream.payloads->otherwise);
    number(static_cast<std::uint8_t>(stream.payloads->types.size()));
    for (std::size_t type = 0; type < stream.payloads->types.size(); ++type) {
      number(static_cast<std::uint8_t>(type));
      number(stream.payloads->types[type]);
    }
  }
  return out;
}

} // namespace rtprelay
