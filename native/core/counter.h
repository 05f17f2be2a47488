// Numbers that one thread writes and others read.
#pragma once

#include <atomic>
#include <cstdint>

namespace rtprelay {

/// A number with one writer: no atomic read-modify-write on the packet path.
// Thread: add/set worker only; get any.
class Counter {
public:
  void add(std::uint64_t amount) { set(get() + amount); }
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::uint64_t> value_{0};
};

/// An SSRC in the low half of a counter; this bit is set once there is one.
constexpr std::uint64_t kSsrcKnown = std::uint64_t{1} << 32;
/// With it the payload type of the source's last packet lies at `kTypeShift`.
constexpr std::uint64_t kTypeKnown = std::uint64_t{1} << 33;
constexpr unsigned kTypeShift = 40;

} // namespace rtprelay
