#include "packet.h"

namespace rtprelay {

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
