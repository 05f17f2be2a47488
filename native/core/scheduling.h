// How the operating system schedules a thread.
#pragma once

#include <optional>

namespace rtprelay {

struct ThreadScheduling {
  /// A policy of sched(7); negative: the one that it has.
  int policy = -1;
  /// Of a real-time policy its priority, of others the nice value. Nothing: 1, or the one that it
  /// has.
  std::optional<int> priority;
};

/// Of the thread that calls. 0, or the errno of what was refused.
int apply_scheduling(const ThreadScheduling& wanted);

/// What `apply_scheduling` would return, found out by a thread that ends.
int try_scheduling(const ThreadScheduling& wanted);

} // namespace rtprelay
