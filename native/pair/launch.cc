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

/// Opened by rtprelay-start: the first descriptor and how many.
constexpr const char* kEarly = "RTPRELAY_EARLY_SOCKETS=";

/// What concerns us and not our children, or is theirs to be set.
constexpr std::array kOurs{
    "NOTIFY_SOCKET=",  "WATCHDOG_PID=", "WATCHDOG_USEC=", "LISTEN_PID=", "LISTEN_FDS=",
    "LISTEN_FDNAMES=", "FDSTORE=",      "RTPRELAY_PAIR=", kEarly};

bool is_ours(std::string_view variable) {
  return std::ranges::any_of(kOurs,
                             [variable](const char* name) { return variable.starts_with(name); });
}

using ProcText = std::array<char, 256>;

/// The beginning of a file of a process; empty if it cannot be read.
const char* read_proc(pid_t pid, const char* name, ProcText& text) {
  (void)snprintf(text.data(), text.size(), "/proc/%d/%s", pid, name);
  const int file = open(text.data(), O_RDONLY | O_CLOEXEC);
  const ssize_t size = file < 0 ? 0 : read(file, text.data(), text.size() - 1);
  if (file >= 0)
    close(file);
  text[static_cast<std::size_t>(std::max<ssize_t>(size, 0))] = '\0';
  return text.data();
}

} // namespace

bool Launcher::prepare(std::string_view socket, unsigned capacity, int watchdog_ms) {
  for (char** each = environ; *each != nullptr; ++each) {
    if (is_ours(*each))
      continue;
    if (variables_ + 6 >= kMaxVariables)
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
  const char* early = getenv("RTPRELAY_EARLY_SOCKETS");
  if (early != nullptr && sscanf(early, "%u %u", &first_socket_, &sockets_) == 2 && sockets_ > 0) {
    (void)snprintf(early_.data(), early_.size(), "%s%s", kEarly, early);
    environment_[variables_++] = early_.data();
  }
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
  return true;
}

void Launcher::give_away_sockets() {
  if (sockets_ == 0)
    return;
  (void)close_range(first_socket_, first_socket_ + sockets_ - 1, 0);
  environment_[variables_ - 1] = nullptr;
  sockets_ = 0;
}

pid_t Launcher::start(bool active, int channel) {
  (void)snprintf(role_.data(), role_.size(), "RTPRELAY_PAIR=%s %d", active ? "active" : "spare",
                 channel);
  const pid_t pid = fork();
  if (pid > 0)
    give_away_sockets();
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

Share share_of(pid_t pid) {
  ProcText text;
  long long ran = 0;
  long long waited = 0;
  if (sscanf(read_proc(pid, "schedstat", text), "%lld %lld", &ran, &waited) != 2)
    return {};
  const char* name_end = strrchr(read_proc(pid, "stat", text), ')');
  const bool wants = name_end != nullptr && strncmp(name_end, ") R", 3) == 0;
  return {.ran = ran / 1'000'000, .waited = waited / 1'000'000, .wants = wants};
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
