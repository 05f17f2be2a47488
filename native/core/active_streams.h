// How many streams have been heard within the last second. Pure: packets and time in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "clock.h"
#include "counter.h"

namespace rtprelay {

/// A stream is counted in the slice of time of its last packet, and moves to another one at most
/// once in each: reading the last packets of thousands of streams takes milliseconds.
// Thread: written by the worker, read by any. Nothing lies beside it that other threads write.
class alignas(64) ActiveStreams {
public:
  /// Moments that are counted together, by their number since the machine started; 0: never.
  using Slice = std::uint32_t;

  /// A packet of a stream has come. `last`: the stream's, 0 at first.
  void heard(Slice& last, Micros now) {
    const Slice slice = slice_of(now);
    if (last == slice)
      return;
    forget(last);
    Counter& place = place_of(slice);
    place.set(slice_in(place) == slice ? place.get() + 1 : std::uint64_t{slice} << 32 | 1);
    last = slice;
  }
  /// The stream ends.
  void forget(Slice last) {
    Counter& place = place_of(last);
    if (last != 0 && slice_in(place) == last)
      place.set(place.get() - 1);
  }
  /// Those heard within a second before `now`, give or take a slice.
  [[nodiscard]] std::size_t count(Micros now) const {
    const Slice oldest = slice_of(now) - kSlices + 1;
    std::size_t count = 0;
    for (const Counter& place : places_)
      if (static_cast<std::int32_t>(slice_in(place) - oldest) >= 0)
        count += place.get() & 0xffffffff;
    return count;
  }

private:
  static constexpr std::uint32_t kSlices = 16;
  /// A slice is 2^16 µs, a sixteenth of a good second.
  static constexpr unsigned kSliceBits = 16;

  static Slice slice_of(Micros now) { return static_cast<Slice>(now >> kSliceBits) + 1; }
  static Slice slice_in(const Counter& place) { return static_cast<Slice>(place.get() >> 32); }
  Counter& place_of(Slice slice) { return places_[slice % kSlices]; }

  /// The slice above, how many streams below.
  std::array<Counter, kSlices> places_;
};

} // namespace rtprelay
