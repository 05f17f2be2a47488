// Asking the kernel for its network devices and hearing of changes (rtnetlink(7)).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "../netlink/reader.h"
#include "address.h"
#include "socket.h"

namespace rtprelay {

struct NetworkDevice {
  std::uint32_t index = 0;
  std::string name;
  /// "vlan", "bond", "dummy", ...; empty for a card.
  std::string kind;
  /// The device it lies on, 0 none.
  std::uint32_t parent = 0;
  /// 802.1Q, -1: it is no VLAN device.
  int vlan_id = -1;
  bool loopback = false;
  /// Empty when it is not Ethernet.
  std::string mac;
  /// Without prefix length, as format_host has them.
  std::vector<std::string> addresses;
};

/// All devices, by rising index; false when the kernel does not say.
bool list_devices(std::vector<NetworkDevice>& out);

/// Takes a device out of one message of a dump, or an address of one that is known; ignores others.
void add_device(const netlink::Message& message, std::vector<NetworkDevice>& devices);

/// Whether packets to each of `wanted` are delivered on this machine: the address is on a device
/// and may be used (IPv6: duplicate address detection is over), a local route has it, or it is
/// loopback or the wildcard. false: the kernel does not say.
bool held_addresses(const std::vector<SocketAddress>& wanted, std::vector<bool>& out);

enum NetworkChange : unsigned {
  /// Devices or their addresses have changed.
  kDevicesChanged = 1,
  /// Routes or neighbours have changed.
  kRoutesChanged = 2,
  /// A queueing discipline or a filter was removed from some device.
  kFiltersRemoved = 4,
};

/// A non-blocking socket that hears of the changes in `wanted`, bits of NetworkChange; invalid with
/// `errno` set.
FileDescriptor open_network_events(unsigned wanted);
/// Reads all that waits in it: bits of NetworkChange.
unsigned read_network_events(int socket);

} // namespace rtprelay
