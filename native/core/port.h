// A local UDP port.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "address.h"
#include "socket.h"

namespace rtprelay {

struct Transport;

/// Opened, marked, watched and closed by a `PacketIo` alone. Kept from snapshot to snapshot while
/// its id and address stay.
struct Port {
  /// Its own socket; none while it is steered.
  FileDescriptor fd;
  SocketAddress local;
  std::uint32_t id = 0;
  /// Opened by an earlier process: its packets wait until the port's call is known to the worker.
  // Thread: control only.
  bool inherited = false;
  /// That socket comes from the socket store.
  // Thread: control only.
  bool from_store = false;
  /// Its packets come to the worker's socket for all ports. Changed by the worker alone once it
  /// knows the port.
  bool steered = false;
  /// It was opened so: what its socket is like, if it gets one, is the worker's affair.
  // Thread: written before any worker knows it.
  bool opened_steered = false;
  /// The worker knows it. Thread: worker only.
  bool known = false;
  /// Its socket tells when packets came. Thread: worker only.
  bool stamped = false;
  /// TOS or traffic class of what a steered port sends. Thread: written by control.
  std::atomic<std::uint8_t> tos{0};
  /// Where packets that arrive here belong. Thread: worker only.
  Transport* transport = nullptr;
  /// Of a call whose plan can be changed: the position of its transport, and how many transports
  /// send from here. Thread: control only.
  std::uint32_t owner = 0;
  std::uint32_t senders = 0;
};

inline bool has_port_at(std::span<const std::unique_ptr<Port>> ports, const SocketAddress& local) {
  return std::ranges::any_of(ports, [&](const auto& port) { return port->local == local; });
}

} // namespace rtprelay
