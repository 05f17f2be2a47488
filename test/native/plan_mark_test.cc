// Plans are known again by their marks.
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "../../native/core/plan_mark.h"
#include "check.h"

using namespace rtprelay;

TEST("plans that differ in a bit or in their length have other marks, in both halves") {
  const PlanSeed seed = random_plan_seed();
  std::vector<std::uint8_t> plan(203);
  std::set<std::uint64_t> firsts;
  std::set<std::uint64_t> seconds;
  const auto add = [&](std::span<const std::uint8_t> bytes) {
    const PlanMark mark = mark_of(bytes, seed);
    CHECK(mark == mark_of(bytes, seed));
    return firsts.insert(mark.first).second && seconds.insert(mark.second).second;
  };
  CHECK(add(plan));
  for (std::size_t bit = 0; bit < plan.size() * 8; ++bit) {
    plan[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    CHECK(add(plan));
    plan[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
  }
  // Zeroes that fill the last word up.
  CHECK(mark_of(std::span(plan).first(202), seed) != mark_of(plan, seed));
  CHECK(mark_of(plan, seed) != mark_of(plan, random_plan_seed()));
}
