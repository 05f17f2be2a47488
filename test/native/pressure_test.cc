// When more packets come than can be relayed, and when that is over.
#include "../../native/core/pressure.h"
#include "check.h"

using namespace rtprelay;

namespace {

constexpr Micros kRound = 500;

/// Rounds from `from` on; what the last one says.
bool rounds(Pressure& pressure, Micros from, Micros duration, bool full) {
  bool result = false;
  for (Micros now = from; now < from + duration; now += kRound)
    result = pressure.note(full, now);
  return result;
}

} // namespace

TEST("rounds that stay full are too much, a burst is not") {
  Pressure pressure;
  CHECK(!rounds(pressure, 1, Pressure::kStart, false));
  CHECK(!rounds(pressure, 4'000'000, Pressure::kLong / 2, true));
  CHECK(!rounds(pressure, 4'100'000, kRound, false));
  CHECK(!rounds(pressure, 4'200'000, Pressure::kLong / 2, true));
  CHECK(rounds(pressure, 5'000'000, 2 * Pressure::kLong, true));
}

TEST("what has waited for the process is taken first, however much it is") {
  Pressure pressure;
  CHECK(!rounds(pressure, 1, Pressure::kStart - kRound, true));
  CHECK(rounds(pressure, Pressure::kStart + kRound, kRound * 2, true));
}

TEST("it is over when no round has been full for a while") {
  Pressure pressure;
  (void)rounds(pressure, 1, Pressure::kStart, false);
  CHECK(rounds(pressure, 4'000'000, 2 * Pressure::kLong, true));
  CHECK(rounds(pressure, 4'200'000, Pressure::kCalm / 2, false));
  CHECK(rounds(pressure, 4'700'000, kRound, true));
  CHECK(rounds(pressure, 4'800'000, Pressure::kCalm / 2, false));
  CHECK(!rounds(pressure, 5'300'000, Pressure::kCalm, false));
}

TEST("what is made up for within a second does not last") {
  Pressure pressure;
  (void)rounds(pressure, 1, Pressure::kStart, false);
  CHECK(rounds(pressure, 4'000'000, Pressure::kLasting / 2, true));
  CHECK(!pressure.lasts(4'500'000));
  CHECK(rounds(pressure, 4'500'000, Pressure::kLasting, true));
  CHECK(pressure.lasts(5'500'000));
  CHECK(rounds(pressure, 5'500'000, kRound, false));
  CHECK(!pressure.lasts(5'500'000));
}
