#include "held_packets.h"

#include <algorithm>
#include <cstring>
#include <new>

#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rtprelay {

namespace {

constexpr std::uint64_t kMagic = 0x3273646e61687472; // "rthands2"
/// Older packets would not be played any more.
constexpr Micros kStale = 2'000'000;
constexpr std::size_t kMostWorkers = 1024;

struct Head {
  std::uint64_t magic = kMagic;
  std::uint64_t workers = 0;
  /// The layout has to be the same.
  std::uint64_t packets = kBatchSize;
  std::uint64_t packet_bytes = sizeof(HeldPacket);
};

struct Part {
  std::atomic<Micros> moment;
  std::array<mmsghdr, kBatchSize> headers;
  std::array<HeldPacket, kBatchSize> packets;
};

constexpr std::size_t kFirstPart =
    (sizeof(Head) + alignof(Part) - 1) / alignof(Part) * alignof(Part);

constexpr std::size_t bytes_for(std::size_t workers) { return kFirstPart + workers * sizeof(Part); }

Part* parts_of(void* memory) {
  return reinterpret_cast<Part*>(static_cast<std::uint8_t*>(memory) + kFirstPart);
}

bool read_head(int fd, Head& head, std::size_t& size) {
  struct stat status {};
  // Only a file without a name: nobody else can have written it.
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 0 ||
      pread(fd, &head, sizeof(head), 0) != static_cast<ssize_t>(sizeof(head)))
    return false;
  size = static_cast<std::size_t>(status.st_size);
  return head.magic == kMagic;
}

void take(const mmsghdr& header, const HeldPacket& held, std::vector<LeftPacket>& out) {
  const std::size_t size = header.msg_len;
  // What did not fit is relayed to nobody.
  if (!held.held.load(std::memory_order_acquire) || size == 0 || size > kMaxPacketBytes)
    return;
  LeftPacket& left = out.emplace_back();
  const std::size_t control = std::min(header.msg_hdr.msg_controllen, held.control.size());
  left.local =
      held.local.valid() ? held.local : destination_in(std::span(held.control).first(control));
  left.source = from_kernel(held.source);
  left.memory.resize(kHeadRoom + size + kTailRoom);
  std::memcpy(left.memory.data() + kHeadRoom, held.slot.memory.data() + kHeadRoom, size);
  left.size = size;
  left.begun = held.begun.load(std::memory_order_relaxed);
}

} // namespace

SocketAddress destination_in(std::span<const std::uint8_t> control) {
  msghdr message{};
  message.msg_control = const_cast<std::uint8_t*>(control.data());
  message.msg_controllen = control.size();
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
       each = CMSG_NXTHDR(&message, each)) {
    const bool v4 = each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_ORIGDSTADDR;
    const bool v6 = each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_ORIGDSTADDR;
    KernelAddress address{};
    const std::size_t length = v4 ? sizeof(address.v4) : sizeof(address.v6);
    const auto* const data = CMSG_DATA(each);
    if ((!v4 && !v6) || each->cmsg_len < CMSG_LEN(length) ||
        data + length > control.data() + control.size())
      continue;
    std::memcpy(&address, data, length);
    return from_kernel(address);
  }
  return {};
}

void HeldPacket::prepare(mmsghdr& header, const SocketAddress& to) {
  const std::span<std::uint8_t> body = slot.body();
  vector = {body.data(), body.size()};
  header = {};
  header.msg_hdr.msg_name = &source.generic;
  header.msg_hdr.msg_namelen = sizeof(source);
  header.msg_hdr.msg_iov = &vector;
  header.msg_hdr.msg_iovlen = 1;
  if (!to.valid()) {
    header.msg_hdr.msg_control = control.data();
    header.msg_hdr.msg_controllen = control.size();
  }
  local = to;
  begun.store(0, std::memory_order_relaxed);
  held.store(true, std::memory_order_release);
}

std::unique_ptr<HeldPackets> HeldPackets::make(std::size_t workers) {
  FileDescriptor fd(memfd_create("rtprelay-held-packets", MFD_CLOEXEC));
  const std::size_t bytes = bytes_for(workers);
  if (!fd.valid() || workers > kMostWorkers || ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0)
    return nullptr;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED)
    return nullptr;
  // It is all zeroes, as everything in it is at first.
  const Head head{.workers = workers};
  std::memcpy(memory, &head, sizeof(head));
  return std::unique_ptr<HeldPackets>(new HeldPackets(std::move(fd), memory, workers));
}

HeldPackets::~HeldPackets() { munmap(memory_, bytes_for(workers_)); }

HeldByWorker HeldPackets::of(std::size_t worker) const {
  Part& part = parts_of(memory_)[worker];
  return {&part.moment, part.packets, part.headers};
}

bool HeldPackets::is_one(int fd) {
  Head head;
  std::size_t size = 0;
  return read_head(fd, head, size);
}

std::vector<LeftPacket> HeldPackets::read(int fd, Micros now) {
  std::vector<LeftPacket> result;
  Head head;
  std::size_t size = 0;
  if (!read_head(fd, head, size) || head.packets != kBatchSize ||
      head.packet_bytes != sizeof(HeldPacket) || head.workers > kMostWorkers ||
      size != bytes_for(head.workers))
    return result;
  void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED)
    return result;
  for (std::size_t i = 0; i < head.workers; ++i) {
    const Part& part = parts_of(memory)[i];
    if (now - part.moment.load(std::memory_order_relaxed) > kStale)
      continue;
    for (std::size_t j = 0; j < part.packets.size(); ++j)
      take(part.headers[j], part.packets[j], result);
  }
  munmap(memory, size);
  return result;
}

} // namespace rtprelay
