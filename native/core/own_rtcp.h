// RTCP that the relay itself sends: reports and requests for key frames. Pure: counters and time
// in, packets out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "clock.h"
#include "reception.h"

namespace rtprelay {

/// A request is repeated once after this: the first may have been lost (and browsers make one key
/// frame in 300 ms at most).
constexpr Micros kKeyFrameRepeatMicros = 300'000;
/// Sources of video of one stream that are asked (simulcast).
constexpr std::size_t kVideoSources = 8;
/// Report blocks of one packet (RFC 3550 §6.4.1).
constexpr std::size_t kMaxReportBlocks = 31;

/// Who sends.
struct RtcpAuthor {
  std::uint32_t ssrc = 0;
  std::string_view cname;
};

/// What `write_reports` reports on.
struct ReportInput {
  RtcpAuthor author;
  Micros now = 0;
  /// Of `now`, µs since 1970.
  Micros wall_clock = 0;
  /// Sources that were last sent before this are no senders any more.
  Micros senders_since = 0;
};

/// A compound of SR (one for each source that is sent) or RR, and SDES. Returns its size; 0:
/// nothing was sent or received, or there is no room.
std::size_t write_reports(const ReportInput& input, std::span<const Sending> sendings,
                          std::span<Reception> receptions, std::span<std::uint8_t> out);

enum class KeyFrameRequest : std::uint8_t { kPli, kFir };

/// RR, SDES and a request for a key frame of each of `sources` (RFC 4585 §6.3.1, RFC 5104 §4.3.1).
/// `number`: that of the request, for FIR. Returns its size; 0: there is no room.
std::size_t write_key_frame_requests(const RtcpAuthor& author, KeyFrameRequest kind,
                                     std::span<const std::uint32_t> sources, std::uint8_t number,
                                     std::span<std::uint8_t> out);

} // namespace rtprelay
