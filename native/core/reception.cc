#include "reception.h"

#include <algorithm>

#include "packet.h"

namespace rtprelay {

namespace {

/// RFC 3550 A.1: a number so far ahead is that of a packet after a gap, one so far behind that of a
/// late one; what is farther is a restart if the next one confirms it.
constexpr std::uint16_t kMaxDropout = 3000;
constexpr std::uint16_t kMaxMisorder = 100;
constexpr std::uint32_t kNone = 0x10000;
constexpr std::uint32_t kSeenBits = 64;

} // namespace

RtpHeader rtp_header(std::span<const std::uint8_t> packet) {
  return {read_u32(packet, 8), read_u32(packet, 4), read_u16(packet, 2),
          static_cast<std::uint8_t>(packet[1] & 0x7f)};
}

std::size_t payload_size(std::span<const std::uint8_t> packet) {
  if (packet.size() < kRtpHeaderSize)
    return 0;
  std::size_t header = kRtpHeaderSize + std::size_t{4} * (packet[0] & 0x0fU);
  if ((packet[0] & 0x10) != 0) {
    if (packet.size() < header + 4)
      return 0;
    header += 4 + std::size_t{4} * read_u16(packet, header + 2);
  }
  const std::size_t padding = (packet[0] & 0x20) != 0 ? packet.back() : 0;
  return packet.size() < header + padding ? 0 : packet.size() - header - padding;
}

void Reception::restart(std::uint32_t ssrc) {
  source.set(kSsrcKnown | ssrc);
  for (Counter* counter : {&packets, &bytes, &lost, &duplicates, &reordered, &skips, &resets,
                           &jitter, &last_sequence, &last_timestamp})
    counter->set(0);
  started_ = has_transit_ = false;
  received_ = expected_before_ = received_before_ = 0;
  jitter_ = 0;
  restart_at_ = kNone;
  report_ntp_ = 0;
}

void Reception::begin(std::uint16_t sequence) {
  started_ = true;
  first_ = highest_ = sequence;
  seen_ = 1;
  restart_at_ = kNone;
  received_ = expected_before_ = received_before_ = 0;
  has_transit_ = false;
}

void Reception::fill(std::uint16_t behind) {
  reordered.add(1);
  if (behind + std::size_t{1} >= kSeenBits || behind == 0)
    return;
  // Between two that have come it ends a run, in the midst of one it makes two of it.
  const bool later = (seen_ >> (behind - 1U) & 1U) != 0;
  const bool earlier = (seen_ >> (behind + 1U) & 1U) != 0;
  if (later && earlier)
    skips.set(skips.get() - std::min<std::uint64_t>(skips.get(), 1));
  else if (!later && !earlier)
    skips.add(1);
}

bool Reception::advance(std::uint16_t sequence) {
  if (!started_) {
    begin(sequence);
    return true;
  }
  const auto ahead = static_cast<std::uint16_t>(sequence - static_cast<std::uint16_t>(highest_));
  if (ahead != 0 && ahead < kMaxDropout) {
    if (ahead > 1)
      skips.add(1);
    seen_ = ahead < kSeenBits ? (seen_ << ahead) | 1 : 1;
    highest_ += ahead;
    restart_at_ = kNone;
    return true;
  }
  const auto behind = static_cast<std::uint16_t>(-ahead);
  if (behind <= kMaxMisorder) {
    const std::uint64_t bit = behind < kSeenBits ? std::uint64_t{1} << behind : 0;
    if ((seen_ & bit) != 0)
      duplicates.add(1);
    else
      fill(behind);
    seen_ |= bit;
    return true;
  }
  if (sequence == restart_at_) {
    // Two in a row: the sender has begun anew. What was missing before stays so.
    begin(sequence);
    resets.add(1);
    return true;
  }
  restart_at_ = static_cast<std::uint16_t>(sequence + 1);
  return false;
}

void Reception::measure_jitter(const RtpHeader& header, std::uint32_t clock_rate, Micros now) {
  const auto arrival =
      static_cast<std::uint32_t>(static_cast<std::uint64_t>(now) / 1000 * clock_rate / 1000);
  const std::uint32_t transit = arrival - header.timestamp;
  const auto difference = static_cast<std::int32_t>(transit - transit_);
  if (has_transit_) {
    const auto distance = static_cast<std::uint32_t>(
        difference < 0 ? -static_cast<std::int64_t>(difference) : difference);
    jitter_ += distance - ((jitter_ + 8) >> 4);
    jitter.set(jitter_ >> 4);
  }
  transit_ = transit;
  has_transit_ = true;
}

void Reception::on_packet(const RtpHeader& header, std::size_t size, std::uint32_t clock_rate,
                          Micros now) {
  heard_ = now;
  source.set(kSsrcKnown | kTypeKnown | (std::uint64_t{header.payload_type} << kTypeShift) |
             header.ssrc);
  packets.add(1);
  bytes.add(size);
  last_sequence.set(header.sequence);
  last_timestamp.set(header.timestamp);
  if (!advance(header.sequence))
    return;
  received_ += 1;
  const std::uint64_t expected = highest_ - first_ + std::uint64_t{1};
  const std::uint64_t came = received_ - std::min<std::uint64_t>(received_, duplicates.get());
  lost.set(expected > came ? expected - came : 0);
  if (clock_rate != 0)
    measure_jitter(header, clock_rate, now);
}

void Reception::on_report(std::uint32_t ntp_middle, Micros now) {
  report_ntp_ = ntp_middle;
  reported_ = now;
}

bool Reception::report(Micros now, ReportBlock& out) {
  if (!started_ || received_ == received_before_)
    return false;
  const std::uint32_t expected = highest_ - first_ + 1;
  const std::uint32_t expected_now = expected - expected_before_;
  const std::uint32_t received_now = received_ - received_before_;
  expected_before_ = expected;
  received_before_ = received_;
  out.ssrc = static_cast<std::uint32_t>(source.get() & 0xffffffff);
  out.fraction_lost =
      expected_now <= received_now
          ? std::uint8_t{0}
          : static_cast<std::uint8_t>(std::min<std::uint64_t>(
                255, (std::uint64_t{expected_now - received_now} << 8) / expected_now));
  // 24 bits, signed.
  out.cumulative_loss =
      std::clamp(static_cast<std::int32_t>(expected - received_), -0x800000, 0x7fffff);
  out.highest_sequence = highest_;
  out.jitter = jitter_ >> 4;
  out.last_report = report_ntp_;
  // In 1/65536 s.
  out.delay = report_ntp_ == 0
                  ? 0
                  : static_cast<std::uint32_t>(static_cast<std::uint64_t>(now - reported_) * 65536 /
                                               1'000'000);
  return true;
}

Reception* Receptions::find(std::uint32_t ssrc) {
  for (Reception& reception : list_)
    if ((reception.source.get() & (kSsrcKnown | 0xffffffff)) == (kSsrcKnown | ssrc))
      return &reception;
  return nullptr;
}

void Receptions::on_packet(const RtpHeader& header, std::size_t size, std::uint32_t clock_rate,
                           Micros now) {
  Reception* reception = find(header.ssrc);
  if (reception == nullptr) {
    reception = &*std::ranges::min_element(list_, {}, &Reception::heard);
    reception->restart(header.ssrc);
  }
  reception->on_packet(header, size, clock_rate, now);
}

void Sendings::on_packet(const RtpHeader& header, std::size_t octets, std::uint32_t clock_rate,
                         Micros now) {
  auto found = std::ranges::find_if(list_, [&header](const Sending& sending) {
    return sending.sent != 0 && sending.ssrc == header.ssrc;
  });
  if (found == list_.end()) {
    found = std::ranges::min_element(list_, {}, &Sending::sent);
    *found = {};
    found->ssrc = header.ssrc;
  }
  found->packets += 1;
  found->octets += static_cast<std::uint32_t>(octets);
  found->timestamp = header.timestamp;
  found->clock_rate = clock_rate;
  found->sent = now;
}

} // namespace rtprelay
