#include "netlink.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include "../netlink/reader.h"
#include "address.h"

namespace rtprelay {

namespace {

using netlink::Bytes;
using netlink::each_attribute;
using netlink::each_message;
using netlink::Message;
using netlink::number_of;
using netlink::text_of;

constexpr unsigned kDeviceGroups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
constexpr unsigned kRouteGroups =
    kDeviceGroups | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_NEIGH;

FileDescriptor open_socket(unsigned groups) {
  FileDescriptor fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl local = {};
  local.nl_family = AF_NETLINK;
  local.nl_groups = groups;
  if (fd.valid() && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&local), sizeof(local)) != 0)
    return {};
  return fd;
}

/// Sends a dump request and visits every message of the answer.
template <typename Visit> bool dump(std::uint16_t type, Visit visit) {
  const FileDescriptor socket = open_socket(0);
  struct {
    nlmsghdr header;
    rtgenmsg message;
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.rtgen_family = AF_UNSPEC;
  if (!socket.valid() || ::send(socket.get(), &request, sizeof(request), 0) < 0)
    return false;
  const netlink::Answer answer = netlink::read_answer(socket.get(), 0, visit);
  return answer.complete && answer.error == 0;
}

std::string mac_text(Bytes content) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte each : content) {
    const auto byte = std::to_integer<unsigned>(each);
    if (!text.empty())
      text += ':';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

void read_kind(Bytes information, NetworkDevice& device) {
  each_attribute(information, [&](int type, Bytes content) {
    if (type == IFLA_INFO_KIND)
      device.kind = text_of(content);
    if (type != IFLA_INFO_DATA || device.kind != "vlan")
      return;
    each_attribute(content, [&](int inner, Bytes id) {
      if (inner == IFLA_VLAN_ID)
        device.vlan_id = number_of<std::uint16_t>(id);
    });
  });
}

void read_device(const Message& message, std::vector<NetworkDevice>& out) {
  ifinfomsg body = {};
  if (!message.read(body))
    return;
  NetworkDevice device;
  device.index = static_cast<std::uint32_t>(body.ifi_index);
  device.loopback = (body.ifi_flags & IFF_LOOPBACK) != 0;
  each_attribute(message.attributes<ifinfomsg>(), [&](int type, Bytes content) {
    switch (type) {
    case IFLA_IFNAME:
      device.name = text_of(content);
      break;
    case IFLA_LINK:
      device.parent = number_of<std::uint32_t>(content);
      break;
    case IFLA_ADDRESS:
      if (body.ifi_type == ARPHRD_ETHER)
        device.mac = mac_text(content);
      break;
    case IFLA_LINKINFO:
      read_kind(content, device);
      break;
    default:
      break;
    }
  });
  if (!device.name.empty())
    out.push_back(std::move(device));
}

bool to_address(std::uint8_t family, Bytes content, SocketAddress& out) {
  KernelAddress address = {};
  if (family == AF_INET && content.size() == sizeof(address.v4.sin_addr)) {
    address.v4.sin_family = AF_INET;
    std::memcpy(&address.v4.sin_addr, content.data(), sizeof(address.v4.sin_addr));
  } else if (family == AF_INET6 && content.size() == sizeof(address.v6.sin6_addr)) {
    address.v6.sin6_family = AF_INET6;
    std::memcpy(&address.v6.sin6_addr, content.data(), sizeof(address.v6.sin6_addr));
  } else {
    return false;
  }
  out = from_kernel(address);
  return true;
}

struct DeviceAddress {
  SocketAddress own;
  std::uint32_t device = 0;
  /// IPv6: nobody else has it, as far as is known.
  bool usable = false;
};

/// An invalid `own`: the message does not tell of one.
DeviceAddress address_of(const Message& message) {
  ifaddrmsg body = {};
  if (!message.read(body))
    return {};
  // With a peer (point to point) IFA_ADDRESS is the peer's.
  SocketAddress address;
  SocketAddress local;
  std::uint32_t flags = body.ifa_flags;
  each_attribute(message.attributes<ifaddrmsg>(), [&](int type, Bytes content) {
    if (type == IFA_ADDRESS)
      to_address(body.ifa_family, content, address);
    if (type == IFA_LOCAL)
      to_address(body.ifa_family, content, local);
    if (type == IFA_FLAGS)
      flags = number_of<std::uint32_t>(content);
  });
  const bool tentative = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
  return {local.valid() ? local : address, body.ifa_index,
          !tentative && (flags & IFA_F_DADFAILED) == 0};
}

void read_address(const Message& message, std::vector<NetworkDevice>& devices) {
  const DeviceAddress address = address_of(message);
  const auto device = std::find_if(devices.begin(), devices.end(), [&](const NetworkDevice& each) {
    return each.index == address.device;
  });
  if (address.own.valid() && device != devices.end())
    device->addresses.push_back(format_host(address.own));
}

/// 0.0.0.0, 127.0.0.0/8 (RFC 1122 §3.2.1.3), :: and ::1 are everywhere.
bool is_everywhere(const SocketAddress& address) {
  if (address.family == Family::kIpv4)
    return address.bytes[0] == 127 || std::all_of(address.bytes.begin(), address.bytes.begin() + 4,
                                                  [](std::uint8_t byte) { return byte == 0; });
  return address.bytes[15] <= 1 && std::all_of(address.bytes.begin(), address.bytes.end() - 1,
                                               [](std::uint8_t byte) { return byte == 0; });
}

/// Whether a route says that `address` is this machine's, e.g. `ip route add local 192.0.2.0/24`.
bool has_local_route(const SocketAddress& address) {
  const std::size_t size = address.family == Family::kIpv4 ? 4 : 16;
  struct {
    nlmsghdr header;
    rtmsg message;
    rtattr attribute;
    std::array<std::uint8_t, 16> destination;
  } request = {};
  request.header.nlmsg_len =
      static_cast<std::uint32_t>(sizeof(request) - request.destination.size() + size);
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.message.rtm_family = address.family == Family::kIpv4 ? AF_INET : AF_INET6;
  request.message.rtm_dst_len = static_cast<std::uint8_t>(size * 8);
  request.attribute.rta_type = RTA_DST;
  request.attribute.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
  request.destination = address.bytes;
  const FileDescriptor socket = open_socket(0);
  if (!socket.valid() || ::send(socket.get(), &request, request.header.nlmsg_len, 0) < 0)
    return false;
  std::vector<std::byte> buffer(netlink::kDatagramBytes);
  const ssize_t length = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
  bool local = false;
  each_message(Bytes(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0))),
               [&](const Message& message) {
                 rtmsg route = {};
                 local = local || (message.type == RTM_NEWROUTE && message.read(route) &&
                                   route.rtm_type == RTN_LOCAL);
               });
  return local;
}

