// One kernel socket for all ports of a family.
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "epoll_io.h"
#include "parked_packets.h"
#include "port_steering.h"
#include "port_table.h"
#include "raw_sender.h"

namespace rtprelay {

/// The socket that packets of a family are steered to: many of them come with one system call, each
/// says which port it was sent to. What cannot be steered is a port of `EpollIo`.
class SteeredIo final : public EpollIo {
public:
  explicit SteeredIo(const SteeredIoOptions& options);
  /// false: `error` is the errno.
  bool start(SocketStore* sockets, int& error);
  bool activate(SocketStore* sockets, int& error) override;

  std::unique_ptr<Port> open(const PortSpec& spec, int tos, FileDescriptor inherited,
                             int& error) override;
  void mark(Port& port, int tos) override;
  const Port* watch(std::span<const std::unique_ptr<Port>> ports) override;
  void retire(std::span<const std::unique_ptr<Port>> ports,
              std::span<const std::unique_ptr<Port>> open) override;
  void know(Port& port) override;
  void close(Port& port) override;
  void resolve(std::span<InPacket> packets) override;
  void bind_all() override;
  void end_waiting() override;
  Received receive(std::span<InPacket> out, int timeout_ms) override;
  void send(std::span<OutPacket> packets) override;

protected:
  bool take_other(void* tag, std::span<InPacket> out, std::size_t& taken) override;

private:
  struct Channel {
    Family family = Family::kNone;
    FileDescriptor socket;
    FileDescriptor icmp;
    RawSender sender;
  };
  /// Room for the address that a packet was sent to.
  struct Control {
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(sockaddr_in6))> bytes;
  };

  static constexpr std::size_t index_of(Family family) { return family == Family::kIpv4 ? 0 : 1; }
  [[nodiscard]] std::uint32_t slot_of(Family family) const;
  void fit_buffers();
  void set_buffers(int bytes) const;
  /// Small buffers while more comes than can be relayed.
  void fit_to_load();
  bool start_channels(SocketStore* sockets, int& error);
  bool start_channel(Channel& channel, SocketStore* sockets, int& error);
  bool open_socket(Channel& channel, SocketStore* sockets, int& error);
  /// false: it has to have a socket of its own.
  [[nodiscard]] bool can_steer(Family family) const;
  /// false: errno says why.
  bool bind_own(Port& port);
  /// Ready for a packet in place `at`. `held`: where the next process finds it.
  void prepare(std::size_t at, bool held);
  void take_packets(Channel& channel, std::span<InPacket> out, std::size_t& taken);
  void take_errors(Channel& channel, std::span<InPacket> out, std::size_t& taken);

  PortSteering& steering_;
  const std::uint32_t worker_;
  std::array<Channel, 2> channels_;
  PortTable ports_;
  bool binds_ = false;
  ParkedPackets parked_;
  bool waits_ = true;
  // Thread: control only.
  std::size_t count_ = 0;
  // Thread: written by control, read by any.
  std::atomic<int> buffer_bytes_{0};
  // Thread: written by the worker, read by any.
  std::atomic<bool> squeezed_{false};
  std::vector<mmsghdr> headers_;
  std::vector<iovec> parts_;
  std::vector<KernelAddress> sources_;
  std::vector<Control> controls_;
};

} // namespace rtprelay
