// Counters of a set's elements straight from nf_tables: libnftables reads the whole table for one.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "../kernel/unique_fd.h"

namespace rtprelay::nft {

struct ElementCounter {
  std::uint64_t packets = 0;
  /// From the IP header on.
  std::uint64_t bytes = 0;
};

/// Gets the counter of each element that was found.
using CounterSink = std::function<void(std::uint32_t key, const ElementCounter& counter)>;

// Thread: one at a time. Asks the kernel and waits for nothing else.
class ElementCounters {
public:
  /// Elements of a set of family inet whose keys are marks. Unknown keys are skipped. 0 or errno.
  int read(const std::string& table, const std::string& set, std::span<const std::uint32_t> keys,
           const CounterSink& sink);

  /// Whether there is such a set; asks for nothing else.
  bool exists(const std::string& table, const std::string& set);

private:
  int open();
  int dump(const std::string& table, const std::string& set, const CounterSink& sink);
  int get(const std::string& table, const std::string& set, std::span<const std::uint32_t> keys,
          const CounterSink& sink);
  int exchange(std::span<const std::byte> request, const CounterSink& sink);

  kernel::UniqueFd socket_;
  std::uint32_t sequence_ = 0;
};

} // namespace rtprelay::nft
