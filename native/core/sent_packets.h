// Which RTP packets were sent, stream by stream: what a node tells the one that stands by for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "address.h"
#include "clock.h"

namespace rtprelay {

/// What tells packets apart: where they came to, who made them, and their place (RFC 3550 §5.1).
struct SentPacket {
  SocketAddress local;
  std::uint32_t ssrc = 0;
  std::uint16_t sequence = 0;
};

/// The last packet of a source that was sent, and which of the 64 before it were: bit 0 is the one
/// right before.
struct SentState {
  SocketAddress local;
  std::uint32_t ssrc = 0;
  std::uint16_t sequence = 0;
  std::uint64_t earlier = 0;
};

enum class WasSent : std::uint8_t { kYes, kNo, kUnknownSource };

// Thread: one.
class SentPackets {
public:
  /// Sources beyond that are not remembered.
  static constexpr std::size_t kMost = 131'072;
  /// A source that has been silent for so long is forgotten.
  static constexpr Micros kForgotten = 10'000'000;
  /// So often a change is told.
  static constexpr std::uint8_t kTold = 2;

  /// `tells`: what has moved is kept for `tell`.
  explicit SentPackets(bool tells, std::size_t most = kMost) : tells_(tells), most_(most) {}

  void note(const SentPacket& packet, Micros now);
  /// What somebody else says of a source: nothing that was sent becomes unsent by it.
  void merge(const SentState& state, Micros now);
  /// What is farther back than anybody remembers counts as sent.
  [[nodiscard]] WasSent find(const SentPacket& packet) const;
  /// Calls `visit(state)` for each source that has moved and was not told of `kTold` times since.
  template <typename Visit> void tell(Visit visit) {
    std::size_t kept = 0;
    for (const auto& entry : moved_) {
      visit(SentState{entry->first.local, entry->first.ssrc, entry->second.sequence,
                      entry->second.earlier});
      if (--entry->second.untold > 0)
        moved_[kept++] = entry;
    }
    moved_.resize(kept);
  }
  void forget(Micros now);
  [[nodiscard]] std::size_t size() const { return sources_.size(); }
  /// Sources for which there was no room.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

private:
  struct Source {
    SocketAddress local;
    std::uint32_t ssrc = 0;
    bool operator==(const Source& other) const {
      return ssrc == other.ssrc && local == other.local;
    }
  };
  struct Hash {
    std::size_t operator()(const Source& source) const;
  };
  struct State {
    std::uint16_t sequence = 0;
    /// In `moved_` while it is not 0.
    std::uint8_t untold = 0;
    std::uint64_t earlier = 0;
    Micros changed = 0;
  };
  using Sources = std::unordered_map<Source, State, Hash>;

  /// null: there is no room. `is_new`: it was made just now.
  State* state_of(const SocketAddress& local, std::uint32_t ssrc, bool& is_new);
  /// `earlier` as of `sequence`.
  static void move_to(State& state, std::uint16_t sequence, std::uint64_t earlier);

  const bool tells_;
  const std::size_t most_;
  Sources sources_;
  std::vector<Sources::value_type*> moved_;
  std::uint64_t refused_ = 0;
};

} // namespace rtprelay
