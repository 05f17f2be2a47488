// Pages of the program's files go back to the kernel: those alone that are still the files'.
#include "../../native/core/program_pages.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "../../native/core/socket.h"
#include "check.h"

namespace {

using namespace rtprelay;

constexpr std::size_t kPage = 4096;

std::string mapping(const char* line, const char* anonymous) {
  return std::string(line) + "\nSize:                  4 kB\nRss:  4 kB\nAnonymous:  " + anonymous +
         " kB\nVmFlags: rd mr mw me\n";
}

/// A file of `kPages` pages, each mapped privately.
class MappedFile {
public:
  static constexpr std::size_t kPages = 4;

  MappedFile() {
    std::string name = "/tmp/program-pages-XXXXXX";
    fd_ = FileDescriptor(mkstemp(name.data()));
    CHECK(fd_.valid() && unlink(name.c_str()) == 0);
    const std::string text(kPages * kPage, 'a');
    CHECK(write(fd_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  ~MappedFile() {
    for (void* each : mapped_)
      (void)munmap(each, kPages * kPage);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  char* map(int protection) {
    void* memory = mmap(nullptr, kPages * kPage, protection, MAP_PRIVATE, fd_.get(), 0);
    CHECK(memory != MAP_FAILED);
    mapped_[count_++] = memory;
    return static_cast<char*>(memory);
  }

private:
  FileDescriptor fd_;
  std::array<void*, 3> mapped_{};
  std::size_t count_ = 0;
};

/// Whether the process has the page in its tables (/proc/self/pagemap, bit 63).
bool is_resident(const char* address) {
  std::FILE* file = std::fopen("/proc/self/pagemap", "rb");
  CHECK(file != nullptr);
  std::uint64_t entry = 0;
  const auto page = reinterpret_cast<std::uintptr_t>(address) / kPage;
  CHECK(std::fseek(file, static_cast<long>(page * sizeof(entry)), SEEK_SET) == 0);
  CHECK(std::fread(&entry, sizeof(entry), 1, file) == 1);
  (void)std::fclose(file);
  return (entry >> 63U) != 0;
}

TEST("what is unchanged of a file is told from what is not") {
  const std::string smaps =
      mapping("00400000-00b6f000 r--p 00000000 fd:00 77      /usr/bin/node", "0") +
      mapping("00b6f000-02601000 r-xp 0076f000 fd:00 77      /usr/bin/node", "0") +
      mapping("0563a000-0563e000 r--p 05239000 fd:00 77      /usr/bin/node", "16") +
      mapping("0563e000-0565d000 rw-p 0523d000 fd:00 77      /usr/bin/node", "0") +
      mapping("0565d000-05689000 rw-p 00000000 00:00 0       [heap]", "100") +
      mapping("7f0000000000-7f0000001000 r-xp 01000000 fd:00 77 /usr/bin/node", "0") +
      mapping("7f0000002000-7f0000003000 r-xp 00000000 fd:01 77 /srv/other file", "0") +
      mapping("7f0000004000-7f0000005000 r--s 00000000 fd:00 77 /usr/bin/node", "0");
  const std::vector<AddressRange> parts = unchanged_parts(smaps, 0x7f0000002000);
  CHECK(parts.size() == 3);
  CHECK(parts[0].begin == 0x00400000 && parts[0].end == 0x00b6f000);
  CHECK(parts[1].begin == 0x00b6f000 && parts[1].end == 0x02601000);
  CHECK(parts[2].begin == 0x7f0000000000 && parts[2].end == 0x7f0000001000);
  const std::vector<AddressRange> others = unchanged_parts(smaps, 0x0563a000);
  CHECK(others.size() == 1);
  CHECK(others[0].begin == 0x7f0000002000 && others[0].end == 0x7f0000003000);
  CHECK(unchanged_parts(smaps, 0x0565d010).size() == 4);
  CHECK(unchanged_parts(smaps, 0x10).size() == 4);
  CHECK(unchanged_parts("", 0x10).empty());
  // Without a word about changes nothing is taken for unchanged.
  CHECK(unchanged_parts("00400000-00b6f000 r--p 00000000 fd:00 77 /usr/bin/node\n", 0x10).empty());
}

TEST("pages of the program go back, come again, and no byte changes") {
  MappedFile file;
  const char* same = file.map(PROT_READ);
  char* changed = file.map(PROT_READ | PROT_WRITE);
  char* writable = file.map(PROT_READ | PROT_WRITE);
  CHECK(same[0] == 'a' && writable[0] == 'a');
  changed[kPage] = 'b';
  CHECK(mprotect(changed, MappedFile::kPages * kPage, PROT_READ) == 0);
  CHECK(is_resident(same) && is_resident(changed + kPage) && is_resident(writable));
  MappedFile kept_file;
  const char* kept = kept_file.map(PROT_READ);
  CHECK(kept[0] == 'a' && is_resident(kept));
  // Of this program and its libraries, too.
  CHECK(release_file_pages(kept) > MappedFile::kPages * kPage);
  CHECK(!is_resident(same) && is_resident(kept));
  CHECK(is_resident(changed + kPage) && is_resident(writable));
  CHECK(changed[kPage] == 'b');
  CHECK(same[0] == 'a' && is_resident(same));
}

} // namespace
