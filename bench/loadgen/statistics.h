// Counting received packets and times.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

namespace loadgen {

/// Distribution of durations in µs: exact below 64, then 32 steps per power of two (3 % wide).
class Histogram {
public:
  void add(std::uint64_t micros) {
    counts_[index(micros)] += 1;
    total_ += 1;
    max_ = std::max(max_, micros);
  }

  /// Upper end of the step in which the share `quantile` (0..1) of all values is reached.
  [[nodiscard]] std::uint64_t percentile(double quantile) const {
    const auto wanted = static_cast<std::uint64_t>(quantile * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted || (seen == total_ && seen > 0))
        return std::min(upper(i), max_);
    }
    return max_;
  }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  [[nodiscard]] std::uint64_t total() const { return total_; }

private:
  static constexpr std::size_t kExact = 64;
  static constexpr std::size_t kSteps = 32;

  static std::size_t index(std::uint64_t micros) {
    if (micros < kExact)
      return micros;
    const int power = static_cast<int>(std::bit_width(micros)) - 1; // at least 6
    const std::uint64_t step = (micros >> (power - 5)) & (kSteps - 1);
    return std::min<std::size_t>(kExact + static_cast<std::size_t>(power - 6) * kSteps +
                                     static_cast<std::size_t>(step),
                                 kExact + 26 * kSteps - 1);
  }
  static std::uint64_t upper(std::size_t i) {
    if (i < kExact)
      return i;
    const std::size_t power = (i - kExact) / kSteps + 6;
    const std::uint64_t step = (i - kExact) % kSteps + 1;
    return (std::uint64_t{1} << power) + (step << (power - 5)) - 1;
  }

  std::array<std::uint64_t, kExact + 26 * kSteps> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

/// One direction of a call at its receiver: sequence numbers after RFC 3550 A.1, extended to 32
/// bits, so that what is missing, doubled or late can be told.
class ReceivedStream {
public:
  void reserve(std::size_t packets) { seen_.reserve(packets); }

  /// Number of the packet since the start of the stream; -1: it was here before, or is none of it.
  std::int64_t add(std::uint16_t sequence, std::int64_t now_micros) {
    // The cycle that brings the number closest to the highest one seen.
    const auto distance =
        static_cast<std::int16_t>(sequence - static_cast<std::uint16_t>(highest_));
    const std::int64_t extended = highest_ + distance;
    if (extended < 0)
      return -1;
    const auto position = static_cast<std::size_t>(extended);
    if (position >= seen_.size())
      seen_.resize(position + 1, false);
    if (seen_[position]) {
      duplicates += 1;
      return -1;
    }
    seen_[position] = true;
    received += 1;
    if (extended < highest_)
      reordered += 1;
    highest_ = std::max(highest_, extended);
    if (last_micros_ != 0)
      longest_pause_micros = std::max(longest_pause_micros, now_micros - last_micros_);
    last_micros_ = now_micros;
    return extended;
  }

  /// Longest run of packets missing among the first `sent`.
  [[nodiscard]] std::uint64_t longest_gap(std::uint64_t sent) const {
    std::uint64_t longest = 0;
    std::uint64_t run = 0;
    for (std::size_t i = 0; i < sent; ++i) {
      run = i < seen_.size() && seen_[i] ? 0 : run + 1;
      longest = std::max(longest, run);
    }
    return longest;
  }

  /// Of `sent` packets so many have not come since the last one that did.
  [[nodiscard]] std::uint64_t lost_at_end(std::uint64_t sent) const {
    std::uint64_t last = std::min<std::uint64_t>(sent, seen_.size());
    while (last > 0 && !seen_[last - 1])
      --last;
    return sent - last;
  }

  std::uint64_t received = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t reordered = 0;
  std::int64_t longest_pause_micros = 0;

private:
  std::vector<bool> seen_;
  std::int64_t highest_ = 0;
  std::int64_t last_micros_ = 0;
};

} // namespace loadgen
