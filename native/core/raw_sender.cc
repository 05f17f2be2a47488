#include "raw_sender.h"

#include <cerrno>
#include <cstring>

#include <linux/filter.h>

namespace rtprelay {

namespace {

/// All ports of a worker share it: what a device's queue holds for a moment.
constexpr int kSendBufferBytes = 4 * 1024 * 1024;

/// A raw socket gets a copy of every datagram to the address that it is bound to: this one gets
/// none (RFC 1122 §3.2.1.3: loopback; RFC 6666: discard prefix).
SocketAddress silent_address(Family family) {
  SocketAddress address;
  (void)parse_address(family == Family::kIpv4 ? "127.82.84.81" : "100::5254:5051", 0, address);
  return address;
}

bool ignore_all(int fd) {
  sock_filter nothing{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &nothing};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

template <typename Value>
void put(cmsghdr*& header, msghdr& scratch, int level, int type, const Value& value) {
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof(value));
  std::memcpy(CMSG_DATA(header), &value, sizeof(value));
  header = CMSG_NXTHDR(&scratch, header);
}

} // namespace

bool RawSender::open(Family family, int& error) {
  const bool v4 = family == Family::kIpv4;
  FileDescriptor fd(
      socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
  const int on = 1;
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  KernelAddress address;
  const socklen_t length = to_kernel(silent_address(family), address);
  if (!fd.valid() || !ignore_all(fd.get()) ||
      setsockopt(fd.get(), level, v4 ? IP_FREEBIND : IPV6_FREEBIND, &on, sizeof(on)) != 0 ||
      bind(fd.get(), &address.generic, length) != 0) {
    error = errno;
    return false;
  }
  // What the filter refuses has been copied all the same; with freebind the kernel would let a
  // datagram leave from an address that this machine hasn't.
  const int off = 0;
  (void)setsockopt(fd.get(), level, v4 ? IP_FREEBIND : IPV6_FREEBIND, &off, sizeof(off));
  if (setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferBytes,
                 sizeof(kSendBufferBytes)) != 0)
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
  fd_ = std::move(fd);
  family_ = family;
  messages_.resize(kBatchSize);
  headers_.resize(kBatchSize);
  return true;
}

std::size_t RawSender::write_control(Message& message, const Port& port) const {
  msghdr scratch{};
  scratch.msg_control = message.control.data();
  scratch.msg_controllen = message.control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&scratch);
  const int tos = port.tos.load(std::memory_order_relaxed);
  if (family_ == Family::kIpv4) {
    in_pktinfo source{};
    std::memcpy(&source.ipi_spec_dst, port.local.bytes.data(), sizeof(source.ipi_spec_dst));
    put(header, scratch, IPPROTO_IP, IP_PKTINFO, source);
    if (tos == 0)
      return CMSG_SPACE(sizeof(source));
    put(header, scratch, IPPROTO_IP, IP_TOS, tos);
    return CMSG_SPACE(sizeof(source)) + CMSG_SPACE(sizeof(tos));
  }
  in6_pktinfo source{};
  std::memcpy(&source.ipi6_addr, port.local.bytes.data(), sizeof(source.ipi6_addr));
  put(header, scratch, IPPROTO_IPV6, IPV6_PKTINFO, source);
  if (tos == 0)
    return CMSG_SPACE(sizeof(source));
  put(header, scratch, IPPROTO_IPV6, IPV6_TCLASS, tos);
  return CMSG_SPACE(sizeof(source)) + CMSG_SPACE(sizeof(tos));
}

void RawSender::add(OutPacket& packet) {
  Message& message = messages_[size_];
  message.packet = &packet;
  SocketAddress destination = packet.destination;
  write_udp_header(packet.port->local, destination, packet.bytes, message.header);
  // For a raw socket of IPv6 the port is a protocol.
  destination.port = 0;
  const socklen_t length = to_kernel(destination, message.destination);
  message.parts[0] = {message.header.data(), message.header.size()};
  message.parts[1] = {const_cast<std::uint8_t*>(packet.bytes.data()), packet.bytes.size()};
  msghdr& header = headers_[size_].msg_hdr;
  header = {};
  header.msg_name = &message.destination.generic;
  header.msg_namelen = length;
  header.msg_iov = message.parts.data();
  header.msg_iovlen = message.parts.size();
  header.msg_control = message.control.data();
  header.msg_controllen = write_control(message, *packet.port);
  ++size_;
}

void RawSender::flush() {
  // Before: a killed thread still finishes the system call that it is in.
  for (std::size_t i = 0; i < size_; ++i)
    if (std::atomic<std::uint32_t>* begun = messages_[i].packet->begun; begun != nullptr)
      begun->store(begun->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  for (std::size_t at = 0; at < size_;) {
    const int sent = sendmmsg(fd_.get(), headers_.data() + at, static_cast<unsigned>(size_ - at),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
    for (int i = 0; i < sent; ++i)
      messages_[at++].packet->sent = true;
    if (sent > 0)
      continue;
    // The next one may have another destination.
    messages_[at++].packet->error = errno;
  }
  size_ = 0;
}

} // namespace rtprelay
