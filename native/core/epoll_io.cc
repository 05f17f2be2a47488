#include "epoll_io.h"

#include <algorithm>
#include <cerrno>

#include <sys/eventfd.h>
#include <unistd.h>

namespace rtprelay {

namespace {

/// What has waited for longer is stale, µs: two packets of telephony.
constexpr Micros kStale = 40'000;
/// So many are dropped before others have their turn: all that a port's buffer has.
constexpr int kStaleAtOnce = 128;

} // namespace

bool EpollIo::start() {
  epoll_ = FileDescriptor(epoll_create1(EPOLL_CLOEXEC));
  wake_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return epoll_.valid() && wake_.valid() && watch_other(wake_.get(), nullptr);
}

bool EpollIo::watch_other(int fd, void* tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = tag;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

std::unique_ptr<Port> EpollIo::open(const PortSpec& spec, int tos, FileDescriptor inherited,
                                    int& error) {
  auto port = std::make_unique<Port>();
  port->inherited = inherited.valid();
  port->local = spec.local;
  port->id = spec.id;
  if (port->inherited) {
    port->fd = std::move(inherited);
    EpollIo::mark(*port, tos);
  } else {
    port->fd = open_media_socket(spec.local, tos, free_bind_, error);
  }
  if (!port->fd.valid())
    return nullptr;
  report_unreachable(port->fd.get(), port->local.family);
  return port;
}

void EpollIo::mark(Port& port, int tos) { set_tos(port.fd.get(), port.local.family, tos); }

bool EpollIo::control(int operation, Port& port, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &port;
  return epoll_ctl(epoll_.get(), operation, port.fd.get(), &event) == 0;
}

bool EpollIo::watch_one(Port& port) {
  return control(EPOLL_CTL_ADD, port, port.inherited ? 0U : EPOLLIN);
}

const Port* EpollIo::watch(std::span<const std::unique_ptr<Port>> ports) {
  for (const auto& port : ports)
    if (!watch_one(*port))
      return port.get();
  return nullptr;
}

void EpollIo::resume(Port& port) { (void)control(EPOLL_CTL_MOD, port, EPOLLIN); }

void EpollIo::close(Port& port) {
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, port.fd.get(), nullptr);
  port.fd = FileDescriptor();
  port.transport = nullptr;
}

Received EpollIo::receive(std::span<InPacket> out, int timeout_ms) {
  Received result;
  stale_size_ = 0;
  std::array<epoll_event, kBatchSize> events;
  const std::size_t room = std::min(out.size(), events.size());
  const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(room), timeout_ms);
  const std::size_t count = ready < 0 ? 0 : static_cast<std::size_t>(ready);
  for (std::size_t i = 0; i < count; ++i)
    take(events[(first_ + i) % count], out, result);
  ++first_;
  const Micros now = monotonic_micros();
  too_much_ = pressure_.note(count == room || result.packets == out.size(), now);
  drops_stale_ = pressure_.lasts(now);
  result.stale = std::span(stale_).first(stale_size_);
  if (held_packets_.moment != nullptr && result.packets > 0)
    held_packets_.moment->store(monotonic_micros(), std::memory_order_relaxed);
  return result;
}

void EpollIo::let_go() {
  for (HeldPacket& packet : held_packets_.packets.first(holding_))
    packet.let_go();
  holding_ = 0;
}

void EpollIo::take(const epoll_event& event, std::span<InPacket> out, Received& result) {
  if (event.data.ptr == nullptr) {
    std::uint64_t count = 0;
    (void)!read(wake_.get(), &count, sizeof(count));
    result.woken = true;
    return;
  }
  // What finds no room is there in the next round.
  if (result.packets == out.size() || take_other(event.data.ptr, out, result.packets))
    return;
  auto* port = static_cast<Port*>(event.data.ptr);
  if ((event.events & EPOLLERR) != 0) {
    // What has come besides is there in the next round.
    InPacket& packet = out[result.packets];
    packet.unreachable = take_socket_error(port->fd.get(), packet.source);
    packet.port = port;
    packet.begun = nullptr;
    if (packet.unreachable != 0)
      ++result.packets;
  } else if (receive_one(*port, result.packets, out[result.packets])) {
    ++result.packets;
  }
}

