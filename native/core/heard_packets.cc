#include "heard_packets.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <type_traits>

#include "../bytes.h"

namespace rtprelay {

namespace {

constexpr std::size_t kMacSize = 6;
constexpr std::size_t kTypeAt = 2 * kMacSize;
constexpr std::size_t kEthernetSize = 14;
constexpr std::size_t kTagSize = 4;
/// IEEE 802.1Q, IEEE 802.1ad, and what stood for the latter before.
constexpr std::uint16_t kVlan = 0x8100;
constexpr std::uint16_t kServiceVlan = 0x88a8;
constexpr std::uint16_t kOldServiceVlan = 0x9100;
constexpr std::size_t kMostTags = 2;
constexpr std::uint16_t kIpv4 = 0x0800;
constexpr std::uint16_t kIpv6 = 0x86dd;
constexpr std::uint8_t kUdp = 17;
constexpr std::size_t kUdpHeaderSize = 8;

/// RFC 791 §3.1.
constexpr std::size_t kIpv4Size = 20;
constexpr std::uint16_t kFragment = 0x3fff;
/// RFC 8200 §3.
constexpr std::size_t kIpv6Size = 40;

void read_address(std::span<const std::uint8_t> bytes, Family family, SocketAddress& out) {
  out = {};
  out.family = family;
  std::ranges::copy(bytes, out.bytes.begin());
}

bool read_udp(std::span<const std::uint8_t> packet, HeardDatagram& out) {
  if (packet.size() < kUdpHeaderSize)
    return false;
  const std::size_t length = read_u16(packet, 4);
  if (length < kUdpHeaderSize || length > packet.size())
    return false;
  out.source.port = read_u16(packet, 0);
  out.local.port = read_u16(packet, 2);
  out.payload = packet.subspan(kUdpHeaderSize, length - kUdpHeaderSize);
  return true;
}

bool read_ipv4(std::span<const std::uint8_t> packet, HeardDatagram& out) {
  if (packet.size() < kIpv4Size || packet[0] >> 4 != 4)
    return false;
  const std::size_t header = std::size_t{4} * (packet[0] & 0x0fU);
  const std::size_t length = read_u16(packet, 2);
  if (header < kIpv4Size || length < header || length > packet.size() || packet[9] != kUdp ||
      (read_u16(packet, 6) & kFragment) != 0)
    return false;
  read_address(packet.subspan(12, 4), Family::kIpv4, out.source);
  read_address(packet.subspan(16, 4), Family::kIpv4, out.local);
  return read_udp(packet.subspan(header, length - header), out);
}

bool read_ipv6(std::span<const std::uint8_t> packet, HeardDatagram& out) {
  if (packet.size() < kIpv6Size || packet[0] >> 4 != 6 || packet[6] != kUdp)
    return false;
  const std::size_t length = read_u16(packet, 4);
  if (length > packet.size() - kIpv6Size)
    return false;
  read_address(packet.subspan(8, 16), Family::kIpv6, out.source);
  read_address(packet.subspan(24, 16), Family::kIpv6, out.local);
  return read_udp(packet.subspan(kIpv6Size, length), out);
}

constexpr std::size_t kWord = sizeof(std::uint64_t);
static_assert(std::is_trivially_copyable_v<HeardPacket> && alignof(HeardPacket) <= kWord);
constexpr std::size_t kPacketWords = (sizeof(HeardPacket) + kWord - 1) / kWord;

std::size_t words_of(std::size_t payload) { return kPacketWords + (payload + kWord - 1) / kWord; }

} // namespace

bool parse_frame(std::span<const std::uint8_t> frame, HeardDatagram& out) {
  if (frame.size() < kEthernetSize)
    return false;
  std::copy_n(frame.begin(), kMacSize, out.destination_mac.begin());
  std::size_t at = kTypeAt;
  std::uint16_t type = read_u16(frame, at);
  for (std::size_t tags = 0; type == kVlan || type == kServiceVlan || type == kOldServiceVlan;) {
    if (++tags > kMostTags || frame.size() < at + kTagSize + 2)
      return false;
    at += kTagSize;
    type = read_u16(frame, at);
  }
  const auto packet = frame.subspan(at + 2);
  if (type == kIpv4)
    return read_ipv4(packet, out);
  return type == kIpv6 && read_ipv6(packet, out);
}

HeardPackets::HeardPackets(std::size_t bytes) : memory_(bytes / kWord) {}

HeardPacket& HeardPackets::packet_at(std::size_t at) {
  return *std::launder(reinterpret_cast<HeardPacket*>(&memory_[at]));
}

std::span<const std::uint8_t> HeardPackets::payload_at(std::size_t at) {
  return {reinterpret_cast<const std::uint8_t*>(&memory_[at] + kPacketWords), packet_at(at).size};
}

std::size_t HeardPackets::behind(std::size_t at) {
  const std::size_t next = at + words_of(packet_at(at).size);
  // What is at the end of those that lie higher is followed by the lowest one.
  return end_ != 0 && next == end_ ? 0 : next;
}

bool HeardPackets::place(std::size_t words, std::size_t& at) {
  if (count_ == 0)
    head_ = tail_ = end_ = open_at_ = 0;
  if (end_ != 0) {
    at = tail_;
    return head_ - tail_ >= words;
  }
  at = tail_;
  if (memory_.size() - tail_ >= words)
    return true;
  at = 0;
  return head_ >= words;
}

bool HeardPackets::add(const HeardPacket& packet, std::span<const std::uint8_t> payload) {
  const std::size_t words = words_of(payload.size());
  if (words > memory_.size())
    return false;
  std::size_t at = 0;
  while (!place(words, at)) {
    drop_oldest();
    ++crowded_out_;
  }
  if (at == 0 && count_ > 0 && end_ == 0)
    end_ = tail_;
  HeardPacket* const kept = new (&memory_[at]) HeardPacket(packet);
  kept->size = static_cast<std::uint32_t>(payload.size());
  std::memcpy(&memory_[at] + kPacketWords, payload.data(), payload.size());
  tail_ = at + words;
  if (open_ == 0)
    open_at_ = at;
  ++open_;
  ++count_;
  words_ += words;
  return true;
}

void HeardPackets::drop_oldest() {
  const std::size_t next = behind(head_);
  if (open_ == count_) {
    open_at_ = next;
    --open_;
  }
  words_ -= words_of(packet_at(head_).size);
  --count_;
  if (end_ != 0 && next == 0)
    end_ = 0;
  head_ = next;
}

void HeardPackets::expire(Micros oldest) {
  while (count_ > 0 && packet_at(head_).at < oldest)
    drop_oldest();
}

} // namespace rtprelay
