// One instance's directory in a BPF file system, locked as long as this object has it.
#pragma once

#include <string>
#include <vector>

#include "status.h"
#include "unique_fd.h"

namespace rtprelay::kernel {

class PinDirectory {
public:
  /// Makes the directory if need be; EBUSY when another process has it, EINVAL when the file system
  /// is no BPF file system.
  Status open(const std::string& path);
  void close();

  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// The canonical path: names the instance.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::vector<std::string> files() const;
  Status unlink(const std::string& name) const;
  /// Pins an object under a name, in the place of what has that name.
  Status put(const std::string& name, int fd) const;
  /// Removes the directory, which must be empty, and gives up the lock.
  void remove();

private:
  Status lock(const std::string& path);
  std::string path_;
  UniqueFd directory_;
};

} // namespace rtprelay::kernel
