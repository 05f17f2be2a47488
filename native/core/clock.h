// The time of the packet path.
#pragma once

#include <cstdint>
#include <ctime>
#include <limits>

namespace rtprelay {

/// Monotonic time in microseconds.
using Micros = std::int64_t;

inline Micros monotonic_micros() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Micros>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

/// A deadline that never comes.
constexpr Micros kNever = std::numeric_limits<Micros>::max();

} // namespace rtprelay
