#include "pressure.h"

namespace rtprelay {

bool Pressure::note(bool full, Micros now) {
  if (started_ == 0)
    started_ = now;
  if (!full) {
    full_since_ = 0;
    too_much_ = too_much_ && now - last_full_ < kCalm;
    return too_much_;
  }
  if (full_since_ == 0)
    full_since_ = now;
  last_full_ = now;
  too_much_ = too_much_ || (now - started_ >= kStart && now - full_since_ >= kLong);
  return too_much_;
}

} // namespace rtprelay
