#include "netdevice.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <linux/ipv6_route.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "../netlink/reader.h"
#include "unique_fd.h"

namespace rtprelay::kernel {

namespace {

constexpr std::uint32_t kLoopbackIndex = 1;

/// Filters below one of clsact's two hooks.
bool count_hook(int socket, std::uint32_t index, std::uint32_t hook, unsigned& count) {
  struct {
    nlmsghdr header;
    tcmsg message;
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETTFILTER;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.tcm_family = AF_UNSPEC;
  request.message.tcm_ifindex = static_cast<int>(index);
  request.message.tcm_parent = TC_H_MAKE(TC_H_CLSACT, hook);
  if (::send(socket, &request, sizeof(request), 0) < 0)
    return false;
  // An error is an answer too: there is no such hook.
  return netlink::read_answer(socket, 0,
                              [&](const netlink::Message& message) {
                                if (message.type == RTM_NEWTFILTER)
                                  ++count;
                              })
      .complete;
}

std::string forwarding_file(const char* family) {
  return std::string("/proc/sys/net/") + family + "/conf/lo/forwarding";
}

bool is_forwarding(const char* family) {
  std::ifstream file(forwarding_file(family));
  int value = 0;
  return (file >> value) && value != 0;
}

bool set_forwarding(const char* family) {
  std::ofstream file(forwarding_file(family));
  file << "1" << std::flush;
  return file.good() && is_forwarding(family);
}

/// Switching forwarding on for any device makes the kernel forget the default routes that it has
/// from router advertisements (addrconf_fixup_forwarding); nobody wants that of a media relay.
bool has_advertised_routes() {
  constexpr int kFlagsColumn = 8;
  std::ifstream file("/proc/net/ipv6_route");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream columns(line);
    std::string column;
    for (int i = 0; i <= kFlagsColumn; ++i)
      columns >> column;
    const unsigned long flags = std::strtoul(column.c_str(), nullptr, 16);
    if ((flags & (RTF_DEFAULT | RTF_ADDRCONF)) != 0)
      return true;
  }
  return false;
}

} // namespace

std::uint32_t device_index(const std::string& name) { return ::if_nametoindex(name.c_str()); }

std::string device_name(std::uint32_t index) {
  std::array<char, IF_NAMESIZE> name{};
  return ::if_indextoname(index, name.data()) == nullptr ? std::string() : name.data();
}

Status read_mac(const std::string& name, flow_device& out) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  name.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  if (!socket.valid() || ::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0)
    return failure(errno, name);
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
    return refusal(EOPNOTSUPP, name + " is not an Ethernet device");
  out = {};
  std::memcpy(out.mac, request.ifr_hwaddr.sa_data, sizeof(out.mac));
  return {};
}

std::optional<unsigned> count_filters(std::uint32_t index) {
  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  unsigned count = 0;
  if (!socket.valid() || !count_hook(socket.get(), index, TC_H_MIN_INGRESS, count) ||
      !count_hook(socket.get(), index, TC_H_MIN_EGRESS, count))
    return std::nullopt;
  return count;
}

flow_lookup choose_lookup(bool may_set, std::vector<std::string>& notes) {
  flow_lookup lookup = {};
  if (is_forwarding("ipv4") || (may_set && set_forwarding("ipv4")))
    lookup.from_ipv4 = kLoopbackIndex;
  else
    notes.emplace_back("IPv4 forwarding is off for the loopback device: flows stay in userspace on "
                       "devices that do not forward themselves");
  if (is_forwarding("ipv6") || (may_set && !has_advertised_routes() && set_forwarding("ipv6")))
    lookup.from_ipv6 = kLoopbackIndex;
  else
    notes.emplace_back(
        has_advertised_routes()
            ? "IPv6 flows stay in userspace: switching forwarding on (net.ipv6.conf.lo.forwarding) "
              "would remove the default routes of router advertisements"
            : "IPv6 forwarding is off for the loopback device: flows stay in userspace on devices "
              "that do not forward themselves");
  return lookup;
}

} // namespace rtprelay::kernel
