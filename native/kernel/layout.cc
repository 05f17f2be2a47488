#include "layout.h"

#include <cstddef>

#include <arpa/inet.h>

namespace rtprelay::kernel {

// What the compiler makes of the shared header must be what clang made of it for BPF.
static_assert(sizeof(flow_key) == 20);
static_assert(sizeof(flow) == 136);
static_assert(sizeof(fast_key) == 8);
static_assert(sizeof(fast_flow) == 40);
static_assert(sizeof(flow_counters) == 192);
static_assert(offsetof(flow_counters, expected_before) == 64);
static_assert(static_cast<int>(Family::kIpv4) == FLOW_IPV4);
static_assert(static_cast<int>(Family::kIpv6) == FLOW_IPV6);
static_assert(static_cast<int>(Action::kUp) == FLOW_UP);

namespace {

constexpr std::uint64_t kNanosPerSecond = 1'000'000'000;
constexpr std::uint32_t kHighestClockRate = 1'000'000'000;

flow_endpoint to_endpoint(const SocketAddress& address) {
  flow_endpoint out = {};
  if (!address.valid())
    return out;
  std::memcpy(out.address.words, address.bytes.data(), address.bytes.size());
  out.port = htons(address.port);
  out.family = static_cast<std::uint8_t>(address.family);
  return out;
}

SocketAddress from_endpoint(const flow_endpoint& endpoint) {
  SocketAddress out;
  if (endpoint.family != FLOW_IPV4 && endpoint.family != FLOW_IPV6)
    return out;
  std::memcpy(out.bytes.data(), endpoint.address.words, out.bytes.size());
  out.port = ntohs(endpoint.port);
  out.family = static_cast<Family>(endpoint.family);
  return out;
}

bool complete(const SocketAddress& address) { return address.valid() && address.port != 0; }

std::uint16_t source_flags(const FlowSpec& spec) {
  if (!spec.expected.valid())
    return 0;
  return spec.other_sources == OnMismatch::kDrop ? FLOW_CHECK_SOURCE | FLOW_STRICT_SOURCE
                                                 : FLOW_CHECK_SOURCE;
}

std::uint16_t payload_type_flags(const FlowSpec& spec) {
  if (!spec.payload_types)
    return 0;
  return spec.payload_types->otherwise == OnMismatch::kDrop ? FLOW_CHECK_PT | FLOW_DROP_PT
                                                            : FLOW_CHECK_PT;
}

std::uint16_t rtcp_flags(const FlowSpec& spec) {
  const std::uint16_t orphan = spec.rtcp_without_reader ? FLOW_RTCP_ORPHAN : 0;
  switch (spec.rtcp) {
  case Rtcp::kUp:
    return FLOW_RTCP_UP;
  case Rtcp::kSecond:
    return static_cast<std::uint16_t>(FLOW_RTCP_SECOND | orphan);
  case Rtcp::kForward:
    break;
  }
  return orphan;
}

std::uint16_t to_flags(const FlowSpec& spec) {
  const int flags = source_flags(spec) | payload_type_flags(spec) | rtcp_flags(spec) |
                    (spec.tos >= 0 ? FLOW_SET_DSCP : 0) | (spec.opaque ? FLOW_OPAQUE : 0);
  return static_cast<std::uint16_t>(flags);
}

void put_payload_types(const FlowSpec& spec, flow& out) {
  if (!spec.payload_types)
    return;
  for (unsigned type = 0; type < 128; ++type) {
    if (spec.payload_types->allowed[type])
      out.payload_types[type / 64] |= std::uint64_t{1} << (type % 64);
  }
}

std::optional<PayloadTypes> get_payload_types(const flow& value) {
  if ((value.flags & FLOW_CHECK_PT) == 0)
    return std::nullopt;
  PayloadTypes out;
  out.otherwise = (value.flags & FLOW_DROP_PT) != 0 ? OnMismatch::kDrop : OnMismatch::kUp;
  for (unsigned type = 0; type < 128; ++type)
    out.allowed[type] = (value.payload_types[type / 64] >> (type % 64) & 1) != 0;
  return out;
}

} // namespace

const char* invalid(const FlowSpec& spec) {
  if (!complete(spec.local))
    return "a flow needs a local address and port";
  if (spec.tos > 255)
    return "TOS beyond 255";
  if (spec.clock_rate > kHighestClockRate)
    return "clock rate beyond 1 GHz";
  if (spec.expected.valid() && spec.expected.family != spec.local.family)
    return "the expected source is of another family than the local address";
  if (spec.action != Action::kForward)
    return nullptr;
  if (!complete(spec.source) || !complete(spec.destination))
    return "a forwarded flow needs source and destination";
  if (spec.source.family != spec.destination.family)
    return "source and destination are of different families";
  if (spec.rtcp != Rtcp::kSecond)
    return nullptr;
  if (!complete(spec.rtcp_source) || !complete(spec.rtcp_destination) ||
      spec.rtcp_source.family != spec.rtcp_destination.family)
    return "RTCP elsewhere needs source and destination of one family";
  return nullptr;
}

fast_key to_fast_key(const flow_key& key) { return {key.address.words[0], key.port, 0}; }

std::optional<fast_flow> to_fast(const flow_key& key, const flow& value) {
  constexpr unsigned kOther = FLOW_CHECK_PT | FLOW_OPAQUE;
  if (key.family != FLOW_IPV4 || value.action != FLOW_FORWARD || (value.flags & kOther) != 0 ||
      value.source.family != FLOW_IPV4 || value.destination.family != FLOW_IPV4)
    return std::nullopt;
  fast_flow out = {};
  out.slot = value.slot;
  out.clock_scale = value.clock_scale;
  out.source = value.source.address.words[0];
  out.destination = value.destination.address.words[0];
  out.source_port = value.source.port;
  out.destination_port = value.destination.port;
  if ((value.flags & FLOW_CHECK_SOURCE) != 0) {
    out.expected = value.expected.address.words[0];
    out.expected_port = value.expected.port;
  }
  out.set_dscp = (value.flags & FLOW_SET_DSCP) != 0 ? 1 : 0;
  out.tos = value.tos;
  return out;
}

flow_key to_key(const SocketAddress& local) {
  const flow_endpoint endpoint = to_endpoint(local);
  flow_key key = {};
  key.address = endpoint.address;
  key.port = endpoint.port;
  key.family = endpoint.family;
  return key;
}

SocketAddress from_key(const flow_key& key) {
  flow_endpoint endpoint = {};
  endpoint.address = key.address;
  endpoint.port = key.port;
  endpoint.family = key.family;
  return from_endpoint(endpoint);
}

flow to_flow(const FlowSpec& spec, std::uint32_t slot) {
  flow out = {};
  out.slot = slot;
  out.flags = to_flags(spec);
  out.action = static_cast<std::uint8_t>(spec.action);
  out.tos = spec.tos >= 0 ? static_cast<std::uint8_t>(spec.tos) : 0;
  out.clock_rate = spec.clock_rate;
  out.clock_scale =
      static_cast<std::uint32_t>((std::uint64_t{spec.clock_rate} << 32) / kNanosPerSecond);
  put_payload_types(spec, out);
  out.source = to_endpoint(spec.source);
  out.destination = to_endpoint(spec.destination);
  out.expected = to_endpoint(spec.expected);
  out.rtcp_source = to_endpoint(spec.rtcp_source);
  out.rtcp_destination = to_endpoint(spec.rtcp_destination);
  return out;
}

FlowSpec from_flow(const flow_key& key, const flow& value) {
  FlowSpec out;
  out.local = from_key(key);
  out.action = static_cast<Action>(value.action);
  out.source = from_endpoint(value.source);
  out.destination = from_endpoint(value.destination);
  out.expected = from_endpoint(value.expected);
  out.rtcp_source = from_endpoint(value.rtcp_source);
  out.rtcp_destination = from_endpoint(value.rtcp_destination);
  out.other_sources = (value.flags & FLOW_STRICT_SOURCE) != 0 ? OnMismatch::kDrop : OnMismatch::kUp;
  if ((value.flags & FLOW_RTCP_UP) != 0)
    out.rtcp = Rtcp::kUp;
  else if ((value.flags & FLOW_RTCP_SECOND) != 0)
    out.rtcp = Rtcp::kSecond;
  out.rtcp_without_reader = (value.flags & FLOW_RTCP_ORPHAN) != 0;
  out.tos = (value.flags & FLOW_SET_DSCP) != 0 ? value.tos : -1;
  out.opaque = (value.flags & FLOW_OPAQUE) != 0;
  out.clock_rate = value.clock_rate;
  out.payload_types = get_payload_types(value);
  return out;
}

FlowCounters read_counters(const flow_counters& raw) {
  FlowCounters out;
  out.packets = raw.packets;
  out.bytes = raw.bytes;
  out.last_packet_ns = raw.last_ns;
  out.rtcp_packets = raw.rtcp_packets;
  out.rtcp_bytes = raw.rtcp_bytes;
  out.received = raw.received;
  out.restarts = raw.restarts;
  if (raw.seen != 0) {
    out.ssrc = raw.ssrc;
    out.highest_sequence = raw.highest;
    out.lost = std::int64_t{raw.expected_before} + (raw.highest - raw.base) + 1 - raw.received;
    out.jitter = raw.jitter >> 4;
  }
  for (std::uint32_t reason = FLOW_FIRST_REASON; reason < FLOW_REASONS; ++reason) {
    const std::uint32_t count = raw.reasons[reason - FLOW_FIRST_REASON];
    if (count == 0)
      continue;
    (reason_drops(reason) ? out.dropped : out.passed_up) += count;
    out.reasons.push_back({reason_name(reason), reason_drops(reason), count});
  }
  return out;
}

const char* reason_name(std::uint32_t reason) {
  switch (static_cast<flow_reason>(reason)) {
  case FLOW_FORWARDED:
    return "forwarded";
  case FLOW_NOT_UDP:
    return "not UDP";
  case FLOW_NO_FLOW:
    return "no flow";
  case FLOW_MALFORMED:
    return "malformed";
  case FLOW_FRAGMENT:
    return "fragment";
  case FLOW_OPTIONS:
    return "IP options";
  case FLOW_OTHER_HOST:
    return "other host";
  case FLOW_VLAN:
    return "unknown VLAN";
  case FLOW_SEGMENTS:
    return "segmented";
  case FLOW_ACTION_UP:
    return "flow is up";
  case FLOW_ACTION_DROP:
    return "blocked";
  case FLOW_SOURCE_UP:
    return "other source";
  case FLOW_SOURCE_DROP:
    return "strict source";
  case FLOW_STUN:
    return "STUN";
  case FLOW_DTLS:
    return "DTLS";
  case FLOW_UNKNOWN:
    return "unknown protocol";
  case FLOW_SHORT:
    return "short";
  case FLOW_RTCP:
    return "RTCP";
  case FLOW_PT_UP:
    return "other payload type";
  case FLOW_PT_DROP:
    return "payload type not allowed";
  case FLOW_TTL:
    return "TTL";
  case FLOW_CHECKSUM:
    return "no checksum";
  case FLOW_BRIDGED:
    return "other family";
  case FLOW_FORWARDING_OFF:
    return "forwarding off";
  case FLOW_NO_ROUTE:
    return "no route";
  case FLOW_NO_NEIGHBOUR:
    return "no neighbour";
  case FLOW_TOO_BIG:
    return "too big";
  case FLOW_NO_DEVICE:
    return "device without XDP";
  case FLOW_REWRITE:
    return "rewriting failed";
  case FLOW_REASONS:
    break;
  }
  return "unknown";
}

bool reason_drops(std::uint32_t reason) {
  return reason == FLOW_ACTION_DROP || reason == FLOW_SOURCE_DROP || reason == FLOW_PT_DROP ||
         reason == FLOW_REWRITE;
}

} // namespace rtprelay::kernel
