// A local UDP port.
#pragma once

#include <cstdint>

#include "address.h"
#include "socket.h"

namespace rtprelay {

struct TransportConfig;

/// Opened, marked, watched and closed by a `PacketIo` alone. Kept from snapshot to snapshot while
/// its id and address stay.
struct Port {
  FileDescriptor fd;
  SocketAddress local;
  std::uint32_t id = 0;
  /// Opened by an earlier process: its packets wait until the port's call is known to the worker.
  // Thread: control only.
  bool inherited = false;
  /// Where packets that arrive here belong. Thread: worker only.
  const TransportConfig* transport = nullptr;
};

} // namespace rtprelay
