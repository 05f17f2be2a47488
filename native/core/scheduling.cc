#include "scheduling.h"

#include <array>
#include <cerrno>
#include <cstddef>

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "thread.h"

namespace rtprelay {

namespace {

bool is_realtime(int policy) {
  policy &= ~SCHED_RESET_ON_FORK;
  return policy == SCHED_FIFO || policy == SCHED_RR;
}

/// As many as any kernel is built for.
constexpr std::size_t kMaxCpus = 8192;

int bind_to(int cpu, pid_t thread) {
  if (static_cast<std::size_t>(cpu) >= kMaxCpus)
    return EINVAL;
  constexpr std::size_t kBits = 8 * sizeof(unsigned long);
  std::array<unsigned long, kMaxCpus / kBits> mask{};
  mask.at(static_cast<std::size_t>(cpu) / kBits) = 1UL << (static_cast<std::size_t>(cpu) % kBits);
  return sched_setaffinity(thread, sizeof(mask), reinterpret_cast<const cpu_set_t*>(mask.data())) ==
                 0
             ? 0
             : errno;
}

id_t id_of(pid_t thread) { return static_cast<id_t>(thread == 0 ? syscall(SYS_gettid) : thread); }

int apply_policy(const ThreadScheduling& wanted, pid_t thread) {
  const bool realtime = is_realtime(wanted.policy);
  if (wanted.policy >= 0) {
    sched_param parameters{};
    parameters.sched_priority = realtime ? wanted.priority.value_or(1) : 0;
    // 0: the calling thread alone, sched(7).
    if (sched_setscheduler(thread, wanted.policy, &parameters) != 0)
      return errno;
  }
  if (realtime || !wanted.priority)
    return 0;
  return setpriority(PRIO_PROCESS, id_of(thread), *wanted.priority) == 0 ? 0 : errno;
}

} // namespace

int apply_scheduling(const ThreadScheduling& wanted, pid_t thread) {
  const int refused = apply_policy(wanted, thread);
  const int unbound = wanted.cpu < 0 ? 0 : bind_to(wanted.cpu, thread);
  return refused != 0 ? refused : unbound;
}

ThreadScheduling scheduling_of(pid_t thread) {
  const int policy = sched_getscheduler(thread);
  sched_param parameters{};
  if (is_realtime(policy) && sched_getparam(thread, &parameters) == 0)
    return {policy, parameters.sched_priority};
  return {policy, getpriority(PRIO_PROCESS, id_of(thread))};
}

bool make_realtime(pid_t thread) {
  return is_realtime(sched_getscheduler(thread)) ||
         apply_scheduling({.policy = SCHED_FIFO | SCHED_RESET_ON_FORK, .priority = 1}, thread) == 0;
}

void make_urgent() {
  // Nice values count within a session only (autogroups, sched(7)).
  if (make_realtime(0))
    return;
  // The second one is what the unit permits.
  for (const int nice : {-20, -10})
    if (apply_scheduling({.priority = nice}) == 0)
      return;
}

void make_usual(const ThreadScheduling& usual, pid_t thread) {
  // Only CAP_SYS_NICE may take the flag back.
  if (apply_scheduling(usual, thread) != 0)
    (void)apply_scheduling({usual.policy | SCHED_RESET_ON_FORK, usual.priority}, thread);
}

int try_scheduling(const ThreadScheduling& wanted) {
  int error = 0;
  start_thread([&] { error = apply_scheduling(wanted); }).join();
  return error;
}

} // namespace rtprelay
