// Sends UDP datagrams from ports that no socket is bound to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

#include "packet_io.h"
#include "udp_header.h"

namespace rtprelay {

/// A raw socket of protocol UDP: we make the UDP header, the kernel the IP header, with routes,
/// fragments, path MTU and the check that the source address is this machine's as for a bound
/// socket. It receives nothing. One system call for many packets.
// Thread: worker only, except `open`.
class RawSender {
public:
  /// false: `error` is the errno.
  bool open(Family family, int& error);
  [[nodiscard]] bool valid() const { return fd_.valid(); }
  /// To be sent by the next `flush`, which is needed after `kBatchSize` packets at the latest. What
  /// it refers to stays.
  void add(OutPacket& packet);
  /// Sends what was added and marks it.
  void flush();

private:
  /// Room for one source address and one TOS.
  static constexpr std::size_t kControlBytes =
      CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int));
  struct Message {
    OutPacket* packet = nullptr;
    KernelAddress destination;
    std::array<iovec, 2> parts;
    std::array<std::uint8_t, kUdpHeaderSize> header;
    alignas(cmsghdr) std::array<std::uint8_t, kControlBytes> control;
  };

  std::size_t write_control(Message& message, const Port& port) const;

  FileDescriptor fd_;
  Family family_ = Family::kNone;
  std::vector<Message> messages_;
  std::vector<mmsghdr> headers_;
  std::size_t size_ = 0;
};

} // namespace rtprelay
