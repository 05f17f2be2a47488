// What kind of datagram is this? (RFC 7983 demultiplexing, RFC 5761 RTCP on the RTP port)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "../bytes.h"

namespace rtprelay {

enum class PacketKind : std::uint8_t { kRtp, kRtcp, kStun, kDtls, kOther };

/// RFC 3550 §5.1: fixed RTP header, bytes.
constexpr std::size_t kRtpHeaderSize = 12;
/// What RTP and RTCP count lengths in.
constexpr std::size_t kWordSize = 4;
/// RFC 3550 §6.4: RTCP header and SSRC of the sender, bytes.
constexpr std::size_t kRtcpHeaderSize = 8;
/// RFC 8489 §5: the magic cookie at offset 4.
constexpr std::uint32_t kStunCookie = 0x2112a442;

/// SR to XR (RFC 3550 §12.1, RFC 4585 §6.1, RFC 3611 §2).
constexpr std::uint8_t kRtcpFirstType = 200;
constexpr std::uint8_t kRtcpLastType = 207;

/// Overwrites the payload of an RTP packet, i.e. what follows CSRCs and header extension (RFC 3550
/// §5.1, §5.3.1) up to the padding, if any. false: the header is longer than the packet.
bool overwrite_payload(std::span<std::uint8_t> packet, std::uint8_t octet);
/// What `overwrite_payload` overwrites; `valid` is false where the header is broken.
std::span<std::uint8_t> rtp_payload(std::span<std::uint8_t> packet, bool& valid);

/// Whether what `classify` takes for RTCP really starts with a packet of RTCP: a known type with
/// the marker bit's place set and a length that fits. On a port without rtcp-mux it may be RTP of a
/// payload type from 64 to 95 as well.
bool starts_with_rtcp(std::span<const std::uint8_t> packet);

/// Never reads past the end; anything without a recognised, complete header is `kOther`.
PacketKind classify(std::span<const std::uint8_t> packet);

} // namespace rtprelay
