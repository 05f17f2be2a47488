// When a worker looks for packets again. Pure: packets and time in, a moment out.
#pragma once

#include <cstddef>

#include "clock.h"

namespace rtprelay {

/// While many packets come, waking up for each of them costs more than relaying it: then the next
/// round begins so much later that it finds several, as network cards moderate their interrupts.
/// Where few come none waits.
// Thread: worker only.
class Pace {
public:
  /// The longest that there may be, so that a window has several rounds, µs.
  static constexpr Micros kMost = 2000;
  /// What a round is to find; more packets in one cost hardly less.
  static constexpr std::int64_t kPackets = 16;
  /// With fewer in the longest wait there is nothing to gain.
  static constexpr std::int64_t kFewest = 3;
  /// How long packets are counted to know their rate, µs.
  static constexpr Micros kWindow = 4000;

  /// No packet waits longer for others, µs; 0: none waits.
  explicit Pace(Micros longest = 0) : longest_(longest) {}

  [[nodiscard]] Micros longest() const { return longest_; }
  /// A round that began at `now` has taken `packets`. When the next one may begin: `now` means with
  /// the next packet.
  Micros next_round(std::size_t packets, Micros now);

private:
  Micros longest_;
  Micros counted_since_ = 0;
  std::int64_t counted_ = 0;
  Micros period_ = 0;
};

} // namespace rtprelay
