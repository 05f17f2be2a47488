#include "steered_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <linux/icmp.h>
#include <linux/icmpv6.h>

#include "../bpf/steer.h"
#include "icmp.h"
#include "socket_store.h"

namespace rtprelay {

namespace {

/// Receive buffer of a socket for all ports of a worker, bytes (the kernel doubles it): for each of
/// them as much as its own socket would have, within these limits.
constexpr int kSmallestBufferBytes = 1024 * 1024;
constexpr int kLargestBufferBytes = 64 * 1024 * 1024;
/// While more comes than can be relayed: some 1,300 packets of telephony, 20 ms of what a thread
/// relays.
constexpr int kOverloadBufferBytes = 512 * 1024;

/// Steered packets find their socket wherever it is bound; here nobody else sends to it.
SocketAddress quiet_address(Family family) {
  SocketAddress address;
  (void)parse_address(family == Family::kIpv4 ? "127.82.84.80" : "100::5254:5050", 0, address);
  return address;
}

bool tells_destination(int fd, Family family) {
  const int on = 1;
  return family == Family::kIpv4
             ? setsockopt(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, &on, sizeof(on)) == 0
             : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, &on, sizeof(on)) == 0;
}

/// A raw socket that gets ICMP errors and nothing else.
FileDescriptor open_icmp(Family family, int& error) {
  const bool v4 = family == Family::kIpv4;
  FileDescriptor fd(socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                           v4 ? static_cast<int>(IPPROTO_ICMP) : IPPROTO_ICMPV6));
  icmp_filter filter4{};
  filter4.data =
      ~((1U << ICMP_DEST_UNREACH) | (1U << ICMP_TIME_EXCEEDED) | (1U << ICMP_PARAMETERPROB));
  icmp6_filter filter6{};
  std::ranges::fill(filter6.data, ~0U);
  filter6.data[0] = ~((1U << ICMPV6_DEST_UNREACH) | (1U << ICMPV6_PKT_TOOBIG) |
                      (1U << ICMPV6_TIME_EXCEED) | (1U << ICMPV6_PARAMPROB));
  const bool filtered =
      fd.valid() &&
      (v4 ? setsockopt(fd.get(), SOL_RAW, ICMP_FILTER, &filter4, sizeof(filter4)) == 0
          : setsockopt(fd.get(), IPPROTO_ICMPV6, ICMPV6_FILTER, &filter6, sizeof(filter6)) == 0);
  if (filtered)
    return fd;
  error = errno;
  return {};
}

std::vector<SocketAddress> steered_of(std::span<const std::unique_ptr<Port>> ports, Family family) {
  std::vector<SocketAddress> locals;
  for (const auto& port : ports)
    if (port->local.family == family && !port->fd.valid())
      locals.push_back(port->local);
  return locals;
}

} // namespace

SteeredIo::SteeredIo(const SteeredIoOptions& options)
    : EpollIo(options.free_bind), steering_(*options.steering), worker_(options.worker),
      headers_(kBatchSize), parts_(kBatchSize), sources_(kBatchSize), controls_(kBatchSize) {
  channels_[0].family = Family::kIpv4;
  channels_[1].family = Family::kIpv6;
}

std::uint32_t SteeredIo::slot_of(Family family) const {
  return steer_slot(worker_, static_cast<flow_family>(family));
}

bool SteeredIo::start(SocketStore* sockets, int& error) {
  if (!EpollIo::start()) {
    error = errno;
    return false;
  }
  // While another process has the calls, it has the sockets.
  return steering_.stands_by() || start_channels(sockets, error);
}

bool SteeredIo::start_channels(SocketStore* sockets, int& error) {
  if (!start_channel(channels_[0], sockets, error))
    return false;
  // Without IPv6 on this machine it has sockets of their own for that, i.e. none.
  int ignored = 0;
  if (!start_channel(channels_[1], sockets, ignored))
    channels_[1].socket = FileDescriptor();
  return true;
}

bool SteeredIo::start_channel(Channel& channel, SocketStore* sockets, int& error) {
  channel.icmp = open_icmp(channel.family, error);
  if (!channel.icmp.valid() || !channel.sender.open(channel.family, error) ||
      !open_socket(channel, sockets, error))
    return false;
  if (watch_other(channel.socket.get(), &channel) && watch_other(channel.icmp.get(), &channel.icmp))
    return true;
  error = errno;
  return false;
}

bool SteeredIo::open_socket(Channel& channel, SocketStore* sockets, int& error) {
  const std::uint32_t slot = slot_of(channel.family);
  const std::uint64_t cookie = steering_.cookie_of(slot);
  FileDescriptor fd;
  if (sockets != nullptr && cookie != 0)
    fd = sockets->take_by_cookie(cookie);
  const bool inherited = fd.valid();
  if (!inherited) {
    fd = open_udp_socket(quiet_address(channel.family), -1, FreeBind::kYes, error,
                         kSmallestBufferBytes);
    if (!fd.valid())
      return false;
  }
  if (!tells_destination(fd.get(), channel.family) ||
      (!inherited && !steering_.set_socket(slot, fd.get()))) {
    error = errno;
    return false;
  }
  channel.socket = std::move(fd);
  if (sockets != nullptr)
    sockets->keep(local_address(channel.socket.get()), channel.socket.get());
  return true;
}

