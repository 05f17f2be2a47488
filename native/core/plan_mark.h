// What is remembered of a plan to know it again: 24 bytes in place of hundreds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace rtprelay {

struct PlanMark {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  std::size_t size = 0;

  bool operator==(const PlanMark&) const = default;
};

/// Numbers that nobody else knows, so that nobody makes two plans with the same mark.
using PlanSeed = std::array<std::uint64_t, 4>;

PlanSeed random_plan_seed();
PlanMark mark_of(std::span<const std::uint8_t> plan, const PlanSeed& seed);

} // namespace rtprelay
