#include "scheduling.h"

#include <cerrno>

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "thread.h"

namespace rtprelay {

int apply_scheduling(const ThreadScheduling& wanted) {
  const bool realtime = wanted.policy == SCHED_FIFO || wanted.policy == SCHED_RR;
  if (wanted.policy >= 0) {
    sched_param parameters{};
    parameters.sched_priority = realtime ? wanted.priority.value_or(1) : 0;
    // 0: the calling thread alone, sched(7).
    if (sched_setscheduler(0, wanted.policy, &parameters) != 0)
      return errno;
  }
  if (realtime || !wanted.priority)
    return 0;
  const auto thread = static_cast<id_t>(syscall(SYS_gettid));
  return setpriority(PRIO_PROCESS, thread, *wanted.priority) == 0 ? 0 : errno;
}

int try_scheduling(const ThreadScheduling& wanted) {
  int error = 0;
  start_thread([&] { error = apply_scheduling(wanted); }).join();
  return error;
}

} // namespace rtprelay
