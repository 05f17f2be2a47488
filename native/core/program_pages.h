// Memory that is a copy of a file: code and constants of the program and its libraries. The kernel
// counts each page as the process' that it has once looked at, with 15 around it, and keeps it so;
// most of what a start needs nothing needs again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace rtprelay {

/// Addresses, the end not included.
struct AddressRange {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

/// Where memory is the same as in a file, by `smaps` (/proc/PID/smaps, proc(5)): what cannot be
/// written to and of which no page has been changed, by relocation or by a debugger. Nothing of the
/// file that `kept` is a part of.
std::vector<AddressRange> unchanged_parts(std::string_view smaps, std::uintptr_t kept);

/// Has the kernel forget that this process has these pages. They stay in its cache, and each comes
/// back, with those around it, when it is next used (a minor fault, about a microsecond). Safe at
/// any time: no byte changes. @param kept nothing of the file that it is a part of. @return bytes
/// of address space; 0: that is not permitted.
std::size_t release_file_pages(const void* kept);

} // namespace rtprelay
