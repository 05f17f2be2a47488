#include "rtcp.h"

#include <algorithm>

#include "packet.h"

namespace rtprelay {

namespace {

constexpr Micros kMaxRoundTrip = 10'000'000;
constexpr Micros kMinReportDistance = 1'000'000;
constexpr std::uint32_t kDefaultClockRate = 8000;

void append(RtcpItems& out, const RtcpItem& item) {
  if (out.size < out.items.size())
    out.items[out.size++] = item;
}

RtcpItem read_block(std::span<const std::uint8_t> block, std::uint32_t reporter) {
  RtcpItem item;
  item.reporter = reporter;
  item.about = read_u32(block, 0);
  item.fraction_lost = block[4];
  // 24 bits, signed (RFC 3550 §6.4.1).
  item.cumulative_loss = static_cast<std::int32_t>(read_u32(block, 4) << 8) >> 8;
  item.jitter = read_u32(block, 12);
  item.ntp_middle = read_u32(block, 16);
  item.delay_since_sr = read_u32(block, 20);
  return item;
}

bool read_report(std::span<const std::uint8_t> packet, std::size_t count, bool sender,
                 RtcpItems& out) {
  std::size_t at = kRtcpHeaderSize + (sender ? kRtcpSenderInfoSize : 0);
  if (packet.size() < at + count * kRtcpReportBlockSize)
    return false;
  const std::uint32_t reporter = read_u32(packet, 4);
  if (sender) {
    RtcpItem item;
    item.reporter = reporter;
    item.is_sender = true;
    item.ntp_middle = read_u32(packet, 10);
    append(out, item);
  }
  for (std::size_t i = 0; i < count; ++i, at += kRtcpReportBlockSize)
    append(out, read_block(packet.subspan(at, kRtcpReportBlockSize), reporter));
  return true;
}

} // namespace

bool parse_rtcp(std::span<const std::uint8_t> packet, RtcpItems& out) {
  out.size = 0;
  while (!packet.empty()) {
    if (packet.size() < 4 || packet[0] >> 6 != 2)
      return false;
    const std::size_t length = (std::size_t{read_u16(packet, 2)} + 1) * 4;
    if (length > packet.size())
      return false;
    const std::uint8_t type = packet[1];
    if (type == kRtcpSenderReport || type == kRtcpReceiverReport) {
      if (length < kRtcpHeaderSize)
        return false;
      if (!read_report(packet.first(length), packet[0] & 0x1f, type == kRtcpSenderReport, out))
        return false;
    }
    packet = packet.subspan(length);
  }
  return true;
}

std::size_t copy_without_feedback(std::span<const std::uint8_t> packet,
                                  std::span<std::uint8_t> out) {
  std::size_t written = 0;
  const auto copy = [&](std::span<const std::uint8_t> bytes) {
    std::ranges::copy(bytes, out.begin() + static_cast<std::ptrdiff_t>(written));
    written += bytes.size();
  };
  while (!packet.empty()) {
    const bool header = packet.size() >= 4 && packet[0] >> 6 == 2;
    const std::size_t length = header ? (std::size_t{read_u16(packet, 2)} + 1) * 4 : 0;
    if (length == 0 || length > packet.size()) {
      copy(packet);
      break;
    }
    if (packet[1] != kRtcpTransportFeedback && packet[1] != kRtcpPayloadFeedback)
      copy(packet.first(length));
    packet = packet.subspan(length);
  }
  return written;
}

namespace {

/// MOS times 10 of a rating factor.
std::int32_t mos_of(double r) {
  if (r > 100)
    return 45;
  const double mos = 1.0 + 0.035 * r + 0.000007 * r * (r - 60.0) * (100.0 - r);
  return std::max(10, static_cast<std::int32_t>(mos * 10.0));
}

} // namespace

std::int32_t legacy_mos(std::int64_t round_trip_micros, std::int64_t jitter_ms,
                        std::int32_t loss_percent) {
  const double delay =
      static_cast<double>(round_trip_micros) / 1000.0 + 2.0 * static_cast<double>(jitter_ms) + 10.0;
  double r = delay < 160 ? 93.2 - delay / 40.0 : 93.2 - (delay - 120.0) / 10.0;
  r -= 2.5 * loss_percent;
  return r < 0 ? 10 : mos_of(r);
}

std::int32_t g107_mos(std::int64_t round_trip_micros, std::int64_t jitter_ms,
                      std::int32_t loss_percent) {
  const double base = loss_percent > 93 ? 0 : 93.2 - loss_percent;
  const double delay =
      static_cast<double>(round_trip_micros) / 2000.0 + static_cast<double>(jitter_ms);
  double impairment = 0.024 * delay;
  if (delay > 177.3)
    impairment += 0.11 * (delay - 177.3);
  const double r = 0.18 * base * base - 27.9 * base + 1126.62 - impairment;
  return r < 0 ? 10 : mos_of(r);
}

ReporterQuality* QualityTable::find_or_add(std::uint32_t ssrc) {
  const auto found = reporters_.find(ssrc);
  if (found != reporters_.end())
    return &found->second;
  if (reporters_.size() >= kMaxReporters)
    return nullptr;
  return &reporters_[ssrc];
}

Micros QualityTable::leg_round_trip(const RtcpItem& item, Micros arrived) const {
  if (item.ntp_middle == 0 || item.delay_since_sr == 0)
    return 0;
  const auto sender = reporters_.find(item.about);
  if (sender == reporters_.end())
    return 0;
  for (const auto& report : sender->second.sent) {
    if (report.arrived == 0 || report.ntp_middle != item.ntp_middle)
      continue;
    // DLSR is in 1/65536 s.
    const Micros held = static_cast<Micros>(item.delay_since_sr) * 1'000'000 / 65536;
    const Micros leg = arrived - report.arrived - held;
    return leg > 0 && leg <= kMaxRoundTrip ? leg : 0;
  }
  return 0;
}

std::int32_t QualityTable::rate(const QualityEntry& entry) const {
  if (entry.round_trip_micros == 0 && !rule_.listening)
    return 0;
  const std::int64_t round_trip = rule_.listening ? 0 : entry.round_trip_micros;
  const auto formula = rule_.formula == MosRule::Formula::kLegacy ? legacy_mos : g107_mos;
  return formula(round_trip, entry.jitter_ms, entry.loss_percent);
}

namespace {

void append_progression(ReporterQuality& reporter, const QualityEntry& entry) {
  auto& list = reporter.progression;
  if (!list.empty() &&
      entry.reported_at_seconds - list.back().reported_at_seconds < reporter.interval_seconds)
    return;
  if (list.size() >= kMaxProgression) {
    for (std::size_t i = 1; i * 2 < list.size(); ++i)
      list[i] = list[i * 2];
    list.resize((list.size() + 1) / 2);
    const auto span = list.back().reported_at_seconds - list.front().reported_at_seconds;
    const auto spacing = span / static_cast<std::int64_t>(list.size() - 1);
    reporter.interval_seconds = std::max({std::int64_t{1}, reporter.interval_seconds * 2, spacing});
  }
  list.push_back(entry);
}

void append_entry(ReporterQuality& reporter, const QualityEntry& entry) {
  append_progression(reporter, entry);
  if (entry.mos == 0)
    return;
  reporter.samples += 1;
  reporter.sum.mos += entry.mos;
  reporter.sum.round_trip_micros += entry.round_trip_micros;
  reporter.sum.round_trip_leg_micros += entry.round_trip_leg_micros;
  reporter.sum.jitter_ms += entry.jitter_ms;
  reporter.sum.loss_percent += entry.loss_percent;
  if (!reporter.lowest || entry.mos < reporter.lowest->mos)
    reporter.lowest = entry;
  if (!reporter.highest || entry.mos > reporter.highest->mos)
    reporter.highest = entry;
}

} // namespace

void ReportSums::add(const QualityEntry& entry) {
  ++reports;
  jitter_ms.add(static_cast<double>(entry.jitter_ms));
  round_trip_micros.add(static_cast<double>(entry.round_trip_micros));
  round_trip_leg_micros.add(static_cast<double>(entry.round_trip_leg_micros));
  loss_percent.add(entry.loss_percent);
  if (entry.mos == 0)
    return;
  ++rated;
  mos.add(entry.mos / 10.0);
}

std::optional<QualityEntry> QualityTable::add(const RtcpItem& item, std::uint32_t stream_id,
                                              std::uint32_t clock_rate, Micros arrived,
                                              std::int64_t epoch_seconds) {
  ReporterQuality* reporter = find_or_add(item.reporter);
  if (reporter == nullptr)
    return std::nullopt;
  reporter->stream_id = stream_id;
  if (item.is_sender) {
    reporter->sent[reporter->sent_next] = {item.ntp_middle, arrived};
    reporter->sent_next = (reporter->sent_next + 1) % reporter->sent.size();
    return std::nullopt;
  }
  reporter->cumulative_loss = item.cumulative_loss;
  if (reporter->last_report != 0 && arrived - reporter->last_report < kMinReportDistance)
    return std::nullopt;
  reporter->reported = true;
  QualityEntry entry;
  entry.reported_at_seconds = epoch_seconds;
  entry.jitter_ms =
      static_cast<std::int64_t>(item.jitter) * 1000 / (clock_rate ? clock_rate : kDefaultClockRate);
  entry.loss_percent = item.fraction_lost * 100 / 256;
  entry.round_trip_leg_micros = leg_round_trip(item, arrived);
  if (entry.round_trip_leg_micros > 0)
    reporter->last_leg = entry.round_trip_leg_micros;
  const auto other = reporters_.find(item.about);
  const Micros other_leg = other == reporters_.end() ? 0 : other->second.last_leg;
  if (entry.round_trip_leg_micros > 0 && other_leg > 0)
    entry.round_trip_micros = entry.round_trip_leg_micros + other_leg;
  entry.mos = rate(entry);
  reporter->latest = entry;
  // One that answers no sender report does not count (10.5 and 12.5 seen), unless no round trip is
  // asked for.
  if (!rule_.listening && (item.ntp_middle == 0 || item.delay_since_sr == 0))
    return std::nullopt;
  reporter->last_report = arrived;
  append_entry(*reporter, entry);
  return entry;
}

} // namespace rtprelay
