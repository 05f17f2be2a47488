// Packets that a process has taken from its sockets and not sent yet, in memory that outlives it
// (memfd_create(2), kept by the parent of a pair): the next process sends them.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

#include "address.h"
#include "clock.h"
#include "port.h"
#include "slot.h"
#include "socket.h"

namespace rtprelay {

/// The place of one packet.
struct HeldPacket {
  iovec vector;
  KernelAddress source;
  /// The port that it came to; kNone: `control` says it.
  SocketAddress local;
  /// Room for the address that a packet of a steered port was sent to.
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(sockaddr_in6))> control;
  /// Of the packets that were made of it, so many were given to the kernel.
  std::atomic<std::uint32_t> begun;
  std::atomic<bool> held;
  Slot slot;

  /// Ready for a packet that comes to `to`, by `header`.
  void prepare(mmsghdr& header, const SocketAddress& to);
  /// Everything was done with it.
  void let_go() { held.store(false, std::memory_order_release); }
};

/// What has become of it in another process.
struct LeftPacket {
  /// Where it came to; null: not known yet.
  Port* port = nullptr;
  SocketAddress local;
  SocketAddress source;
  /// With room before and behind, as a `Slot`.
  std::vector<std::uint8_t> memory;
  std::size_t size = 0;
  /// So many of the packets that are made of it were sent already.
  std::uint32_t begun = 0;

  [[nodiscard]] std::span<std::uint8_t> bytes() {
    return std::span(memory).subspan(kHeadRoom, size);
  }
};

/// What one worker holds.
struct HeldByWorker {
  /// When packets were received last, CLOCK_MONOTONIC.
  std::atomic<Micros>* moment = nullptr;
  std::span<HeldPacket> packets;
  /// For each packet; they say how long it is from the very moment in which the socket does not
  /// have it any more, whatever happens to the process: the kernel writes it.
  std::span<mmsghdr> headers;
};

/// Where a packet was sent to, as the kernel says it (IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR);
/// kNone: it has not.
SocketAddress destination_in(std::span<const std::uint8_t> control);

class HeldPackets {
public:
  /// null: there is no memory.
  static std::unique_ptr<HeldPackets> make(std::size_t workers);
  ~HeldPackets();
  HeldPackets(const HeldPackets&) = delete;
  HeldPackets& operator=(const HeldPackets&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] HeldByWorker of(std::size_t worker) const;

  /// Whether `fd` is such a file.
  static bool is_one(int fd);
  /// What an ended process has left in it, of one worker after the other. Nothing, if it was of
  /// another version, or is too old to be of use at `now`.
  static std::vector<LeftPacket> read(int fd, Micros now);

private:
  HeldPackets(FileDescriptor fd, void* memory, std::size_t workers)
      : fd_(std::move(fd)), memory_(memory), workers_(workers) {}

  FileDescriptor fd_;
  void* memory_;
  std::size_t workers_;
};

/// Where those of an earlier process come from and ours are kept.
struct HeldPacketsOptions {
  /// The process is one of a pair.
  bool wanted = false;
  FileDescriptor left;
};

} // namespace rtprelay
