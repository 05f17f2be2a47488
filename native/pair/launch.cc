#include "launch.h"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

extern char** environ;

namespace rtprelay::pair {

namespace {

/// What concerns us and not our children, or is theirs to be set.
constexpr std::array kOurs{"NOTIFY_SOCKET=", "WATCHDOG_PID=",   "WATCHDOG_USEC=", "LISTEN_PID=",
                           "LISTEN_FDS=",    "LISTEN_FDNAMES=", "FDSTORE=",       "RTPRELAY_PAIR="};

bool is_ours(std::string_view variable) {
  return std::ranges::any_of(kOurs,
                             [variable](const char* name) { return variable.starts_with(name); });
}

} // namespace

bool Launcher::prepare(std::string_view socket, unsigned capacity, int watchdog_ms) {
  for (char** each = environ; *each != nullptr; ++each) {
    if (is_ours(*each))
      continue;
    if (variables_ + 5 >= kMaxVariables)
      return false;
    environment_[variables_++] = *each;
  }
  const auto set = [this](auto& place, const char* format, auto... values) {
    (void)snprintf(place.data(), place.size(), format, values...);
    environment_[variables_++] = place.data();
  };
  set(notify_, "NOTIFY_SOCKET=@%.*s", static_cast<int>(socket.size()), socket.data());
  set(store_, "FDSTORE=%u", capacity);
  set(watchdog_, "WATCHDOG_USEC=%d", watchdog_ms * 1000);
  environment_[variables_++] = role_.data();
  const char* path = getenv("NOTIFY_SOCKET");
  const std::size_t length = path == nullptr ? 0 : strlen(path);
  if (length == 0 || length >= sizeof(manager_.sun_path) || (*path != '/' && *path != '@'))
    return true;
  manager_.sun_family = AF_UNIX;
  std::copy_n(path, length, manager_.sun_path);
  if (*path == '@')
    manager_.sun_path[0] = '\0';
  manager_length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  manager_socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const char* micros = getenv("WATCHDOG_USEC");
  const char* whom = getenv("WATCHDOG_PID");
  if (micros != nullptr && (whom == nullptr || atol(whom) == getpid()))
    watchdog_ms_ = static_cast<int>(std::min(atol(micros) / 1000, 3'600'000L));
  return true;
}

pid_t Launcher::start(bool active, int channel) {
  (void)snprintf(role_.data(), role_.size(), "RTPRELAY_PAIR=%s %d", active ? "active" : "spare",
                 channel);
  const pid_t pid = fork();
  if (pid != 0)
    return std::max(pid, 0);
  (void)fcntl(channel, F_SETFD, 0);
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(command_[0], command_, environment_.data());
  say("cannot run %s: %s", command_[0], strerrordesc_np(errno));
  _exit(127);
}

void Launcher::tell(std::string_view text) const {
  if (manager_socket_ < 0)
    return;
  (void)sendto(manager_socket_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&manager_), manager_length_);
}

void say(const char* format, ...) {
  std::array<char, 512> line;
  va_list values;
  va_start(values, format);
  int length = snprintf(line.data(), line.size(), "rtprelay-pair[%d]: ", getpid());
  length += vsnprintf(line.data() + length, line.size() - static_cast<std::size_t>(length) - 1,
                      format, values);
  va_end(values);
  length = std::min(length, static_cast<int>(line.size()) - 2);
  line[static_cast<std::size_t>(length)] = '\n';
  // A pipe that can be written to takes a line at once (PIPE_BUF, pipe(7)).
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (poll(&room, 1, 0) > 0)
    (void)!write(STDERR_FILENO, line.data(), static_cast<std::size_t>(length) + 1);
}

} // namespace rtprelay::pair
