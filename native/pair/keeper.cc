#include "keeper.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rtprelay::pair {

namespace {

/// Descriptors in a message to a child; the kernel takes 253.
constexpr std::size_t kFdsPerMessage = 64;
/// Messages of children between two looks at everything else.
constexpr int kMessagesPerRound = 64;
constexpr std::uint32_t kMostDescriptors = 1U << 20U;
/// Our own, and those on their way.
constexpr std::uint32_t kKeptBack = 64;
/// A spare is not started while a new active process has everything to do.
constexpr Millis kSparePause = 500;
/// Somebody who stops a process for a moment gets so long for it.
constexpr Millis kStopGrace = 100;
/// Whoever was frozen together with us says that it lives as soon as it runs.
constexpr Millis kSecondLook = 250;
/// A process that was warm has to serve by then.
constexpr Millis kServeLimit = 15'000;
constexpr Millis kHandOverLimit = 2'000;
constexpr Millis kLeaveLimit = 5'000;
/// To load and to follow all calls.
constexpr Millis kCandidateLimit = 60'000;
/// What the kernel had no room for is tried again after so long.
constexpr int kRetryMs = 2;

/// Signals that end or stop a program by default and mean nothing to this one.
constexpr std::array kIgnored{SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF, SIGIO,  SIGXCPU,  SIGXFSZ,
                              SIGTSTP, SIGTTIN, SIGTTOU,   SIGPWR,  SIGSYS, SIGSTKFLT};
constexpr std::array kTaken{SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

Millis now_ms() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Millis>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000;
}

std::uint32_t descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return 1024;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::uint32_t>(std::clamp<rlim_t>(limit.rlim_cur, 256, kMostDescriptors));
}

int open_signals() {
  for (const int signal : kIgnored)
    (void)::signal(signal, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kTaken)
    sigaddset(&set, signal);
  if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0)
    return -1;
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

} // namespace

bool Keeper::open() {
  const std::uint32_t capacity = descriptor_limit() - kKeptBack;
  if (!store_.open(capacity))
    return false;
  signals_ = open_signals();
  notifications_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (signals_ < 0 || notifications_ < 0)
    return false;
  // The kernel chooses a name that nobody has.
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const int on = 1;
  if (bind(notifications_, reinterpret_cast<sockaddr*>(&name), sizeof(name.sun_family)) != 0 ||
      setsockopt(notifications_, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0)
    return false;
  socklen_t length = sizeof(name);
  if (getsockname(notifications_, reinterpret_cast<sockaddr*>(&name), &length) != 0)
    return false;
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
  const std::size_t bytes = length - offsetof(sockaddr_un, sun_path) - 1;
  return launcher_.prepare({name.sun_path + 1, bytes}, capacity, options_.watchdog_ms);
}

int Keeper::run() {
  now_ = now_ms();
  start_active_ = now_;
  for (;;) {
    look();
    if (ending_ && nobody_lives())
      return status_;
    for (Member& member : members_)
      if (member.pid != 0)
        pump(member);
    std::array<pollfd, 2> sources{pollfd{signals_, POLLIN, 0}, pollfd{notifications_, POLLIN, 0}};
    (void)poll(sources.data(), sources.size(), pause());
    now_ = now_ms();
    // First what a process said before it ended.
    take_messages();
    take_signals();
  }
}

bool Keeper::nobody_lives() const {
  return std::ranges::all_of(members_, [](const Member& member) { return member.pid == 0; });
}

void Keeper::start(Role role) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    say("no channel for a process: %s", strerrordesc_np(errno));
    (role == kActive ? start_active_ : start_spare_) = now_ + 1000;
    return;
  }
  Member& member = at(role);
  member = {};
  member.pid = launcher_.start(role == kActive, ends[1]);
  close(ends[1]);
  member.channel = ends[0];
  if (member.pid == 0) {
    say("no process can be started: %s", strerrordesc_np(errno));
    close(member.channel);
    member = {};
    (role == kActive ? start_active_ : start_spare_) = now_ + 1000;
    return;
  }
  // Each lives beside at most three others.
  while (std::ranges::any_of(members_, [&member](const Member& other) {
    return &other != &member && other.pid != 0 && other.cursor == member.cursor;
  }))
    ++member.cursor;
  store_.rewind(member.cursor);
  member.removals = removals_;
  member.follows = true;
  member.started = member.heard = member.measured = now_;
  // S: it has all that there was.
  member.order = role == kActive ? 'A' : 'S';
  if (role == kCandidate)
    member.deadline = now_ + kCandidateLimit;
}

