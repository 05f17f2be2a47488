// Bounded lock-free queue between one producer and one consumer.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>

namespace rtprelay {

template <typename T, std::size_t kCapacity> class SpscRing {
  static_assert((kCapacity & (kCapacity - 1)) == 0, "a power of two");

public:
  /// false when full. Thread: producer only.
  bool push(const T& item) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == kCapacity)
      return false;
    items_[tail % kCapacity] = item;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// false when empty. Thread: consumer only.
  bool pop(T& out) {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire))
      return false;
    out = items_[head % kCapacity];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  [[nodiscard]] std::size_t size() const {
    return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_acquire);
  }

private:
  alignas(64) std::atomic<std::size_t> head_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
  std::array<T, kCapacity> items_{};
};

} // namespace rtprelay
