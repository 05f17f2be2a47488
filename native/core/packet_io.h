// The narrow interface between the packet path and the ways packets come and go.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "address.h"
#include "call.h"

namespace rtprelay {

/// Largest datagram relayed, bytes; longer ones are dropped as truncated.
constexpr std::size_t kMaxPacketBytes = 9216;
/// Packets handled per round; bounds the work between two looks at the mailbox, and what is lost
/// when the process is killed with packets in its hands.
constexpr std::size_t kBatchSize = 16;

struct InPacket {
  LocalPort* port = nullptr;
  SocketAddress source;
  std::span<std::uint8_t> bytes;
  bool truncated = false;
};

struct OutPacket {
  const LocalPort* port = nullptr;
  SocketAddress destination;
  std::span<const std::uint8_t> bytes;
  Stream* ingress = nullptr;
  Stream* egress = nullptr;
  bool sent = false;
  /// errno, when it could not be sent.
  int error = 0;
};

struct Received {
  std::size_t packets = 0;
  /// wake() was called.
  bool woken = false;
};

// Thread: worker only, except add, add_paused, resume and wake.
class PacketIo {
public:
  virtual ~PacketIo() = default;
  // Thread: any. The port may only be freed after `remove`.
  virtual bool add(LocalPort& port) = 0;
  /// As `add`, but its packets wait in the socket until `resume`.
  virtual bool add_paused(LocalPort& port) = 0;
  virtual void resume(LocalPort& port) = 0;
  /// After this no packet of `port` is returned any more.
  virtual void remove(LocalPort& port) = 0;
  /// Waits up to `timeout_ms` (-1: for ever). The bytes stay valid until the next call.
  virtual Received receive(std::span<InPacket> out, int timeout_ms) = 0;
  /// Sends what it can and marks it `sent`; never blocks.
  virtual void send(std::span<OutPacket> packets) = 0;
  // Thread: any.
  virtual void wake() = 0;
};

/// One kernel socket per port, epoll. null when the kernel refuses (descriptors).
std::unique_ptr<PacketIo> make_epoll_io();

} // namespace rtprelay
