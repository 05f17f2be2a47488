// The life of a process, as another one watches it.
#include "../../native/core/life.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

// The child starts a thread, and the process that it is a copy of has some.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace {

using namespace rtprelay;

constexpr int kLimitMs = 10'000;

/// A process that shows its life, and ends as the byte says that it is sent.
class Child {
public:
  Child() {
    CHECK(pipe2(to_.data(), O_CLOEXEC) == 0 && pipe2(from_.data(), O_CLOEXEC) == 0);
    pid_ = fork();
    if (pid_ == 0)
      live();
    // That a child has died is read then.
    close(from_[1]);
    int shown = -1;
    CHECK(read(from_[0], &shown, sizeof(shown)) == sizeof(shown) && shown >= 0);
    const std::string path = "/proc/" + std::to_string(pid_) + "/fd/" + std::to_string(shown);
    life_ = FileDescriptor(open(path.c_str(), O_RDWR | O_CLOEXEC));
    CHECK(Life::is_one(life_.get()));
  }
  ~Child() {
    (void)kill(pid_, SIGKILL);
    (void)waitpid(pid_, nullptr, 0);
    for (const int fd : {to_[0], to_[1], from_[0]})
      close(fd);
  }

  void watch(std::atomic<int>& status) const {
    watch_life(FileDescriptor(dup(life_.get())), [&status, pid = pid_](pid_t who, int how) {
      CHECK(who == pid);
      status.store(how);
    });
  }
  void order(char what) const { CHECK(write(to_[1], &what, 1) == 1); }
  [[nodiscard]] pid_t pid() const { return pid_; }

private:
  [[noreturn]] void live() const {
    auto life = Life::begin();
    const int shown = life == nullptr ? -1 : life->fd();
    (void)!write(from_[1], &shown, sizeof(shown));
    char what = 0;
    while (read(to_[0], &what, 1) == 1) {
      if (what == 'l')
        life.reset();
      else
        _exit(what - '0');
    }
    _exit(9);
  }

  std::array<int, 2> to_{};
  std::array<int, 2> from_{};
  pid_t pid_ = 0;
  FileDescriptor life_;
};

bool comes(const std::atomic<int>& value, int wanted) {
  for (int waited = 0; waited < kLimitMs && value.load() != wanted; ++waited)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return value.load() == wanted;
}

TEST("everybody who watches a process hears that it was killed, and how it failed") {
  for (const char how : {'k', '3'}) {
    Child child;
    std::array<std::atomic<int>, 2> statuses{};
    for (auto& status : statuses)
      child.watch(status);
    if (how == 'k')
      CHECK(kill(child.pid(), SIGKILL) == 0);
    else
      child.order(how);
    for (const auto& status : statuses)
      CHECK(comes(status, how == 'k' ? SIGKILL : 3 << 8));
  }
}

TEST("nothing is said of a process that ends in order, or is watched no more") {
  std::array<std::atomic<int>, 3> statuses{};
  Child in_order;
  in_order.watch(statuses[0]);
  in_order.order('0');
  Child left;
  left.watch(statuses[1]);
  left.order('l');
  left.order('3');
  CHECK(waitpid(in_order.pid(), nullptr, 0) > 0 && waitpid(left.pid(), nullptr, 0) > 0);
  // One that is killed after them is heard of all the same.
  Child killed;
  killed.watch(statuses[2]);
  CHECK(kill(killed.pid(), SIGKILL) == 0);
  CHECK(comes(statuses[2], SIGKILL));
  CHECK(statuses[0].load() == 0 && statuses[1].load() == 0);
}

TEST("what is no life is none") {
  const FileDescriptor file(open("/dev/null", O_RDWR | O_CLOEXEC));
  CHECK(!Life::is_one(file.get()));
}

} // namespace