bool EpollIo::receive_held(Port& port, std::size_t slot, InPacket& packet, Micros& waited) {
  HeldPacket& held = held_packets_.packets[slot];
  mmsghdr& header = held_packets_.headers[slot];
  holds(slot + 1);
  held.prepare(header, port.local);
  if (port.stamped) {
    header.msg_hdr.msg_control = held.control.data();
    header.msg_hdr.msg_controllen = held.control.size();
  }
  if (recvmmsg(port.fd.get(), &header, 1, MSG_DONTWAIT | MSG_TRUNC, nullptr) != 1) {
    held.let_go();
    return false;
  }
  waited = waited_for(header.msg_hdr);
  const std::span<std::uint8_t> buffer = held.slot.body();
  const std::size_t bytes = header.msg_len;
  packet.port = &port;
  packet.unreachable = 0;
  packet.source = from_kernel(held.source);
  packet.truncated = bytes > buffer.size();
  packet.bytes = buffer.first(std::min(bytes, buffer.size()));
  packet.begun = &held.begun;
  packet.scratch = slots_[slot].body();
  return true;
}

bool EpollIo::receive_one(Port& port, std::size_t slot, InPacket& packet) {
  if (port.stamped != too_much_)
    port.stamped = stamp_messages(port.fd.get(), too_much_) ? too_much_ : port.stamped;
  if (port.stamped)
    return receive_fresh(port, slot, packet);
  Micros waited = 0;
  if (!held_packets_.packets.empty())
    return receive_held(port, slot, packet, waited);
  const std::span<std::uint8_t> buffer = slots_[slot].body();
  KernelAddress source;
  socklen_t length = sizeof(source);
  const ssize_t size = recvfrom(port.fd.get(), buffer.data(), buffer.size(),
                                MSG_DONTWAIT | MSG_TRUNC, &source.generic, &length);
  if (size < 0)
    return false;
  const auto bytes = static_cast<std::size_t>(size);
  packet.port = &port;
  packet.unreachable = 0;
  packet.source = from_kernel(source);
  packet.truncated = bytes > buffer.size();
  packet.bytes = buffer.first(std::min(bytes, buffer.size()));
  return true;
}

bool EpollIo::receive_fresh(Port& port, std::size_t slot, InPacket& packet) {
  StalePackets stale{&port, 0, 0};
  bool taken = false;
  for (int i = 0; i < kStaleAtOnce && !taken; ++i) {
    Micros waited = 0;
    if (!(held_packets_.packets.empty() ? receive_stamped(port, slot, packet, waited)
                                        : receive_held(port, slot, packet, waited)))
      break;
    taken = !drops_stale_ || waited <= kStale;
    if (taken)
      continue;
    ++stale.packets;
    stale.bytes += packet.bytes.size();
    if (packet.begun != nullptr)
      held_packets_.packets[slot].let_go();
  }
  if (stale.packets > 0 && stale_size_ < stale_.size())
    stale_[stale_size_++] = stale;
  return taken;
}

bool EpollIo::receive_stamped(Port& port, std::size_t slot, InPacket& packet, Micros& waited) {
  const std::span<std::uint8_t> buffer = slots_[slot].body();
  KernelAddress source;
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(timespec))> control;
  msghdr message{};
  message.msg_name = &source.generic;
  message.msg_namelen = sizeof(source);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = recvmsg(port.fd.get(), &message, MSG_DONTWAIT | MSG_TRUNC);
  if (size < 0)
    return false;
  const auto bytes = static_cast<std::size_t>(size);
  waited = waited_for(message);
  packet.port = &port;
  packet.unreachable = 0;
  packet.source = from_kernel(source);
  packet.truncated = bytes > buffer.size();
  packet.bytes = buffer.first(std::min(bytes, buffer.size()));
  packet.begun = nullptr;
  return true;
}

void EpollIo::send_one(OutPacket& packet) {
  KernelAddress address;
  const socklen_t length = to_kernel(packet.destination, address);
  // Before: a killed thread still finishes the system call that it is in.
  if (packet.begun != nullptr)
    packet.begun->store(packet.begun->load(std::memory_order_relaxed) + 1,
                        std::memory_order_relaxed);
  const auto attempt = [&] {
    packet.sent = sendto(packet.port->fd.get(), packet.bytes.data(), packet.bytes.size(),
                         MSG_DONTWAIT | MSG_NOSIGNAL, &address.generic, length) >= 0;
    packet.error = packet.sent ? 0 : errno;
  };
  attempt();
  // It may be an ICMP error about an earlier packet, which is told once.
  if (!packet.sent && packet.error != EAGAIN && packet.error != ENOBUFS)
    attempt();
}

void EpollIo::send(std::span<OutPacket> packets) {
  for (OutPacket& packet : packets)
    send_one(packet);
}

void EpollIo::wake() {
  const std::uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof(one));
}

std::unique_ptr<PacketIo> make_epoll_io(FreeBind free_bind) {
  auto io = std::make_unique<EpollIo>(free_bind);
  if (!io->start())
    return nullptr;
  return io;
}

} // namespace rtprelay
