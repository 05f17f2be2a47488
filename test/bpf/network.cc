#include "network.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "rig.h"

namespace network {

using namespace rtprelay;

namespace {

constexpr int kArrivalMillis = 5000;
constexpr int kNothingMillis = 200;
constexpr std::uint16_t kOurPorts = 30000;
constexpr std::uint16_t kPeerPorts = 5000;

std::string address(int number, bool v6, int host) {
  return v6 ? "2001:db8:7" + std::to_string(number) + "::" + std::to_string(host)
            : "10.7." + std::to_string(number) + "." + std::to_string(host);
}

std::string with_prefix(int number, bool v6, int host) {
  return address(number, v6, host) + (v6 ? "/64 nodad" : "/24");
}

UniqueFd current_namespace() {
  return UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

UniqueFd bound_socket(const SocketAddress& local) {
  KernelAddress kernel;
  const socklen_t length = to_kernel(local, kernel);
  UniqueFd fd(::socket(kernel.generic.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::bind(fd.get(), &kernel.generic, length) != 0)
    fd.reset();
  return fd;
}

bool send_to(int fd, const frames::Bytes& bytes, const SocketAddress& to) {
  KernelAddress kernel;
  const socklen_t length = to_kernel(to, kernel);
  return ::sendto(fd, bytes.data(), bytes.size(), 0, &kernel.generic, length) ==
         static_cast<ssize_t>(bytes.size());
}

bool wait_readable(int fd, int millis) {
  pollfd wanted = {fd, POLLIN, 0};
  return ::poll(&wanted, 1, millis) == 1;
}

/// A datagram through the ordinary stack: afterwards the kernel knows the peer's MAC address, which
/// the kernel path looks up but does not ask for.
bool resolve(const Peer& peer, bool v6) {
  constexpr std::uint16_t kDiscard = 9;
  UniqueFd there;
  peer.inside([&] { there = bound_socket(peer.its(v6, kDiscard)); });
  const UniqueFd here = bound_socket(peer.our(v6, kDiscard));
  return there.valid() && here.valid() && send_to(here.get(), {1}, peer.its(v6, kDiscard)) &&
         wait_readable(there.get(), kArrivalMillis);
}

/// Different for each packet: what arrives is compared byte by byte with what was sent.
frames::Bytes media(const Call& call, bool to_right) {
  const std::size_t size = 160 + (call.sent * 13 + call.number) % 60;
  return frames::rtp(0, static_cast<std::uint16_t>(call.sent), call.sent * 160,
                     call.number * 2 + (to_right ? 1 : 0), size);
}

bool receive(int fd, const frames::Bytes& wanted, const SocketAddress& from) {
  std::array<std::uint8_t, 2048> buffer{};
  if (!wait_readable(fd, kArrivalMillis)) {
    std::printf("  lost a packet\n");
    return false;
  }
  KernelAddress kernel;
  socklen_t length = sizeof(kernel);
  const ssize_t size = ::recvfrom(fd, buffer.data(), buffer.size(), 0, &kernel.generic, &length);
  const bool same = size == static_cast<ssize_t>(wanted.size()) &&
                    std::memcmp(buffer.data(), wanted.data(), wanted.size()) == 0 &&
                    from_kernel(kernel) == from;
  if (!same)
    std::printf("  got %zd bytes, not the packet that was sent\n", size);
  return same;
}

bool exchange_round(std::vector<Call>& calls, const std::function<void()>& meanwhile) {
  for (const Call& call : calls) {
    if (!send_to(call.left.get(), media(call, true), call.to_right.local) ||
        !send_to(call.right.get(), media(call, false), call.to_left.local))
      return false;
  }
  if (meanwhile)
    meanwhile();
  for (Call& call : calls) {
    if (!receive(call.right.get(), media(call, true), call.to_right.source) ||
        !receive(call.left.get(), media(call, false), call.to_left.source))
      return false;
    call.bytes += media(call, true).size();
    ++call.sent;
    ++call.received_left;
    ++call.received_right;
  }
  return true;
}

} // namespace

Peer::Peer(std::string device, int number) : device_(std::move(device)), number_(number) {
  const std::string end = device_ + "-end";
  good_ = rig::run("ip link add " + device_ + " type veth peer name " + end);
  // The thread makes the namespace and stays until the device has moved there.
  std::thread([this, &end] {
    good_ = good_ && ::unshare(CLONE_NEWNET) == 0;
    space_ = current_namespace();
  }).join();
  const std::string by_descriptor =
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(space_.get());
  good_ = good_ && rig::run("ip link set " + end + " netns " + by_descriptor);
  for (const bool v6 : {false, true})
    good_ = good_ && rig::run("ip address add dev " + device_ + " " + with_prefix(number, v6, 1));
  good_ = good_ && rig::run("ip link set " + device_ + " up");
  inside([&] {
    good_ = good_ && rig::run("ip link set " + end + " name eth");
    for (const bool v6 : {false, true})
      good_ = good_ && rig::run("ip address add dev eth " + with_prefix(number, v6, 9));
    good_ = good_ && rig::run("ip link set eth up");
  });
  for (const bool v6 : {false, true})
    good_ = good_ && resolve(*this, v6);
}

void Peer::inside(const std::function<void()>& work) const {
  const UniqueFd home = current_namespace();
  if (::setns(space_.get(), CLONE_NEWNET) != 0)
    return;
  work();
  if (::setns(home.get(), CLONE_NEWNET) != 0)
    std::abort(); // in the wrong namespace nothing can be trusted any more
}

SocketAddress Peer::our(bool v6, std::uint16_t port) const {
  return frames::at(address(number_, v6, 1), port);
}

SocketAddress Peer::its(bool v6, std::uint16_t port) const {
  return frames::at(address(number_, v6, 9), port);
}

bool set_feature(const std::string& device, std::uint32_t command, bool on) {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_value value = {command, on ? 1U : 0U};
  ifreq request = {};
  device.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  request.ifr_data = reinterpret_cast<char*>(&value);
  return ::ioctl(fd.get(), SIOCETHTOOL, &request) == 0;
}

bool prepare(const Peer& left, const Peer& right, Mode mode) {
  bool good = true;
  const bool tc = mode == Mode::kTc;
  for (const Peer* peer : {&left, &right}) {
    good = good && set_feature(peer->device(), ETHTOOL_STXCSUM, !tc);
    peer->inside([&] {
      good = good && set_feature("eth", ETHTOOL_STXCSUM, tc) &&
             set_feature("eth", ETHTOOL_SGRO, mode == Mode::kXdp);
    });
  }
  return good;
}

std::vector<Call> make_calls(const Peer& left, const Peer& right, unsigned count) {
  std::vector<Call> calls(count);
  for (unsigned i = 0; i < count; ++i) {
    Call& call = calls[i];
    const bool v6 = i % 2 == 1;
    const auto ours = static_cast<std::uint16_t>(kOurPorts + 2 * i);
    const auto its = static_cast<std::uint16_t>(kPeerPorts + i);
    call.number = i;
    left.inside([&] { call.left = bound_socket(left.its(v6, its)); });
    right.inside([&] { call.right = bound_socket(right.its(v6, its)); });
    call.to_right.local = left.our(v6, ours);
    call.to_right.source = right.our(v6, ours);
    call.to_right.destination = right.its(v6, its);
    call.to_right.expected = left.its(v6, its);
    call.to_left.local = right.our(v6, ours);
    call.to_left.source = left.our(v6, ours);
    call.to_left.destination = left.its(v6, its);
    call.to_left.expected = right.its(v6, its);
  }
  return calls;
}

std::vector<FlowSpec> flows_of(const std::vector<Call>& calls) {
  std::vector<FlowSpec> flows;
  for (const Call& call : calls) {
    flows.push_back(call.to_right);
    flows.push_back(call.to_left);
  }
  return flows;
}

bool exchange(std::vector<Call>& calls, unsigned rounds, const std::function<void()>& meanwhile) {
  for (unsigned i = 0; i < rounds; ++i) {
    if (!exchange_round(calls, meanwhile))
      return false;
  }
  return true;
}

bool tagged_arrives(Call& call, const Peer& left, std::uint16_t vlan) {
  frames::Frame frame;
  frame.to = rig::mac_of(left.device());
  frame.vlans = {vlan};
  frame.source = call.to_right.expected;
  frame.destination = call.to_right.local;
  frame.payload = media(call, true);
  UniqueFd wire;
  sockaddr_ll device = {};
  left.inside([&] {
    frame.from = rig::mac_of("eth");
    wire = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    device.sll_ifindex = static_cast<int>(::if_nametoindex("eth"));
  });
  device.sll_family = AF_PACKET;
  const frames::Bytes bytes = frames::build(frame);
  const ssize_t sent = ::sendto(wire.get(), bytes.data(), bytes.size(), 0,
                                reinterpret_cast<const sockaddr*>(&device), sizeof(device));
  return sent == static_cast<ssize_t>(bytes.size()) &&
         wait_readable(call.right.get(), kNothingMillis) &&
         receive(call.right.get(), frame.payload, call.to_right.source);
}

bool nothing_arrives(Call& call) {
  return send_to(call.left.get(), media(call, true), call.to_right.local) &&
         !wait_readable(call.right.get(), kNothingMillis);
}

} // namespace network
