// rtprelay-start COMMAND WORD...: opens the ports that the daemon of this command had when it
// ended, then becomes the command. Node takes 40 ms before anything of ours runs in it, a daemon
// with many calls up to a second until it has them: packets that come meanwhile wait in the
// sockets.
//
// The daemon notes its ports in a file (native/core/port_record.h), which it is given open and
// which is locked as long as a process of it lives. Whatever goes wrong here, the daemon starts as
// it would without.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/port_record.h"
#include "../core/relay_record.h"
#include "../core/socket.h"

namespace rtprelay {

namespace {

/// Descriptors below are for the command's own.
constexpr int kFirstSocket = 64;
/// A millisecond each.
constexpr int kLockTries = 100;
/// A folder of our own in memory; another one for tests.
constexpr const char* kFolderVariable = "RTPRELAY_PORT_RECORDS";

bool is_private(int fd, mode_t type) {
  struct stat file {};
  return fstat(fd, &file) == 0 && (file.st_mode & S_IFMT) == type && file.st_uid == geteuid() &&
         (file.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

using Path = std::array<char, 512>;

/// false: there is none that nobody else can write to.
bool make_folder(Path& path) {
  const char* given = getenv(kFolderVariable);
  const int length = given == nullptr
                         ? snprintf(path.data(), path.size(), "/dev/shm/rtprelay-%u", geteuid())
                         : snprintf(path.data(), path.size(), "%s", given);
  if (length <= 0 || static_cast<std::size_t>(length) >= path.size())
    return false;
  (void)mkdir(path.data(), S_IRWXU);
  const FileDescriptor folder(::open(path.data(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  return folder.valid() && is_private(folder.get(), S_IFDIR);
}

/// The same daemon is started by the same words in the same network.
std::uint64_t identity_of(char** words) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  const auto add = [&hash](std::string_view text) {
    for (const char each : text)
      hash = (hash ^ static_cast<std::uint8_t>(each)) * 0x100'0000'01b3;
    hash = (hash ^ 0xff) * 0x100'0000'01b3;
  };
  struct stat network {};
  (void)stat("/proc/self/ns/net", &network);
  std::array<char, 32> text{};
  (void)snprintf(text.data(), text.size(), "%" PRIu64, static_cast<std::uint64_t>(network.st_ino));
  add(text.data());
  for (; *words != nullptr; ++words)
    add(*words);
  return hash;
}

/// The process before may be ending still. false: it lives.
bool lock(int fd) {
  for (int tries = 0; tries < kLockTries; ++tries) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
      return true;
    (void)usleep(1000);
  }
  return false;
}

/// Descriptors that the process may have from now on.
int raise_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return kFirstSocket;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
}

/// From kFirstSocket on those that the process was given, in order; its own are lower. Empty where
/// there is no /proc.
std::vector<int> given_descriptors() {
  std::vector<int> given;
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr)
    return given;
  while (const dirent* entry = readdir(folder)) {
    const int fd = atoi(entry->d_name);
    if (fd >= kFirstSocket)
      given.push_back(fd);
  }
  (void)closedir(folder);
  std::sort(given.begin(), given.end());
  return given;
}

/// Descriptors one behind the other that nothing has.
struct Room {
  int first = kFirstSocket;
  int count = 0;
};

/// The first room for `wanted`, else the largest one.
Room find_room(const std::vector<int>& given, int limit, int wanted) {
  Room best;
  int from = kFirstSocket;
  const auto end_at = [&](int taken) {
    if (best.count < wanted && taken - from > best.count)
      best = {from, taken - from};
    from = taken + 1;
  };
  for (const int fd : given)
    end_at(fd);
  end_at(limit);
  return best;
}

/// A service manager has sockets of the last process.
bool has_sockets() {
  const char* count = getenv("LISTEN_FDS");
  return count != nullptr && atoi(count) > 0;
}

/// While it lives nothing else gets this processor, where that is permitted: packets are lost until
/// ports are open.
class Urgency {
public:
  Urgency() : wanted_(sched_getscheduler(0) == SCHED_OTHER) {
    if (wanted_)
      set(SCHED_FIFO, 1);
  }
  ~Urgency() {
    if (wanted_)
      set(SCHED_OTHER, 0);
  }
  Urgency(const Urgency&) = delete;
  Urgency& operator=(const Urgency&) = delete;

private:
  static void set(int policy, int priority) {
    const sched_param parameters{.sched_priority = priority};
    (void)sched_setscheduler(0, policy, &parameters);
  }

  const bool wanted_;
};

/// Opens them in `room`, as many as fit. How many are open; those of RTP come first, whose numbers
/// are even.
int open_ports(const std::vector<SocketAddress>& ports, const Room& room) {
  int count = 0;
  const Urgency urgency;
  for (const int parity : {0, 1}) {
    for (const SocketAddress& local : ports) {
      if (local.port % 2 != parity)
        continue;
      if (count == room.count)
        return count;
      int error = 0;
      const FileDescriptor socket = open_media_socket(local, -1, FreeBind::kYes, error);
      if (error == EMFILE || error == ENFILE)
        return count;
      if (!socket.valid())
        continue;
      const int place = room.first + count;
      const int copy = fcntl(socket.get(), F_DUPFD, place);
      if (copy != place) {
        if (copy >= 0)
          close(copy);
        return count;
      }
      ++count;
    }
  }
  return count;
}

std::string_view path_variable() {
  const char* folders = getenv("PATH");
  return folders == nullptr ? "" : folders;
}

/// The file that execvp(3) would run; empty: there is none.
std::string program_of(const std::string& word) {
  std::string_view folders = word.find('/') != std::string::npos ? "" : path_variable();
  for (;;) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    const std::string folder(folders.substr(0, end));
    const std::string path = folder.empty() ? word : folder + "/" + word;
    std::array<char, PATH_MAX> resolved{};
    if (access(path.c_str(), X_OK) == 0 && realpath(path.c_str(), resolved.data()) != nullptr)
      return resolved.data();
    if (end == folders.size())
      return {};
    folders.remove_prefix(end + 1);
  }
}

/// Has Node begin with a relay as the daemon had it: its addon is loaded with the program, which
/// has to be that of before, since no other one has what the addon needs.
void load_relay(const char* program, const std::string& ports) {
  const std::string path =
      ports + std::string(RelayRecord::kPlans) + std::string(RelayRecord::kSuffix);
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  RelayRecord record;
  if (!file.valid())
    return;
  // Whatever comes of it, it is tried once: the daemon notes it again when it runs.
  (void)unlink(path.c_str());
  if (!is_private(file.get(), S_IFREG) || !read_relay_record(file.get(), record) ||
      access(record.addon.data(), R_OK) != 0 || program_of(program) != record.program.data())
    return;
  const int copy = fcntl(file.get(), F_DUPFD, kFirstSocket);
  if (copy < 0)
    return;
  const char* before = getenv("LD_PRELOAD");
  std::string preload = record.addon.data();
  if (before != nullptr && *before != 0)
    preload += std::string(":") + before;
  (void)setenv("LD_PRELOAD", preload.c_str(), 1);
  (void)setenv(kEarlyRelayVariable, std::to_string(copy).c_str(), 1);
}

void prepare(char** words) {
  Path path{};
  if (!make_folder(path))
    return;
  const std::size_t length = strlen(path.data());
  const int more =
      snprintf(path.data() + length, path.size() - length, "/%016" PRIx64, identity_of(words));
  if (static_cast<std::size_t>(more) >= path.size() - length)
    return;
  (void)setenv(kPortRecordVariable, path.data(), 1);
  const FileDescriptor file(::open(path.data(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  PortRecord record;
  if (has_sockets() || !file.valid() || !is_private(file.get(), S_IFREG) || !lock(file.get()) ||
      !record.open(file.get()))
    return;
  const std::vector<SocketAddress> ports = record.ports();
  const int limit = raise_limit();
  const Room room = find_room(given_descriptors(), limit, static_cast<int>(ports.size()));
  std::array<char, 32> text{};
  (void)snprintf(text.data(), text.size(), "%d %d", room.first, open_ports(ports, room));
  (void)setenv(kEarlySocketsVariable, text.data(), 1);
  load_relay(words[0], path.data());
}

} // namespace

} // namespace rtprelay

int main(int count, char** words) {
  if (count < 2) {
    (void)fputs("rtprelay-start COMMAND WORD...\n", stderr);
    return 2;
  }
  rtprelay::prepare(words + 1);
  execvp(words[1], words + 1);
  (void)fprintf(stderr, "rtprelay-start: %s: %s\n", words[1], strerror(errno));
  return 127;
}