void Keeper::end(Role role, int signal) {
  Member& member = at(role);
  if (member.pid == 0)
    return;
  member.was_killed = true;
  (void)kill(member.pid, signal);
}

void Keeper::move(Role from, Role to) {
  at(to) = at(from);
  at(from) = {};
}

bool Keeper::send(Member& member, char kind, const int* fds, std::size_t count, const char* name) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFdsPerMessage * sizeof(int))> control{};
  std::array<iovec, 2> text{iovec{&kind, 1}, iovec{const_cast<char*>(name), std::strlen(name)}};
  msghdr message{};
  message.msg_iov = text.data();
  message.msg_iovlen = text.size();
  if (count > 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  if (sendmsg(member.channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
    return true;
  // Whatever else it is, the end of the process is not far.
  member.blocked = errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS;
  return false;
}

void Keeper::pump(Member& member) {
  member.blocked = false;
  // Before what came later, under the same name maybe.
  for (; member.follows && member.removals != removals_; ++member.removals) {
    // It has not listened for long: another one begins with what is there.
    if (removals_ - member.removals > removed_.size())
      return void(member.was_killed = kill(member.pid, SIGKILL) == 0);
    if (!send(member, 'R', nullptr, 0, removed_[member.removals % removed_.size()].data()))
      return;
  }
  std::array<int, kFdsPerMessage> fds;
  while (member.follows) {
    const std::size_t count = store_.peek(member.cursor, fds.data(), fds.size());
    if (count == 0)
      break;
    if (!send(member, 'F', fds.data(), count))
      return;
    store_.passed(member.cursor, count);
  }
  if (member.order == 0 || !send(member, member.order, nullptr, 0))
    return;
  // From now on the descriptors come from it.
  if (member.order == 'A')
    member.follows = false;
  member.order = 0;
}

void Keeper::take_messages() {
  for (int round = 0; round < kMessagesPerRound; ++round) {
    std::array<char, 2048> text;
    constexpr std::size_t kMostFds = 16;
    alignas(cmsghdr)
        std::array<char, CMSG_SPACE(kMostFds * sizeof(int)) + CMSG_SPACE(sizeof(ucred))>
            control;
    iovec vector{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(notifications_, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size < 0)
      return;
    std::array<int, kMostFds> fds;
    std::size_t count = 0;
    pid_t from = -1;
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
         each = CMSG_NXTHDR(&message, each)) {
      if (each->cmsg_level != SOL_SOCKET)
        continue;
      if (each->cmsg_type == SCM_CREDENTIALS) {
        ucred who{};
        std::memcpy(&who, CMSG_DATA(each), sizeof(who));
        from = who.pid;
      } else if (each->cmsg_type == SCM_RIGHTS) {
        count = std::min((each->cmsg_len - CMSG_LEN(0)) / sizeof(int), kMostFds);
        std::memcpy(fds.data(), CMSG_DATA(each), count * sizeof(int));
      }
    }
    const auto sender = std::ranges::find_if(
        members_, [from](const Member& member) { return member.pid != 0 && member.pid == from; });
    if (sender == members_.end()) {
      std::for_each_n(fds.begin(), count, close);
      continue;
    }
    hear(static_cast<Role>(sender - members_.begin()),
         parse({text.data(), static_cast<std::size_t>(size)}), fds.data(), count);
  }
}

void Keeper::keep(const Message& message, const int* fds, std::size_t count) {
  std::size_t kept = 0;
  if (message.stores && count > 0) {
    if (store_.put(message.name, fds[0]))
      kept = 1;
    else
      say("no room for another descriptor, %u are kept", store_.count());
  }
  std::for_each_n(fds + kept, count - kept, close);
  if (message.removes && store_.remove(message.name) && message.name.starts_with("udp-"))
    *std::ranges::copy(message.name, removed_[removals_++ % removed_.size()].begin()).out = '\0';
}

void Keeper::hear(Role role, const Message& message, const int* fds, std::size_t count) {
  Member& member = at(role);
  member.heard = now_;
  member.doubted = 0;
  if (message.alive)
    measure(member);
  // Whoever stands by has no say in what is kept.
  if (role == kActive)
    keep(message, fds, count);
  else
    std::for_each_n(fds, count, close);
  if (message.ready && !member.ready) {
    member.ready = true;
    member.deadline = 0;
    if (role == kActive) {
      if (!ever_ready_)
        launcher_.tell("READY=1");
      ever_ready_ = true;
      if (at(kSpare).pid == 0 && start_spare_ == 0)
        start_spare_ = now_ + kSparePause;
    } else if (role == kCandidate) {
      hand_over();
    }
  }
  if (role != kActive) {
    hear_of_end(message);
    return;
  }
  if (message.alive)
    launcher_.tell("WATCHDOG=1");
  if (message.stopping)
    launcher_.tell("STOPPING=1");
  if (!message.status.empty()) {
    std::array<char, 256> text;
    (void)snprintf(text.data(), text.size(), "STATUS=%.*s",
                   static_cast<int>(std::min<std::size_t>(message.status.size(), 200)),
                   message.status.data());
    launcher_.tell(text.data());
  }
  if (message.upgrade)
    begin_upgrade();
  if (message.handed_over && at(kCandidate).pid != 0) {
    move(kActive, kLeaving);
    at(kLeaving).deadline = now_ + kLeaveLimit;
    say("process %d has handed over", at(kLeaving).pid);
    activate(kCandidate);
    probation_ = now_ + options_.probation_ms;
  }
}

void Keeper::take_signals() {
  signalfd_siginfo info{};
  bool children = false;
  while (read(signals_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    if (info.ssi_signo == SIGCHLD)
      children = true;
    else
      obey(static_cast<int>(info.ssi_signo));
  }
  if (children)
    reap();
}

void Keeper::obey(int signal) {
  if (signal == SIGUSR2) {
    begin_upgrade();
    return;
  }
  if (at(kActive).pid != 0)
    (void)kill(at(kActive).pid, signal);
  if (signal == SIGHUP) {
    // The next one reads the configuration, too.
    end(kSpare, SIGKILL);
  } else if (signal == SIGTERM || signal == SIGINT) {
    ending_ = true;
    for (const Role role : {kSpare, kCandidate, kLeaving})
      end(role, SIGKILL);
  }
}

void Keeper::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED);
    if (pid <= 0)
      return;
    const auto found = std::ranges::find(members_, pid, &Member::pid);
    if (found == members_.end())
      continue;
    if (WIFSTOPPED(status))
      found->stopped = now_;
    else if (WIFCONTINUED(status))
      found->stopped = 0;
    else
      ended(pid, status);
  }
}

