// The narrow interface between the packet path and the ways packets come and go.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "address.h"
#include "call.h"
#include "held_packets.h"
#include "slot.h"

namespace rtprelay {

class SocketStore;

struct InPacket {
  /// null until `resolve` when it came to a steered port, and afterwards if that is none of ours.
  Port* port = nullptr;
  /// Where it came to, of a steered port.
  SocketAddress local;
  SocketAddress source;
  /// In a `Slot`: there is room before and behind.
  std::span<std::uint8_t> bytes;
  bool truncated = false;
  /// Not 0: no packet, but an ICMP error (its errno) about packets sent from `port` to `source`.
  int unreachable = 0;
  /// Where it is counted what of it was given to the kernel; null: nowhere.
  std::atomic<std::uint32_t>* begun = nullptr;
  /// Where it may be changed, of the size of a `Slot`'s body; empty: where it is.
  std::span<std::uint8_t> scratch;
};

struct OutPacket {
  const Port* port = nullptr;
  SocketAddress destination;
  std::span<const std::uint8_t> bytes;
  /// What it came from; null: we have made it.
  Stream* ingress = nullptr;
  /// Where it is counted as sent; null: nowhere.
  Stream* egress = nullptr;
  Transport* transport = nullptr;
  bool sent = false;
  /// errno, when it could not be sent.
  int error = 0;
  /// As of the `InPacket` that it was made of.
  std::atomic<std::uint32_t>* begun = nullptr;
};

/// Packets that came to a port and were dropped because they had waited for too long.
struct StalePackets {
  Port* port = nullptr;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

struct Received {
  std::size_t packets = 0;
  /// wake() was called.
  bool woken = false;
  /// Valid as long as the packets.
  std::span<const StalePackets> stale{};
};

/// Opens, marks, watches and closes ports, and takes and sends their packets.
// Thread: worker only, except where said otherwise.
class PacketIo {
public:
  virtual ~PacketIo() = default;
  // Thread: control.
  /// A port that no packet comes from yet. `inherited`: a socket of an earlier process that is
  /// bound to `spec.local`, or none. null: `error` is the errno.
  virtual std::unique_ptr<Port> open(const PortSpec& spec, int tos, FileDescriptor inherited,
                                     int& error) = 0;
  /// Sets IP_TOS / IPV6_TCLASS of what is sent from it; -1 means the system default.
  virtual void mark(Port& port, int tos) = 0;
  /// From now on their packets are returned; those of an inherited port wait until `resume`. The
  /// ports may only be freed after `close`. Returns the first for which it could not be done (errno
  /// says why), or null.
  virtual const Port* watch(std::span<const std::unique_ptr<Port>> ports) = 0;
  virtual void resume(Port& port) = 0;
  /// Until now another process had the calls. false: `error` is the errno.
  virtual bool activate(SocketStore* /*sockets*/, int& /*error*/) { return true; }
  /// They will be closed, and their addresses may be opened anew before that; those that are among
  /// `open` have been.
  virtual void retire(std::span<const std::unique_ptr<Port>> /*ports*/,
                      std::span<const std::unique_ptr<Port>> /*open*/) {}
  // Thread: worker.
  /// After `watch`, before its packets are looked at. Once or more often.
  virtual void know(Port& /*port*/) {}
  /// After this no packet of `port` is returned any more.
  virtual void close(Port& port) = 0;
  /// Waits up to `timeout_ms` (-1: for ever). The bytes stay valid until the next call. ICMP errors
  /// come among the packets.
  virtual Received receive(std::span<InPacket> out, int timeout_ms) = 0;
  /// From the next `receive` on its packets lie where the next process finds them until `let_go`.
  virtual void hold_in(const HeldByWorker& /*held_packets*/) {}
  /// Everything was done with what was received.
  virtual void let_go() {}
  /// Finds the ports of packets that came to steered ones, with those that are known by now.
  virtual void resolve(std::span<InPacket> /*packets*/) {}
  /// Gives every steered port a socket of its own.
  virtual void bind_all() {}
  /// All calls that there were are known: packets for other ports wait no longer.
  virtual void end_waiting() {}
  /// Sends what it can and marks it `sent`; never blocks.
  virtual void send(std::span<OutPacket> packets) = 0;
  // Thread: any.
  virtual void wake() = 0;
};

/// One kernel socket per port, epoll. null when the kernel refuses (descriptors).
std::unique_ptr<PacketIo> make_epoll_io(FreeBind free_bind);

class PortSteering;

struct SteeredIoOptions {
  FreeBind free_bind = FreeBind::kNo;
  /// The number of the worker.
  std::uint32_t worker = 0;
  /// Outlives it.
  PortSteering* steering = nullptr;
  /// Where sockets of an earlier process come from and ours are kept; null: nowhere.
  SocketStore* sockets = nullptr;
};

/// One kernel socket for all ports of a family; what cannot be steered has a socket of its own.
/// null: `error` is the errno.
std::unique_ptr<PacketIo> make_steered_io(const SteeredIoOptions& options, int& error);

} // namespace rtprelay
