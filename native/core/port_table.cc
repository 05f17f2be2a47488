#include "port_table.h"

#include <cstring>

namespace rtprelay {

namespace {

std::uint32_t hash_of(const SocketAddress& local) {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::memcpy(&low, local.bytes.data(), sizeof(low));
  std::memcpy(&high, local.bytes.data() + sizeof(low), sizeof(high));
  std::uint64_t mixed = low ^ (high * 0x9e3779b97f4a7c15ULL) ^ (std::uint64_t{local.port} << 40U);
  mixed *= 0x9e3779b97f4a7c15ULL;
  mixed ^= mixed >> 29U;
  mixed *= 0xbf58476d1ce4e5b9ULL;
  return static_cast<std::uint32_t>(mixed >> 32U);
}

} // namespace

std::size_t PortTable::place_of(const SocketAddress& local, std::uint32_t hash) const {
  std::size_t at = hash & (entries_.size() - 1);
  while (entries_[at].port != nullptr &&
         (entries_[at].hash != hash || entries_[at].port->local != local))
    at = next(at);
  return at;
}

Port* PortTable::find(const SocketAddress& local) const {
  return entries_[place_of(local, hash_of(local))].port;
}

void PortTable::look_ahead(const SocketAddress& local) const {
  __builtin_prefetch(&entries_[hash_of(local) & (entries_.size() - 1)]);
}

void PortTable::look_ahead_port(const SocketAddress& local) const {
  const Port* const port = entries_[hash_of(local) & (entries_.size() - 1)].port;
  if (port == nullptr)
    return;
  __builtin_prefetch(&port->local);
  __builtin_prefetch(&port->transport);
}

void PortTable::insert(Port& port) {
  if (2 * (size_ + 1) > entries_.size())
    grow();
  const std::uint32_t hash = hash_of(port.local);
  Entry& entry = entries_[place_of(port.local, hash)];
  if (entry.port == nullptr)
    ++size_;
  entry = {&port, hash};
}

void PortTable::grow() {
  std::vector<Entry> old(entries_.size() * 2);
  old.swap(entries_);
  for (const Entry& entry : old)
    if (entry.port != nullptr)
      entries_[place_of(entry.port->local, entry.hash)] = entry;
}

void PortTable::erase(const Port& port) {
  std::size_t hole = place_of(port.local, hash_of(port.local));
  if (entries_[hole].port != &port)
    return;
  --size_;
  // Those behind it that would no longer be found move up.
  for (std::size_t at = next(hole); entries_[at].port != nullptr; at = next(at)) {
    const std::size_t home = entries_[at].hash & (entries_.size() - 1);
    const std::size_t mask = entries_.size() - 1;
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      entries_[hole] = entries_[at];
      hole = at;
    }
  }
  entries_[hole] = {};
}

} // namespace rtprelay
