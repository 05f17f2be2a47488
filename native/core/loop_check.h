// Packets that come again and again: a relay that sends to itself. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "clock.h"

namespace rtprelay {

/// As rtpengine 10.5 has it (seen): of two packets in turn the first 28 bytes and the length are
/// remembered; what equals one of them is a repetition, and the thirtieth in a row is the last that
/// passes. Here packets pass again once none has come for a second.
// Thread: worker only.
class LoopCheck {
public:
  static constexpr std::size_t kRemembered = 2;
  static constexpr std::size_t kComparedBytes = 28;
  static constexpr std::uint32_t kRepetitions = 30;
  static constexpr Micros kReleaseMicros = 1'000'000;

  /// false: it has come too often.
  bool passes(std::span<const std::uint8_t> packet, Micros now) {
    const std::span<const std::uint8_t> begin =
        packet.first(std::min(packet.size(), kComparedBytes));
    const auto known = std::ranges::find_if(remembered_, [&](const Remembered& each) {
      return each.size == packet.size() &&
             std::ranges::equal(begin, std::span(each.begin).first(begin.size()));
    });
    if (known == remembered_.end()) {
      remember(packet.size(), begin);
      repetitions_ = 0;
      return true;
    }
    const bool released = repetitions_ > kRepetitions && now - repeated_ >= kReleaseMicros;
    repeated_ = now;
    if (released) {
      repetitions_ = 0;
      return true;
    }
    if (repetitions_ <= kRepetitions)
      ++repetitions_;
    return repetitions_ <= kRepetitions;
  }

private:
  struct Remembered {
    std::size_t size = SIZE_MAX;
    std::array<std::uint8_t, kComparedBytes> begin{};
  };
  void remember(std::size_t size, std::span<const std::uint8_t> begin) {
    Remembered& oldest = remembered_[next_];
    next_ = (next_ + 1) % kRemembered;
    oldest.size = size;
    std::ranges::copy(begin, oldest.begin.begin());
  }

  std::array<Remembered, kRemembered> remembered_;
  std::size_t next_ = 0;
  std::uint32_t repetitions_ = 0;
  Micros repeated_ = 0;
};

} // namespace rtprelay
