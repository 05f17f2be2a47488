#include "attention.h"

#include <algorithm>

namespace rtprelay {

void Attention::await(Micros now) {
  awaited_since_ = now;
  in_vain_ = false;
}

void Attention::note(Micros now, bool crowded) {
  const bool looked = trust_ >= kTrusts;
  if (!crowded && (looked ? !in_vain_ : now - awaited_since_ <= soon_)) {
    trust_ += 1;
    if (trust_ > kMostTrust) {
      trust_ = kMostTrust;
      distrust_ = std::max(distrust_ / 2, kLeastDistrust);
    }
  } else if (!looked) {
    trust_ = std::max(trust_ - kLate, std::min(trust_, 0));
  } else {
    trust_ -= kLate;
    if (trust_ < kTrusts) {
      trust_ = -distrust_;
      distrust_ = std::min(2 * distrust_, kMostDistrust);
    }
  }
}

bool Attention::lasts(Micros now) {
  if (trust_ < kTrusts)
    return false;
  in_vain_ = in_vain_ || now - awaited_since_ >= longest_;
  return !in_vain_;
}

} // namespace rtprelay
