// Whether the control thread looks for the next message at once, or sleeps. Pure: moments in.
#pragma once

#include "clock.h"

namespace rtprelay {

/// A proxy that has its answer often has the next command, and a Redis server that is near soon has
/// its reply. To sleep until then costs more than to look: a processor that wakes up takes tens of
/// microseconds, and finds its caches cold. So while what comes mostly comes soon, the thread looks
/// for a moment before it sleeps.
// Thread: JavaScript thread.
class Attention {
public:
  /// So many times soon in a row, then it looks.
  static constexpr int kTrusts = 4;
  static constexpr int kMostTrust = 16;
  /// What is late weighs as much as so many that are soon: looking pays where four of five are.
  static constexpr int kLate = 4;
  /// When too much was late that was looked for, so many must come soon before it looks again,
  /// twice as many each time: where the sender waits for the processor of whoever looks for him, he
  /// comes soon only to one who sleeps.
  static constexpr int kLeastDistrust = 32;
  static constexpr int kMostDistrust = 256;

  /// @param longest how long it looks, µs.
  /// @param soon what counts as soon to one who sleeps, µs: the time that waking up takes is in it.
  Attention(Micros longest, Micros soon) : longest_(longest), soon_(soon) {}

  /// From `now` on it may come.
  void await(Micros now);
  /// It has come. `crowded`: other threads have taken the processor from this one meanwhile, and
  /// among those that wait for it may be the sender.
  void note(Micros now, bool crowded);
  /// Whether to look at `now`. Whoever looks asks until it says no.
  bool lasts(Micros now);

private:
  Micros longest_;
  Micros soon_;
  Micros awaited_since_ = 0;
  /// It has looked and given up.
  bool in_vain_ = false;
  int trust_ = 0;
  int distrust_ = kLeastDistrust;
};

} // namespace rtprelay
