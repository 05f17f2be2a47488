// Which UDP ports of this machine are bound, by whomever.
#pragma once

#include <bitset>
#include <string>
#include <string_view>
#include <unordered_set>

#include "address.h"
#include "clock.h"

namespace rtprelay {

/// One line of /proc/net/udp or udp6. false: it is none.
bool parse_bound_socket(std::string_view line, Family family, SocketAddress& out);

/// A steered port would take the packets of a socket that is bound there, so it is looked for, at
/// most once in a moment for all: the longer the more sockets there are.
// Thread: control only.
class ForeignSockets {
public:
  /// Whether a socket could not be bound to `local`.
  bool has(const SocketAddress& local);
  /// What is known is old.
  void forget() { until_ = 0; }

private:
  /// By sock_diag(7); false: the kernel does not have it for UDP.
  bool ask(Family family);
  /// By proc(5).
  void read(const char* file, Family family);
  void add(const SocketAddress& local, bool ipv6_only);

  Micros until_ = 0;
  /// By family and address.
  std::unordered_set<std::string> hosts_;
  /// Bound to no address, so to all.
  std::bitset<65536> any4_;
  std::bitset<65536> any6_;
};

} // namespace rtprelay
