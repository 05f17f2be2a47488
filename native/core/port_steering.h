// The control side of steered ports: which socket the packets of a port come to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "clock.h"
#include "foreign_sockets.h"
#include "port.h"

namespace rtprelay {

/// Descriptors of the pinned maps (native/bpf/steer.h); -1: ports are not steered.
struct SteeringMaps {
  int ports = -1;
  int sockets = -1;
};

struct AddressHash {
  std::size_t operator()(const SocketAddress& address) const;
};

/// Writes the maps of the steering program. One for all workers.
// Thread: control only.
class PortSteering {
public:
  /// The maps are ours from then on (as copies of the descriptors). Reads which ports an earlier
  /// process has left. null: they cannot be used; `error` is the errno.
  static std::unique_ptr<PortSteering> make(const SteeringMaps& maps, int& error);

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
  /// it.
  [[nodiscard]] std::optional<std::uint32_t> left_slot(const SocketAddress& local) const;
  /// Ports that earlier processes had and nobody has opened: their packets come nowhere any more.
  /// Returns how many.
  std::size_t release_left();

  /// What SO_COOKIE says of the socket in a slot; 0: there is none.
  [[nodiscard]] std::uint64_t cookie_of(std::uint32_t slot) const;
  /// Puts a bound UDP socket there in the place of another. false: errno says why.
  bool set_socket(std::uint32_t slot, int fd);

private:
  PortSteering(FileDescriptor ports, FileDescriptor sockets)
      : ports_(std::move(ports)), sockets_(std::move(sockets)) {}
  void read_left();
  int try_host(const SocketAddress& local, FreeBind free_bind);

  FileDescriptor ports_;
  FileDescriptor sockets_;
  bool on_ = true;
  std::unordered_map<SocketAddress, std::uint32_t, AddressHash> left_;
  ForeignSockets foreign_;
  struct Host {
    int error = 0;
    Micros until = 0;
  };
  std::unordered_map<SocketAddress, Host, AddressHash> hosts_;
};

} // namespace rtprelay
