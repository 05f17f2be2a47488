#include "relay_record.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "socket.h"

namespace rtprelay {

bool read_relay_record(int fd, RelayRecord& out) {
  struct stat about {};
  if (fstat(fd, &about) != 0 || about.st_size != sizeof(out) ||
      pread(fd, &out, sizeof(out), 0) != static_cast<ssize_t>(sizeof(out)))
    return false;
  return out.form == RelayRecord::kForm && out.program.back() == 0 && out.addon.back() == 0 &&
         out.pins.back() == 0 && out.dtls_ciphers.back() == 0 &&
         out.cpu_count <= out.media_cpus.size();
}

bool write_relay_record(const char* path, const RelayRecord& record) {
  const FileDescriptor file(
      ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  return file.valid() &&
         pwrite(file.get(), &record, sizeof(record), 0) == static_cast<ssize_t>(sizeof(record));
}

bool put_text(std::string_view text, std::span<char> out) {
  if (text.size() >= out.size() || text.find('\0') != std::string_view::npos)
    return false;
  std::ranges::fill(out, '\0');
  std::ranges::copy(text, out.data());
  return true;
}

} // namespace rtprelay