unsigned change_of(std::uint16_t type) {
  switch (type) {
  case RTM_NEWLINK:
  case RTM_DELLINK:
  case RTM_NEWADDR:
  case RTM_DELADDR:
    return kDevicesChanged | kRoutesChanged;
  case RTM_NEWROUTE:
  case RTM_DELROUTE:
  case RTM_NEWNEIGH:
  case RTM_DELNEIGH:
    return kRoutesChanged;
  case RTM_DELQDISC:
  case RTM_DELTFILTER:
    return kFiltersRemoved;
  default:
    return 0;
  }
}

} // namespace

void add_device(const Message& message, std::vector<NetworkDevice>& devices) {
  if (message.type == RTM_NEWLINK)
    read_device(message, devices);
  else if (message.type == RTM_NEWADDR)
    read_address(message, devices);
}

bool list_devices(std::vector<NetworkDevice>& out) {
  out.clear();
  const auto add = [&](const Message& message) { add_device(message, out); };
  if (!dump(RTM_GETLINK, add))
    return false;
  std::sort(out.begin(), out.end(),
            [](const NetworkDevice& a, const NetworkDevice& b) { return a.index < b.index; });
  return dump(RTM_GETADDR, add);
}

bool held_addresses(const std::vector<SocketAddress>& wanted, std::vector<bool>& out) {
  std::vector<DeviceAddress> present;
  if (!dump(RTM_GETADDR, [&](const Message& message) {
        if (message.type == RTM_NEWADDR)
          present.push_back(address_of(message));
      }))
    return false;
  out.clear();
  for (const SocketAddress& address : wanted) {
    bool known = false;
    bool usable = false;
    for (const DeviceAddress& each : present) {
      const bool same = each.own.same_host(address);
      known = known || same;
      usable = usable || (same && each.usable);
    }
    out.push_back(address.valid() &&
                  (usable || is_everywhere(address) || (!known && has_local_route(address))));
  }
  return true;
}

FileDescriptor open_network_events(unsigned wanted) {
  unsigned groups = 0;
  if ((wanted & kDevicesChanged) != 0)
    groups |= kDeviceGroups;
  if ((wanted & kRoutesChanged) != 0)
    groups |= kRouteGroups;
  if ((wanted & kFiltersRemoved) != 0)
    groups |= RTMGRP_TC;
  return open_socket(groups);
}

unsigned read_network_events(int socket) {
  unsigned changes = 0;
  std::vector<std::byte> buffer(netlink::kDatagramBytes);
  for (int i = 0; i < netlink::kMaxDatagrams; ++i) {
    const ssize_t length = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (length < 0 && errno == EINTR)
      continue;
    // More happened than fits into the socket: what it was is lost.
    if (length < 0 && errno == ENOBUFS) {
      changes |= kDevicesChanged | kRoutesChanged | kFiltersRemoved;
      continue;
    }
    if (length <= 0)
      break;
    each_message(Bytes(buffer.data(), static_cast<std::size_t>(length)),
                 [&](const Message& message) { changes |= change_of(message.type); });
  }
  return changes;
}

} // namespace rtprelay
