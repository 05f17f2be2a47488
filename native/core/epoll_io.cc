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
  EpollIo(FileDescriptor epoll, FileDescriptor wake_up)
      : epoll_(std::move(epoll)), wake_(std::move(wake_up)), buffers_(kBatchSize) {}

  bool add(LocalPort& port) override { return watch(EPOLL_CTL_ADD, port, EPOLLIN); }

  bool add_paused(LocalPort& port) override { return watch(EPOLL_CTL_ADD, port, 0); }

  void resume(LocalPort& port) override { (void)watch(EPOLL_CTL_MOD, port, EPOLLIN); }

  void remove(LocalPort& port) override {
    (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, port.fd.get(), nullptr);
  }

  Received receive(std::span<InPacket> out, int timeout_ms) override {
    Received result;
    std::array<epoll_event, kBatchSize> events;
    const std::size_t room = std::min(out.size(), events.size());
    const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(room), timeout_ms);
    for (int i = 0; i < ready; ++i) {
      auto* port = static_cast<LocalPort*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (port == nullptr) {
        std::uint64_t count = 0;
        (void)!read(wake_.get(), &count, sizeof(count));
        result.woken = true;
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
      packet.sent = sendto(packet.port->fd.get(), packet.bytes.data(), packet.bytes.size(),
                           MSG_DONTWAIT | MSG_NOSIGNAL, &address.generic, length) >= 0;
      packet.error = packet.sent ? 0 : errno;
    }
  }

  void wake() override {
    const std::uint64_t one = 1;
    (void)!write(wake_.get(), &one, sizeof(one));
  }

private:
  bool watch(int operation, LocalPort& port, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &port;
    return epoll_ctl(epoll_.get(), operation, port.fd.get(), &event) == 0;
  }

  bool receive_one(LocalPort& port, std::size_t slot, InPacket& packet) {
    auto& buffer = buffers_[slot];
    KernelAddress source;
    socklen_t length = sizeof(source);
    const ssize_t size = recvfrom(port.fd.get(), buffer.data(), buffer.size(),
                                  MSG_DONTWAIT | MSG_TRUNC, &source.generic, &length);
    if (size < 0)
      return false;
    const auto bytes = static_cast<std::size_t>(size);
    packet.port = &port;
    packet.source = from_kernel(source);
    packet.truncated = bytes > buffer.size();
    packet.bytes = {buffer.data(), std::min(bytes, buffer.size())};
    return true;
  }

  FileDescriptor epoll_;
  FileDescriptor wake_;
  std::vector<std::array<std::uint8_t, kMaxPacketBytes>> buffers_;
};

} // namespace

std::unique_ptr<PacketIo> make_epoll_io() {
  FileDescriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  FileDescriptor wake_up(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll.valid() || !wake_up.valid())
    return nullptr;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake_up.get(), &event) != 0)
    return nullptr;
  return std::make_unique<EpollIo>(std::move(epoll), std::move(wake_up));
}

} // namespace rtprelay
