// Replay at takeover: a node that hears what its peer is sent, and is told by it what it has sent
// on, sends the rest when the peer's address comes to it. Pure: frames, heartbeats and time in,
// heartbeats and packets out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "clock.h"
#include "counter.h"
#include "heard_packets.h"
#include "heartbeat.h"
#include "sent_packets.h"

namespace rtprelay {

/// From heartbeat to heartbeat.
constexpr Micros kHeartbeatMicros = 3'000;
/// So long after its last heartbeat the peer counts as alive, and for so long a living one may say
/// that it has sent a packet after all.
constexpr Micros kPeerAlive = 4 * kHeartbeatMicros;
constexpr Micros kPeerMaySay = 3 * kHeartbeatMicros;
/// After so much silence nobody knows what the peer has sent since.
constexpr Micros kPeerUnknown = 5'000'000;
/// So long after an address has come, packets may still go to the machine that had it: until then
/// their senders have learned where it is.
constexpr Micros kStrayMicros = 10'000'000;

struct ReplayOptions {
  /// The first one signs, all of them are accepted.
  std::vector<HeartbeatKey> keys;
  /// Of this process; not 0.
  std::uint64_t epoch = 0;
  /// Where media may come to, on either node.
  std::vector<SocketAddress> hosts;
  std::uint16_t port_min = 0;
  std::uint16_t port_max = 65535;
  /// So long packets are kept: what is older nobody waits for.
  Micros window = 100'000;
  /// Memory for packets, bytes.
  std::size_t bytes = 32 * 1024 * 1024;
};

// Thread: written by one, read by any.
struct ReplayCounters {
  /// Heartbeats that were taken, and when the last one was (CLOCK_MONOTONIC, µs).
  Counter heartbeats;
  Counter last_heartbeat;
  /// The longest time between two, µs, within a life of the peer.
  Counter longest_gap;
  /// Those that came again, by another path or from somebody who had recorded them; from an earlier
  /// life; made without the key; no heartbeats at all.
  Counter repeated;
  Counter outdated;
  Counter forged;
  Counter malformed;
  /// Packets in memory, and bytes.
  Counter kept;
  Counter kept_bytes;
  Counter heard;
  /// Addresses that have come; of the packets that were kept then.
  Counter takeovers;
  Counter replayed;
  Counter already_sent;
  /// Nobody knows whether they were sent.
  Counter unknown;
  /// There was no room for them.
  Counter crowded_out;
  /// Sources that the peer or we have sent packets of, and those that were too many.
  Counter sources;
  Counter too_many_sources;
};

// Thread: one, but for `counters`.
class Replay {
public:
  explicit Replay(ReplayOptions options);

  [[nodiscard]] const ReplayCounters& counters() const { return counters_; }

  /// A worker has sent it on.
  void note_sent(const SentPacket& packet, Micros now) { own_.note(packet, now); }
  /// Makes the heartbeats that are due now and calls `send(bytes)` for each: at least one.
  template <typename Send> void beat(Micros now, Send send) {
    begin_heartbeat();
    own_.tell([&](const SentState& state) {
      if (writer_.add(state))
        return;
      send(writer_.finish(options_.keys.front()));
      begin_heartbeat();
      (void)writer_.add(state);
    });
    send(writer_.finish(options_.keys.front()));
    tidy(now);
  }
  /// false: it is no genuine one of the peer's present life.
  bool take_heartbeat(std::span<const std::uint8_t> bytes, Micros now);

  /// What the peer has said of a packet.
  [[nodiscard]] WasSent told_of(const SentPacket& packet) const { return peer_.find(packet); }

  /// MAC addresses of this machine: frames to others its network stack drops.
  void set_macs(std::vector<MacAddress> macs) { macs_ = std::move(macs); }
  /// Which of `hosts` are on this machine, in their order. At the first call none has just come.
  void set_held(const std::vector<bool>& held, Micros now);
  /// Those whose packets `take_frame` may keep.
  [[nodiscard]] std::vector<SocketAddress> hosts_to_hear(Micros now) const;
  void take_frame(std::span<const std::uint8_t> frame, Micros now);

  /// Whether `each_due` may find something.
  [[nodiscard]] bool taking_over(Micros now) const { return now < taking_over_until_; }
  /// Calls `replay(HeardPacket, payload)` for each packet that is to be relayed now as if it had
  /// just come, in the order in which they came.
  template <typename Visit> void each_due(Micros now, Visit replay) {
    packets_.expire(now - options_.window);
    packets_.each_open([&](HeardPacket& packet, std::span<const std::uint8_t> payload) {
      switch (decide(packet, now)) {
      case Verdict::kLater:
        return false;
      case Verdict::kNotHere:
        return true;
      case Verdict::kReplay:
        counters_.replayed.add(1);
        own_.note(packet.identity, now);
        replay(static_cast<const HeardPacket&>(packet), payload);
        [[fallthrough]];
      case Verdict::kNot:
        packet.done = true;
      }
      return true;
    });
  }

private:
  struct Host {
    SocketAddress address;
    bool held = false;
    /// When it came; 0: it is not here, or was at the start.
    Micros since = 0;
  };
  enum class Verdict : std::uint8_t { kReplay, kNot, kLater, kNotHere };

  void begin_heartbeat();
  void tidy(Micros now);
  /// Whether it is from the life of the peer that counts.
  bool is_present(const HeartbeatHeader& header, Micros now);
  Verdict decide(const HeardPacket& packet, Micros now);
  /// Whether what comes for it goes to this machine alone.
  static bool is_settled(const Host& host, Micros now) {
    return host.held && (host.since == 0 || now - host.since > kStrayMicros);
  }
  [[nodiscard]] Host* host_of(const SocketAddress& local);
  [[nodiscard]] bool is_for_us(const MacAddress& mac) const;

  const ReplayOptions options_;
  ReplayCounters counters_;
  HeartbeatWriter writer_;
  std::uint64_t sequence_ = 0;
  std::vector<SentState> told_;
  /// What we have sent; what the peer has.
  SentPackets own_{true};
  SentPackets peer_{false};
  /// The life of the peer that counts, 0: none yet; the latest that has said anything; and those
  /// that are over, the oldest go first.
  std::uint64_t peer_epoch_ = 0;
  std::uint64_t heard_epoch_ = 0;
  std::vector<std::uint64_t> ended_epochs_;
  SequenceWindow window_;
  Micros last_heard_ = 0;
  /// Since when it has been heard without a long pause.
  Micros known_since_ = 0;
  Micros tidied_ = 0;
  std::vector<Host> hosts_;
  bool hosts_known_ = false;
  Micros taking_over_until_ = 0;
  std::vector<MacAddress> macs_;
  HeardPackets packets_;
};

} // namespace rtprelay
