// What a node tells its peer every few milliseconds: that it lives, and which packets it has sent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sent_packets.h"

namespace rtprelay {

/// HMAC-SHA-256 with a key of the same length.
using HeartbeatKey = std::array<std::uint8_t, 32>;

struct HeartbeatHeader {
  /// Of the process that sends it, chosen at random when it started.
  std::uint64_t epoch = 0;
  /// That of the process that it is for, as far as its own heartbeats have said; 0: they have not.
  /// It makes a record of earlier ones worthless, whatever the clocks say.
  std::uint64_t echo = 0;
  /// Rises by one; the same on all paths.
  std::uint64_t sequence = 0;
};

/// Longest heartbeat, bytes: with the headers of IPv6 and UDP it fits the smallest usual MTU of a
/// tunnel.
constexpr std::size_t kHeartbeatBytes = 1360;

/// Magic, version, three bytes 0, epoch, echo, sequence; then for each local host: family, one byte
/// 0, number of sources, address, and for each source port, sequence number, SSRC and the 64 bits
/// of what came before; then the first half of the HMAC of all that. Numbers in network byte order.
class HeartbeatWriter {
public:
  void begin(const HeartbeatHeader& header);
  /// false: it is full.
  bool add(const SentState& state);
  [[nodiscard]] std::size_t states() const { return states_; }
  /// Valid until `begin`.
  std::span<const std::uint8_t> finish(const HeartbeatKey& key);

private:
  std::array<std::uint8_t, kHeartbeatBytes> bytes_{};
  std::size_t size_ = 0;
  /// Where the host of what was added last begins; 0: there is none.
  std::size_t host_at_ = 0;
  SocketAddress host_;
  std::size_t states_ = 0;
};

enum class HeartbeatFault : std::uint8_t { kNone, kMalformed, kForged };

/// What is in a heartbeat that was made with one of the keys. Anything but kNone: nothing was
/// written to `states`.
HeartbeatFault read_heartbeat(std::span<const std::uint8_t> bytes,
                              std::span<const HeartbeatKey> keys, HeartbeatHeader& header,
                              std::vector<SentState>& states);

/// The same of one that is known to be genuine, without its HMAC. false: it is malformed.
bool parse_heartbeat(std::span<const std::uint8_t> bytes, HeartbeatHeader& header,
                     std::vector<SentState>& states);

/// Which sequence numbers have come: each is taken once, in any order, none from too far back.
class SequenceWindow {
public:
  static constexpr std::uint64_t kSize = 1024;

  /// false: it has come before, or nobody knows.
  bool take(std::uint64_t sequence);

private:
  std::uint64_t highest_ = 0;
  bool any_ = false;
  std::array<std::uint64_t, kSize / 64> taken_{};
};

} // namespace rtprelay
