// Endpoint learning ("latching"): which source addresses a stream trusts. Pure state machine.
#pragma once

#include <cstdint>

#include "address.h"
#include "clock.h"
#include "plan.h"

namespace rtprelay {

/// delayed and heuristic learning settle this long after the learning began (rtpengine: 3 s).
constexpr Micros kSettleMicros = 3'000'000;
/// A source that has not sent for this long may be followed by another that is no better: two and a
/// half packets of 20 ms. Short, because the preferred source gets the stream back with its next
/// packet.
constexpr Micros kSilentMicros = 50'000;
/// Learning ends with another source than the preferred one only when that has been silent so long.
constexpr Micros kGoneMicros = 1'000'000;

/// What decides about a source, from the plan.
struct LatchPolicy {
  Learning learning = Learning::kOff;
  bool strict_source = false;
  bool media_handover = false;
  SocketAddress signalled;
};

/// What the latch has to know of a packet.
struct LatchPacket {
  const SocketAddress& source;
  /// It is what the stream is for (RTP, or RTCP on the port of RTCP). Whatever else is sent to the
  /// port says nothing of where the stream's own packets should go.
  bool teaches = true;
  /// SSRC of its sender with bit 32 set; 0: it has none.
  std::uint64_t ssrc = 0;
};

enum class LatchVerdict : std::uint8_t { kAccept, kReject };

struct LatchOutcome {
  LatchVerdict verdict = LatchVerdict::kAccept;
  /// `endpoint()` or `confirmed()` differ from before.
  bool changed = false;
};

/// Whom it follows while it learns, and with media-handover afterwards:
/// - The first source that is heard, or the one known from before, is preferred: it gets the stream
///   with each of its packets.
/// - A source that is nearer to the SDP (`rank_source`) becomes the preferred one. So does one with
///   the SSRC of the source followed: it is the same sender behind another NAT binding.
/// - Any other is followed only while the one followed is silent, with heuristic learning not even
///   then if it is farther from the SDP.
/// Two sources that send at the same time therefore do not take the stream from each other by the
/// order in which their packets happen to be read.
// Thread: worker only.
class Latch {
public:
  /// Starts anew. What was learned is forgotten, unless `endpoint` is just that: then it goes on as
  /// the preferred source of the new learning.
  void restart(const SocketAddress& endpoint, bool confirmed, Micros now);
  /// The plan changed without a new generation: its endpoint counts unless packets have taught
  /// another.
  void refresh(const SocketAddress& endpoint, bool confirmed);
  /// A packet arrived.
  LatchOutcome on_packet(const LatchPolicy& policy, const LatchPacket& packet, Micros now);

  [[nodiscard]] const SocketAddress& endpoint() const { return endpoint_; }
  [[nodiscard]] bool confirmed() const { return confirmed_; }

private:
  LatchOutcome on_confirmed(const LatchPolicy& policy, const LatchPacket& packet, Micros now);
  LatchOutcome on_learning(const LatchPolicy& policy, const LatchPacket& packet, Micros now);
  /// A packet of another source than the one followed: is it to be followed?
  bool takes_over(const LatchPolicy& policy, const LatchPacket& packet, Micros now);
  void prefer(const SocketAddress& source, Micros now);
  void hear(const LatchPacket& packet, Micros now);
  void confirm();

  SocketAddress endpoint_;
  /// The preferred source; none before one was heard.
  SocketAddress preferred_;
  Micros started_ = 0;
  /// Last packets of `endpoint_` and of `preferred_`.
  Micros heard_ = -kGoneMicros;
  Micros preferred_heard_ = -kGoneMicros;
  /// Of the last packet of `endpoint_`.
  std::uint64_t ssrc_ = 0;
  bool confirmed_ = false;
  /// A packet has taught since the start.
  bool learned_ = false;
};

/// 0 exactly as signalled, 1 same address, 2 same port, 3 anything else.
std::uint8_t rank_source(const SocketAddress& signalled, const SocketAddress& source);

} // namespace rtprelay
