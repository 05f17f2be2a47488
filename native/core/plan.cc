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

  std::optional<PayloadRules> payloads() {
    const auto present = number<std::uint8_t>();
    if (present > 1)
      fail(PlanError::kBadValue);
    if (!ok() || present == 0)
      return std::nullopt;
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

SocketSpec read_socket(Reader& reader) {
  SocketSpec socket;
  socket.id = reader.number<std::uint32_t>();
  socket.stream_id = reader.number<std::uint32_t>();
  socket.local = reader.address();
  if (reader.ok() && (!socket.local.valid() || socket.local.port == 0 || socket.id == kNoSocket))
    reader.fail(PlanError::kBadValue);
  return socket;
}

StreamSpec read_stream(Reader& reader) {
  StreamSpec stream;
  stream.id = reader.number<std::uint32_t>();
  stream.component = reader.number<std::uint8_t>();
  const auto learning = reader.number<std::uint8_t>();
  stream.flags = reader.number<std::uint16_t>();
  stream.latch_epoch = reader.number<std::uint32_t>();
  stream.clock_rate = reader.number<std::uint32_t>();
  stream.egress_socket = reader.number<std::uint32_t>();
  stream.endpoint = reader.address();
  stream.signalled = reader.address();
  stream.unprotect = reader.number<std::uint16_t>();
  stream.protect = reader.number<std::uint16_t>();
  stream.packets = reader.count();
  stream.bytes = reader.count();
  stream.errors = reader.count();
  stream.last_packet_micros = reader.count();
  stream.rtp_sinks = reader.ids();
  stream.rtcp_sinks = reader.ids();
  stream.payloads = reader.payloads();
  if (!reader.ok())
    return stream;
  if (stream.component < 1 || stream.component > 2 || learning > 3 ||
      (stream.flags & ~kAllStreamFlags) != 0) {
    reader.fail(PlanError::kBadValue);
    return stream;
  }
  stream.learning = static_cast<Learning>(learning);
  return stream;
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

PlanError check_references(const PlanSpec& plan) {
  const auto sockets = sorted_ids(plan.sockets);
  const auto streams = sorted_ids(plan.streams);
  if (has_duplicate(sockets) || has_duplicate(streams))
    return PlanError::kDuplicateId;
  for (const SocketSpec& socket : plan.sockets)
    if (!contains(streams, socket.stream_id))
      return PlanError::kUnknownId;
  for (const StreamSpec& stream : plan.streams) {
    if (!fits(plan, stream.unprotect, srtp::Purpose::kUnprotect) ||
        !fits(plan, stream.protect, srtp::Purpose::kProtect))
      return PlanError::kUnknownId;
    if (stream.egress_socket != kNoSocket && !contains(sockets, stream.egress_socket))
      return PlanError::kUnknownId;
    for (const std::uint32_t id : stream.rtp_sinks)
      if (!contains(streams, id))
        return PlanError::kUnknownId;
    for (const std::uint32_t id : stream.rtcp_sinks)
      if (!contains(streams, id))
        return PlanError::kUnknownId;
  }
  return PlanError::kNone;
}

} // namespace

PlanError decode_plan(std::span<const std::uint8_t> bytes, PlanSpec& out) {
  Reader reader(bytes);
  PlanSpec plan;
  if (reader.number<std::uint32_t>() != kPlanMagic)
    return reader.ok() ? PlanError::kBadMagic : reader.error();
  plan.call_id = std::string(reader.text(reader.number<std::uint16_t>()));
  plan.tos = reader.number<std::int16_t>();
  const std::size_t sockets = reader.number<std::uint16_t>();
  const std::size_t streams = reader.number<std::uint16_t>();
  const std::size_t sessions = reader.number<std::uint16_t>();
  if (!reader.ok())
    return reader.error();
  if (plan.tos < -1 || plan.tos > 255)
    return PlanError::kBadValue;
  if (sockets > kMaxPlanEntries || streams > kMaxPlanEntries || sessions > kMaxPlanEntries)
    return PlanError::kTooMany;
  for (std::size_t i = 0; i < sessions && reader.ok(); ++i)
    plan.sessions.push_back(read_session(reader));
  for (std::size_t i = 0; i < sockets && reader.ok(); ++i)
    plan.sockets.push_back(read_socket(reader));
  for (std::size_t i = 0; i < streams && reader.ok(); ++i)
    plan.streams.push_back(read_stream(reader));
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
  }
  return "unknown error";
}

} // namespace rtprelay
