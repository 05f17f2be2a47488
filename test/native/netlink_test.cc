// Messages of rtnetlink as a kernel with VLAN devices writes them, whole and cut off.
#include "../../native/core/netlink.h"

#include <cstring>
#include <memory>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <unistd.h>

#include "check.h"

using namespace rtprelay;

namespace {

using Bytes = std::vector<std::uint8_t>;

void append(Bytes& out, const void* data, std::size_t size) {
  const std::size_t at = out.size();
  out.resize(at + size);
  std::memcpy(out.data() + at, data, size);
}

template <typename Value> void append(Bytes& out, const Value& value) {
  append(out, &value, sizeof(value));
}

void append_attribute(Bytes& out, unsigned short type, const Bytes& value) {
  const rtattr header = {static_cast<unsigned short>(RTA_LENGTH(value.size())), type};
  append(out, header);
  append(out, value.data(), value.size());
  out.resize(NLMSG_ALIGN(out.size()));
}

Bytes text(const char* value) { return {value, value + std::strlen(value) + 1}; }

template <typename Value> Bytes number(Value value) {
  Bytes out;
  append(out, value);
  return out;
}

/// The length in the header is that of the bytes, as the kernel's own always is.
bool add(const Bytes& message, std::vector<NetworkDevice>& devices) {
  // A copy of exact size: reading beyond it is what the sanitizer finds.
  const auto copy = std::make_unique<std::uint8_t[]>(message.size());
  std::memcpy(copy.get(), message.data(), message.size());
  auto* header = reinterpret_cast<nlmsghdr*>(copy.get());
  header->nlmsg_len = static_cast<std::uint32_t>(message.size());
  const std::size_t before = devices.size();
  netlink::each_message(std::as_bytes(std::span(copy.get(), message.size())),
                        [&](const netlink::Message& each) { add_device(each, devices); });
  return devices.size() > before;
}

Bytes vlan_device() {
  Bytes tag;
  append_attribute(tag, IFLA_VLAN_PROTOCOL, number<std::uint16_t>(0x0081));
  append_attribute(tag, IFLA_VLAN_ID, number<std::uint16_t>(5));
  Bytes information;
  append_attribute(information, IFLA_INFO_KIND, text("vlan"));
  append_attribute(information, IFLA_INFO_DATA, tag);
  Bytes out;
  append(out, nlmsghdr{0, RTM_NEWLINK, 0, 0, 0});
  ifinfomsg message = {};
  message.ifi_type = ARPHRD_ETHER;
  message.ifi_index = 7;
  append(out, message);
  append_attribute(out, IFLA_IFNAME, text("eth0.5"));
  append_attribute(out, IFLA_LINK, number<std::uint32_t>(2));
  append_attribute(out, IFLA_ADDRESS, {0x02, 0xfc, 0, 0, 0, 0x1a});
  append_attribute(out, IFLA_LINKINFO, information);
  return out;
}

Bytes peer_address() {
  Bytes out;
  append(out, nlmsghdr{0, RTM_NEWADDR, 0, 0, 0});
  ifaddrmsg message = {};
  message.ifa_family = AF_INET;
  message.ifa_index = 7;
  append(out, message);
  append_attribute(out, IFA_ADDRESS, {192, 0, 2, 99});
  append_attribute(out, IFA_LOCAL, {192, 0, 2, 1});
  return out;
}

} // namespace

TEST(
    "a VLAN device is read with parent, tag and MAC address, and its own address, not its peer's") {
  std::vector<NetworkDevice> devices;
  CHECK(add(vlan_device(), devices));
  add(peer_address(), devices);
  const NetworkDevice& device = devices.at(0);
  CHECK(device.index == 7 && device.name == "eth0.5" && device.kind == "vlan");
  CHECK(device.parent == 2 && device.vlan_id == 5 && device.mac == "02:fc:00:00:00:1a");
  CHECK(!device.loopback);
  CHECK(device.addresses == std::vector<std::string>{"192.0.2.1"});
}

TEST("messages that are cut off anywhere are read as far as they go") {
  for (const Bytes& whole : {vlan_device(), peer_address()}) {
    for (std::size_t length = sizeof(nlmsghdr); length < whole.size(); ++length) {
      std::vector<NetworkDevice> devices;
      add(vlan_device(), devices);
      add({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}, devices);
      CHECK(devices.size() <= 2);
    }
  }
}

TEST("this machine's devices are listed, loopback with its address") {
  std::vector<NetworkDevice> devices;
  CHECK(list_devices(devices));
  CHECK(!devices.empty() && devices.at(0).loopback && devices.at(0).index == 1);
  CHECK(devices.at(0).mac.empty() && devices.at(0).vlan_id == -1);
}

TEST("the socket of changes is silent when nothing has changed") {
  const FileDescriptor socket =
      open_network_events(kDevicesChanged | kRoutesChanged | kFiltersRemoved);
  CHECK(socket.valid());
  CHECK((read_network_events(socket.get()) & kDevicesChanged) == 0);
}