bool SteeredIo::can_steer(Family family) const {
  return steering_.on() && channels_[index_of(family)].socket.valid();
}

bool SteeredIo::activate(SocketStore* sockets, int& error) {
  if (!start_channels(sockets, error))
    return false;
  buffer_bytes_ = 0;
  fit_buffers();
  std::array<std::vector<SocketAddress>, 2> missing;
  ports_.each([&](const Port& port) {
    if (port.steered && !steering_.claim(port.local))
      missing[index_of(port.local.family)].push_back(port.local);
  });
  for (const Channel& channel : channels_)
    (void)steering_.steer(missing[index_of(channel.family)], slot_of(channel.family));
  return true;
}

std::unique_ptr<Port> SteeredIo::open(const PortSpec& spec, int tos, FileDescriptor inherited,
                                      int& error) {
  // What waits in an inherited socket is not lost this way.
  if (inherited.valid() || (!steering_.stands_by() && !can_steer(spec.local.family)))
    return EpollIo::open(spec, tos, std::move(inherited), error);
  // Where the active process has it steered, so it is; else its socket has not come yet.
  if (steering_.stands_by())
    error = steering_.left_slot(spec.local) ? 0 : EADDRINUSE;
  else
    error = steering_.check(spec.local, free_bind());
  if (error != 0)
    return nullptr;
  auto port = std::make_unique<Port>();
  port->local = spec.local;
  port->id = spec.id;
  port->steered = true;
  port->opened_steered = true;
  SteeredIo::mark(*port, tos);
  return port;
}

void SteeredIo::mark(Port& port, int tos) {
  port.tos.store(static_cast<std::uint8_t>(std::max(tos, 0)), std::memory_order_relaxed);
  if (!port.opened_steered)
    EpollIo::mark(port, tos);
}

void SteeredIo::fit_buffers() {
  const auto wanted = static_cast<std::int64_t>(count_) * kReceiveBufferBytes;
  const int before = buffer_bytes_.load();
  int bytes = std::max(before, kSmallestBufferBytes);
  while (bytes < wanted && bytes < kLargestBufferBytes)
    bytes *= 2;
  if (bytes == before)
    return;
  buffer_bytes_ = bytes;
  // Where the worker has just made them small, it sees the new size when that is over.
  if (!squeezed_.load())
    set_buffers(bytes);
}

void SteeredIo::set_buffers(int bytes) const {
  for (const Channel& channel : channels_)
    if (channel.socket.valid())
      set_receive_buffer(channel.socket.get(), bytes);
}

void SteeredIo::fit_to_load() {
  const bool too_much = EpollIo::too_much();
  if (too_much == squeezed_.load(std::memory_order_relaxed))
    return;
  squeezed_ = too_much;
  set_buffers(too_much ? kOverloadBufferBytes
                       : std::max(buffer_bytes_.load(), kSmallestBufferBytes));
}

const Port* SteeredIo::watch(std::span<const std::unique_ptr<Port>> ports) {
  count_ += ports.size();
  fit_buffers();
  for (const auto& port : ports)
    if (port->fd.valid() && !watch_one(*port))
      return port.get();
  for (const Channel& channel : channels_) {
    const std::vector<SocketAddress> locals = steered_of(ports, channel.family);
    std::size_t done = steering_.steer(locals, slot_of(channel.family));
    // The table is full, or gone.
    for (const auto& port : ports) {
      if (done == locals.size())
        break;
      if (port->local != locals[done])
        continue;
      if (!bind_own(*port))
        return port.get();
      ++done;
    }
  }
  return nullptr;
}

bool SteeredIo::bind_own(Port& port) {
  int error = 0;
  FileDescriptor fd =
      open_media_socket(port.local, port.tos.load(std::memory_order_relaxed), free_bind(), error);
  if (!fd.valid()) {
    errno = error;
    return false;
  }
  report_unreachable(fd.get(), port.local.family);
  port.fd = std::move(fd);
  port.steered = false;
  return watch_one(port);
}

void SteeredIo::retire(std::span<const std::unique_ptr<Port>> ports,
                       std::span<const std::unique_ptr<Port>> open) {
  count_ -= ports.size();
  std::vector<SocketAddress> locals;
  locals.reserve(ports.size());
  for (const auto& port : ports)
    if (!has_port_at(open, port->local))
      locals.push_back(port->local);
  if (steering_.on())
    steering_.unsteer(locals);
}

void SteeredIo::know(Port& port) {
  if (port.known)
    return;
  port.known = true;
  if (!port.steered)
    return;
  ports_.insert(port);
  parked_.look();
  if (binds_)
    (void)bind_own(port);
}

void SteeredIo::close(Port& port) {
  ports_.erase(port);
  if (port.fd.valid())
    EpollIo::close(port);
  port.transport = nullptr;
}

void SteeredIo::bind_all() {
  binds_ = true;
  ports_.each([this](Port& port) {
    if (port.steered)
      (void)bind_own(port);
  });
}

