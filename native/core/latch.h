// Endpoint learning ("latching"): which source addresses a stream trusts. Pure state machine.
#pragma once

#include <cstdint>

#include "address.h"
#include "plan.h"

namespace rtprelay {

/// Monotonic time in microseconds.
using Micros = std::int64_t;

/// delayed and heuristic learning settle this long after the learning began (rtpengine: 3 s).
constexpr Micros kSettleMicros = 3'000'000;

/// What decides about a source, from the plan.
struct LatchPolicy {
  Learning learning = Learning::kOff;
  bool strict_source = false;
  bool media_handover = false;
  SocketAddress signalled;
};

enum class LatchVerdict : std::uint8_t { kAccept, kReject };

struct LatchOutcome {
  LatchVerdict verdict = LatchVerdict::kAccept;
  /// `endpoint()` or `confirmed()` differ from before.
  bool changed = false;
};

// Thread: worker only.
class Latch {
public:
  /// Forgets what was learned and starts anew.
  void restart(const SocketAddress& endpoint, bool confirmed, Micros now);
  /// The plan changed without a new epoch: its endpoint counts unless packets have taught another.
  void refresh(const SocketAddress& endpoint, bool confirmed);
  /// A packet from `source` arrived.
  LatchOutcome on_packet(const LatchPolicy& policy, const SocketAddress& source, Micros now);

  [[nodiscard]] const SocketAddress& endpoint() const { return endpoint_; }
  [[nodiscard]] bool confirmed() const { return confirmed_; }

private:
  LatchOutcome on_confirmed(const LatchPolicy& policy, const SocketAddress& source);
  void learn(const LatchPolicy& policy, const SocketAddress& source);

  SocketAddress endpoint_;
  Micros started_ = 0;
  bool confirmed_ = false;
  bool learned_ = false;
  /// Rank of the best source so far (heuristic); lower is better.
  std::uint8_t best_rank_ = 0xff;
};

/// 0 exactly as signalled, 1 same address, 2 same port, 3 anything else.
std::uint8_t rank_source(const SocketAddress& signalled, const SocketAddress& source);

} // namespace rtprelay
