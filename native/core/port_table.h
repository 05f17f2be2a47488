// The steered ports of one worker by their addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "port.h"

namespace rtprelay {

/// Open addressing, so that a packet's port costs one cache line more than the port itself. Owns
/// nothing.
// Thread: worker only. Allocates when ports are added, not when they are looked for.
class PortTable {
public:
  PortTable() : entries_(kSmallest) {}

  /// The newest port of an address is the one that is found.
  void insert(Port& port);
  /// Unless another port has its address by now.
  void erase(const Port& port);
  /// null: it is no port of ours (any more).
  [[nodiscard]] Port* find(const SocketAddress& local) const;
  /// Has its entry brought near, and then, when that is there, the port.
  void look_ahead(const SocketAddress& local) const;
  void look_ahead_port(const SocketAddress& local) const;
  [[nodiscard]] std::size_t size() const { return size_; }

  template <typename Visitor> void each(Visitor visit) {
    for (const Entry& entry : entries_)
      if (entry.port != nullptr)
        visit(*entry.port);
  }

private:
  struct Entry {
    Port* port = nullptr;
    std::uint32_t hash = 0;
  };
  static constexpr std::size_t kSmallest = 64;

  [[nodiscard]] std::size_t place_of(const SocketAddress& local, std::uint32_t hash) const;
  [[nodiscard]] std::size_t next(std::size_t at) const { return (at + 1) & (entries_.size() - 1); }
  void grow();

  /// As many as a power of two, at most half of them in use.
  std::vector<Entry> entries_;
  std::size_t size_ = 0;
};

} // namespace rtprelay
