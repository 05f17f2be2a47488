#include "port_steering.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "../bpf/steer.h"
#include "bpf_call.h"

namespace rtprelay {

namespace {

/// How long an address is taken to be this machine's or not.
constexpr Micros kHostMicros = 1'000'000;
constexpr std::size_t kReadAtOnce = 4096;

std::uint64_t pointer(const void* memory) { return reinterpret_cast<std::uint64_t>(memory); }

flow_key to_key(const SocketAddress& local) {
  flow_key key{};
  std::memcpy(key.address.words, local.bytes.data(), sizeof(key.address.words));
  key.port = htons(local.port);
  key.family = static_cast<std::uint8_t>(local.family);
  return key;
}

SocketAddress from_key(const flow_key& key) {
  SocketAddress local;
  std::memcpy(local.bytes.data(), key.address.words, sizeof(key.address.words));
  local.port = ntohs(key.port);
  local.family = static_cast<Family>(key.family);
  return local;
}

std::vector<flow_key> to_keys(std::span<const SocketAddress> locals) {
  std::vector<flow_key> keys;
  keys.reserve(locals.size());
  for (const SocketAddress& local : locals)
    keys.push_back(to_key(local));
  return keys;
}

} // namespace

std::size_t AddressHash::operator()(const SocketAddress& address) const {
  const auto* bytes = reinterpret_cast<const char*>(address.bytes.data());
  return std::hash<std::string_view>{}({bytes, address.bytes.size()}) ^
         (static_cast<std::size_t>(address.port) << 20U);
}

std::unique_ptr<PortSteering> PortSteering::make(const SteeringMaps& maps, bool stands_by,
                                                 int& error) {
  constexpr int kAboveStandard = 3;
  FileDescriptor ports(fcntl(maps.ports, F_DUPFD_CLOEXEC, kAboveStandard));
  FileDescriptor sockets(fcntl(maps.sockets, F_DUPFD_CLOEXEC, kAboveStandard));
  FileDescriptor blocks(fcntl(maps.blocks, F_DUPFD_CLOEXEC, kAboveStandard));
  if (!ports.valid() || !sockets.valid() || !blocks.valid()) {
    error = errno;
    return nullptr;
  }
  std::unique_ptr<PortSteering> made(
      new PortSteering(std::move(ports), std::move(sockets), std::move(blocks)));
  made->stands_by_ = stands_by;
  if (!stands_by)
    made->read_left();
  return made;
}

void PortSteering::activate() {
  if (!stands_by_)
    return;
  stands_by_ = false;
  read_left();
}

void PortSteering::read_left() {
  std::vector<flow_key> keys(kReadAtOnce);
  std::vector<std::uint32_t> slots(kReadAtOnce);
  std::array<std::uint32_t, 8> from{};
  std::array<std::uint32_t, 8> next{};
  bool first = true;
  for (;;) {
    bpf_attr attributes{};
    attributes.batch.in_batch = first ? 0 : pointer(from.data());
    attributes.batch.out_batch = pointer(next.data());
    attributes.batch.keys = pointer(keys.data());
    attributes.batch.values = pointer(slots.data());
    attributes.batch.count = kReadAtOnce;
    attributes.batch.map_fd = static_cast<std::uint32_t>(ports_.get());
    const bool ended = bpf(BPF_MAP_LOOKUP_BATCH, attributes) != 0;
    // ENOENT: that was the last of them.
    if (ended && errno != ENOENT)
      return;
    for (std::size_t i = 0; i < attributes.batch.count; ++i)
      left_[from_key(keys[i])] = slots[i];
    if (ended)
      return;
    from = next;
    first = false;
  }
}

int PortSteering::try_host(const SocketAddress& local, FreeBind free_bind) {
  SocketAddress host = local;
  host.port = 0;
  Host& known = hosts_[host];
  const Micros now = monotonic_micros();
  if (known.until > now)
    return known.error;
  known = {0, now + kHostMicros};
  (void)open_udp_socket(host, -1, free_bind, known.error);
  return known.error;
}

int PortSteering::check(const SocketAddress& local, FreeBind free_bind) {
  if (const int error = try_host(local, free_bind); error != 0)
    return error;
  return foreign_.has(local) ? EADDRINUSE : 0;
}

void PortSteering::mark_blocks(std::span<const SocketAddress> locals) {
  for (const SocketAddress& local : locals) {
    const std::uint32_t block = local.port >> STEER_BLOCK_BITS;
    if (marked_[block])
      continue;
    const std::uint32_t used = 1;
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(blocks_.get());
    attributes.key = pointer(&block);
    attributes.value = pointer(&used);
    marked_[block] = bpf(BPF_MAP_UPDATE_ELEM, attributes) == 0;
  }
}

std::size_t PortSteering::steer(std::span<const SocketAddress> locals, std::uint32_t slot) {
  if (stands_by_)
    return locals.size();
  mark_blocks(locals);
  // An earlier process had them here.
  if (std::ranges::all_of(locals,
                          [&](const SocketAddress& local) { return left_slot(local) == slot; })) {
    for (const SocketAddress& local : locals)
      left_.erase(local);
    return locals.size();
  }
  const std::vector<flow_key> keys = to_keys(locals);
  const std::vector<std::uint32_t> slots(keys.size(), slot);
  bpf_attr attributes{};
  attributes.batch.keys = pointer(keys.data());
  attributes.batch.values = pointer(slots.data());
  attributes.batch.count = static_cast<std::uint32_t>(keys.size());
  attributes.batch.map_fd = static_cast<std::uint32_t>(ports_.get());
  std::size_t done = keys.size();
  if (!keys.empty() && bpf(BPF_MAP_UPDATE_BATCH, attributes) != 0)
    done = std::min<std::size_t>(attributes.batch.count, keys.size());
  for (const SocketAddress& local : locals.first(done))
    left_.erase(local);
  return done;
}

void PortSteering::unsteer(std::span<const SocketAddress> locals) {
  if (stands_by_)
    return;
  std::vector<flow_key> keys = to_keys(locals);
  for (std::size_t at = 0; at < keys.size();) {
    bpf_attr attributes{};
    attributes.batch.keys = pointer(keys.data() + at);
    attributes.batch.count = static_cast<std::uint32_t>(keys.size() - at);
    attributes.batch.map_fd = static_cast<std::uint32_t>(ports_.get());
    if (bpf(BPF_MAP_DELETE_BATCH, attributes) == 0)
      return;
    // It ends at one that is not there.
    at += attributes.batch.count + 1;
  }
}

void PortSteering::expect(std::span<const SocketAddress> locals, std::uint32_t worker) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const std::uint32_t slot = steer_slot(worker, static_cast<flow_family>(family));
    std::vector<SocketAddress> fresh;
    for (const SocketAddress& local : locals)
      if (local.family == family && !left_.contains(local))
        fresh.push_back(local);
    const std::size_t done = steer(fresh, slot);
    for (const SocketAddress& local : std::span(fresh).first(done))
      left_[local] = slot;
  }
}

