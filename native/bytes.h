// Numbers in network byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtprelay {

inline std::uint16_t read_u16(std::span<const std::uint8_t> bytes, std::size_t at = 0) {
  return static_cast<std::uint16_t>((bytes[at] << 8) | bytes[at + 1]);
}

inline std::uint32_t read_u32(std::span<const std::uint8_t> bytes, std::size_t at = 0) {
  return (static_cast<std::uint32_t>(read_u16(bytes, at)) << 16) | read_u16(bytes, at + 2);
}

inline std::uint64_t read_u64(std::span<const std::uint8_t> bytes, std::size_t at = 0) {
  return (static_cast<std::uint64_t>(read_u32(bytes, at)) << 32) | read_u32(bytes, at + 4);
}

/// The first `sizeof(Number)` bytes of `bytes`.
template <typename Number> void write_number(std::span<std::uint8_t> bytes, Number value) {
  for (std::size_t i = 0; i < sizeof(Number); ++i)
    bytes[i] = static_cast<std::uint8_t>(value >> (8 * (sizeof(Number) - 1 - i)));
}

} // namespace rtprelay
