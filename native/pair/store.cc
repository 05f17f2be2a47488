#include "store.h"

#include <algorithm>

#include <sys/mman.h>
#include <unistd.h>

namespace rtprelay::pair {

namespace {

/// Pages are the process' when they are first used.
void* reserve(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

} // namespace

Store::~Store() {
  for (std::uint32_t at = first_; at != 0; at = entries_[at].after)
    close(entries_[at].fd);
  if (entries_ != nullptr)
    munmap(entries_, capacity_ * sizeof(Entry));
  if (buckets_ != nullptr)
    munmap(buckets_, capacity_ * sizeof(std::uint32_t));
}

bool Store::open(std::uint32_t capacity) {
  capacity_ = capacity + 1;
  entries_ = static_cast<Entry*>(reserve(capacity_ * sizeof(Entry)));
  buckets_ = static_cast<std::uint32_t*>(reserve(capacity_ * sizeof(std::uint32_t)));
  return entries_ != nullptr && buckets_ != nullptr;
}

std::uint32_t Store::bucket_of(std::string_view name) const {
  std::uint32_t hash = 0x811c9dc5;
  for (const char byte : name)
    hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x01000193;
  return hash % capacity_;
}

std::uint32_t Store::find(std::string_view name) const {
  std::uint32_t at = buckets_[bucket_of(name)];
  while (at != 0 && name != std::string_view(entries_[at].name.data(), entries_[at].length))
    at = entries_[at].chain;
  return at;
}

bool Store::put(std::string_view name, int fd) {
  if (name.empty() || name.size() > kMaxName)
    return false;
  remove(name);
  std::uint32_t at = free_;
  if (at != 0)
    free_ = entries_[at].chain;
  else if (never_used_ < capacity_)
    at = never_used_++;
  else
    return false;
  Entry& entry = entries_[at];
  std::ranges::copy(name, entry.name.begin());
  entry.length = static_cast<std::uint32_t>(name.size());
  entry.fd = fd;
  std::uint32_t& bucket = buckets_[bucket_of(name)];
  entry.chain = bucket;
  bucket = at;
  entry.before = last_;
  entry.after = 0;
  (last_ == 0 ? first_ : entries_[last_].after) = at;
  last_ = at;
  ++count_;
  return true;
}

void Store::unlink(std::uint32_t at) {
  const Entry& entry = entries_[at];
  (entry.before == 0 ? first_ : entries_[entry.before].after) = entry.after;
  (entry.after == 0 ? last_ : entries_[entry.after].before) = entry.before;
  for (std::uint32_t& cursor : cursors_)
    if (cursor == at)
      cursor = entry.before;
}

bool Store::remove(std::string_view name) {
  const std::uint32_t at = name.empty() || name.size() > kMaxName ? 0 : find(name);
  if (at == 0)
    return false;
  Entry& entry = entries_[at];
  std::uint32_t* link = &buckets_[bucket_of(name)];
  while (*link != at)
    link = &entries_[*link].chain;
  *link = entry.chain;
  unlink(at);
  close(entry.fd);
  entry.chain = free_;
  free_ = at;
  --count_;
  return true;
}

std::size_t Store::peek(std::size_t cursor, int* out, std::size_t most) const {
  const std::uint32_t seen = cursors_[cursor];
  std::uint32_t at = seen == 0 ? first_ : entries_[seen].after;
  std::size_t count = 0;
  for (; at != 0 && count < most; at = entries_[at].after)
    out[count++] = entries_[at].fd;
  return count;
}

void Store::passed(std::size_t cursor, std::size_t count) {
  std::uint32_t& seen = cursors_[cursor];
  for (; count > 0; --count)
    seen = seen == 0 ? first_ : entries_[seen].after;
}

} // namespace rtprelay::pair
