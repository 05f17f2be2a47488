// What arrives of each source, counted from its RTP (RFC 3550 §6.4.1, A.1, A.3, A.8), and what is
// sent of each: what reports are made of. Pure: headers and time in, numbers out.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "clock.h"
#include "counter.h"

namespace rtprelay {

/// Sources of one stream that are counted at a time; a further one takes the place of that which
/// has been silent for longest.
constexpr std::size_t kCountedSources = 8;

struct RtpHeader {
  std::uint32_t ssrc = 0;
  std::uint32_t timestamp = 0;
  std::uint16_t sequence = 0;
  std::uint8_t payload_type = 0;
};

/// `packet` has a whole fixed header.
RtpHeader rtp_header(std::span<const std::uint8_t> packet);

/// Bytes of a packet without header, CSRCs, extension and padding; 0 if they do not fit.
std::size_t payload_size(std::span<const std::uint8_t> packet);

/// A block of SR or RR, in the units of the packet.
struct ReportBlock {
  std::uint32_t ssrc = 0;
  std::uint8_t fraction_lost = 0;
  std::int32_t cumulative_loss = 0;
  std::uint32_t highest_sequence = 0;
  std::uint32_t jitter = 0;
  std::uint32_t last_report = 0;
  std::uint32_t delay = 0;
};

/// One source as its receiver knows it.
// Thread: worker only, but for the counters, which any may read.
class Reception {
public:
  /// Begins anew with another source.
  void restart(std::uint32_t ssrc);
  /// `clock_rate` 0: jitter is not computed.
  void on_packet(const RtpHeader& header, std::size_t size, std::uint32_t clock_rate, Micros now);
  /// Its sender report came.
  void on_report(std::uint32_t ntp_middle, Micros now);
  /// What a report says of it; the next one counts from here. false: nothing came since the last.
  bool report(Micros now, ReportBlock& out);
  [[nodiscard]] Micros heard() const { return heard_; }

  // Thread: written by the worker, read by any.
  /// SSRC and payload type of its last packet, see kSsrcKnown; 0: none yet.
  Counter source;
  Counter packets;
  Counter bytes;
  /// Missing so far; what comes late or twice is taken into account.
  Counter lost;
  Counter duplicates;
  /// Came after one with a higher number.
  Counter reordered;
  /// Runs of numbers that are missing so far, and how often its numbers began anew.
  Counter skips;
  Counter resets;
  /// In units of the clock rate.
  Counter jitter;
  Counter last_sequence;
  Counter last_timestamp;

private:
  void begin(std::uint16_t sequence);
  /// A packet with the number `highest_ - behind` came, which was missing.
  void fill(std::uint16_t behind);
  /// false: so far from the others that it is not believed yet.
  bool advance(std::uint16_t sequence);
  void measure_jitter(const RtpHeader& header, std::uint32_t clock_rate, Micros now);

  Micros heard_ = 0;
  bool started_ = false;
  /// Extended by the cycles.
  std::uint32_t first_ = 0;
  std::uint32_t highest_ = 0;
  /// Bit i: `highest_ - i` has come.
  std::uint64_t seen_ = 0;
  /// The number after the last one that was not believed; beyond 16 bits: none.
  std::uint32_t restart_at_ = 0x10000;
  std::uint32_t received_ = 0;
  std::uint32_t expected_before_ = 0;
  std::uint32_t received_before_ = 0;
  /// In 1/16 of the clock's units.
  std::uint32_t jitter_ = 0;
  std::uint32_t transit_ = 0;
  bool has_transit_ = false;
  std::uint32_t report_ntp_ = 0;
  Micros reported_ = 0;
};

/// The sources that arrive as one stream.
// Thread: as Reception.
class Receptions {
public:
  /// null: unknown.
  Reception* find(std::uint32_t ssrc);
  void on_packet(const RtpHeader& header, std::size_t size, std::uint32_t clock_rate, Micros now);
  [[nodiscard]] std::span<Reception> all() { return list_; }
  [[nodiscard]] std::span<const Reception> all() const { return list_; }

private:
  std::array<Reception, kCountedSources> list_;
};

/// One source as it is sent to a remote.
struct Sending {
  std::uint32_t ssrc = 0;
  std::uint32_t packets = 0;
  /// Of payload (RFC 3550 §6.4.1).
  std::uint32_t octets = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t clock_rate = 0;
  /// When the last packet was sent; 0: it is unused.
  Micros sent = 0;
};

/// The sources that are sent to one remote.
// Thread: worker only.
class Sendings {
public:
  void on_packet(const RtpHeader& header, std::size_t octets, std::uint32_t clock_rate, Micros now);
  [[nodiscard]] std::span<const Sending> all() const { return list_; }

private:
  std::array<Sending, kCountedSources> list_;
};

} // namespace rtprelay
