// One kernel socket per port.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include <sys/epoll.h>

#include "packet_io.h"
#include "pressure.h"

namespace rtprelay {

/// A port has one packet at a time nearly always, so one recvfrom per ready port and
/// level-triggered epoll is cheapest: two system calls per relayed packet and a share of
/// epoll_wait. A second packet on the same port is found by the next round, which keeps the ports'
/// turns fair.
///
/// While more comes than can be relayed, what has waited for long is dropped: nobody would play it
/// any more, and all that is behind it would be late, too.
class EpollIo : public PacketIo {
public:
  explicit EpollIo(FreeBind free_bind)
      : free_bind_(free_bind), slots_(kBatchSize), stale_(kBatchSize) {}

  /// false: errno says why.
  bool start();

  std::unique_ptr<Port> open(const PortSpec& spec, int tos, FileDescriptor inherited,
                             int& error) override;
  void mark(Port& port, int tos) override;
  const Port* watch(std::span<const std::unique_ptr<Port>> ports) override;
  void resume(Port& port) override;
  void close(Port& port) override;
  Received receive(std::span<InPacket> out, int timeout_ms) override;
  void hold_in(const HeldByWorker& held_packets) override { held_packets_ = held_packets; }
  void let_go() override;
  void send(std::span<OutPacket> packets) override;
  void wake() override;

protected:
  [[nodiscard]] FreeBind free_bind() const { return free_bind_; }
  /// Memory of the packets that `receive` returns, each in its place.
  [[nodiscard]] std::vector<Slot>& slots() { return slots_; }
  /// Has `take_other` called when `fd` can be read. false: errno says why.
  bool watch_other(int fd, void* tag);
  /// Takes packets of what `tag` stands for to `out` from `taken` on, which it raises. false: it is
  /// a port.
  virtual bool take_other(void* /*tag*/, std::span<InPacket> /*out*/, std::size_t& /*taken*/) {
    return false;
  }
  /// More comes than can be relayed.
  [[nodiscard]] bool too_much() const { return too_much_; }
  /// Where packets lie that the next process shall find; nowhere without a next one.
  [[nodiscard]] const HeldByWorker& held_packets() const { return held_packets_; }
  /// The first `count` of them may be in use until `let_go`.
  void holds(std::size_t count) { holding_ = std::max(holding_, count); }
  bool watch_one(Port& port);
  static void send_one(OutPacket& packet);

private:
  bool control(int operation, Port& port, std::uint32_t events);
  bool receive_one(Port& port, std::size_t slot, InPacket& packet);
  bool receive_fresh(Port& port, std::size_t slot, InPacket& packet);
  bool receive_held(Port& port, std::size_t slot, InPacket& packet, Micros& waited);
  bool receive_stamped(Port& port, std::size_t slot, InPacket& packet, Micros& waited);
  void take(const epoll_event& event, std::span<InPacket> out, Received& result);

  FileDescriptor epoll_;
  FileDescriptor wake_;
  FreeBind free_bind_;
  std::vector<Slot> slots_;
  HeldByWorker held_packets_;
  /// Of `held_packets_`, those that may be in use.
  std::size_t holding_ = 0;
  /// Who has its turn first, so that nobody waits for ever behind a busy one.
  std::size_t first_ = 0;
  Pressure pressure_;
  /// Then sockets tell when packets came.
  bool too_much_ = false;
  /// It has been so for long.
  bool drops_stale_ = false;
  /// Of the last round, the first `stale_size_`.
  std::vector<StalePackets> stale_;
  std::size_t stale_size_ = 0;
};

} // namespace rtprelay
