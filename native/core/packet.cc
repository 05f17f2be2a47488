#include "packet.h"

#include <algorithm>

namespace rtprelay {

std::span<std::uint8_t> rtp_payload(std::span<std::uint8_t> packet, bool& valid) {
  valid = false;
  if (packet.size() < kRtpHeaderSize)
    return {};
  std::size_t begin = kRtpHeaderSize + kWordSize * (packet[0] & 0x0fU);
  if ((packet[0] & 0x10) != 0) {
    if (packet.size() < begin + kWordSize)
      return {};
    begin += kWordSize + kWordSize * read_u16(packet, begin + 2);
  }
  if (packet.size() < begin)
    return {};
  std::size_t end = packet.size();
  const std::size_t padding = (packet[0] & 0x20) != 0 ? packet[end - 1] : 0;
  // A padding that is not one is payload.
  if (padding <= end - begin)
    end -= padding;
  valid = true;
  return packet.subspan(begin, end - begin);
}

bool overwrite_payload(std::span<std::uint8_t> packet, std::uint8_t octet) {
  bool valid = false;
  const std::span<std::uint8_t> payload = rtp_payload(packet, valid);
  std::fill(payload.begin(), payload.end(), octet);
  return valid;
}

bool starts_with_rtcp(std::span<const std::uint8_t> packet) {
  if (packet.size() < kRtcpHeaderSize || packet[0] >> 6 != 2)
    return false;
  const std::size_t length = (std::size_t{read_u16(packet, 2)} + 1) * 4;
  return packet[1] >= kRtcpFirstType && packet[1] <= kRtcpLastType && length >= kRtcpHeaderSize &&
         length <= packet.size();
}

PacketKind classify(std::span<const std::uint8_t> packet) {
  if (packet.size() < kRtcpHeaderSize)
    return PacketKind::kOther;
  const std::uint8_t first = packet[0];
  // RFC 7983 §7: 0-3 STUN, 20-63 DTLS, 128-191 RTP and RTCP.
  if (first <= 3) {
    const bool stun = packet.size() >= 20 && read_u32(packet, 4) == kStunCookie;
    return stun ? PacketKind::kStun : PacketKind::kOther;
  }
  if (first >= 20 && first <= 63)
    return packet.size() >= 13 ? PacketKind::kDtls : PacketKind::kOther;
  if (first < 128 || first > 191)
    return PacketKind::kOther;
  // RFC 5761 §4: RTP payload types 64-95 are left to RTCP.
  const std::uint8_t payload_type = packet[1] & 0x7f;
  if (payload_type >= 64 && payload_type <= 95)
    return PacketKind::kRtcp;
  return packet.size() >= kRtpHeaderSize ? PacketKind::kRtp : PacketKind::kOther;
}

} // namespace rtprelay
