#include "replay_link.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "netlink.h"
#include "scheduling.h"
#include "slot.h"
#include "thread.h"

namespace rtprelay {

namespace {

/// Frames taken with one system call, and how often at most before anything else has its turn.
constexpr std::size_t kFrames = 64;
constexpr int kRounds = 16;
constexpr std::size_t kFrameBytes = kMaxPacketBytes + 64;
/// 100 ms of a full gigabit.
constexpr int kCaptureBufferBytes = 16 * 1024 * 1024;
/// Of a moment in which the thread does not run.
constexpr int kHeartbeatBufferBytes = 1024 * 1024;
constexpr int kHeartbeatsAtOnce = 256;
/// Expedited forwarding (RFC 3246): it must not wait behind the media that it tells of.
constexpr int kHeartbeatTos = 0xb8;
constexpr std::size_t kBatchPackets = 256;

std::string because(const std::string& what) { return what + ": " + std::strerror(errno); }

std::string text_of(const SocketAddress& address) {
  const std::string host = format_host(address);
  return (address.family == Family::kIpv6 ? "[" + host + "]" : host) + ":" +
         std::to_string(address.port);
}

/// A filter of packet sockets (BPF's first form): jumps go to names that get their place later.
class FrameFilter {
public:
  enum Place : std::uint8_t {
    kNext,
    kIpv4,
    kIpv6,
    kPort4,
    kPort6,
    kPort,
    kAccept,
    kRefuse,
    kPlaces
  };

  void load(unsigned code, std::uint32_t k) { add({static_cast<std::uint16_t>(code), 0, 0, k}); }
  /// To `yes` or `no`, as the last value loaded is.
  void jump(unsigned code, std::uint32_t k, Place yes, Place no) {
    add({static_cast<std::uint16_t>(BPF_JMP | code | BPF_K), yes, no, k});
  }
  void go_to(Place place) { jump(BPF_JEQ, 0, place, place); }
  void here(Place place) { places_[place] = program_.size(); }
  std::vector<sock_filter> finish() {
    for (std::size_t at = 0; at < program_.size(); ++at) {
      if (BPF_CLASS(program_[at].code) != BPF_JMP)
        continue;
      for (std::uint8_t* const target : {&program_[at].jt, &program_[at].jf})
        *target = static_cast<std::uint8_t>(*target == kNext ? 0 : places_[*target] - at - 1);
    }
    return program_;
  }

private:
  void add(const sock_filter& instruction) { program_.push_back(instruction); }

