// The life of a process, for another one to wait for its end. The kernel reports a death only when
// the memory of the dead has been given back, tens of milliseconds after its last thread has run; a
// robust mutex in shared memory (memfd_create(2)) is released at once.
#pragma once

#include <functional>
#include <memory>
#include <semaphore>
#include <thread>

#include <sys/types.h>

#include "socket.h"

namespace rtprelay {

/// Of this process. A thread of its own has it, which the kernel ends first of all.
// Thread: control.
class Life {
public:
  /// null: there is no memory.
  static std::unique_ptr<Life> begin();
  ~Life();
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Whether `fd` is such a file.
  static bool is_one(int fd);

private:
  Life(FileDescriptor fd, void* memory) : fd_(std::move(fd)), memory_(memory) {}
  /// false: there is no thread.
  bool hold();

  FileDescriptor fd_;
  void* memory_;
  std::thread holder_;
  std::binary_semaphore is_held_{0};
  std::binary_semaphore left_{0};
};

/// Calls `ended` from a thread of its own, once, when the process whose life `fd` is has been ended
/// by a signal or with a status other than 0: none of its media threads runs any more, and no other
/// one comes back to its program. `status`: as
/// waitpid(2) will tell. Never, if that cannot be found out.
void watch_life(FileDescriptor fd, std::function<void(pid_t pid, int status)> ended);

} // namespace rtprelay
