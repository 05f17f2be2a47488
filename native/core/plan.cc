#include "plan.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "by_id.h"
#include "plan_reader.h"

namespace rtprelay {

namespace {

constexpr std::uint8_t kSessionFlags = 7;
/// A chain or an RSA key of 16384 bits fits.
constexpr std::size_t kMaxPem = 32'768;
/// RFC 8839 §5.4.
constexpr std::size_t kMaxIceText = 256;

void read_indexes(Reader& reader, SrtpSpec& session) {
  session.resumed = reader.number<std::uint8_t>() != 0;
  const std::size_t size = reader.number<std::uint16_t>();
  if (size > srtp::kMaxSources)
    reader.fail(PlanError::kTooMany);
  for (std::size_t i = 0; i < size && reader.ok(); ++i) {
    srtp::SourceIndexes source;
    source.ssrc = reader.number<std::uint32_t>();
    const auto rtp = reader.index(srtp::kMaxRtpIndex);
    const auto rtcp = reader.index(srtp::kMaxRtcpIndex);
    source.has_rtp = rtp.has_value();
    source.has_rtcp = rtcp.has_value();
    source.rtp = rtp.value_or(0);
    source.rtcp = static_cast<std::uint32_t>(rtcp.value_or(0));
    source.offset = reader.number<std::uint16_t>();
    session.indexes.push_back(source);
  }
}

SrtpSpec read_session(Reader& reader) {
  SrtpSpec session;
  srtp::Parameters& parameters = session.parameters;
  const std::uint8_t* const start = reader.position();
  const auto purpose = reader.number<std::uint8_t>();
  const auto suite = reader.number<std::uint8_t>();
  const auto flags = reader.number<std::uint8_t>();
  const auto mki_size = reader.number<std::uint8_t>();
  if (reader.ok() && (purpose > 1 || suite >= srtp::kSuites || (flags & ~kSessionFlags) != 0 ||
                      mki_size > srtp::kMaxMkiSize))
    reader.fail(PlanError::kBadValue);
  if (!reader.ok())
    return session;
  session.purpose = purpose == 0 ? srtp::Purpose::kProtect : srtp::Purpose::kUnprotect;
  parameters.suite = static_cast<srtp::Suite>(suite);
  parameters.unencrypted_srtp = (flags & 1) != 0;
  parameters.unencrypted_srtcp = (flags & 2) != 0;
  parameters.unauthenticated_srtp = (flags & 4) != 0;
  parameters.mki_size = mki_size;
  const srtp::SuiteTraits& traits = srtp::traits_of(parameters.suite);
  std::ranges::copy(reader.text(mki_size), parameters.mki.begin());
  std::ranges::copy(reader.text(traits.key_size), parameters.master.key.begin());
  std::ranges::copy(reader.text(traits.salt_size), parameters.master.salt.begin());
  if (!reader.ok())
    return session;
  session.identity.assign(start, reader.position());
  read_indexes(reader, session);
  return session;
}

bool fits(const PlanSpec& plan, std::uint16_t session, srtp::Purpose purpose) {
  return session == kNoSession ||
         (session < plan.sessions.size() && plan.sessions[session].purpose == purpose);
}

PortSpec read_port(Reader& reader) {
  PortSpec port;
  port.id = reader.number<std::uint32_t>();
  (void)reader.bits(0); // the mode: bound
  port.local = reader.address();
  if (reader.ok() && (!port.local.valid() || port.local.port == 0 || port.id == kNoPort))
    reader.fail(PlanError::kBadValue);
  return port;
}

IdentitySpec read_identity(Reader& reader) {
  IdentitySpec identity;
  identity.certificate = reader.long_text(kMaxPem);
  identity.key = reader.long_text(kMaxPem);
  if (reader.ok() && (identity.certificate.empty() || identity.key.empty()))
    reader.fail(PlanError::kBadValue);
  return identity;
}

ice::Credentials read_credentials(Reader& reader) {
  ice::Credentials credentials;
  credentials.ufrag = reader.long_text(kMaxIceText);
  credentials.password = reader.long_text(kMaxIceText);
  if (reader.ok() && (credentials.ufrag.empty() || credentials.password.empty()))
    reader.fail(PlanError::kBadValue);
  return credentials;
}

IceSpec read_ice(Reader& reader) {
  constexpr std::uint8_t kLite = 1;
  constexpr std::uint8_t kControlling = 2;
  constexpr std::uint8_t kHasRemote = 4;
  constexpr std::uint8_t kResumed = 8;
  constexpr std::uint8_t kStandby = 16;
  constexpr std::uint8_t kHasRoute = 32;
  IceSpec ice;
  const std::uint8_t flags =
      reader.bits(kLite | kControlling | kHasRemote | kResumed | kStandby | kHasRoute);
  ice.settings.mode = (flags & kLite) != 0 ? ice::Mode::kLite : ice::Mode::kFull;
  ice.settings.controlling = (flags & kControlling) != 0;
  ice.settings.standby = (flags & kStandby) != 0;
  ice.settings.component = reader.number<std::uint8_t>();
  ice.settings.tie_breaker = reader.number<std::uint64_t>();
  ice.settings.takeovers = reader.number<std::uint32_t>();
  ice.settings.local = read_credentials(reader);
  if ((flags & kHasRemote) != 0)
    ice.settings.remote = read_credentials(reader);
  ice.resumed = (flags & kResumed) != 0;
  if (ice.resumed)
    ice.route_priority = reader.number<std::uint32_t>();
  if ((flags & kHasRoute) != 0) {
    ice.route_port = reader.number<std::uint32_t>();
    ice.route_endpoint = reader.address();
  }
  const bool wrong_component = ice.settings.component != 1 && ice.settings.component != 2;
  const bool has_route = (flags & kHasRoute) != 0;
  const bool odd_route = has_route && (!ice.resumed || !ice.route_endpoint.valid());
  if (reader.ok() && (wrong_component || odd_route))
    reader.fail(PlanError::kBadValue);
  const std::size_t size = reader.number<std::uint16_t>();
  for (std::size_t i = 0; i < size && reader.ok(); ++i) {
    ice::RemoteCandidate candidate;
    candidate.address = reader.address();
    candidate.priority = reader.number<std::uint32_t>();
    ice.candidates.push_back(candidate);
  }
  return ice;
}

DtlsSpec read_dtls(Reader& reader) {
  constexpr std::uint8_t kActive = 1;
  constexpr std::uint8_t kEstablished = 2;
  constexpr std::uint8_t kHasFingerprint = 4;
  constexpr std::uint8_t kOpen = 8;
  constexpr std::array<std::uint8_t, dtls::kHashes> kDigestSizes{20, 28, 32, 48, 64};
  DtlsSpec spec;
  const std::uint8_t flags = reader.bits(kActive | kEstablished | kHasFingerprint | kOpen);
  spec.active = (flags & kActive) != 0;
  spec.open = (flags & kOpen) != 0;
  spec.established = (flags & kEstablished) != 0;
  spec.generation = reader.number<std::uint32_t>();
  spec.identity = reader.number<std::uint16_t>();
  if ((flags & kHasFingerprint) == 0)
    return spec;
  dtls::Fingerprint fingerprint;
  fingerprint.hash = reader.choice(dtls::Hash::kSha512);
  fingerprint.size = kDigestSizes[static_cast<std::size_t>(fingerprint.hash)];
  std::ranges::copy(reader.text(fingerprint.size), fingerprint.digest.begin());
  spec.fingerprint = fingerprint;
  return spec;
}

void read_plain(Reader& reader, TransportSpec& transport) {
  constexpr std::uint8_t kWasPlain = 1;
  constexpr std::uint8_t kIsPlain = 2;
  const std::uint8_t flags = reader.bits(kWasPlain | kIsPlain);
  transport.former_plain = (flags & kWasPlain) != 0;
  transport.present_plain = (flags & kIsPlain) != 0;
  // One of them has keys.
  const bool has_former = transport.former != kNoSession || transport.former_protect != kNoSession;
  const bool has_present = transport.unprotect != kNoSession || transport.protect != kNoSession;
  if (reader.ok() && ((transport.former_plain && (transport.present_plain || has_former)) ||
                      (transport.present_plain && has_present)))
    reader.fail(PlanError::kBadValue);
}

bool read_transport_section(std::uint8_t tag, Reader& reader, TransportSpec& transport) {
  switch (tag) {
  case 1:
    transport.ice = read_ice(reader);
    return true;
  case 2:
    transport.dtls = read_dtls(reader);
    return true;
  case 3:
    read_demux_table(reader, transport);
    return true;
  case 6:
    transport.former = reader.number<std::uint16_t>();
    transport.former_protect = reader.number<std::uint16_t>();
    transport.passing = reader.choice(Passing::kFormer);
    read_plain(reader, transport);
    return true;
  default:
    return false;
  }
}

TransportSpec read_transport(Reader& reader) {
  TransportSpec transport;
  transport.id = reader.number<std::uint32_t>();
  transport.learning = reader.choice(Learning::kHeuristic);
  transport.demux = reader.choice(Demux::kTable);
  transport.flags = reader.bits(kAllTransportFlags);
  transport.generation = reader.number<std::uint32_t>();
  transport.egress_port = reader.number<std::uint32_t>();
  transport.endpoint = reader.address();
  transport.signalled = reader.address();
  transport.unprotect = reader.number<std::uint16_t>();
  transport.protect = reader.number<std::uint16_t>();
  transport.ports = reader.ids();
  reader.sections([&transport](std::uint8_t tag, Reader& section) {
    return read_transport_section(tag, section, transport);
  });
  return transport;
}

StreamSpec read_stream(Reader& reader) {
  constexpr std::uint8_t kIsBlocked = 1;
  constexpr std::uint8_t kHasCounters = 2;
  constexpr std::uint8_t kHasPayloads = 4;
  constexpr std::uint8_t kIsLoopChecked = 8;
  constexpr std::uint8_t kIsMeasured = 16;
  constexpr std::uint8_t kHasSections = 32;
  constexpr std::uint8_t kIsUncounted = 64;
  constexpr std::uint8_t kHasAnnounced = 128;
  StreamSpec stream;
  stream.id = reader.number<std::uint32_t>();
  stream.transport = reader.number<std::uint32_t>();
  stream.kind = reader.choice(StreamKind::kOpaque);
  const std::uint8_t flags = reader.bits(255);
  stream.blocked = (flags & kIsBlocked) != 0;
  stream.uncounted = (flags & kIsUncounted) != 0;
  stream.loop_checked = (flags & kIsLoopChecked) != 0;
  stream.measured = (flags & kIsMeasured) != 0;
  stream.clock_rate = reader.number<std::uint32_t>();
  if ((flags & kHasCounters) != 0) {
    stream.packets = reader.count();
    stream.bytes = reader.count();
    stream.errors = reader.count();
    stream.last_packet_micros = reader.count();
  }
  if ((flags & kHasPayloads) != 0)
    stream.payloads = reader.payloads();
  if ((flags & kHasAnnounced) != 0)
    for (std::uint64_t& types : stream.announced)
      types = reader.number<std::uint64_t>();
  if ((flags & kHasSections) != 0)
    reader.sections([&stream](std::uint8_t tag, Reader& section) {
      if (tag != 5)
        return false;
      read_own_rtcp(section, stream);
      return true;
    });
  return stream;
}

RouteSpec read_route(Reader& reader) {
  RouteSpec route;
  route.from_stream = reader.number<std::uint32_t>();
  route.to_stream = reader.number<std::uint32_t>();
  route.kind = reader.choice(RouteKind::kRtcp);
  route.without_feedback = reader.bits(1) != 0;
  reader.sections([&route](std::uint8_t tag, Reader& section) {
    if (tag != 4)
      return false;
    read_rewrite(section, route);
    return true;
  });
  return route;
}

/// Every port belongs to one transport.
PlanError check_ports(const PlanSpec& plan, const ById<PortSpec>& ports) {
  std::size_t count = 0;
  std::vector<bool> owned(plan.ports.size());
  for (const TransportSpec& transport : plan.transports) {
    for (const std::uint32_t id : transport.ports) {
      const PortSpec* port = ports.find(id);
      if (port == nullptr)
        return PlanError::kUnknownId;
      const auto position = static_cast<std::size_t>(port - plan.ports.data());
      if (owned[position])
        return PlanError::kBadValue;
      owned[position] = true;
      count += 1;
    }
  }
  return count == plan.ports.size() ? PlanError::kNone : PlanError::kBadValue;
}

/// Each transport has the stream at its own position, and no table.
bool streams_are_paired(const PlanSpec& plan) {
  return std::ranges::equal(plan.streams, plan.transports,
                            [](const StreamSpec& stream, const TransportSpec& transport) {
                              return stream.transport == transport.id && !transport.table &&
                                     transport.demux != Demux::kTable;
                            });
}

/// Every transport has one stream, or those of its table.
PlanError check_streams(const PlanSpec& plan) {
  if (streams_are_paired(plan))
    return PlanError::kNone;
  using Carried = std::pair<std::uint32_t, std::uint32_t>; // transport, stream
  std::vector<Carried> wanted;
  for (const StreamSpec& stream : plan.streams)
    wanted.emplace_back(stream.transport, stream.id);
  std::sort(wanted.begin(), wanted.end());
  std::size_t matched = 0;
  for (const TransportSpec& transport : plan.transports) {
    auto first = std::lower_bound(wanted.begin(), wanted.end(), Carried(transport.id, 0));
    std::vector<std::uint32_t> carried;
    for (; first != wanted.end() && first->first == transport.id; ++first)
      carried.push_back(first->second);
    matched += carried.size();
    if (!transport.table) {
      if (carried.size() != 1 || transport.demux == Demux::kTable)
        return PlanError::kBadValue;
      continue;
    }
    std::vector<std::uint32_t> named;
    for (const DemuxEntry& entry : transport.table->entries)
      named.push_back(entry.stream);
    std::sort(named.begin(), named.end());
    if (transport.demux != Demux::kTable || named.empty() || named != carried)
      return PlanError::kBadValue;
  }
  return matched == wanted.size() ? PlanError::kNone : PlanError::kBadValue;
}

/// The streams of a route exist, and what changes headers sees them.
PlanError check_route(const RouteSpec& route, const ById<StreamSpec>& streams) {
  const StreamSpec* from = streams.find(route.from_stream);
  if (from == nullptr || !streams.contains(route.to_stream))
    return PlanError::kUnknownId;
  return route.rewrite && from->kind == StreamKind::kOpaque ? PlanError::kBadValue
                                                            : PlanError::kNone;
}

PlanError check_references(const PlanSpec& plan) {
  const ById ports(plan.ports);
  const ById transports(plan.transports);
  const ById streams(plan.streams);
  if (!ports.unique() || !transports.unique() || !streams.unique())
    return PlanError::kDuplicateId;
  for (const TransportSpec& transport : plan.transports) {
    if (!fits(plan, transport.unprotect, srtp::Purpose::kUnprotect) ||
        !fits(plan, transport.former, srtp::Purpose::kUnprotect) ||
        !fits(plan, transport.former_protect, srtp::Purpose::kProtect) ||
        !fits(plan, transport.protect, srtp::Purpose::kProtect))
      return PlanError::kUnknownId;
    if (transport.egress_port != kNoPort && !ports.contains(transport.egress_port))
      return PlanError::kUnknownId;
    if (transport.dtls && transport.dtls->identity >= plan.identities.size())
      return PlanError::kUnknownId;
    if (const PlanError error =
            transport.ice ? check_ice(*transport.ice, transport.ports) : PlanError::kNone;
        error != PlanError::kNone)
      return error;
  }
  for (const StreamSpec& stream : plan.streams)
    if (!transports.contains(stream.transport) ||
        (stream.own_rtcp && !streams.contains(stream.own_rtcp->by)))
      return PlanError::kUnknownId;
  for (const RouteSpec& route : plan.routes)
    if (const PlanError error = check_route(route, streams); error != PlanError::kNone)
      return error;
  const PlanError error = check_ports(plan, ports);
  return error == PlanError::kNone ? check_streams(plan) : error;
}

/// As many entries as the plan says it has.
template <typename Spec>
void read_entries(Reader& reader, std::size_t count, std::vector<Spec>& out,
                  Spec (*read)(Reader&)) {
  out.reserve(std::min(count, reader.left()));
  for (std::size_t i = 0; i < count && reader.ok(); ++i)
    out.push_back(read(reader));
}

/// Nothing of it is secured or depends on others.
bool is_plain(const TransportSpec& transport) {
  return transport.unprotect == kNoSession && transport.protect == kNoSession &&
         transport.former == kNoSession && !transport.former_plain && !transport.present_plain &&
         !transport.dtls && !transport.table && transport.demux != Demux::kTable &&
         !transport.has(kSecret);
}

PartSpec read_part(Reader& reader) {
  PartSpec part;
  part.position = reader.number<std::uint16_t>();
  part.transport = read_transport(reader);
  part.stream = read_stream(reader);
  part.adds_routes = reader.bits(1) != 0;
  read_entries(reader, reader.number<std::uint16_t>(), part.routes, read_route);
  return part;
}

PlanError check_part(const PartSpec& part) {
  if (!is_plain(part.transport) || part.stream.own_rtcp)
    return PlanError::kUnknownPlan;
  if (part.stream.transport != part.transport.id)
    return PlanError::kBadValue;
  const auto fits = [&part](const RouteSpec& route) {
    return route.from_stream == part.stream.id &&
           (!route.rewrite || part.stream.kind != StreamKind::kOpaque);
  };
  return std::ranges::all_of(part.routes, fits) ? PlanError::kNone : PlanError::kBadValue;
}

} // namespace

bool is_plan_change(std::span<const std::uint8_t> bytes) {
  return Reader(bytes).number<std::uint32_t>() == kPlanChangeMagic;
}

std::string_view call_id_of(std::span<const std::uint8_t> bytes) {
  Reader reader(bytes);
  const auto magic = reader.number<std::uint32_t>();
  if (magic != kPlanMagic && magic != kPlanChangeMagic)
    return {};
  return reader.text(reader.number<std::uint16_t>());
}

PlanError decode_plan(std::span<const std::uint8_t> bytes, PlanSpec& out) {
  Reader reader(bytes);
  PlanSpec plan;
  if (reader.number<std::uint32_t>() != kPlanMagic)
    return reader.ok() ? PlanError::kBadMagic : reader.error();
  plan.call_id = std::string(reader.text(reader.number<std::uint16_t>()));
  plan.tos = reader.number<std::int16_t>();
  const std::size_t ports = reader.number<std::uint16_t>();
  const std::size_t transports = reader.number<std::uint16_t>();
  const std::size_t streams = reader.number<std::uint16_t>();
  const std::size_t routes = reader.number<std::uint16_t>();
  const std::size_t sessions = reader.number<std::uint16_t>();
  const std::size_t identities = reader.number<std::uint16_t>();
  if (!reader.ok())
    return reader.error();
  if (plan.tos < -1 || plan.tos > 255)
    return PlanError::kBadValue;
  if (std::max({ports, transports, streams, sessions, identities}) > kMaxPlanEntries ||
      routes > kMaxPlanRoutes)
    return PlanError::kTooMany;
  read_entries(reader, sessions, plan.sessions, read_session);
  read_entries(reader, identities, plan.identities, read_identity);
  read_entries(reader, ports, plan.ports, read_port);
  read_entries(reader, transports, plan.transports, read_transport);
  read_entries(reader, streams, plan.streams, read_stream);
  read_entries(reader, routes, plan.routes, read_route);
  if (!reader.ok())
    return reader.error();
  if (!reader.at_end())
    return PlanError::kTrailingBytes;
  const PlanError error = check_references(plan);
  if (error == PlanError::kNone)
    out = std::move(plan);
  return error;
}

PlanError check_ice(const IceSpec& ice, std::span<const std::uint32_t> ports) {
  if (ports.size() > ice::kMaxPaths)
    return PlanError::kTooMany;
  if (ice.route_endpoint.valid() && std::ranges::find(ports, ice.route_port) == ports.end())
    return PlanError::kUnknownId;
  return PlanError::kNone;
}

bool can_change(const PlanSpec& plan) {
  return plan.sessions.empty() && plan.identities.empty() && streams_are_paired(plan) &&
         std::ranges::all_of(plan.transports, is_plain) &&
         std::ranges::none_of(plan.streams, &Boxed<OwnRtcpSpec>::has_value,
                              &StreamSpec::own_rtcp) &&
         std::ranges::is_sorted(plan.transports, {}, &TransportSpec::id) &&
         std::ranges::is_sorted(plan.streams, {}, &StreamSpec::id);
}

PlanError decode_change(std::span<const std::uint8_t> bytes, PlanChangeSpec& out) {
  Reader reader(bytes);
  if (reader.number<std::uint32_t>() != kPlanChangeMagic)
    return reader.ok() ? PlanError::kBadMagic : reader.error();
  out.call_id = std::string(reader.text(reader.number<std::uint16_t>()));
  out.tos = reader.number<std::int16_t>();
  if (out.tos < -1 || out.tos > 255)
    return PlanError::kBadValue;
  out.closed = reader.ids();
  const std::size_t ports = reader.number<std::uint16_t>();
  if (ports > kMaxPlanEntries)
    return PlanError::kTooMany;
  read_entries(reader, ports, out.ports, read_port);
  const std::size_t parts = reader.number<std::uint16_t>();
  if (parts > kMaxPlanEntries)
    return PlanError::kTooMany;
  read_entries(reader, parts, out.parts, read_part);
  if (!reader.ok())
    return reader.error();
  if (!reader.at_end())
    return PlanError::kTrailingBytes;
  const auto ascends = [](const PartSpec& a, const PartSpec& b) {
    return a.position >= b.position;
  };
  if (std::ranges::adjacent_find(out.parts, ascends) != out.parts.end())
    return PlanError::kDuplicateId;
  for (const PartSpec& part : out.parts)
    if (const PlanError error = check_part(part); error != PlanError::kNone)
      return error;
  return PlanError::kNone;
}

const char* describe(PlanError error) {
  switch (error) {
  case PlanError::kNone:
    return "no error";
  case PlanError::kTooShort:
    return "the plan ends early";
  case PlanError::kBadMagic:
    return "not a plan of this version";
  case PlanError::kTooMany:
    return "too many entries";
  case PlanError::kBadAddress:
    return "not a numeric IP address";
  case PlanError::kBadValue:
    return "a value is out of range";
  case PlanError::kDuplicateId:
    return "an id occurs twice";
  case PlanError::kUnknownId:
    return "an id refers to nothing in the plan";
  case PlanError::kTrailingBytes:
    return "bytes after the end of the plan";
  case PlanError::kNoCrypto:
    return "no SRTP session can be made of its keys";
  case PlanError::kBadIdentity:
    return "a DTLS certificate and its private key cannot be used";
  case PlanError::kUnknownPlan:
    return "the plan that it changes is not known";
  }
  return "unknown error";
}

} // namespace rtprelay
