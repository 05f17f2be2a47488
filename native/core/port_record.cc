#include "port_record.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rtprelay {

namespace {

/// Changes with the form of the file.
constexpr std::uint64_t kForm = 0x3130'7374'726f'7072;
constexpr std::size_t kMostAddresses = 64;
constexpr std::size_t kBits = 32;
constexpr std::size_t kWords = 65'536 / kBits;
/// An address is there when it has been written whole.
constexpr std::uint32_t kWritten = 2;

} // namespace

/// Pages that nothing is noted in take no memory.
struct PortRecord::Table {
  struct Address {
    std::atomic<std::uint32_t> state;
    Family family;
    std::array<std::uint8_t, 16> bytes;
  };
  std::uint64_t form;
  std::array<Address, kMostAddresses> addresses;
  std::array<std::array<std::atomic<std::uint32_t>, kWords>, kMostAddresses> ports;
};

PortRecord::~PortRecord() {
  if (table_ != nullptr)
    munmap(table_, sizeof(Table));
}

bool PortRecord::open(int fd) {
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
  std::uint64_t form = 0;
  struct stat file {};
  if (pread(fd, &form, sizeof(form), 0) < 0 || fstat(fd, &file) != 0)
    return false;
  const bool known = form == kForm && file.st_size == sizeof(Table);
  if (!known && (ftruncate(fd, 0) != 0 || ftruncate(fd, sizeof(Table)) != 0))
    return false;
  void* memory = mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED)
    return false;
  if (table_ != nullptr)
    munmap(table_, sizeof(Table));
  table_ = static_cast<Table*>(memory);
  table_->form = kForm;
  return true;
}

std::size_t PortRecord::find(const SocketAddress& local, bool add) const {
  for (std::size_t at = 0; at < kMostAddresses; ++at) {
    Table::Address& each = table_->addresses[at];
    std::uint32_t state = each.state.load(std::memory_order_acquire);
    if (state == kWritten && each.family == local.family && each.bytes == local.bytes)
      return at;
    if (state != 0 || !add || !each.state.compare_exchange_strong(state, 1))
      continue;
    each.family = local.family;
    each.bytes = local.bytes;
    each.state.store(kWritten, std::memory_order_release);
    return at;
  }
  return kMostAddresses;
}

void PortRecord::note(const SocketAddress& local, bool is_open) {
  if (table_ == nullptr || !local.valid())
    return;
  const std::size_t at = find(local, is_open);
  if (at == kMostAddresses)
    return;
  std::atomic<std::uint32_t>& word = table_->ports[at][local.port / kBits];
  const std::uint32_t bit = 1U << (local.port % kBits);
  if (is_open)
    word.fetch_or(bit, std::memory_order_relaxed);
  else
    word.fetch_and(~bit, std::memory_order_relaxed);
}

std::vector<SocketAddress> PortRecord::ports() const {
  std::vector<SocketAddress> found;
  if (table_ == nullptr)
    return found;
  for (std::size_t at = 0; at < kMostAddresses; ++at) {
    const Table::Address& address = table_->addresses[at];
    const bool known = address.family == Family::kIpv4 || address.family == Family::kIpv6;
    if (address.state.load(std::memory_order_acquire) != kWritten || !known)
      continue;
    for (std::size_t word = 0; word < kWords; ++word) {
      std::uint32_t left = table_->ports[at][word].load(std::memory_order_relaxed);
      for (; left != 0; left &= left - 1) {
        const auto port = static_cast<std::uint16_t>(
            word * kBits + static_cast<std::size_t>(std::countr_zero(left)));
        if (port != 0)
          found.push_back({.bytes = address.bytes, .port = port, .family = address.family});
      }
    }
  }
  return found;
}

} // namespace rtprelay