void Keeper::ended(pid_t pid, int status) {
  // What it had sent is in the queue still.
  take_messages();
  // Another process may have told of this end in there, and has its place then.
  const auto found = std::ranges::find(members_, pid, &Member::pid);
  if (found == members_.end())
    return;
  const Member member = *found;
  const auto role = static_cast<Role>(found - members_.begin());
  close(member.channel);
  *found = {};
  if (role == kActive) {
    active_ended(member, status);
  } else if (role == kSpare && !ending_) {
    const int pause = member.was_killed ? 0 : spare_starts_.after(now_ - member.started);
    start_spare_ = now_ + std::max(pause, 1);
    if (!member.was_killed)
      say("process %d, which stood by, has ended; another one follows", member.pid);
  } else if (role == kCandidate && !ending_) {
    say("upgrade: the new process %d has ended before it was ready; everything stays as it is",
        member.pid);
  }
}

void Keeper::hear_of_end(const Message& message) {
  std::array<char, 64> text{};
  std::ranges::copy(message.ended.substr(0, text.size() - 1), text.begin());
  int pid = 0;
  int status = 0;
  if (sscanf(text.data(), "%d %d", &pid, &status) == 2 && pid > 0 && pid == at(kActive).pid &&
      status != 0)
    ended(pid, status);
}

void Keeper::active_ended(const Member& member, int status) {
  const bool by_itself = WIFEXITED(status);
  const int code = by_itself ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (ending_ || (by_itself && (code == 0 || !ever_ready_))) {
    ending_ = true;
    status_ = code;
    for (const Role role : {kSpare, kCandidate, kLeaving})
      end(role, SIGKILL);
    return;
  }
  if (by_itself)
    say("the active process %d has ended with status %d", member.pid, code);
  else
    say("the active process %d was ended by signal %d", member.pid, WTERMSIG(status));
  const Millis lived = now_ - member.started;
  promote();
  if (at(kActive).pid == 0)
    start_active_ = now_ + active_starts_.after(static_cast<long>(lived));
}

