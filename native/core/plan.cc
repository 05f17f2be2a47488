#include "plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string_view>

namespace rtprelay {

namespace {

static_assert(std::endian::native == std::endian::little, "the plan is little endian");

/// Bounds-checked cursor; after the first failure every read yields zero.
class Reader {
public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  template <typename T> T number() {
    T value{};
    if (bytes_.size() < sizeof(T)) {
      fail(PlanError::kTooShort);
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }

  std::string_view text(std::size_t length) {
    if (bytes_.size() < length) {
      fail(PlanError::kTooShort);
      return {};
    }
    const std::string_view value(reinterpret_cast<const char*>(bytes_.data()), length);
    bytes_ = bytes_.subspan(length);
    return value;
  }

  SocketAddress address() {
    SocketAddress result;
    const std::size_t length = number<std::uint8_t>();
    if (length == 0)
      return result;
    const std::string_view host = text(length);
    const auto port = number<std::uint16_t>();
    if (ok() && !parse_address(host, port, result))
      fail(PlanError::kBadAddress);
    return result;
  }

  /// JavaScript counts: whole, not negative, exact in a double.
  std::uint64_t count() {
    constexpr double kMaxExact = 9007199254740992.0; // 2^53
    const auto value = number<double>();
    if (!ok())
      return 0;
    if (!(value >= 0 && value <= kMaxExact) || value != std::floor(value)) {
      fail(PlanError::kBadValue);
      return 0;
    }
    return static_cast<std::uint64_t>(value);
  }

  std::vector<std::uint32_t> ids() {
    std::vector<std::uint32_t> result;
    const std::size_t size = number<std::uint16_t>();
    if (size > kMaxPlanEntries)
      fail(PlanError::kTooMany);
    if (size * sizeof(std::uint32_t) > bytes_.size())
      fail(PlanError::kTooShort);
    if (!ok())
      return result;
    result.reserve(size);
    for (std::size_t i = 0; i < size; ++i)
      result.push_back(number<std::uint32_t>());
    return result;
  }

  PayloadAction action() {
    const auto value = number<std::uint8_t>();
    if (value >= kPayloadActions) {
      fail(PlanError::kBadValue);
      return PayloadAction::kForward;
    }
    return static_cast<PayloadAction>(value);
  }

  PayloadRules payloads() {
    PayloadRules rules;
    rules.otherwise = action();
    if (rules.otherwise > PayloadAction::kDrop)
      fail(PlanError::kBadValue);
    rules.types.fill(rules.otherwise);
    const std::size_t size = number<std::uint8_t>();
    for (std::size_t i = 0; i < size && ok(); ++i) {
      const auto type = number<std::uint8_t>();
      const PayloadAction wanted = action();
      if (type >= rules.types.size())
        fail(PlanError::kBadValue);
      else
        rules.types[type] = wanted;
    }
    return rules;
  }

  /// -1: none.
  std::optional<std::uint64_t> index(std::uint64_t highest) {
    const auto value = number<double>();
    if (value == -1.0)
      return std::nullopt;
    if (!(value >= 0 && value <= static_cast<double>(highest)) || value != std::floor(value)) {
      fail(PlanError::kBadValue);
      return std::nullopt;
    }
    return static_cast<std::uint64_t>(value);
  }

  template <typename E> E choice(E last) {
    const auto value = number<std::uint8_t>();
    if (value > static_cast<std::uint8_t>(last)) {
      fail(PlanError::kBadValue);
      return {};
    }
    return static_cast<E>(value);
  }

  std::uint8_t bits(std::uint8_t known) {
    const auto value = number<std::uint8_t>();
    if ((value & ~known) != 0)
      fail(PlanError::kBadValue);
    return value;
  }

  std::string long_text(std::size_t highest) {
    const std::size_t length = number<std::uint16_t>();
    if (length > highest)
      fail(PlanError::kBadValue);
    return std::string(text(length));
  }

  /// `read(tag, reader)` for each section; it takes all of what it knows, and false: nothing.
  template <typename Read> void sections(Read read) {
    const std::size_t count = number<std::uint8_t>();
    std::uint8_t last = 0;
    for (std::size_t i = 0; i < count && ok(); ++i) {
      const auto tag = number<std::uint8_t>();
      const std::string_view bytes = text(number<std::uint16_t>());
      if (!ok())
        return;
      Reader section({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
      // In ascending order, so each is there once.
      if (tag <= last || !read(tag, section))
        return fail(PlanError::kBadValue);
      last = tag;
      if (!section.ok())
        return fail(section.error());
      if (!section.at_end())
        return fail(PlanError::kTrailingBytes);
    }
  }

  void fail(PlanError error) {
    if (error_ == PlanError::kNone)
      error_ = error;
    bytes_ = {};
  }
  [[nodiscard]] bool ok() const { return error_ == PlanError::kNone; }
  [[nodiscard]] PlanError error() const { return error_; }
  [[nodiscard]] const std::uint8_t* position() const { return bytes_.data(); }
  [[nodiscard]] bool at_end() const { return bytes_.empty(); }

private:
  std::span<const std::uint8_t> bytes_;
  PlanError error_ = PlanError::kNone;
};

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
  constexpr std::uint8_t kMoved = 16;
  constexpr std::uint8_t kHasRoute = 32;
  IceSpec ice;
  const std::uint8_t flags =
      reader.bits(kLite | kControlling | kHasRemote | kResumed | kMoved | kHasRoute);
  ice.settings.mode = (flags & kLite) != 0 ? ice::Mode::kLite : ice::Mode::kFull;
  ice.settings.controlling = (flags & kControlling) != 0;
  ice.settings.component = reader.number<std::uint8_t>();
  ice.settings.tie_breaker = reader.number<std::uint64_t>();
  ice.settings.takeovers = reader.number<std::uint32_t>();
  ice.settings.local = read_credentials(reader);
  if ((flags & kHasRemote) != 0)
    ice.settings.remote = read_credentials(reader);
  ice.resumed = (flags & kResumed) != 0;
  ice.moved = (flags & kMoved) != 0;
  if (ice.resumed)
    ice.route_priority = reader.number<std::uint32_t>();
  if ((flags & kHasRoute) != 0) {
    ice.route_port = reader.number<std::uint32_t>();
    ice.route_endpoint = reader.address();
  }
  const bool wrong_component = ice.settings.component != 1 && ice.settings.component != 2;
  const bool odd_route = (flags & kHasRoute) != 0 && !ice.route_endpoint.valid();
  if (reader.ok() && (wrong_component || odd_route || (!ice.resumed && (flags & 48) != 0)))
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
  constexpr std::array<std::uint8_t, dtls::kHashes> kDigestSizes{20, 28, 32, 48, 64};
  DtlsSpec spec;
  const std::uint8_t flags = reader.bits(kActive | kEstablished | kHasFingerprint);
  spec.active = (flags & kActive) != 0;
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

bool read_transport_section(std::uint8_t tag, Reader& reader, TransportSpec& transport) {
  switch (tag) {
  case 1:
    transport.ice = read_ice(reader);
    return true;
  case 2:
    transport.dtls = read_dtls(reader);
    return true;
  default:
    return false;
  }
}

TransportSpec read_transport(Reader& reader) {
  TransportSpec transport;
  transport.id = reader.number<std::uint32_t>();
  transport.learning = reader.choice(Learning::kHeuristic);
  transport.demux = reader.choice(Demux::kRtcpMux);
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
  StreamSpec stream;
  stream.id = reader.number<std::uint32_t>();
  stream.transport = reader.number<std::uint32_t>();
  stream.kind = reader.choice(StreamKind::kOpaque);
  const std::uint8_t flags = reader.bits(kIsBlocked | kHasCounters | kHasPayloads);
  stream.blocked = (flags & kIsBlocked) != 0;
  stream.clock_rate = reader.number<std::uint32_t>();
  if ((flags & kHasCounters) != 0) {
    stream.packets = reader.count();
    stream.bytes = reader.count();
    stream.errors = reader.count();
    stream.last_packet_micros = reader.count();
  }
  if ((flags & kHasPayloads) != 0)
    stream.payloads = reader.payloads();
  return stream;
}

RouteSpec read_route(Reader& reader) {
  RouteSpec route;
  route.id = reader.number<std::uint32_t>();
  route.from_stream = reader.number<std::uint32_t>();
  route.to_stream = reader.number<std::uint32_t>();
  route.kind = reader.choice(RouteKind::kRtcp);
  route.without_feedback = reader.bits(1) != 0;
  reader.sections([](std::uint8_t, Reader&) { return false; });
  return route;
}

template <typename Entries> std::vector<std::uint32_t> sorted_ids(const Entries& entries) {
  std::vector<std::uint32_t> ids;
  ids.reserve(entries.size());
  for (const auto& entry : entries)
    ids.push_back(entry.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

bool has_duplicate(const std::vector<std::uint32_t>& sorted) {
  return std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
}

bool contains(const std::vector<std::uint32_t>& sorted, std::uint32_t id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

/// Every port belongs to one transport, and every transport has one stream.
PlanError check_ownership(const PlanSpec& plan) {
  std::vector<std::uint32_t> owned;
  for (const TransportSpec& transport : plan.transports)
    owned.insert(owned.end(), transport.ports.begin(), transport.ports.end());
  std::sort(owned.begin(), owned.end());
  std::vector<std::uint32_t> carrying;
  carrying.reserve(plan.streams.size());
  for (const StreamSpec& stream : plan.streams)
    carrying.push_back(stream.transport);
  std::sort(carrying.begin(), carrying.end());
  const bool ports = !has_duplicate(owned) && owned.size() == plan.ports.size();
  const bool streams = !has_duplicate(carrying) && carrying.size() == plan.transports.size();
  return ports && streams ? PlanError::kNone : PlanError::kBadValue;
}

/// The route that an agent goes on with begins at a port of its transport.
PlanError check_ice(const TransportSpec& transport) {
  const IceSpec& ice = *transport.ice;
  if (transport.ports.size() > ice::kMaxPaths)
    return PlanError::kTooMany;
  if (ice.route_endpoint.valid() &&
      std::ranges::find(transport.ports, ice.route_port) == transport.ports.end())
    return PlanError::kUnknownId;
  return PlanError::kNone;
}

PlanError check_references(const PlanSpec& plan) {
  const auto ports = sorted_ids(plan.ports);
  const auto transports = sorted_ids(plan.transports);
  const auto streams = sorted_ids(plan.streams);
  if (has_duplicate(ports) || has_duplicate(transports) || has_duplicate(streams) ||
      has_duplicate(sorted_ids(plan.routes)))
    return PlanError::kDuplicateId;
  for (const TransportSpec& transport : plan.transports) {
    if (!fits(plan, transport.unprotect, srtp::Purpose::kUnprotect) ||
        !fits(plan, transport.protect, srtp::Purpose::kProtect))
      return PlanError::kUnknownId;
    if (transport.egress_port != kNoPort && !contains(ports, transport.egress_port))
      return PlanError::kUnknownId;
    if (transport.dtls && transport.dtls->identity >= plan.identities.size())
      return PlanError::kUnknownId;
    if (const PlanError error = transport.ice ? check_ice(transport) : PlanError::kNone;
        error != PlanError::kNone)
      return error;
    for (const std::uint32_t id : transport.ports)
      if (!contains(ports, id))
        return PlanError::kUnknownId;
  }
  for (const StreamSpec& stream : plan.streams)
    if (!contains(transports, stream.transport))
      return PlanError::kUnknownId;
  for (const RouteSpec& route : plan.routes)
    if (!contains(streams, route.from_stream) || !contains(streams, route.to_stream))
      return PlanError::kUnknownId;
  return check_ownership(plan);
}

/// As many entries as the plan says it has.
template <typename Spec>
void read_entries(Reader& reader, std::size_t count, std::vector<Spec>& out,
                  Spec (*read)(Reader&)) {
  for (std::size_t i = 0; i < count && reader.ok(); ++i)
    out.push_back(read(reader));
}

} // namespace

std::string_view call_id_of(std::span<const std::uint8_t> bytes) {
  Reader reader(bytes);
  if (reader.number<std::uint32_t>() != kPlanMagic)
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
  case PlanError::kNotSupported:
    return "ICE and DTLS are not carried out";
  }
  return "unknown error";
}

} // namespace rtprelay
