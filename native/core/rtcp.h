// Reading RTCP (RFC 3550 §6.4) and computing call quality from it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "latch.h"

namespace rtprelay {

constexpr std::uint8_t kRtcpSenderReport = 200;
constexpr std::uint8_t kRtcpReceiverReport = 201;
constexpr std::uint8_t kRtcpSourceDescription = 202;
constexpr std::uint8_t kRtcpBye = 203;
constexpr std::uint8_t kRtcpApplication = 204;
/// RFC 4585 §6.1: transport layer and payload-specific feedback.
constexpr std::uint8_t kRtcpTransportFeedback = 205;
constexpr std::uint8_t kRtcpPayloadFeedback = 206;
/// RFC 3611.
constexpr std::uint8_t kRtcpExtendedReport = 207;
/// RFC 9143 §16.1: the item of a source description.
constexpr std::uint8_t kRtcpMidItem = 15;
/// RFC 3550 §6.4.1: of a report block, and of what an SR says of its sender.
constexpr std::size_t kRtcpReportBlockSize = 24;
constexpr std::size_t kRtcpSenderInfoSize = 20;

/// One report block, or the sender part of an SR (`about` is then 0 and `is_sender` set).
struct RtcpItem {
  std::uint32_t reporter = 0;
  std::uint32_t about = 0;
  bool is_sender = false;
  /// Middle 32 bits of the NTP timestamp (SR) or LSR (report block).
  std::uint32_t ntp_middle = 0;
  std::uint32_t delay_since_sr = 0;
  std::uint32_t jitter = 0;
  std::int32_t cumulative_loss = 0;
  std::uint8_t fraction_lost = 0;
};

/// Most items taken from one datagram.
constexpr std::size_t kMaxRtcpItems = 16;

struct RtcpItems {
  std::array<RtcpItem, kMaxRtcpItems> items;
  std::size_t size = 0;
};

/// Collects what SR and RR of a compound packet say. Stops at the first malformed part and returns
/// false then; what was read before stays. Allocates nothing.
bool parse_rtcp(std::span<const std::uint8_t> packet, RtcpItems& out);

/// Copies a compound packet without its feedback into `out`, which is at least as long. What is
/// malformed is copied as it is. Returns the bytes written; `packet.size()`: there was none.
std::size_t copy_without_feedback(std::span<const std::uint8_t> packet,
                                  std::span<std::uint8_t> out);

struct QualityEntry {
  /// MOS times 10, 0 when no end-to-end round-trip time was known.
  std::int32_t mos = 0;
  std::int64_t round_trip_micros = 0;
  std::int64_t round_trip_leg_micros = 0;
  std::int64_t jitter_ms = 0;
  std::int32_t loss_percent = 0;
  std::int64_t reported_at_seconds = 0;
};

/// E-model shortcut of rtpengine 10.5 ("legacy"), MOS times 10, cut off.
std::int32_t legacy_mos(std::int64_t round_trip_micros, std::int64_t jitter_ms,
                        std::int32_t loss_percent);

/// Simplified narrow band G.107 of rtpengine 26.3 (ng-protocol.md §6), MOS times 10, cut off. To
/// the letter of the reference: above 15 % of loss its parabola rises again.
std::int32_t g107_mos(std::int64_t round_trip_micros, std::int64_t jitter_ms,
                      std::int32_t loss_percent);

/// How reports are rated (`--mos`).
struct MosRule {
  enum class Formula : std::uint8_t { kG107, kLegacy };
  Formula formula = Formula::kG107;
  /// MOS-LQ: the round trip counts as 0 and need not be known; else MOS-CQ.
  bool listening = false;
};

/// What the reports of one SSRC say it hears.
struct ReporterQuality {
  std::uint32_t stream_id = 0;
  std::int32_t cumulative_loss = 0;
  std::int64_t samples = 0;
  QualityEntry sum;
  std::optional<QualityEntry> lowest;
  std::optional<QualityEntry> highest;
  std::int64_t interval_seconds = 0;
  std::vector<QualityEntry> progression;
  /// The last one, which a progression of a long call has not.
  QualityEntry latest;
  bool reported = false;

  struct SentReport {
    std::uint32_t ntp_middle = 0;
    Micros arrived = 0;
  };
  /// Sender reports of this SSRC, newest overwrites oldest.
  std::array<SentReport, 8> sent{};
  std::size_t sent_next = 0;
  Micros last_leg = 0;
  Micros last_report = 0;
};

/// Values of one kind.
struct SampleSums {
  double total = 0;
  double squares = 0;

  void add(double value) {
    total += value;
    squares += value * value;
  }
};

/// What reports have said, all of them (ng-protocol.md §6, options.md §5).
struct ReportSums {
  std::uint64_t reports = 0;
  SampleSums jitter_ms;
  SampleSums round_trip_micros;
  SampleSums round_trip_leg_micros;
  SampleSums loss_percent;
  /// Of those with a MOS.
  std::uint64_t rated = 0;
  SampleSums mos;

  void add(const QualityEntry& entry);
};

/// SSRCs a call may have in its table; further ones are ignored.
constexpr std::size_t kMaxReporters = 64;
/// Entries of a progression. A full list is thinned to every second entry and the interval between
/// entries doubles, so a call of any length keeps its whole course.
constexpr std::size_t kMaxProgression = 32;

/// Quality of one call.
// Thread: control only; workers hand over RtcpItems.
class QualityTable {
public:
  explicit QualityTable(MosRule rule = {}) : rule_(rule) {}
  /// `arrived` monotonic, `epoch_seconds` epoch, `clock_rate` Hz (0: 8000).
  /// The entry that a report counts as; none: it does not count.
  std::optional<QualityEntry> add(const RtcpItem& item, std::uint32_t stream_id,
                                  std::uint32_t clock_rate, Micros arrived,
                                  std::int64_t epoch_seconds);
  [[nodiscard]] const std::map<std::uint32_t, ReporterQuality>& reporters() const {
    return reporters_;
  }

private:
  ReporterQuality* find_or_add(std::uint32_t ssrc);
  Micros leg_round_trip(const RtcpItem& item, Micros arrived) const;
  std::int32_t rate(const QualityEntry& entry) const;
  MosRule rule_;
  std::map<std::uint32_t, ReporterQuality> reporters_;
};

} // namespace rtprelay
