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

#include "address.h"

namespace rtprelay {

namespace {

/// More than any machine answers with; ends a conversation that would not.
constexpr int kMostParts = 100'000;
constexpr std::size_t kBuffer = 32'768;
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

/// Visits the whole messages of one datagram.
template <typename Visit> void each_message(const char* data, std::size_t length, Visit visit) {
  auto left = static_cast<unsigned>(length);
  for (auto* header = reinterpret_cast<const nlmsghdr*>(data); NLMSG_OK(header, left);
       header = NLMSG_NEXT(header, left))
    visit(*header);
}

template <typename Body> const Body* body_of(const nlmsghdr& header) {
  return header.nlmsg_len < NLMSG_LENGTH(sizeof(Body))
             ? nullptr
             : static_cast<const Body*>(NLMSG_DATA(&header));
}

template <typename Visit> void each_attribute(const rtattr* first, int length, Visit visit) {
  for (auto* attribute = first; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length))
    visit(*attribute);
}

template <typename Visit>
void each_attribute(const nlmsghdr& header, std::size_t body, Visit visit) {
  const auto offset = NLMSG_LENGTH(body);
  each_attribute(
      reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(&header) + NLMSG_ALIGN(offset)),
      static_cast<int>(header.nlmsg_len) - static_cast<int>(NLMSG_ALIGN(offset)), visit);
}

const std::uint8_t* bytes_of(const rtattr& attribute) {
  return static_cast<const std::uint8_t*>(RTA_DATA(&attribute));
}

std::size_t size_of(const rtattr& attribute) { return RTA_PAYLOAD(&attribute); }

template <typename Number> Number number_of(const rtattr& attribute) {
  Number value = 0;
  std::memcpy(&value, bytes_of(attribute), std::min(sizeof(value), size_of(attribute)));
  return value;
}

std::string text_of(const rtattr& attribute) {
  const auto* text = reinterpret_cast<const char*>(bytes_of(attribute));
  return {text, ::strnlen(text, size_of(attribute))};
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
  alignas(nlmsghdr) std::array<char, kBuffer> buffer;
  for (int i = 0; i < kMostParts; ++i) {
    const ssize_t length = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (length <= 0)
      return false;
    bool done = false;
    bool failed = false;
    each_message(buffer.data(), static_cast<std::size_t>(length), [&](const nlmsghdr& header) {
      done = done || header.nlmsg_type == NLMSG_DONE;
      failed = failed || header.nlmsg_type == NLMSG_ERROR;
      if (!done && !failed)
        visit(header);
    });
    if (done || failed)
      return !failed;
  }
  return false;
}

