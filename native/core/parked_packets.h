// Packets for ports whose calls are about to be restored.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "packet_io.h"
#include "port_table.h"

namespace rtprelay {

/// At the start all ports of earlier calls are steered to us before their calls are known. What
/// comes for them waits here, not in the socket: calls that are known don't wait for those that are
/// not.
// Thread: worker only.
class ParkedPackets {
public:
  /// false: there is no room any more, or it is not a packet to wait with.
  bool park(const InPacket& packet);
  /// A port has become known: `take` may find something.
  void look() { may_have_ = size_ > 0; }
  [[nodiscard]] bool may_have() const { return may_have_; }
  /// Moves packets of known ports to `out`, oldest first; returns how many. Their bytes stay valid
  /// until the next call of any method.
  std::size_t take(const PortTable& ports, std::span<InPacket> out);
  /// Nobody comes for the rest.
  void clear();

private:
  /// Longest packet that waits, bytes: what fits a frame of Ethernet.
  static constexpr std::size_t kLongest = 1500;
  static constexpr std::size_t kMost = 8192;
  struct Place {
    std::array<std::uint8_t, kHeadRoom + kLongest + kTailRoom> memory;
    SocketAddress local;
    SocketAddress source;
    std::size_t size = 0;
  };

  std::vector<std::unique_ptr<Place>> places_;
  /// In use, from the front; those behind are free.
  std::size_t size_ = 0;
  bool may_have_ = false;
};

} // namespace rtprelay
