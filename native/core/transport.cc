#include "transport.h"

#include <cstring>

namespace rtprelay {

void PublishedLatch::write(const LatchView& view) {
  std::array<std::uint64_t, 2> host{};
  std::memcpy(host.data(), view.endpoint.bytes.data(), sizeof(host));
  const std::uint64_t rest = view.endpoint.port |
                             (static_cast<std::uint64_t>(view.endpoint.family) << 16) |
                             (std::uint64_t{view.confirmed} << 24);
  const std::uint32_t sequence = sequence_.load(std::memory_order_relaxed);
  sequence_.store(sequence + 1, std::memory_order_relaxed);
  words_[0].store(host[0], std::memory_order_release);
  words_[1].store(host[1], std::memory_order_release);
  words_[2].store(rest, std::memory_order_release);
  words_[3].store(view.generation, std::memory_order_release);
  sequence_.store(sequence + 2, std::memory_order_release);
}

LatchView PublishedLatch::read() const {
  while (true) {
    const std::uint32_t before = sequence_.load(std::memory_order_acquire);
    const std::array<std::uint64_t, 2> host{words_[0].load(std::memory_order_acquire),
                                            words_[1].load(std::memory_order_acquire)};
    const std::uint64_t rest = words_[2].load(std::memory_order_acquire);
    const std::uint64_t generation = words_[3].load(std::memory_order_acquire);
    // The writer is inside for nanoseconds only.
    if (before % 2 != 0 || before != sequence_.load(std::memory_order_relaxed))
      continue;
    LatchView view;
    std::memcpy(view.endpoint.bytes.data(), host.data(), sizeof(host));
    view.endpoint.port = static_cast<std::uint16_t>(rest & 0xffff);
    view.endpoint.family = static_cast<Family>((rest >> 16) & 0xff);
    view.confirmed = ((rest >> 24) & 1) != 0;
    view.generation = static_cast<std::uint32_t>(generation);
    return view;
  }
}

} // namespace rtprelay
