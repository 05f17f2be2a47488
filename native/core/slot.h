// Memory of packets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "../srtp/session.h"

namespace rtprelay {

/// Largest datagram relayed, bytes; longer ones are dropped as truncated.
constexpr std::size_t kMaxPacketBytes = 9216;
/// Room before a packet, for header extensions that grow.
constexpr std::size_t kHeadRoom = 64;
/// Room after a packet, for what SRTP adds.
constexpr std::size_t kTailRoom = srtp::kMaxGrowth;
/// Packets handled per round; bounds the work between two looks at the mailbox, and what a process
/// that is killed has received and not sent (the next one of a pair sends it).
constexpr std::size_t kBatchSize = 32;

/// Memory of one packet: it lies at `kHeadRoom`, and may grow both ways.
struct Slot {
  std::array<std::uint8_t, kHeadRoom + kMaxPacketBytes + kTailRoom> memory;

  [[nodiscard]] std::span<std::uint8_t> body() {
    return std::span(memory).subspan(kHeadRoom, kMaxPacketBytes);
  }
  /// The same with the room behind it.
  [[nodiscard]] std::span<std::uint8_t> room() { return std::span(memory).subspan(kHeadRoom); }
};

} // namespace rtprelay
