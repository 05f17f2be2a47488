// Two peers in namespaces of their own, left and right of this process's one, and media between
// them. Made of descriptors only: it ends with the process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "../../native/core/address.h"
#include "../../native/kernel/kernel_forwarder.h"
#include "../../native/kernel/unique_fd.h"

namespace network {

using rtprelay::SocketAddress;
using rtprelay::kernel::FlowSpec;
using rtprelay::kernel::Mode;
using rtprelay::kernel::UniqueFd;

/// A peer is connected by a veth pair: `device` is our end, "eth" the peer's.
class Peer {
public:
  /// Addresses of subnet `number`: ours ends in 1, the peer's in 9.
  Peer(std::string device, int number);
  /// Runs `work` in the peer's namespace.
  void inside(const std::function<void()>& work) const;

  [[nodiscard]] const std::string& device() const { return device_; }
  [[nodiscard]] SocketAddress our(bool v6, std::uint16_t port) const;
  [[nodiscard]] SocketAddress its(bool v6, std::uint16_t port) const;
  [[nodiscard]] bool good() const { return good_; }

private:
  std::string device_;
  int number_;
  UniqueFd space_;
  bool good_ = false;
};

/// ETHTOOL_STXCSUM, ETHTOOL_SGRO and the like, in this thread's namespace.
bool set_feature(const std::string& device, std::uint32_t command, bool on);

/// What native XDP on veth needs: receivers with GRO, and senders that finish their checksums. TC
/// gets the opposite: peers leave checksums to our devices, which have to compute them.
bool prepare(const Peer& left, const Peer& right, Mode mode);

/// One call: a socket at each peer, and the two flows between them.
struct Call {
  UniqueFd left;
  UniqueFd right;
  FlowSpec to_right;
  FlowSpec to_left;
  std::uint32_t number = 0;
  std::uint32_t sent = 0;
  std::uint32_t received_left = 0;
  std::uint32_t received_right = 0;
  std::uint64_t bytes = 0;
};

std::vector<Call> make_calls(const Peer& left, const Peer& right, unsigned count);
std::vector<FlowSpec> flows_of(const std::vector<Call>& calls);

/// Every call sends a packet each way and both must arrive unchanged, `rounds` times; false on the
/// first that does not. `meanwhile` runs in the middle of each round, packets on their way.
bool exchange(std::vector<Call>& calls, unsigned rounds,
              const std::function<void()>& meanwhile = nullptr);
/// Puts a packet of the call on the left peer's wire with a VLAN tag; whether it arrives untagged.
bool tagged_arrives(Call& call, const Peer& left, std::uint16_t vlan);
/// Sends one packet; true when nothing arrives within a moment.
bool nothing_arrives(Call& call);

} // namespace network
