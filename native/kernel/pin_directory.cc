#include "pin_directory.h"

#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace rtprelay::kernel {

namespace {

constexpr mode_t kDirectoryMode = 0700;

/// mkdir -p; bounded by the path's length.
Status make_directories(const std::string& path) {
  std::size_t end = 0;
  while (end != std::string::npos) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), kDirectoryMode) != 0 && errno != EEXIST)
      return failure(errno, part);
  }
  return {};
}

/// A directory may be removed by its former owner between our open and our lock.
bool still_there(int fd, const std::string& path) {
  struct stat ours = {};
  struct stat there = {};
  return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

} // namespace

Status PinDirectory::lock(const std::string& path) {
  if (const Status made = make_directories(path); !made.ok())
    return made;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid())
    return failure(errno, path);
  struct statfs info = {};
  if (::fstatfs(fd.get(), &info) != 0)
    return failure(errno, path);
  if (info.f_type != BPF_FS_MAGIC)
    return refusal(EINVAL, path + " is not in a BPF file system");
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return errno == EWOULDBLOCK ? refusal(EBUSY, path + " is in use by another process")
                                : failure(errno, path);
  if (!still_there(fd.get(), path))
    return refusal(EAGAIN, path + " is being removed");
  directory_ = std::move(fd);
  return {};
}

Status PinDirectory::open(const std::string& path) {
  constexpr int kTries = 3;
  Status status;
  for (int i = 0; i < kTries; ++i) {
    status = lock(path);
    if (status.code != EAGAIN)
      break;
  }
  if (!status.ok())
    return status;
  std::array<char, PATH_MAX> canonical{};
  if (::realpath(path.c_str(), canonical.data()) == nullptr)
    return failure(errno, path);
  path_ = canonical.data();
  return {};
}

void PinDirectory::close() { directory_.reset(); }

std::vector<std::string> PinDirectory::files() const {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(path_.c_str()), ::closedir);
  if (!listing)
    return names;
  while (const dirent* entry = ::readdir(listing.get())) {
    if (entry->d_name[0] != '.')
      names.emplace_back(entry->d_name);
  }
  return names;
}

Status PinDirectory::unlink(const std::string& name) const {
  if (::unlink(file(name).c_str()) != 0 && errno != ENOENT)
    return failure(errno, file(name));
  return {};
}

Status PinDirectory::put(const std::string& name, int fd) const {
  const std::string fresh = file("new_" + name);
  ::unlink(fresh.c_str()); // of a process that was killed here
  if (bpf_obj_pin(fd, fresh.c_str()) != 0 || ::rename(fresh.c_str(), file(name).c_str()) != 0)
    return failure(errno, "pinning " + file(name));
  return {};
}

void PinDirectory::remove() {
  ::rmdir(path_.c_str());
  close();
}

} // namespace rtprelay::kernel
