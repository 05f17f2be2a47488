// The control side of steered ports: which socket the packets of a port come to.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "../bpf/steer.h"
#include "clock.h"
#include "foreign_sockets.h"
#include "port.h"

namespace rtprelay {

/// Descriptors of the pinned maps (native/bpf/steer.h); -1: ports are not steered.
struct SteeringMaps {
  int ports = -1;
  int sockets = -1;
  int blocks = -1;
};

struct AddressHash {
  std::size_t operator()(const SocketAddress& address) const;
};

/// Writes the maps of the steering program. One for all workers.
// Thread: control only.
class PortSteering {
public:
  /// The maps are ours from then on (as copies of the descriptors). Reads which ports an earlier
  /// process has left. `stands_by`: another one has the calls and writes them until `activate`.
  /// null: they cannot be used; `error` is the errno.
  static std::unique_ptr<PortSteering> make(const SteeringMaps& maps, bool stands_by, int& error);

  /// Nothing is written, and what another process writes is looked up.
  [[nodiscard]] bool stands_by() const { return stands_by_; }
  /// What the other process has left is read now.
  void activate();
  /// An earlier process has left this port, and it is ours now. false: it is not there.
  bool claim(const SocketAddress& local) { return left_.erase(local) > 0; }

  /// false: from now on ports get sockets of their own.
  [[nodiscard]] bool on() const { return on_; }
  void turn_off() { on_ = false; }
  /// 0, or the errno that binding a socket there would give.
  int check(const SocketAddress& local, FreeBind free_bind);
  /// What is known of other sockets is old.
  void look_again() { foreign_.forget(); }
  /// Has packets for these ports come to the socket of `slot`; one system call for all. Returns how
  /// many, from the first, that holds for; errno says why not for all.
  std::size_t steer(std::span<const SocketAddress> locals, std::uint32_t slot);
  /// They come nowhere any more.
  void unsteer(std::span<const SocketAddress> locals);

  /// Has packets for ports that no earlier process had come to a worker, as if it had had them.
  void expect(std::span<const SocketAddress> locals, std::uint32_t worker);
  /// The slot that an earlier process had a port's packets come to, as long as nobody has opened
  /// it; that the active one has, while this one stands by.
  [[nodiscard]] std::optional<std::uint32_t> left_slot(const SocketAddress& local) const;
  /// Ports that earlier processes had and nobody has opened: their packets come nowhere any more.
  /// Returns how many.
  std::size_t release_left();

  /// What SO_COOKIE says of the socket in a slot; 0: there is none.
  [[nodiscard]] std::uint64_t cookie_of(std::uint32_t slot) const;
  /// Puts a bound UDP socket there in the place of another. false: errno says why.
  bool set_socket(std::uint32_t slot, int fd);

private:
  PortSteering(FileDescriptor ports, FileDescriptor sockets, FileDescriptor blocks)
      : ports_(std::move(ports)), sockets_(std::move(sockets)), blocks_(std::move(blocks)) {}
  /// The program looks for ports of their blocks from now on.
  void mark_blocks(std::span<const SocketAddress> locals);
  void read_left();
  [[nodiscard]] std::optional<std::uint32_t> look_up(const SocketAddress& local) const;
  int try_host(const SocketAddress& local, FreeBind free_bind);

  FileDescriptor ports_;
  FileDescriptor sockets_;
  FileDescriptor blocks_;
  std::bitset<STEER_BLOCKS> marked_;
  bool on_ = true;
  bool stands_by_ = false;
  std::unordered_map<SocketAddress, std::uint32_t, AddressHash> left_;
  ForeignSockets foreign_;
  struct Host {
    int error = 0;
    Micros until = 0;
  };
  std::unordered_map<SocketAddress, Host, AddressHash> hosts_;
};

} // namespace rtprelay
