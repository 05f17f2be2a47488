#include "plan_mark.h"

#include <algorithm>
#include <cstring>

#include <sys/random.h>

namespace rtprelay {

namespace {

/// Both halves of the product have a say (as in wyhash).
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

} // namespace

PlanSeed random_plan_seed() {
  PlanSeed seed{};
  (void)!getrandom(seed.data(), sizeof(seed), 0);
  // Odd: a factor of zero would forget everything.
  seed[2] |= 1;
  seed[3] |= 1;
  return seed;
}

PlanMark mark_of(std::span<const std::uint8_t> plan, const PlanSeed& seed) {
  PlanMark mark{seed[0], seed[1], plan.size()};
  for (std::size_t at = 0; at < plan.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, plan.data() + at, std::min(sizeof(word), plan.size() - at));
    mark.first = mix(mark.first ^ word, seed[2]) + word;
    mark.second = mix(mark.second + word, seed[3]) ^ word;
  }
  return mark;
}

} // namespace rtprelay
