// Which streams count as active.
#include "../../native/core/active_streams.h"
#include "check.h"

using namespace rtprelay;

namespace {

constexpr Micros kStart = 1'000'000'000;
constexpr Micros kSecond = 1'000'000;

} // namespace

TEST("a stream is active for a second after its last packet, and counts once") {
  ActiveStreams active;
  ActiveStreams::Slice one = 0;
  ActiveStreams::Slice two = 0;
  CHECK(active.count(kStart) == 0);
  for (Micros now = kStart; now < kStart + 5 * kSecond; now += 20'000) {
    active.heard(one, now);
    CHECK(active.count(now) == 1);
  }
  const Micros last = kStart + 5 * kSecond;
  active.heard(two, last);
  CHECK(active.count(last) == 2);
  CHECK(active.count(last + kSecond * 9 / 10) == 2);
  CHECK(active.count(last + kSecond * 11 / 10) == 0);
  active.heard(one, last + 10 * kSecond);
  CHECK(active.count(last + 10 * kSecond) == 1);
}

TEST("a stream that ends is active no more, whenever it was heard") {
  ActiveStreams active;
  std::array<ActiveStreams::Slice, 3> streams{};
  active.forget(streams[0]);
  for (ActiveStreams::Slice& stream : streams)
    active.heard(stream, kStart);
  active.forget(streams[0]);
  CHECK(active.count(kStart) == 2);
  // Another one is counted where the second was.
  active.heard(streams[2], kStart + (kSecond << 4));
  active.forget(streams[1]);
  CHECK(active.count(kStart + (kSecond << 4)) == 1);
}

TEST("who reads is a moment behind the worker or before it") {
  ActiveStreams active;
  ActiveStreams::Slice stream = 0;
  active.heard(stream, kStart + 70'000);
  CHECK(active.count(kStart) == 1);
  CHECK(active.count(kStart + 140'000) == 1);
}
