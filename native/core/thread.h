// How the core starts its threads.
#pragma once

#include <thread>
#include <utility>

#include <signal.h>

namespace rtprelay {

/// A thread that runs `run` and gets no signals: the process' signals are for its main thread.
template <typename Run> std::thread start_thread(Run&& run) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::forward<Run>(run));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

} // namespace rtprelay
