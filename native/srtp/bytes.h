// What the packets of RTCP and SRTCP have in fixed places.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../bytes.h"

namespace rtprelay::srtp {

/// RFC 3550 §6.4: what SRTCP leaves in the clear.
constexpr std::size_t kRtcpHeader = 8;
/// RFC 3711 §3.4: E bit and index.
constexpr std::size_t kIndexSize = 4;
constexpr std::uint32_t kEncrypted = 0x80000000;

} // namespace rtprelay::srtp