bool SteeredIo::take_other(void* tag, std::span<InPacket> out, std::size_t& taken) {
  for (Channel& channel : channels_) {
    if (tag == &channel) {
      take_packets(channel, out, taken);
      return true;
    }
    if (tag == &channel.icmp) {
      take_errors(channel, out, taken);
      return true;
    }
  }
  return false;
}

void SteeredIo::prepare(std::size_t at, bool held) {
  if (held) {
    held_packets().packets[at].prepare(held_packets().headers[at], {});
    return;
  }
  const std::span<std::uint8_t> buffer = slots()[at].body();
  parts_[at] = {buffer.data(), buffer.size()};
  msghdr& header = headers_[at].msg_hdr;
  header.msg_name = &sources_[at].generic;
  header.msg_namelen = sizeof(sources_[at]);
  header.msg_iov = &parts_[at];
  header.msg_iovlen = 1;
  header.msg_control = controls_[at].bytes.data();
  header.msg_controllen = controls_[at].bytes.size();
}

void SteeredIo::take_packets(Channel& channel, std::span<InPacket> out, std::size_t& taken) {
  const bool held = !held_packets().packets.empty();
  const std::span<mmsghdr> headers = held ? held_packets().headers : std::span(headers_);
  for (std::size_t i = taken; i < out.size(); ++i)
    prepare(i, held);
  if (held)
    holds(out.size());
  const int count =
      recvmmsg(channel.socket.get(), &headers[taken], static_cast<unsigned>(out.size() - taken),
               MSG_DONTWAIT | MSG_TRUNC, nullptr);
  for (int i = 0; i < count; ++i, ++taken) {
    InPacket& packet = out[taken];
    const std::size_t size = headers[taken].msg_len;
    const std::span<const std::uint8_t> control(
        static_cast<const std::uint8_t*>(headers[taken].msg_hdr.msg_control),
        headers[taken].msg_hdr.msg_controllen);
    HeldPacket* const place = held ? &held_packets().packets[taken] : nullptr;
    const std::span<std::uint8_t> buffer = held ? place->slot.body() : slots()[taken].body();
    packet.port = nullptr;
    packet.local = destination_in(control);
    packet.source = from_kernel(held ? place->source : sources_[taken]);
    packet.truncated = size > buffer.size();
    packet.bytes = buffer.first(std::min(size, buffer.size()));
    packet.unreachable = 0;
    packet.begun = held ? &place->begun : nullptr;
    packet.scratch = held ? slots()[taken].body() : std::span<std::uint8_t>();
  }
  // The places of those that have not come are free for what comes to other sockets.
  for (std::size_t i = taken; held && i < out.size(); ++i)
    held_packets().packets[i].let_go();
}

void SteeredIo::take_errors(Channel& channel, std::span<InPacket> out, std::size_t& taken) {
  const std::span<std::uint8_t> buffer = slots()[taken].body();
  const ssize_t size = recv(channel.icmp.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (size <= 0)
    return;
  const std::span<const std::uint8_t> bytes = buffer.first(static_cast<std::size_t>(size));
  IcmpError error;
  const bool ours =
      channel.family == Family::kIpv4 ? parse_icmp4(bytes, error) : parse_icmp6(bytes, error);
  if (!ours)
    return;
  InPacket& packet = out[taken++];
  packet.port = nullptr;
  packet.local = error.local;
  packet.source = error.remote;
  packet.unreachable = error.error;
  packet.begun = nullptr;
}

void SteeredIo::resolve(std::span<InPacket> packets) {
  for (const InPacket& packet : packets)
    if (packet.port == nullptr)
      ports_.look_ahead(packet.local);
  for (const InPacket& packet : packets)
    if (packet.port == nullptr)
      ports_.look_ahead_port(packet.local);
  for (InPacket& packet : packets) {
    if (packet.port != nullptr)
      continue;
    packet.port = ports_.find(packet.local);
    if (packet.port == nullptr && waits_)
      (void)parked_.park(packet);
  }
}

Received SteeredIo::receive(std::span<InPacket> out, int timeout_ms) {
  // Before what comes now.
  if (parked_.may_have())
    return {parked_.take(ports_, out), false};
  // Not earlier: what was taken last time is in the hands of the worker until now.
  if (!waits_)
    parked_.clear();
  const Received received = EpollIo::receive(out, timeout_ms);
  fit_to_load();
  return received;
}

void SteeredIo::end_waiting() { waits_ = false; }

void SteeredIo::send(std::span<OutPacket> packets) {
  for (OutPacket& packet : packets) {
    if (packet.port->steered)
      channels_[index_of(packet.port->local.family)].sender.add(packet);
    else
      send_one(packet);
  }
  for (Channel& channel : channels_)
    channel.sender.flush();
}

std::unique_ptr<PacketIo> make_steered_io(const SteeredIoOptions& options, int& error) {
  auto io = std::make_unique<SteeredIo>(options);
  if (!io->start(options.sockets, error))
    return nullptr;
  return io;
}

} // namespace rtprelay
