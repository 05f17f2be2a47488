// How much of something is taken from one that may send as much as it likes.
#pragma once

#include <cstdint>

#include "clock.h"

namespace rtprelay {

/// So many events within `tolerance`, and one per `interval` for long.
class Allowance {
public:
  constexpr Allowance(Micros interval, std::int64_t burst)
      : interval_(interval), tolerance_(interval * (burst - 1)) {}

  /// false: too much.
  bool take(Micros now) {
    const Micros at = due_ > now ? due_ : now;
    if (at - now > tolerance_)
      return false;
    due_ = at + interval_;
    return true;
  }

private:
  Micros interval_;
  Micros tolerance_;
  Micros due_ = 0;
};

} // namespace rtprelay
