#include "program_pages.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "socket.h"

namespace rtprelay {

namespace {

/// One mapping of /proc/PID/smaps: `BEGIN-END PERMISSIONS OFFSET DEVICE INODE PATH`, and `KEY:
/// VALUE` lines.
struct Mapping {
  AddressRange range;
  bool read_only_private = false;
  /// Device and inode; empty: of no file.
  std::string_view file;
  /// Pages that are no longer the file's.
  bool changed = true;
};

std::string_view next_word(std::string_view& line) {
  const std::size_t begin = std::min(line.find_first_not_of(' '), line.size());
  const std::size_t end = std::min(line.find(' ', begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

bool parse_address(std::string_view text, std::uintptr_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

bool parse_mapping(std::string_view line, Mapping& out) {
  const std::string_view range = next_word(line);
  const std::size_t dash = range.find('-');
  Mapping mapping;
  if (dash == std::string_view::npos ||
      !parse_address(range.substr(0, dash), mapping.range.begin) ||
      !parse_address(range.substr(dash + 1), mapping.range.end))
    return false;
  const std::string_view permissions = next_word(line);
  mapping.read_only_private =
      permissions.size() == 4 && permissions[1] == '-' && permissions[3] == 'p';
  (void)next_word(line);
  const std::string_view device = next_word(line);
  const std::string_view inode = next_word(line);
  if (inode != "0" && !inode.empty())
    mapping.file = {device.data(), static_cast<std::size_t>(inode.end() - device.begin())};
  out = mapping;
  return true;
}

std::string read_smaps() {
  std::string text;
  const FileDescriptor fd(open("/proc/self/smaps", O_RDONLY | O_CLOEXEC));
  std::array<char, 16384> part{};
  while (fd.valid()) {
    const ssize_t size = read(fd.get(), part.data(), part.size());
    if (size <= 0)
      break;
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  return text;
}

} // namespace

std::vector<AddressRange> unchanged_parts(std::string_view smaps, std::uintptr_t kept) {
  std::vector<Mapping> mappings;
  std::string_view kept_file;
  while (!smaps.empty()) {
    const std::size_t end = std::min(smaps.find('\n'), smaps.size());
    std::string_view line = smaps.substr(0, end);
    smaps.remove_prefix(std::min(end + 1, smaps.size()));
    if (Mapping mapping; parse_mapping(line, mapping)) {
      if (mapping.range.begin <= kept && kept < mapping.range.end)
        kept_file = mapping.file;
      mappings.push_back(mapping);
    } else if (next_word(line) == "Anonymous:" && !mappings.empty()) {
      mappings.back().changed = next_word(line) != "0";
    }
  }
  std::vector<AddressRange> parts;
  for (const Mapping& mapping : mappings) {
    if (!mapping.file.empty() && mapping.file != kept_file && mapping.read_only_private &&
        !mapping.changed)
      parts.push_back(mapping.range);
  }
  return parts;
}

std::size_t release_file_pages(const void* kept) {
  std::size_t released = 0;
  const std::string smaps = read_smaps();
  for (const AddressRange& part : unchanged_parts(smaps, reinterpret_cast<std::uintptr_t>(kept))) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): that is how the kernel tells it.
    void* const begin = reinterpret_cast<void*>(part.begin);
    if (madvise(begin, part.end - part.begin, MADV_DONTNEED) == 0)
      released += part.end - part.begin;
  }
  return released;
}

} // namespace rtprelay
