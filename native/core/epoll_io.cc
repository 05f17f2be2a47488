#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "packet_io.h"

namespace rtprelay {

namespace {

/// A port has one packet at a time nearly always, so one recvfrom per ready port and
/// level-triggered epoll is cheapest: two system calls per relayed packet and a share of
/// epoll_wait. A second packet on the same port is found by the next round, which keeps the ports'
/// turns fair.
class EpollIo final : public PacketIo {
public:
  EpollIo(FileDescriptor epoll, FileDescriptor wake_up, FreeBind free_bind)
      : epoll_(std::move(epoll)), wake_(std::move(wake_up)), free_bind_(free_bind),
        slots_(kBatchSize) {}

  std::unique_ptr<Port> open(const PortSpec& spec, int tos, FileDescriptor inherited,
                             int& error) override {
    auto port = std::make_unique<Port>();
    port->inherited = inherited.valid();
    port->local = spec.local;
    port->id = spec.id;
    if (port->inherited) {
      port->fd = std::move(inherited);
      mark(*port, tos);
    } else {
      port->fd = open_media_socket(spec.local, tos, free_bind_, error);
    }
    if (!port->fd.valid())
      return nullptr;
    report_unreachable(port->fd.get(), port->local.family);
    return port;
  }

  void mark(const Port& port, int tos) override { set_tos(port.fd.get(), port.local.family, tos); }

  bool watch(Port& port) override {
    return control(EPOLL_CTL_ADD, port, port.inherited ? 0U : EPOLLIN);
  }

  void resume(Port& port) override { (void)control(EPOLL_CTL_MOD, port, EPOLLIN); }

  void close(Port& port) override {
    (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, port.fd.get(), nullptr);
    port.fd = FileDescriptor();
    port.transport = nullptr;
  }

  Received receive(std::span<InPacket> out, int timeout_ms) override {
    Received result;
    std::array<epoll_event, kBatchSize> events;
    const std::size_t room = std::min(out.size(), events.size());
    const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(room), timeout_ms);
    for (int i = 0; i < ready; ++i) {
      auto* port = static_cast<Port*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (port == nullptr) {
        std::uint64_t count = 0;
        (void)!read(wake_.get(), &count, sizeof(count));
        result.woken = true;
      } else if ((events[static_cast<std::size_t>(i)].events & EPOLLERR) != 0) {
        // What has come besides is there in the next round.
        InPacket& packet = out[result.packets];
        packet.unreachable = take_socket_error(port->fd.get(), packet.source);
        packet.port = port;
        if (packet.unreachable != 0)
          ++result.packets;
      } else if (receive_one(*port, result.packets, out[result.packets])) {
        ++result.packets;
      }
    }
    return result;
  }

  void send(std::span<OutPacket> packets) override {
    for (OutPacket& packet : packets) {
      KernelAddress address;
      const socklen_t length = to_kernel(packet.destination, address);
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
  }

  void wake() override {
    const std::uint64_t one = 1;
    (void)!write(wake_.get(), &one, sizeof(one));
  }

private:
  bool control(int operation, Port& port, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &port;
    return epoll_ctl(epoll_.get(), operation, port.fd.get(), &event) == 0;
  }

  bool receive_one(Port& port, std::size_t slot, InPacket& packet) {
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

  FileDescriptor epoll_;
  FileDescriptor wake_;
  FreeBind free_bind_;
  std::vector<Slot> slots_;
};

} // namespace

std::unique_ptr<PacketIo> make_epoll_io(FreeBind free_bind) {
  FileDescriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  FileDescriptor wake_up(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll.valid() || !wake_up.valid())
    return nullptr;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake_up.get(), &event) != 0)
    return nullptr;
  return std::make_unique<EpollIo>(std::move(epoll), std::move(wake_up), free_bind);
}

} // namespace rtprelay
