// The flows map and the counters array, with a copy of the former in memory.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "layout.h"
#include "programs.h"
#include "status.h"

namespace rtprelay::kernel {

class FlowTable {
public:
  FlowTable() = default;
  ~FlowTable() { close(); }
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  /// Reads what the loaded maps hold.
  Status open(const Programs& programs, std::uint32_t max_flows);
  void close();

  Status set(std::span<const FlowSpec> specs);
  Status remove(std::span<const SocketAddress> locals,
                std::vector<std::optional<FlowCounters>>* last);
  Status clear();
  [[nodiscard]] std::optional<FlowCounters> counters(const SocketAddress& local) const;
  /// Some of them, from bucket `from` on; where the next ones begin, 0 after the last. Those that
  /// are there all the time are met once each, whatever is set and removed between two calls.
  [[nodiscard]] std::vector<FlowSpec> list(std::size_t& from) const;
  [[nodiscard]] std::size_t size() const { return flows_.size(); }

private:
  struct Batch {
    std::vector<flow_key> keys;
    std::vector<flow> values;
  };
  using FastFlows = std::unordered_map<fast_key, fast_flow, KeyHash, KeyEqual>;

  Status map_counters(int counters_map);
  Status read_flows();
  Status repair_copies();
  Status write_copies(const Batch& batch, std::size_t count);
  Status drop_copy(const flow_key& key);
  Status check(std::span<const FlowSpec> specs) const;
  Batch stage(std::span<const FlowSpec> specs);
  Status write(Batch& batch);
  Status remove_one(const flow_key& key, std::optional<FlowCounters>* last);

  int flows_map_ = -1;
  int fast_map_ = -1;
  std::uint32_t max_flows_ = 0;
  flow_counters* counters_ = nullptr;
  std::unordered_map<flow_key, flow, KeyHash, KeyEqual> flows_;
  /// Oldest first: a slot rests as long as possible before its next flow.
  std::deque<std::uint32_t> free_slots_;
};

} // namespace rtprelay::kernel
