// When packets wait for others, and how long.
#include <algorithm>

#include "../../native/core/pace.h"
#include "check.h"

using namespace rtprelay;

namespace {

/// What packets meet that come every `gap` µs, as a worker takes them.
struct Rounds {
  Micros longest_wait = 0;
  std::size_t rounds = 0;
  std::size_t packets = 0;
};

Rounds run(Pace& pace, Micros from, Micros gap, Micros duration) {
  Rounds result;
  Micros next_packet = from;
  Micros now = from;
  while (now < from + duration) {
    now = std::max(now, next_packet);
    std::size_t taken = 0;
    for (; next_packet <= now; next_packet += gap, ++taken)
      result.longest_wait = std::max(result.longest_wait, now - next_packet);
    ++result.rounds;
    result.packets += taken;
    now = pace.next_round(taken, now);
  }
  return result;
}

} // namespace

TEST("few packets never wait") {
  constexpr Micros kLongest = 500;
  Pace pace(kLongest);
  const Micros few = kLongest / Pace::kFewest + 10;
  const Rounds met = run(pace, 1'000'000, few, 1'000'000);
  CHECK(met.longest_wait == 0 && met.rounds == met.packets);
}

TEST("many packets come several to a round, and none waits longer than the longest wait") {
  for (const Micros longest : {Micros{200}, Micros{500}, Pace::kMost})
    for (const Micros gap : {50, 20, 5}) {
      Pace pace(longest);
      (void)run(pace, 1'000'000, gap, 2 * Pace::kWindow);
      const Rounds met = run(pace, 2'000'000, gap, 1'000'000);
      CHECK(met.longest_wait <= longest);
      CHECK(met.packets >= met.rounds * static_cast<std::size_t>(Pace::kFewest));
    }
}

TEST("where none is to wait, none does, however many come") {
  Pace pace(0);
  const Rounds met = run(pace, 1'000'000, 1, 100'000);
  CHECK(met.longest_wait == 0);
}

TEST("a round finds what pays, not more: the more packets, the shorter they wait") {
  Pace pace;
  (void)run(pace, 1'000'000, 5, 2 * Pace::kWindow);
  const Rounds met = run(pace, 2'000'000, 5, 1'000'000);
  CHECK(met.longest_wait <= 5 * Pace::kPackets + 5);
}

TEST("when many become few, the wait ends with what is counted next") {
  Pace pace;
  (void)run(pace, 1'000'000, 20, 100'000);
  (void)run(pace, 1'100'000, 5'000, 10'000);
  CHECK(run(pace, 1'200'000, 5'000, 1'000'000).longest_wait == 0);
}
