// How the operating system schedules a thread.
#pragma once

#include <optional>

#include <sys/types.h>

namespace rtprelay {

struct ThreadScheduling {
  /// A policy of sched(7); negative: the one that it has.
  int policy = -1;
  /// Of a real-time policy its priority, of others the nice value. Nothing: 1, or the one that it
  /// has.
  std::optional<int> priority;
  /// The only processor that it may run on; negative: wherever it may run already.
  int cpu = -1;
};

/// 0, or the errno of what was refused; a processor that was refused takes nothing else back.
/// `thread`: 0 is the one that calls.
int apply_scheduling(const ThreadScheduling& wanted, pid_t thread = 0);

/// What a thread has at present. `thread`: as above.
ThreadScheduling scheduling_of(pid_t thread = 0);

/// Real-time scheduling, for a thread that packets wait for and that does what it does in no time;
/// what it starts meanwhile has none. false: it is not permitted.
bool make_realtime(pid_t thread);

/// The same for the thread that calls, which starts none; or else the lowest nice value that is
/// permitted.
void make_urgent();

/// What `scheduling_of` has returned, afterwards.
void make_usual(const ThreadScheduling& usual, pid_t thread = 0);

/// What `apply_scheduling` would return, found out by a thread that ends.
int try_scheduling(const ThreadScheduling& wanted);

} // namespace rtprelay
