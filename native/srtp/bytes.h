// Big-endian numbers, and what the packets of RTCP and SRTCP have in fixed places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtprelay::srtp {

/// RFC 3550 §6.4: what SRTCP leaves in the clear.
constexpr std::size_t kRtcpHeader = 8;
/// RFC 3711 §3.4: E bit and index.
constexpr std::size_t kIndexSize = 4;
constexpr std::uint32_t kEncrypted = 0x80000000;

inline std::uint16_t get_u16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>((bytes[at] << 8) | bytes[at + 1]);
}

inline std::uint32_t get_u32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return (static_cast<std::uint32_t>(get_u16(bytes, at)) << 16) | get_u16(bytes, at + 2);
}

inline void put_u32(std::span<std::uint8_t, 4> bytes, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i)
    bytes[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

} // namespace rtprelay::srtp