std::string mac_text(const rtattr& attribute) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size_of(attribute); ++i) {
    const std::uint8_t byte = bytes_of(attribute)[i];
    if (i > 0)
      text += ':';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

void read_kind(const rtattr& information, NetworkDevice& device) {
  each_attribute(static_cast<const rtattr*>(RTA_DATA(&information)),
                 static_cast<int>(size_of(information)), [&](const rtattr& attribute) {
                   if (attribute.rta_type == IFLA_INFO_KIND)
                     device.kind = text_of(attribute);
                   if (attribute.rta_type != IFLA_INFO_DATA || device.kind != "vlan")
                     return;
                   each_attribute(static_cast<const rtattr*>(RTA_DATA(&attribute)),
                                  static_cast<int>(size_of(attribute)), [&](const rtattr& inner) {
                                    if (inner.rta_type == IFLA_VLAN_ID)
                                      device.vlan_id = number_of<std::uint16_t>(inner);
                                  });
                 });
}

void read_device(const nlmsghdr& header, std::vector<NetworkDevice>& out) {
  const auto* message = body_of<ifinfomsg>(header);
  if (message == nullptr)
    return;
  NetworkDevice device;
  device.index = static_cast<std::uint32_t>(message->ifi_index);
  device.loopback = (message->ifi_flags & IFF_LOOPBACK) != 0;
  each_attribute(header, sizeof(*message), [&](const rtattr& attribute) {
    switch (attribute.rta_type) {
    case IFLA_IFNAME:
      device.name = text_of(attribute);
      break;
    case IFLA_LINK:
      device.parent = number_of<std::uint32_t>(attribute);
      break;
    case IFLA_ADDRESS:
      if (message->ifi_type == ARPHRD_ETHER)
        device.mac = mac_text(attribute);
      break;
    case IFLA_LINKINFO:
      read_kind(attribute, device);
      break;
    default:
      break;
    }
  });
  if (!device.name.empty())
    out.push_back(std::move(device));
}

bool to_address(std::uint8_t family, const rtattr& attribute, SocketAddress& out) {
  KernelAddress address = {};
  if (family == AF_INET && size_of(attribute) == sizeof(address.v4.sin_addr)) {
    address.v4.sin_family = AF_INET;
    std::memcpy(&address.v4.sin_addr, bytes_of(attribute), sizeof(address.v4.sin_addr));
  } else if (family == AF_INET6 && size_of(attribute) == sizeof(address.v6.sin6_addr)) {
    address.v6.sin6_family = AF_INET6;
    std::memcpy(&address.v6.sin6_addr, bytes_of(attribute), sizeof(address.v6.sin6_addr));
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
DeviceAddress address_of(const nlmsghdr& header) {
  const auto* message = body_of<ifaddrmsg>(header);
  if (message == nullptr)
    return {};
  // With a peer (point to point) IFA_ADDRESS is the peer's.
  SocketAddress address;
  SocketAddress local;
  std::uint32_t flags = message->ifa_flags;
  each_attribute(header, sizeof(*message), [&](const rtattr& attribute) {
    if (attribute.rta_type == IFA_ADDRESS)
      to_address(message->ifa_family, attribute, address);
    if (attribute.rta_type == IFA_LOCAL)
      to_address(message->ifa_family, attribute, local);
    if (attribute.rta_type == IFA_FLAGS)
      flags = number_of<std::uint32_t>(attribute);
  });
  const bool tentative = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
  return {local.valid() ? local : address, message->ifa_index,
          !tentative && (flags & IFA_F_DADFAILED) == 0};
}

void read_address(const nlmsghdr& header, std::vector<NetworkDevice>& devices) {
  const DeviceAddress address = address_of(header);
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
  alignas(nlmsghdr) std::array<char, kBuffer> buffer;
  const ssize_t length = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
  bool local = false;
  each_message(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)),
               [&](const nlmsghdr& header) {
                 const auto* route = body_of<rtmsg>(header);
                 local = local || (header.nlmsg_type == RTM_NEWROUTE && route != nullptr &&
                                   route->rtm_type == RTN_LOCAL);
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

void add_device(const nlmsghdr& message, std::vector<NetworkDevice>& devices) {
  if (message.nlmsg_type == RTM_NEWLINK)
    read_device(message, devices);
  else if (message.nlmsg_type == RTM_NEWADDR)
    read_address(message, devices);
}

bool list_devices(std::vector<NetworkDevice>& out) {
  out.clear();
  const auto add = [&](const nlmsghdr& message) { add_device(message, out); };
  if (!dump(RTM_GETLINK, add))
    return false;
  std::sort(out.begin(), out.end(),
            [](const NetworkDevice& a, const NetworkDevice& b) { return a.index < b.index; });
  return dump(RTM_GETADDR, add);
}

bool held_addresses(const std::vector<SocketAddress>& wanted, std::vector<bool>& out) {
  std::vector<DeviceAddress> present;
  if (!dump(RTM_GETADDR, [&](const nlmsghdr& message) {
        if (message.nlmsg_type == RTM_NEWADDR)
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
  alignas(nlmsghdr) std::array<char, kBuffer> buffer;
  for (int i = 0; i < kMostParts; ++i) {
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
    each_message(buffer.data(), static_cast<std::size_t>(length),
                 [&](const nlmsghdr& header) { changes |= change_of(header.nlmsg_type); });
  }
  return changes;
}

} // namespace rtprelay
