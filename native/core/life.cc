#include "life.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scheduling.h"
#include "thread.h"

namespace rtprelay {

namespace {

constexpr std::uint64_t kMagic = 0x3165666964687472; // "rthdife1"
/// Of a thread that runs no program any more (PF_EXITING in the kernel's include/linux/sched.h).
constexpr unsigned long kExiting = 0x4;
/// As `SigPnd` of /proc/PID/status has it.
constexpr unsigned long kKill = 1UL << (SIGKILL - 1);
/// The threads of a process that is killed see it at once if they can run; the parent is told by
/// the kernel anyway.
constexpr int kLooks = 400;
constexpr timespec kBetweenLooks{0, 500'000};
/// In /proc/PID/stat, counted from the state, which is the third field (proc(5)).
constexpr int kFlagsField = 6;
constexpr int kExitCodeField = 49;

struct Content {
  std::uint64_t magic;
  pid_t pid;
  pthread_mutex_t alive;
};

Content* map(int fd) {
  void* memory = mmap(nullptr, sizeof(Content), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<Content*>(memory);
}

/// What a stat file says behind the name, which may have any characters in it.
struct Stat {
  bool relays = false;
  char state = '\0';
  unsigned long flags = 0;
  int exit_code = 0;
};

std::optional<Stat> read_stat(const char* path) {
  std::array<char, 1024> text;
  const FileDescriptor file(open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t size = file.valid() ? read(file.get(), text.data(), text.size() - 1) : -1;
  if (size <= 0)
    return std::nullopt;
  text[static_cast<std::size_t>(size)] = '\0';
  const char* at = std::strrchr(text.data(), ')');
  if (at == nullptr || at[1] != ' ')
    return std::nullopt;
  Stat result{.relays = std::strstr(text.data(), "(rtprelay-media)") != nullptr, .state = at[2]};
  at += 2;
  for (int field = 0; field < kExitCodeField; ++field) {
    if (field == kFlagsField)
      result.flags = std::strtoul(at, nullptr, 10);
    at = std::strchr(at, ' ');
    if (at == nullptr)
      return std::nullopt;
    ++at;
  }
  result.exit_code = std::atoi(at);
  return result;
}

/// Whether a signal that no thread survives waits for the one of this folder of /proc.
bool is_killed(const char* folder) {
  std::array<char, 64> path;
  (void)snprintf(path.data(), path.size(), "%s/status", folder);
  std::array<char, 2048> text;
  const FileDescriptor file(open(path.data(), O_RDONLY | O_CLOEXEC));
  const ssize_t size = file.valid() ? read(file.get(), text.data(), text.size() - 1) : -1;
  if (size <= 0)
    return false;
  text[static_cast<std::size_t>(size)] = '\0';
  constexpr std::string_view name = "\nSigPnd:\t";
  const char* at = std::strstr(text.data(), name.data());
  return at != nullptr && (std::strtoul(at + name.size(), nullptr, 16) & kKill) != 0;
}

/// Whether no thread of the process runs its program any more. Only what relays may be in the
/// middle of a packet: any other one, with a signal that ends it, does not have to get a processor
/// first.
bool is_over(pid_t pid) {
  std::array<char, 32> path;
  (void)snprintf(path.data(), path.size(), "/proc/%d/task", pid);
  DIR* folder = opendir(path.data());
  if (folder == nullptr)
    return false;
  bool over = true;
  for (const dirent* entry = readdir(folder); over && entry != nullptr; entry = readdir(folder)) {
    const int thread = std::atoi(entry->d_name);
    if (thread <= 0)
      continue;
    std::array<char, 48> own;
    (void)snprintf(own.data(), own.size(), "/proc/%d/task/%d", pid, thread);
    std::array<char, 64> file;
    (void)snprintf(file.data(), file.size(), "%s/stat", own.data());
    const auto stat = read_stat(file.data());
    // One that is not there any more has ended.
    over = !stat || (stat->flags & kExiting) != 0 || stat->state == 'Z' || stat->state == 'X' ||
           (!stat->relays && is_killed(own.data()));
    // It ends as soon as it runs.
    if (!over && stat->relays)
      (void)make_realtime(thread);
  }
  closedir(folder);
  return over;
}

void wait_for_end(const FileDescriptor& fd, const std::function<void(pid_t, int)>& ended) {
  Content* content = map(fd.get());
  if (content == nullptr)
    return;
  const int result = pthread_mutex_lock(&content->alive);
  const pid_t pid = content->pid;
  // Left inconsistent: whoever else waits is told, too.
  if (result == 0 || result == EOWNERDEAD)
    (void)pthread_mutex_unlock(&content->alive);
  munmap(content, sizeof(Content));
  if (result != EOWNERDEAD && result != ENOTRECOVERABLE)
    return;
  for (int look = 0; look < kLooks; ++look) {
    if (is_over(pid)) {
      std::array<char, 64> path;
      (void)snprintf(path.data(), path.size(), "/proc/%d/stat", pid);
      const auto stat = read_stat(path.data());
      // It may come only with the end of the main thread (Linux before 5.17).
      if (stat && stat->exit_code != 0) {
        ended(pid, stat->exit_code);
        return;
      }
    }
    (void)nanosleep(&kBetweenLooks, nullptr);
  }
}

} // namespace

std::unique_ptr<Life> Life::begin() {
  FileDescriptor fd(memfd_create("rtprelay-life", MFD_CLOEXEC));
  if (!fd.valid() || ftruncate(fd.get(), sizeof(Content)) != 0)
    return nullptr;
  Content* content = map(fd.get());
  if (content == nullptr)
    return nullptr;
  content->pid = getpid();
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  (void)pthread_mutex_init(&content->alive, &attributes);
  pthread_mutexattr_destroy(&attributes);
  std::unique_ptr<Life> life(new Life(std::move(fd), content));
  if (!life->hold())
    return nullptr;
  content->magic = kMagic;
  return life;
}

bool Life::hold() {
  holder_ = start_thread([this] {
    pthread_setname_np(pthread_self(), "rtprelay-lives");
    // The main thread of a killed process on a busy machine waits for a processor to die on.
    make_urgent();
    pthread_mutex_t& alive = static_cast<Content*>(memory_)->alive;
    (void)pthread_mutex_lock(&alive);
    is_held_.release();
    left_.acquire();
    // A process that only leaves it is not dead: who waits is to go.
    (void)pthread_mutex_unlock(&alive);
  });
  if (!holder_.joinable())
    return false;
  is_held_.acquire();
  return true;
}

Life::~Life() {
  if (holder_.joinable()) {
    left_.release();
    holder_.join();
  }
  munmap(memory_, sizeof(Content));
}

bool Life::is_one(int fd) {
  struct stat status {};
  std::uint64_t magic = 0;
  // Only a file without a name: nobody else can have written it.
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0 &&
         status.st_size == sizeof(Content) &&
         pread(fd, &magic, sizeof(magic), 0) == static_cast<ssize_t>(sizeof(magic)) &&
         magic == kMagic;
}

void watch_life(FileDescriptor fd, std::function<void(pid_t pid, int status)> ended) {
  start_thread([fd = std::move(fd), ended = std::move(ended)] {
    pthread_setname_np(pthread_self(), "rtprelay-life");
    make_urgent();
    wait_for_end(fd, ended);
  }).detach();
}

} // namespace rtprelay
