// The time of the packet path.
#pragma once

#include <cstdint>
#include <limits>

namespace rtprelay {

/// Monotonic time in microseconds.
using Micros = std::int64_t;

/// A deadline that never comes.
constexpr Micros kNever = std::numeric_limits<Micros>::max();

} // namespace rtprelay
