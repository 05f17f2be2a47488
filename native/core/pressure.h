// Whether more packets come than can be relayed. Pure: rounds and time in.
#pragma once

#include "clock.h"

namespace rtprelay {

/// A buffer that holds all that comes while a process is exchanged for another holds seconds of
/// stale audio when more comes than can be relayed: then it has to be small, and drop.
// Thread: worker only.
class Pressure {
public:
  /// At first what has waited for the process is taken, however long that takes, µs.
  static constexpr Micros kStart = 3'000'000;
  /// Rounds that are full for so long, µs: it does not become less.
  static constexpr Micros kLong = 100'000;
  /// So long a thread may take to make up for what it was late with, µs.
  static constexpr Micros kLasting = 1'000'000;
  /// Without a full one for so long it is over, µs.
  static constexpr Micros kCalm = 1'000'000;

  /// A round at `now` has taken all that it has room for, or not. true: too much comes.
  bool note(bool full, Micros now);
  /// It has not become less for so long that it is no delay which is made up for.
  [[nodiscard]] bool lasts(Micros now) const {
    return too_much_ && full_since_ != 0 && now - full_since_ >= kLasting;
  }

private:
  Micros started_ = 0;
  /// 0: the last round was not full.
  Micros full_since_ = 0;
  Micros last_full_ = 0;
  bool too_much_ = false;
};

} // namespace rtprelay