  std::vector<sock_filter> program_;
  std::array<std::size_t, kPlaces> places_{};
};

/// UDP to these hosts and ports; what has a VLAN tag is left to the parser, and so are the hosts
/// when they are many.
std::vector<sock_filter> filter_of(const std::vector<SocketAddress>& hosts, std::uint32_t port_min,
                                   std::uint32_t port_max) {
  using Filter = FrameFilter;
  // Jumps reach 255 instructions.
  constexpr std::ptrdiff_t kMostHosts = 64;
  constexpr std::uint32_t kDestination4 = 30;
  // The last 32 bits of it.
  constexpr std::uint32_t kDestination6 = 50;
  const auto is = [](Family family) {
    return [family](const SocketAddress& host) { return host.family == family; };
  };
  Filter filter;
  const auto to_hosts = [&](Family family, std::uint32_t destination, std::size_t word,
                            Filter::Place found) {
    if (std::ranges::count_if(hosts, is(family)) > kMostHosts)
      return filter.go_to(found);
    filter.load(BPF_LD | BPF_W | BPF_ABS, destination);
    for (const SocketAddress& host : hosts)
      if (host.family == family)
        filter.jump(BPF_JEQ, read_u32(host.bytes, word), found, Filter::kNext);
    filter.go_to(Filter::kRefuse);
  };
  if (!hosts.empty()) {
    filter.load(BPF_LD | BPF_H | BPF_ABS, 12);
    filter.jump(BPF_JEQ, ETH_P_IP, Filter::kIpv4, Filter::kNext);
    filter.jump(BPF_JEQ, ETH_P_IPV6, Filter::kIpv6, Filter::kNext);
    filter.jump(BPF_JEQ, ETH_P_8021Q, Filter::kAccept, Filter::kNext);
    filter.jump(BPF_JEQ, ETH_P_8021AD, Filter::kAccept, Filter::kNext);
    filter.jump(BPF_JEQ, ETH_P_QINQ1, Filter::kAccept, Filter::kRefuse);
    filter.here(Filter::kIpv4);
    filter.load(BPF_LD | BPF_B | BPF_ABS, 23);
    filter.jump(BPF_JEQ, IPPROTO_UDP, Filter::kNext, Filter::kRefuse);
    to_hosts(Family::kIpv4, kDestination4, 0, Filter::kPort4);
    filter.here(Filter::kIpv6);
    filter.load(BPF_LD | BPF_B | BPF_ABS, 20);
    filter.jump(BPF_JEQ, IPPROTO_UDP, Filter::kNext, Filter::kRefuse);
    to_hosts(Family::kIpv6, kDestination6, 12, Filter::kPort6);
    // The length of IP's header, and behind it and Ethernet's the source port.
    filter.here(Filter::kPort4);
    filter.load(BPF_LDX | BPF_B | BPF_MSH, 14);
    filter.go_to(Filter::kPort);
    filter.here(Filter::kPort6);
    filter.load(BPF_LDX | BPF_W | BPF_IMM, 40);
    filter.here(Filter::kPort);
    filter.load(BPF_LD | BPF_H | BPF_IND, 16);
    filter.jump(BPF_JGE, port_min, Filter::kNext, Filter::kRefuse);
    filter.jump(BPF_JGT, port_max, Filter::kRefuse, Filter::kAccept);
    filter.here(Filter::kAccept);
    filter.load(BPF_RET | BPF_K, static_cast<std::uint32_t>(kFrameBytes));
  }
  filter.here(Filter::kRefuse);
  filter.load(BPF_RET | BPF_K, 0);
  return filter.finish();
}

bool set_filter(int fd, std::vector<sock_filter> instructions) {
  const sock_fprog program{static_cast<unsigned short>(instructions.size()), instructions.data()};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

bool to_mac(const std::string& text, MacAddress& out) {
  std::array<unsigned, 6> bytes{};
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", &bytes[0], &bytes[1], &bytes[2],
                  &bytes[3], &bytes[4], &bytes[5]) != 6)
    return false;
  std::ranges::transform(bytes, out.begin(),
                         [](unsigned byte) { return static_cast<std::uint8_t>(byte); });
  return true;
}

} // namespace

struct ReplayLink::Room {
  std::array<std::array<std::uint8_t, kFrameBytes>, kFrames> frames;
  std::array<iovec, kFrames> parts;
  std::array<sockaddr_ll, kFrames> sources;
  std::array<mmsghdr, kFrames> headers;
  std::array<std::uint8_t, kHeartbeatBytes + 1> heartbeat;
};

std::unique_ptr<ReplayLink> ReplayLink::open(ReplayLinkOptions options,
                                             std::vector<Worker*> workers, std::string& fault) {
  std::unique_ptr<ReplayLink> link(new ReplayLink(std::move(options), std::move(workers)));
  if (!link->open_paths(fault) || !link->open_captures(fault))
    return nullptr;
  link->network_ = open_network_events(kDevicesChanged);
  link->wake_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!link->network_.valid() || !link->wake_.valid()) {
    fault = because("netlink");
    return nullptr;
  }
  link->look_at_network();
  link->thread_ = start_thread([self = link.get()] { self->run(); });
  if (!link->thread_.joinable()) {
    fault = because("thread");
    return nullptr;
  }
  return link;
}

ReplayLink::ReplayLink(ReplayLinkOptions options, std::vector<Worker*> workers)
    : options_(std::move(options)), workers_(std::move(workers)), replay_(options_.replay),
      room_(std::make_unique<Room>()), listened_(options_.replay.hosts) {
  for (const std::string& device : options_.devices) {
    Capture& capture = captures_.emplace_back();
    capture.device = device;
  }
  for (std::size_t i = 0; i < options_.paths.size(); ++i)
    counted_.push_back(std::make_unique<PathCounters>());
}

ReplayLink::~ReplayLink() {
  if (!thread_.joinable())
    return;
  stopping_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof(one));
  thread_.join();
}

