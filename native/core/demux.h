// Several streams on one transport: which of them does a packet belong to (RFC 9143 §9.2)? Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "allowance.h"
#include "plan.h"

namespace rtprelay {

/// SSRCs that one direction of such a transport remembers; when there are more, it begins anew.
constexpr std::size_t kLearnedSsrcs = 128;
/// What one packet (a compound one) can tell of.
constexpr std::size_t kNewSsrcs = 8;

/// An SSRC and the stream that it belongs to.
struct SsrcStream {
  std::uint32_t ssrc = 0;
  std::uint32_t stream = 0;
};

/// Which stream an SSRC belongs to.
// Thread: worker only.
class SsrcStreams {
public:
  [[nodiscard]] std::optional<std::uint32_t> find(std::uint32_t ssrc) const;
  void learn(std::uint32_t ssrc, std::uint32_t stream);
  /// The next new one makes it begin anew.
  [[nodiscard]] bool full() const { return size_ >= kLearnedSsrcs / 4 * 3; }

private:
  struct Entry {
    std::uint32_t ssrc = 0;
    std::uint32_t stream = 0;
    bool used = false;
  };
  [[nodiscard]] std::size_t place_of(std::uint32_t ssrc) const;

  /// Open addressing, at most three quarters full.
  std::array<Entry, kLearnedSsrcs> entries_{};
  std::size_t size_ = 0;
};

/// What a transport with a table has learned.
// Thread: worker only.
struct DemuxState {
  /// SSRCs that arrive, and those that are sent to its remote: of these its RTCP speaks.
  SsrcStreams arriving;
  SsrcStreams sent;
  /// What a packet has taught that was not known, for whoever continues the call; the worker takes
  /// it after each packet.
  std::array<SsrcStream, kNewSsrcs> news{};
  std::size_t news_size = 0;
  /// A sender may make up as many as it likes.
  Allowance tells{1'000'000, 64};
};

/// The table of a plan, for looking up.
class Demultiplexer {
public:
  explicit Demultiplexer(const DemuxSpec& spec);

  /// The ids of the streams, in the order of the plan.
  [[nodiscard]] std::span<const std::uint32_t> streams() const { return streams_; }
  [[nodiscard]] std::uint32_t first() const { return streams_.front(); }
  /// What the plan says of SSRCs.
  void prepare(DemuxState& state) const;
  /// The stream of an RTP packet, and what it teaches. nullopt: it cannot be told.
  std::optional<std::uint32_t> stream_of_rtp(DemuxState& state,
                                             std::span<const std::uint8_t> packet) const;
  /// What of a compound RTCP packet belongs to `stream`, into `out`: its sender's reports, byes and
  /// descriptions by the SSRC that has sent them, report blocks and feedback by the SSRC that they
  /// are about; what tells nothing is the first stream's. `out` is as long as `packet`. Returns the
  /// size; 0: nothing.
  std::size_t rtcp_of(const DemuxState& state, std::uint32_t stream,
                      std::span<const std::uint8_t> packet, std::span<std::uint8_t> out) const;
  /// Learns from the MIDs in its descriptions.
  void learn_from_rtcp(DemuxState& state, std::span<const std::uint8_t> packet) const;

private:
  [[nodiscard]] std::optional<std::uint32_t> stream_of_mid(std::span<const std::uint8_t> mid) const;
  void learn(DemuxState& state, std::uint32_t ssrc, std::uint32_t stream) const;

  std::uint8_t mid_extension_;
  std::vector<std::uint32_t> streams_;
  /// Beside them; empty: none.
  std::vector<std::string> mids_;
  /// Of payload types that one stream alone has: its position and one; 0: none.
  std::array<std::uint16_t, 128> types_{};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ssrcs_;
};

} // namespace rtprelay
