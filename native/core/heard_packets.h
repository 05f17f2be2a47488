// Packets that another node was sent, as this one has heard them: the last moments of all streams,
// in the order in which they came.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "clock.h"
#include "sent_packets.h"

namespace rtprelay {

using MacAddress = std::array<std::uint8_t, 6>;

/// A UDP datagram in a frame.
struct HeardDatagram {
  MacAddress destination_mac{};
  SocketAddress source;
  SocketAddress local;
  std::span<const std::uint8_t> payload;
};

/// Takes an Ethernet frame apart, with VLAN tags (802.1Q, 802.1ad) or without. false: it is no
/// whole UDP datagram (fragments are none).
bool parse_frame(std::span<const std::uint8_t> frame, HeardDatagram& out);

struct HeardPacket {
  SentPacket identity;
  SocketAddress source;
  Micros at = 0;
  /// This machine's own network stack got it, if the address was here by then.
  bool for_us = false;
  /// What is to be done with it is known; set by whoever walks along the packets.
  bool done = false;
  std::uint32_t size = 0;
};

/// Bounded in bytes and in time: the oldest go first. Allocates nothing after it was made.
// Thread: one.
class HeardPackets {
public:
  /// `bytes`: room for packets and what is known of them.
  explicit HeardPackets(std::size_t bytes);

  /// false: it is too long.
  bool add(const HeardPacket& packet, std::span<const std::uint8_t> payload);
  /// Drops what is older.
  void expire(Micros oldest);
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::size_t bytes() const { return words_ * sizeof(std::uint64_t); }
  /// Those that were dropped because there was no room any more.
  [[nodiscard]] std::uint64_t crowded_out() const { return crowded_out_; }
  /// Calls `visit(HeardPacket&, payload)` for those that are not done, oldest first, until it says
  /// false.
  template <typename Visit> void each_open(Visit visit) {
    bool all_done = true;
    std::size_t at = open_at_;
    for (std::size_t left = open_; left > 0; --left) {
      HeardPacket& packet = packet_at(at);
      if (!packet.done && !visit(packet, payload_at(at)))
        return;
      at = behind(at);
      all_done = all_done && packet.done;
      if (all_done) {
        open_at_ = at;
        --open_;
      }
    }
  }

private:
  [[nodiscard]] HeardPacket& packet_at(std::size_t at);
  [[nodiscard]] std::span<const std::uint8_t> payload_at(std::size_t at);
  /// Where the next record begins.
  [[nodiscard]] std::size_t behind(std::size_t at);
  /// Where a record of so many words can be written; false: there is no room.
  bool place(std::size_t words, std::size_t& at);
  void drop_oldest();

  /// Records one behind the other, a HeardPacket and its payload each, from `head_` on. With
  /// `end_` they go on at the beginning from there.
  std::vector<std::uint64_t> memory_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  std::size_t end_ = 0;
  std::size_t count_ = 0;
  std::size_t words_ = 0;
  /// The newest ones, of which all before are done.
  std::size_t open_at_ = 0;
  std::size_t open_ = 0;
  std::uint64_t crowded_out_ = 0;
};

} // namespace rtprelay