std::optional<std::uint32_t> PortSteering::left_slot(const SocketAddress& local) const {
  if (stands_by_)
    return look_up(local);
  const auto found = left_.find(local);
  return found == left_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::uint32_t> PortSteering::look_up(const SocketAddress& local) const {
  const flow_key key = to_key(local);
  std::uint32_t slot = 0;
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(ports_.get());
  attributes.key = pointer(&key);
  attributes.value = pointer(&slot);
  if (bpf(BPF_MAP_LOOKUP_ELEM, attributes) != 0)
    return std::nullopt;
  return slot;
}

std::size_t PortSteering::release_left() {
  std::vector<SocketAddress> locals;
  locals.reserve(left_.size());
  for (const auto& [local, slot] : left_)
    locals.push_back(local);
  unsteer(locals);
  left_.clear();
  return locals.size();
}

std::uint64_t PortSteering::cookie_of(std::uint32_t slot) const {
  std::uint64_t cookie = 0;
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(sockets_.get());
  attributes.key = pointer(&slot);
  attributes.value = pointer(&cookie);
  return bpf(BPF_MAP_LOOKUP_ELEM, attributes) == 0 ? cookie : 0;
}

bool PortSteering::set_socket(std::uint32_t slot, int fd) {
  const std::uint64_t value = static_cast<std::uint64_t>(fd);
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(sockets_.get());
  attributes.key = pointer(&slot);
  attributes.value = pointer(&value);
  return bpf(BPF_MAP_UPDATE_ELEM, attributes) == 0;
}

} // namespace rtprelay
