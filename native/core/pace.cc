#include "pace.h"

#include <algorithm>

namespace rtprelay {

Micros Pace::next_round(std::size_t packets, Micros now) {
  counted_ += static_cast<std::int64_t>(packets);
  const Micros elapsed = now - counted_since_;
  if (elapsed >= kWindow) {
    const bool many = counted_ * longest_ >= kFewest * elapsed;
    period_ = many ? std::min(longest_, kPackets * elapsed / counted_) : 0;
    counted_since_ = now;
    counted_ = 0;
  }
  return now + period_;
}

} // namespace rtprelay