void Keeper::promote() {
  const Role next = at(kCandidate).ready ? kCandidate : kSpare;
  if (at(next).pid == 0)
    return;
  activate(next);
  if (next == kCandidate)
    probation_ = now_ + options_.probation_ms;
}

void Keeper::activate(Role from) {
  move(from, kActive);
  Member& member = at(kActive);
  member.order = 'A';
  // It says so again when it serves.
  member.ready = false;
  member.heard = now_;
  measure(member);
  member.deadline = now_ + kServeLimit;
  if (from == kSpare)
    start_spare_ = 0;
  say("process %d is the active one now, %u descriptors", member.pid, store_.count());
  pump(member);
}

void Keeper::begin_upgrade() {
  if (ending_ || at(kCandidate).pid != 0 || at(kLeaving).pid != 0 || !at(kActive).ready) {
    say("upgrade: not now");
    return;
  }
  say("upgrade: starting what is installed now");
  start(kCandidate);
}

void Keeper::hand_over() {
  at(kActive).order = 'H';
  measure(at(kActive));
  at(kActive).deadline = now_ + kHandOverLimit;
  pump(at(kActive));
}

void Keeper::look_at(Role role) {
  Member& member = at(role);
  if (member.pid == 0 || member.was_killed)
    return;
  const char* reason = nullptr;
  const auto silent = [&member, this] {
    return member.ready && now_ - member.heard > options_.watchdog_ms;
  };
  const auto late = [&member, this] { return member.deadline != 0 && now_ >= member.deadline; };
  if (member.stopped != 0) {
    if (now_ - member.stopped < kStopGrace)
      return;
    reason = "was stopped";
  } else {
    if (silent() || late())
      excuse(member);
    if (!silent() && !late()) {
      member.doubted = 0;
      return;
    }
    if (member.doubted == 0)
      member.doubted = now_;
    if (now_ - member.doubted < kSecondLook)
      return;
    reason = silent() ? "does not answer" : role == kLeaving ? "does not end" : "takes too long";
  }
  say("process %d %s, it is killed", member.pid, reason);
  end(role, SIGKILL);
}

void Keeper::measure(Member& member) const {
  member.share = share_of(member.pid);
  member.measured = now_;
}

/// Time in which a process had no processor although it wanted one does not count: its threads may
/// relay all the same.
void Keeper::excuse(Member& member) const {
  const Share before = member.share;
  const Millis since = now_ - member.measured;
  measure(member);
  const Millis ran = member.share.ran - before.ran;
  // What it is waiting for at the moment is not in the sum yet.
  const Millis lost = member.share.wants ? since - ran : member.share.waited - before.waited;
  member.heard = std::min(now_, member.heard + lost);
  if (member.deadline != 0)
    member.deadline += lost;
}

void Keeper::look() {
  for (const Role role : {kActive, kSpare, kCandidate, kLeaving})
    look_at(role);
  if (ending_)
    return;
  if (probation_ != 0 && now_ >= probation_) {
    probation_ = 0;
    say("upgrade: done");
    end(kSpare, SIGKILL);
  }
  if (start_active_ != 0 && now_ >= start_active_ && at(kActive).pid == 0) {
    start_active_ = 0;
    start(kActive);
  }
  if (start_spare_ != 0 && now_ >= start_spare_ && at(kSpare).pid == 0 && at(kActive).ready) {
    start_spare_ = 0;
    start(kSpare);
  }
}

int Keeper::pause() const {
  Millis next = now_ + 60'000;
  const auto sooner = [&next](Millis moment) {
    if (moment != 0)
      next = std::min(next, moment);
  };
  sooner(start_active_);
  sooner(probation_);
  if (members_[kActive].ready && members_[kSpare].pid == 0)
    sooner(start_spare_);
  for (const Member& member : members_) {
    if (member.pid == 0)
      continue;
    if (member.blocked)
      return kRetryMs;
    if (member.was_killed)
      continue;
    if (member.stopped != 0) {
      sooner(member.stopped + kStopGrace);
    } else if (member.doubted != 0) {
      sooner(member.doubted + kSecondLook);
    } else {
      sooner(member.deadline);
      if (member.ready)
        sooner(member.heard + options_.watchdog_ms + 1);
    }
  }
  return static_cast<int>(std::clamp<Millis>(next - now_, 0, 60'000));
}

} // namespace rtprelay::pair
