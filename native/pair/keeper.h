// Holds the sockets of a daemon, watches it, and has another one ready that follows it.
#pragma once

#include <array>
#include <cstdint>

#include <poll.h>
#include <sys/types.h>

#include "launch.h"
#include "message.h"
#include "store.h"

namespace rtprelay::pair {

/// Milliseconds of CLOCK_MONOTONIC.
using Millis = std::int64_t;

struct KeeperOptions {
  /// A process that says nothing for so long is dead.
  int watchdog_ms = 5000;
  /// After an upgrade the former version stands by for so long.
  int probation_ms = 10'000;
};

class Keeper {
public:
  Keeper(KeeperOptions options, Launcher& launcher) : options_(options), launcher_(launcher) {}

  /// false: there is no memory or no socket; errno says which.
  bool open();
  /// Until the daemon has ended for good; the exit status.
  int run();

private:
  /// What a process is for; each has one place.
  enum Role : std::uint8_t {
    kActive,
    kSpare,
    /// Of a newer version, about to become active.
    kCandidate,
    /// Has handed over, and is to end.
    kLeaving,
    kRoles
  };

  struct Member {
    pid_t pid = 0;
    int channel = -1;
    std::size_t cursor = 0;
    /// As many removals it has heard of.
    std::uint64_t removals = 0;
    Millis started = 0;
    Millis heard = 0;
    /// What it had of the processors at some moment since then.
    Share share;
    Millis measured = 0;
    /// Since when it seems not to answer, 0: it does.
    Millis doubted = 0;
    /// When it was stopped (SIGSTOP), 0: it runs.
    Millis stopped = 0;
    /// Until then it has to do what it was last told, 0: nothing.
    Millis deadline = 0;
    /// Gets descriptors.
    bool follows = false;
    bool ready = false;
    bool was_killed = false;
    bool blocked = false;
    /// To be sent when it has all descriptors, 0: none.
    char order = 0;
  };

  void start(Role role);
  void end(Role role, int signal);
  void move(Role from, Role to);
  void pump(Member& member);
  bool send(Member& member, char kind, const int* fds, std::size_t count, const char* name = "");
  void take_messages();
  void hear(Role role, const Message& message, const int* fds, std::size_t count);
  void keep(const Message& message, const int* fds, std::size_t count);
  void take_signals();
  void obey(int signal);
  void reap();
  void ended(pid_t pid, int status);
  void hear_of_end(const Message& message);
  void active_ended(const Member& member, int status);
  void promote();
  void activate(Role from);
  void begin_upgrade();
  void hand_over();
  void look();
  void look_at(Role role);
  void measure(Member& member) const;
  void excuse(Member& member) const;
  /// Milliseconds until `look` has something to do.
  [[nodiscard]] int pause() const;
  [[nodiscard]] bool nobody_lives() const;
  Member& at(Role role) { return members_[role]; }

  const KeeperOptions options_;
  Launcher& launcher_;
  Store store_;
  /// Names of the sockets that were removed last; a copy would keep a port from everybody.
  std::array<std::array<char, kMaxName + 1>, 1024> removed_{};
  std::uint64_t removals_ = 0;
  int signals_ = -1;
  int notifications_ = -1;
  std::array<Member, kRoles> members_;
  BackOff active_starts_;
  BackOff spare_starts_;
  Millis now_ = 0;
  /// When the process of that role is to be started, 0: not.
  Millis start_active_ = 0;
  Millis start_spare_ = 0;
  /// Until then the spare is of the former version, 0: it is of the same.
  Millis probation_ = 0;
  bool ever_ready_ = false;
  bool ending_ = false;
  int status_ = 0;
};

} // namespace rtprelay::pair
