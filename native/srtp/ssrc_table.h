// What one direction of an SRTP transport remembers of each synchronisation source: packet indexes
// (RFC 3711 §3.3.1) and which of the latest were used (§3.3.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace rtprelay::srtp {

/// Packets behind the newest that are still told apart. As browsers have it, for retransmissions.
constexpr std::size_t kRtpWindow = 1024;
constexpr std::size_t kRtcpWindow = 128;
/// RFC 3711 §3.2.1, §3.4: indexes have 48 and 31 bits.
constexpr std::uint64_t kMaxRtpIndex = (std::uint64_t{1} << 48) - 1;
constexpr std::uint64_t kMaxRtcpIndex = (std::uint64_t{1} << 31) - 1;
/// Sources one direction of a transport may have; further ones are refused. None is ever forgotten:
/// its rollover counter would start anew, and with it the key stream.
constexpr std::size_t kMaxSources = 1024;

enum class IndexState : std::uint8_t { kNew, kUsed, kTooOld };

/// Which of the last `Bits` indexes were used.
template <std::size_t Bits> class IndexWindow {
public:
  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] std::uint64_t newest() const { return newest_; }
  [[nodiscard]] IndexState state_of(std::uint64_t index) const {
    if (!started_ || index > newest_)
      return IndexState::kNew;
    if (newest_ - index >= Bits)
      return IndexState::kTooOld;
    return (words_[word(index)] & bit(index)) != 0 ? IndexState::kUsed : IndexState::kNew;
  }
  void mark(std::uint64_t index) {
    if (!started_) {
      newest_ = index;
      started_ = true;
    } else if (index > newest_) {
      advance(index);
    }
    if (newest_ - index < Bits)
      words_[word(index)] |= bit(index);
  }
  /// Everything up to `index` counts as used.
  void start_after(std::uint64_t index) {
    newest_ = index;
    started_ = true;
    words_.fill(~std::uint64_t{0});
  }

private:
  static std::size_t word(std::uint64_t index) { return (index / 64) % (Bits / 64); }
  static std::uint64_t bit(std::uint64_t index) { return std::uint64_t{1} << (index % 64); }
  void advance(std::uint64_t index) {
    if (index - newest_ >= Bits) {
      words_.fill(0);
    } else {
      for (std::uint64_t at = newest_ + 1; at <= index; ++at)
        words_[word(at)] &= ~bit(at);
    }
    newest_ = index;
  }

  std::uint64_t newest_ = 0;
  bool started_ = false;
  std::array<std::uint64_t, Bits / 64> words_{};
};

/// For the store: the newest index of each protocol.
struct SourceIndexes {
  std::uint32_t ssrc = 0;
  bool has_rtp = false;
  bool has_rtcp = false;
  std::uint64_t rtp = 0;
  std::uint32_t rtcp = 0;
  /// Of a sender: what is added to the source's sequence numbers, since it started them anew.
  std::uint16_t offset = 0;

  friend bool operator==(const SourceIndexes&, const SourceIndexes&) = default;
};

struct Source {
  IndexWindow<kRtpWindow> rtp;
  IndexWindow<kRtcpWindow> rtcp;
  /// What was last handed out for the store.
  std::uint64_t told_rtp = 0;
  std::uint64_t told_rtcp = 0;
  bool told = false;
  /// It continues what another process began, and nothing of its own has been seen.
  bool resumed = false;
  /// Sender: what is added to its sequence numbers, and the refused ones in order so far.
  std::uint16_t offset = 0;
  std::uint16_t refused_next = 0;
  std::uint8_t refused_run = 0;
};

/// The index that a sequence number most likely has (RFC 3711 appendix A). `newest`: of the packets
/// so far. false: it would be of the time before the first rollover counter.
bool guess_index(std::uint64_t newest, std::uint16_t sequence, std::uint64_t& out);

// Thread: one owner.
class SsrcTable {
public:
  /// nullptr: it has sent nothing so far.
  [[nodiscard]] Source* find(std::uint32_t ssrc);
  /// A new one. nullptr: there are `kMaxSources`, or no memory. Memory is taken when their number
  /// doubles, so eight times in the life of a table at most.
  [[nodiscard]] Source* add(std::uint32_t ssrc);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint32_t ssrc_at(std::size_t at) const { return ssrcs_[at]; }
  [[nodiscard]] Source& source_at(std::size_t at) { return sources_[at]; }
  [[nodiscard]] const Source& source_at(std::size_t at) const { return sources_[at]; }

private:
  bool grow();

  std::unique_ptr<std::uint32_t[]> ssrcs_;
  std::unique_ptr<Source[]> sources_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::size_t last_ = 0;
};

} // namespace rtprelay::srtp
