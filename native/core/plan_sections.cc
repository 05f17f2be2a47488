// Sections of a plan on what goes beyond passing packets on.
#include <algorithm>

#include "plan_reader.h"

namespace rtprelay {

namespace {

/// RFC 3550 §6.5: an SDES item.
constexpr std::size_t kMaxCname = 255;
constexpr std::size_t kMaxSsrcs = 1024;
constexpr std::uint8_t kPayloadTypes = 128;

std::uint8_t payload_type(Reader& reader) {
  const auto type = reader.number<std::uint8_t>();
  if (type >= kPayloadTypes)
    reader.fail(PlanError::kBadValue);
  return type;
}

std::vector<std::uint8_t> payload_types(Reader& reader) {
  std::vector<std::uint8_t> types;
  const std::size_t size = reader.number<std::uint8_t>();
  for (std::size_t i = 0; i < size && reader.ok(); ++i)
    types.push_back(payload_type(reader));
  return types;
}

std::size_t ssrc_count(Reader& reader) {
  const std::size_t size = reader.number<std::uint16_t>();
  if (size > kMaxSsrcs)
    reader.fail(PlanError::kTooMany);
  return size;
}

SsrcMap ssrc_map(Reader& reader) {
  SsrcMap map;
  const std::size_t size = ssrc_count(reader);
  for (std::size_t i = 0; i < size && reader.ok(); ++i) {
    const auto from = reader.number<std::uint32_t>();
    map.push_back({from, reader.number<std::uint32_t>()});
  }
  std::ranges::sort(map, {}, &SsrcPair::from);
  if (std::ranges::adjacent_find(map, {}, &SsrcPair::from) != map.end())
    reader.fail(PlanError::kDuplicateId);
  return map;
}

ExtensionRules extension_rules(Reader& reader) {
  ExtensionRules rules;
  rules.keeps_unknown = reader.bits(1) != 0;
  for (std::size_t id = 1; rules.keeps_unknown && id < rules.ids.size(); ++id)
    rules.ids[id] = static_cast<std::uint8_t>(id);
  const std::size_t size = reader.number<std::uint8_t>();
  for (std::size_t i = 0; i < size && reader.ok(); ++i) {
    const auto from = reader.number<std::uint8_t>();
    rules.ids[from] = reader.number<std::uint8_t>();
    if (from == 0)
      reader.fail(PlanError::kBadValue);
  }
  rules.mid_id = reader.number<std::uint8_t>();
  const std::string mid = reader.long_text(kMaxMidSize);
  if (mid.empty() != (rules.mid_id == 0))
    reader.fail(PlanError::kBadValue);
  rules.mid_size = static_cast<std::uint8_t>(mid.size());
  std::ranges::copy(mid, rules.mid.begin());
  return rules;
}

} // namespace

void read_demux_table(Reader& reader, TransportSpec& transport) {
  DemuxSpec table;
  table.mid_extension = reader.number<std::uint8_t>();
  const std::size_t size = reader.number<std::uint16_t>();
  if (size > kMaxPlanEntries)
    reader.fail(PlanError::kTooMany);
  for (std::size_t i = 0; i < size && reader.ok(); ++i) {
    DemuxEntry entry;
    entry.stream = reader.number<std::uint32_t>();
    entry.mid = reader.long_text(kMaxMidSize);
    const std::size_t ssrcs = ssrc_count(reader);
    for (std::size_t j = 0; j < ssrcs && reader.ok(); ++j)
      entry.ssrcs.push_back(reader.number<std::uint32_t>());
    entry.payload_types = payload_types(reader);
    table.entries.push_back(std::move(entry));
  }
  transport.table = std::move(table);
}

void read_rewrite(Reader& reader, RouteSpec& route) {
  constexpr std::uint8_t kHasExtensions = 1;
  constexpr std::uint8_t kHasAbout = 2;
  Rewrite rewrite;
  const std::uint8_t flags = reader.bits(kHasExtensions | kHasAbout);
  const std::size_t types = reader.number<std::uint8_t>();
  for (std::size_t i = 0; i < types && reader.ok(); ++i) {
    const std::uint8_t from = payload_type(reader);
    const std::uint8_t to = payload_type(reader);
    if (reader.ok())
      rewrite.payload_types[from] = to;
  }
  rewrite.ssrcs = ssrc_map(reader);
  rewrite.sequence_offset = reader.number<std::uint16_t>();
  rewrite.timestamp_offset = reader.number<std::uint32_t>();
  if ((flags & kHasExtensions) != 0)
    rewrite.extensions = extension_rules(reader);
  if ((flags & kHasAbout) != 0) {
    rewrite.about = ssrc_map(reader);
    rewrite.about_sequence_offset = reader.number<std::uint16_t>();
  }
  route.rewrite = std::move(rewrite);
}

void read_own_rtcp(Reader& reader, StreamSpec& stream) {
  constexpr std::uint8_t kPli = 1;
  constexpr std::uint8_t kFir = 2;
  OwnRtcpSpec own;
  own.by = reader.number<std::uint32_t>();
  own.interval_ms = reader.number<std::uint32_t>();
  own.cname = reader.long_text(kMaxCname);
  const std::uint8_t asks = reader.bits(kPli | kFir);
  own.pli = (asks & kPli) != 0;
  own.fir = (asks & kFir) != 0;
  own.video_types = payload_types(reader);
  stream.own_rtcp = std::move(own);
}

} // namespace rtprelay
