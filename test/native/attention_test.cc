// When the control thread looks for the next message before it sleeps.
#include "../../native/core/attention.h"
#include "check.h"

using namespace rtprelay;

namespace {

constexpr Micros kHandled = 100;
constexpr Micros kLongest = 150;
constexpr Micros kSoon = 250;

Micros done = 1'000'000;

/// How long it looks in vain, and how many messages it finds, when they come so long after one
/// another's answers.
struct Watched {
  Micros in_vain = 0;
  int caught = 0;
  int messages = 0;
};

Watched watch(Attention& attention, const auto& gap_of, int messages, bool crowded = false) {
  Watched result;
  for (int i = 0; i < messages; ++i) {
    const Micros gap = gap_of(i);
    attention.await(done);
    if (attention.lasts(done)) {
      if (attention.lasts(done + gap))
        ++result.caught;
      else
        result.in_vain += kLongest;
    }
    attention.note(done + gap, crowded);
    done += gap + kHandled;
    ++result.messages;
  }
  return result;
}

} // namespace

TEST("commands that follow one another are looked for") {
  Attention attention(kLongest, kSoon);
  const Watched met = watch(
      attention, [](int) -> Micros { return 40; }, 1000);
  CHECK(met.caught >= met.messages - Attention::kTrusts - 1);
  CHECK(met.in_vain == 0);
}

TEST("single commands are not") {
  Attention attention(kLongest, kSoon);
  const Watched met = watch(
      attention, [](int) -> Micros { return 2000; }, 1000);
  CHECK(met.caught == 0 && met.in_vain == 0);
}

TEST("a call's commands alone, some time after one another, neither") {
  Attention attention(kLongest, kSoon);
  const Watched met = watch(
      attention, [](int i) -> Micros { return i % 3 == 0 ? 5000 : 40; }, 999);
  CHECK(met.in_vain == 0);
}

TEST("when those that came soon stay away, it looks a few times in vain at most") {
  Attention attention(kLongest, kSoon);
  (void)watch(
      attention, [](int) -> Micros { return 40; }, 1000);
  const Watched met = watch(
      attention, [](int) -> Micros { return 5000; }, 1000);
  constexpr int kTimes = Attention::kMostTrust / Attention::kLate;
  CHECK(met.in_vain <= kTimes * kLongest);
}

TEST("one late command among many is no reason to sleep") {
  Attention attention(kLongest, kSoon);
  (void)watch(
      attention, [](int) -> Micros { return 40; }, 1000);
  const Watched met = watch(
      attention, [](int i) -> Micros { return i % 20 == 0 ? 5000 : 40; }, 1000);
  CHECK(met.caught >= met.messages * 9 / 10);
}

TEST("who comes as soon as it sleeps, and not before, is hardly looked for") {
  Attention attention(kLongest, kSoon);
  (void)watch(
      attention, [](int) -> Micros { return 40; }, 1000);
  const Watched met = watch(
      attention, [](int) -> Micros { return kLongest + 10; }, 1000);
  CHECK(met.caught == 0);
  CHECK(met.in_vain <= met.messages / 30 * kLongest);
  const Watched later = watch(
      attention, [](int) -> Micros { return kLongest + 10; }, 10'000);
  CHECK(later.in_vain <= later.messages / 200 * kLongest);
}

TEST("it stops looking after a moment") {
  Attention attention(kLongest, kSoon);
  (void)watch(
      attention, [](int) -> Micros { return 40; }, 10);
  constexpr Micros now = 1'000'000'000;
  attention.await(now);
  CHECK(attention.lasts(now + kLongest - 1));
  CHECK(!attention.lasts(now + kLongest));
}

TEST("where others take the processor it sleeps") {
  Attention attention(kLongest, kSoon);
  (void)watch(
      attention, [](int) -> Micros { return 40; }, 1000);
  (void)watch(
      attention, [](int) -> Micros { return 40; }, 10, true);
  const Watched met = watch(
      attention, [](int) -> Micros { return 40; }, 1000, true);
  CHECK(met.caught == 0 && met.in_vain == 0);
}

TEST("how long it takes to work on what has come does not count against it") {
  Attention attention(kLongest, kSoon);
  (void)watch(
      attention, [](int) -> Micros { return 40; }, 10);
  constexpr Micros now = 2'000'000'000;
  for (int i = 0; i < 100; ++i) {
    attention.await(now + i * 1000);
    CHECK(attention.lasts(now + i * 1000 + 100));
    attention.note(now + i * 1000 + 900, false);
  }
}

TEST("distrust ends") {
  Attention attention(kLongest, kSoon);
  (void)watch(
      attention, [](int) -> Micros { return kLongest + 10; }, 10'000);
  (void)watch(
      attention, [](int) -> Micros { return 40; }, 10'000);
  const Watched met = watch(
      attention, [](int) -> Micros { return 40; }, 1000);
  CHECK(met.caught == met.messages);
}