bool ReplayLink::open_paths(std::string& fault) {
  for (const HeartbeatPath& path : options_.paths) {
    int error = 0;
    paths_.push_back(
        open_udp_socket(path.local, kHeartbeatTos, FreeBind::kNo, error, kHeartbeatBufferBytes));
    if (paths_.back().valid())
      continue;
    errno = error;
    fault = because(text_of(path.local));
    return false;
  }
  return true;
}

bool ReplayLink::open_captures(std::string& fault) {
  for (Capture& capture : captures_)
    if (!open_capture(capture)) {
      fault = because(capture.device);
      return false;
    }
  return true;
}

std::vector<sock_filter> ReplayLink::filter() const {
  return filter_of(listened_, options_.replay.port_min, options_.replay.port_max);
}

void ReplayLink::listen(Micros now) {
  std::vector<SocketAddress> hosts = replay_.hosts_to_hear(now);
  if (hosts == listened_)
    return;
  listened_ = std::move(hosts);
  for (const Capture& capture : captures_)
    (void)set_filter(capture.fd.get(), filter());
}

bool ReplayLink::open_capture(Capture& capture) const {
  // Of protocol 0 nothing comes before it is bound.
  FileDescriptor fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const unsigned index = if_nametoindex(capture.device.c_str());
  if (!fd.valid() || index == 0)
    return false;
  packet_mreq everything{};
  everything.mr_ifindex = static_cast<int>(index);
  everything.mr_type = PACKET_MR_PROMISC;
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(index);
  set_receive_buffer(fd.get(), kCaptureBufferBytes);
  const int yes = 1;
  // Since Linux 4.20; `take_frames` knows them too.
  (void)setsockopt(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes));
  if (!set_filter(fd.get(), filter()) ||
      setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &everything, sizeof(everything)) !=
          0 ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return false;
  capture.fd = std::move(fd);
  capture.index = index;
  return true;
}

std::uint64_t ReplayLink::untold() const {
  std::uint64_t sum = 0;
  for (Worker* worker : workers_)
    sum += worker->replay()->untold();
  return sum;
}

std::uint64_t ReplayLink::secret() const {
  std::uint64_t sum = 0;
  for (Worker* worker : workers_)
    sum += worker->replay()->secret.get();
  return sum;
}

void ReplayLink::run() {
  constexpr unsigned long kTimerSlackNanos = 10'000;
  pthread_setname_np(pthread_self(), "rtprelay-replay");
  // A heartbeat that comes late makes a packet come twice.
  make_urgent();
  (void)prctl(PR_SET_TIMERSLACK, kTimerSlackNanos);
  Micros next_beat = monotonic_micros();
  while (!stopping_.load(std::memory_order_acquire)) {
    wait_until(next_beat);
    behind_ = false;
    for (const Capture& capture : captures_)
      take_frames(capture);
    for (std::size_t i = 0; i < paths_.size(); ++i)
      take_heartbeats(i);
    if (read_network_events(network_.get()) != 0)
      look_at_network();
    const Micros now = monotonic_micros();
    take_sent(now);
    if (replay_.taking_over(now))
      replay(now);
    if (now < next_beat)
      continue;
    beat(now);
    // After a moment in which the thread did not run: no heartbeat is made up for.
    next_beat = std::max(next_beat + kHeartbeatMicros, now);
  }
}

void ReplayLink::wait_until(Micros moment) {
  std::array<pollfd, 16> ready{};
  std::size_t count = 0;
  const auto add = [&](const FileDescriptor& fd) {
    if (count < ready.size())
      ready[count++] = {fd.get(), POLLIN, 0};
  };
  const Micros now = monotonic_micros();
  add(wake_);
  add(network_);
  // Otherwise what has come is read with the next heartbeat: to be woken by each frame costs more
  // than all that is done with it.
  if (replay_.taking_over(now)) {
    for (const FileDescriptor& path : paths_)
      add(path);
    for (const Capture& capture : captures_)
      add(capture.fd);
  }
  const Micros wait = behind_ ? 0 : std::max<Micros>(moment - now, 0);
  const timespec timeout{wait / 1'000'000, wait % 1'000'000 * 1000};
  (void)ppoll(ready.data(), count, &timeout, nullptr);
}

