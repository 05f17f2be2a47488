// Where the threads of a process that stands by wait until the calls are its own.
#pragma once

#include <atomic>

namespace rtprelay {

class Gate {
public:
  // Thread: control.
  void open() {
    open_.store(true, std::memory_order_release);
    wake();
  }
  /// Whoever waits looks whether it is to end.
  void wake() {
    changes_.fetch_add(1, std::memory_order_release);
    changes_.notify_all();
  }

  // Thread: one that waits.
  /// Until it is open, or `ending`.
  void pass(const std::atomic<bool>& ending) const {
    for (;;) {
      const int seen = changes_.load(std::memory_order_acquire);
      if (open_.load(std::memory_order_acquire) || ending.load(std::memory_order_acquire))
        return;
      changes_.wait(seen);
    }
  }

private:
  std::atomic<bool> open_{false};
  std::atomic<int> changes_{0};
};

} // namespace rtprelay
