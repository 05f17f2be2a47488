// What a worker keeps of RTCP that the relay itself sends about one stream.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string>

#include "own_rtcp.h"

namespace rtprelay {

struct StreamConfig;

/// A source of video is silent, compared with the others, after this: it has probably ended.
constexpr Micros kVideoSilentMicros = 5'000'000;

/// The sources of one stream that can make key frames.
// Thread: worker only.
class VideoSources {
public:
  void hear(std::uint32_t ssrc, Micros now);
  /// Those that send, into `out`; their number.
  std::size_t active(std::array<std::uint32_t, kVideoSources>& out) const;

private:
  struct Heard {
    std::uint32_t ssrc = 0;
    /// 0: unused.
    Micros at = 0;
  };
  std::array<Heard, kVideoSources> list_{};
};

// Thread: worker only, but for its making.
struct OwnRtcp {
  explicit OwnRtcp(std::uint32_t own_ssrc) : ssrc(own_ssrc) {}

  /// Random, so that no two processes use the same index of an SRTCP key for it.
  const std::uint32_t ssrc;
  Sendings sendings;
  VideoSources video;
  /// Requests for a key frame that are still to be sent; the first waits for a source to be heard.
  std::uint8_t requests = 0;
  bool waits_for_source = false;
  /// RFC 5104 §4.3.1.1: of the last request.
  std::uint8_t request_number = 0;
};

/// `OwnRtcpSpec` as the worker uses it.
struct OwnRtcpConfig {
  OwnRtcp* state = nullptr;
  /// It leaves by this stream's transport.
  const StreamConfig* by = nullptr;
  /// 0: no reports.
  Micros interval = 0;
  std::string cname;
  bool pli = false;
  bool fir = false;
  std::bitset<128> video_types;

  [[nodiscard]] bool asks_for_key_frames() const { return pli || fir; }
  [[nodiscard]] RtcpAuthor author() const { return {state->ssrc, cname}; }
};

} // namespace rtprelay