void ReplayLink::look_at_network() {
  const Micros now = monotonic_micros();
  std::vector<bool> held;
  if (held_addresses(options_.replay.hosts, held))
    replay_.set_held(held, now);
  listen(now);
  std::vector<NetworkDevice> devices;
  if (list_devices(devices)) {
    std::vector<MacAddress> macs;
    for (const NetworkDevice& device : devices)
      if (MacAddress mac{}; to_mac(device.mac, mac))
        macs.push_back(mac);
    replay_.set_macs(std::move(macs));
  }
  // A device may have gone and come again.
  for (Capture& capture : captures_)
    if (const unsigned index = if_nametoindex(capture.device.c_str());
        index != 0 && index != capture.index)
      (void)open_capture(capture);
}

void ReplayLink::take_sent(Micros now) {
  SentPacket packet;
  for (Worker* worker : workers_) {
    while (worker->replay()->take_sent(packet))
      replay_.note_sent(packet, now);
    worker->replay()->free_done();
  }
}

void ReplayLink::take_frames(const Capture& capture) {
  Room& room = *room_;
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kFrames; ++i) {
      room.parts[i] = {room.frames[i].data(), room.frames[i].size()};
      room.headers[i] = {};
      room.headers[i].msg_hdr.msg_name = &room.sources[i];
      room.headers[i].msg_hdr.msg_namelen = sizeof(room.sources[i]);
      room.headers[i].msg_hdr.msg_iov = &room.parts[i];
      room.headers[i].msg_hdr.msg_iovlen = 1;
    }
    const int taken =
        recvmmsg(capture.fd.get(), room.headers.data(), kFrames, MSG_DONTWAIT, nullptr);
    if (taken <= 0)
      return;
    const Micros now = monotonic_micros();
    for (std::size_t i = 0; i < static_cast<std::size_t>(taken); ++i)
      if (room.sources[i].sll_pkttype != PACKET_OUTGOING)
        replay_.take_frame(std::span(room.frames[i]).first(room.headers[i].msg_len), now);
    if (static_cast<std::size_t>(taken) < kFrames)
      return;
  }
  behind_ = true;
}

void ReplayLink::take_heartbeats(std::size_t path) {
  auto& bytes = room_->heartbeat;
  PathCounters& counted = *counted_[path];
  for (int i = 0; i < kHeartbeatsAtOnce; ++i) {
    // Also takes ICMP errors of a peer that does not run.
    const ssize_t size = recv(paths_[path].get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (size < 0)
      continue;
    const Micros now = monotonic_micros();
    if (replay_.take_heartbeat(std::span(bytes).first(static_cast<std::size_t>(size)), now)) {
      counted.received.add(1);
      counted.last.set(static_cast<std::uint64_t>(now));
    }
  }
}

void ReplayLink::beat(Micros now) {
  listen(now);
  replay_.beat(now, [&](std::span<const std::uint8_t> bytes) {
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      KernelAddress address;
      const socklen_t length = to_kernel(options_.paths[i].peer, address);
      if (sendto(paths_[i].get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 &address.generic, length) < 0)
        counted_[i]->send_failures.add(1);
    }
  });
  tpacket_stats statistics{};
  socklen_t length = sizeof(statistics);
  for (const Capture& capture : captures_)
    if (getsockopt(capture.fd.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0)
      missed_.add(statistics.tp_drops);
}

void ReplayLink::replay(Micros now) {
  std::vector<std::unique_ptr<ReplayBatch>> batches;
  const auto send = [&] {
    for (std::size_t i = 0; i < batches.size(); ++i)
      workers_[i]->replay(std::move(batches[i]));
    batches.clear();
  };
  replay_.each_due(now, [&](const HeardPacket& packet, std::span<const std::uint8_t> payload) {
    // Which worker has the port only the workers know.
    while (batches.size() < workers_.size())
      batches.push_back(std::make_unique<ReplayBatch>());
    for (const auto& batch : batches) {
      LeftPacket& left = batch->packets.emplace_back();
      left.local = packet.identity.local;
      left.source = packet.source;
      left.memory.resize(kHeadRoom + payload.size() + kTailRoom);
      left.size = payload.size();
      std::ranges::copy(payload, left.bytes().begin());
    }
    if (batches.front()->packets.size() >= kBatchPackets)
      send();
  });
  send();
}

} // namespace rtprelay
