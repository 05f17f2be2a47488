#include "flow_table.h"

#include <unordered_set>

#include <bpf/bpf.h>
#include <sys/mman.h>

namespace rtprelay::kernel {

static_assert(sizeof(flow_counters) % 8 == 0, "the stride of a mapped array");

Status FlowTable::map_counters(int counters_map) {
  void* memory = ::mmap(nullptr, std::size_t{max_flows_} * sizeof(flow_counters),
                        PROT_READ | PROT_WRITE, MAP_SHARED, counters_map, 0);
  if (memory == MAP_FAILED)
    return failure(errno, "mapping the counters");
  counters_ = static_cast<flow_counters*>(memory);
  return {};
}

namespace {

/// One call for all: a batch as large as the map cannot end early.
template <typename Map> Status read_map(int map, std::uint32_t most, Map& out) {
  std::vector<typename Map::key_type> keys(most);
  std::vector<typename Map::mapped_type> values(most);
  __u32 count = most;
  __u64 position = 0;
  if (bpf_map_lookup_batch(map, nullptr, &position, keys.data(), values.data(), &count, nullptr) !=
          0 &&
      errno != ENOENT)
    return failure(errno, "reading the flows");
  for (__u32 i = 0; i < count; ++i)
    out.emplace(keys[i], values[i]);
  return {};
}

/// The kernel says in `count` how many it took.
template <typename Key, typename Value>
Status write_map(int map, const std::vector<Key>& keys, const std::vector<Value>& values,
                 __u32& count) {
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  count = static_cast<__u32>(keys.size());
  if (count == 0 || bpf_map_update_batch(map, keys.data(), values.data(), &count, &options) == 0)
    return {};
  return failure(errno, "writing flows");
}

} // namespace

Status FlowTable::read_flows() {
  // Never more, so that buckets stay as they are.
  flows_.reserve(max_flows_);
  return read_map(flows_map_, max_flows_, flows_);
}

/// A process that was killed between writing a flow and its copy.
Status FlowTable::repair_copies() {
  FastFlows copies;
  if (Status read = read_map(fast_map_, max_flows_, copies); !read.ok())
    return read;
  Batch missing;
  for (const auto& [key, value] : flows_) {
    const std::optional<fast_flow> wanted = to_fast(key, value);
    const auto copy = copies.find(to_fast_key(key));
    if (wanted && copy != copies.end() && KeyEqual{}(copy->second, *wanted)) {
      copies.erase(copy);
    } else if (wanted) {
      missing.keys.push_back(key);
      missing.values.push_back(value);
    }
  }
  for (const auto& [key, value] : copies) {
    if (bpf_map_delete_elem(fast_map_, &key) != 0)
      return failure(errno, "removing a flow's copy");
  }
  return write_copies(missing, missing.keys.size());
}

/// Of the first `count` flows of a batch.
Status FlowTable::write_copies(const Batch& batch, std::size_t count) {
  std::vector<fast_key> keys;
  std::vector<fast_flow> values;
  for (std::size_t i = 0; i < count; ++i) {
    if (const std::optional<fast_flow> copy = to_fast(batch.keys[i], batch.values[i])) {
      keys.push_back(to_fast_key(batch.keys[i]));
      values.push_back(*copy);
    } else if (Status dropped = drop_copy(batch.keys[i]); !dropped.ok()) {
      return dropped;
    }
  }
  __u32 written = 0;
  return write_map(fast_map_, keys, values, written);
}

Status FlowTable::drop_copy(const flow_key& key) {
  const fast_key copy = to_fast_key(key);
  if (key.family != FLOW_IPV4 || bpf_map_delete_elem(fast_map_, &copy) == 0 || errno == ENOENT)
    return {};
  return failure(errno, "removing a flow's copy");
}

Status FlowTable::open(const Programs& programs, std::uint32_t max_flows) {
  close();
  flows_map_ = programs.map("flows");
  fast_map_ = programs.map("fast_flows");
  max_flows_ = max_flows;
  if (Status mapped = map_counters(programs.map("counters")); !mapped.ok())
    return mapped;
  if (Status read = read_flows(); !read.ok())
    return read;
  std::vector<bool> used(max_flows_);
  for (const auto& [key, value] : flows_) {
    if (value.slot >= max_flows_ || used[value.slot])
      return refusal(ESTALE, "two pinned flows share their counters");
    used[value.slot] = true;
  }
  for (std::uint32_t slot = 0; slot < max_flows_; ++slot) {
    if (!used[slot])
      free_slots_.push_back(slot);
  }
  return repair_copies();
}

void FlowTable::close() {
  if (counters_ != nullptr)
    ::munmap(counters_, std::size_t{max_flows_} * sizeof(flow_counters));
  counters_ = nullptr;
  flows_map_ = fast_map_ = -1;
  flows_.clear();
  free_slots_.clear();
}

Status FlowTable::check(std::span<const FlowSpec> specs) const {
  std::unordered_set<flow_key, KeyHash, KeyEqual> fresh;
  for (const FlowSpec& spec : specs) {
    if (const char* wrong = invalid(spec); wrong != nullptr)
      return refusal(EINVAL, format_host(spec.local) + " port " + std::to_string(spec.local.port) +
                                 ": " + wrong);
    if (const flow_key key = to_key(spec.local); !flows_.contains(key))
      fresh.insert(key);
  }
  if (fresh.size() > free_slots_.size())
    return refusal(ENOSPC, "no room for " + std::to_string(fresh.size()) + " more flows");
  return {};
}

/// Gives slots out, counters at zero.
FlowTable::Batch FlowTable::stage(std::span<const FlowSpec> specs) {
  Batch batch;
  std::unordered_map<flow_key, std::size_t, KeyHash, KeyEqual> staged;
  for (const FlowSpec& spec : specs) {
    const flow_key key = to_key(spec.local);
    if (const auto [at, first] = staged.emplace(key, batch.keys.size()); !first) {
      batch.values[at->second] = to_flow(spec, batch.values[at->second].slot);
      continue;
    }
    std::uint32_t slot = 0;
    if (const auto known = flows_.find(key); known != flows_.end()) {
      slot = known->second.slot;
    } else {
      slot = free_slots_.front();
      free_slots_.pop_front();
      counters_[slot] = {};
    }
    batch.keys.push_back(key);
    batch.values.push_back(to_flow(spec, slot));
  }
  return batch;
}

/// Memory follows what the kernel took exactly. A copy that differs from its flow must not stay.
Status FlowTable::write(Batch& batch) {
  __u32 count = 0;
  Status status = write_map(flows_map_, batch.keys, batch.values, count);
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    if (i < count)
      flows_.insert_or_assign(batch.keys[i], batch.values[i]);
    else if (!flows_.contains(batch.keys[i]))
      free_slots_.push_back(batch.values[i].slot);
  }
  Status copied = write_copies(batch, count);
  for (std::size_t i = 0; i < count && !copied.ok(); ++i)
    static_cast<void>(drop_copy(batch.keys[i]));
  return status.ok() ? copied : status;
}

Status FlowTable::set(std::span<const FlowSpec> specs) {
  if (specs.empty())
    return {};
  if (Status checked = check(specs); !checked.ok())
    return checked;
  Batch batch = stage(specs);
  return write(batch);
}

Status FlowTable::remove_one(const flow_key& key, std::optional<FlowCounters>* last) {
  const auto found = flows_.find(key);
  if (found == flows_.end())
    return {};
  if (Status dropped = drop_copy(key); !dropped.ok())
    return dropped;
  if (bpf_map_delete_elem(flows_map_, &key) != 0 && errno != ENOENT)
    return failure(errno, "removing a flow");
  const std::uint32_t slot = found->second.slot;
  if (last != nullptr)
    *last = read_counters(counters_[slot]);
  free_slots_.push_back(slot);
  flows_.erase(found);
  return {};
}

Status FlowTable::remove(std::span<const SocketAddress> locals,
                         std::vector<std::optional<FlowCounters>>* last) {
  if (last != nullptr)
    last->assign(locals.size(), std::nullopt);
  for (std::size_t i = 0; i < locals.size(); ++i) {
    if (Status removed = remove_one(to_key(locals[i]), last == nullptr ? nullptr : &(*last)[i]);
        !removed.ok())
      return removed;
  }
  return {};
}

Status FlowTable::clear() {
  while (!flows_.empty()) {
    const flow_key key = flows_.begin()->first;
    if (Status removed = remove_one(key, nullptr); !removed.ok())
      return removed;
  }
  return {};
}

std::optional<FlowCounters> FlowTable::counters(const SocketAddress& local) const {
  const auto found = flows_.find(to_key(local));
  if (found == flows_.end())
    return std::nullopt;
  return read_counters(counters_[found->second.slot]);
}

std::vector<FlowSpec> FlowTable::list(std::size_t& from) const {
  /// About half a millisecond of whoever shows them.
  constexpr std::size_t kAtOnce = 64;
  std::vector<FlowSpec> specs;
  for (; from < flows_.bucket_count() && specs.size() < kAtOnce; ++from)
    for (auto flow = flows_.begin(from); flow != flows_.end(from); ++flow)
      specs.push_back(from_flow(flow->first, flow->second));
  if (from >= flows_.bucket_count())
    from = 0;
  return specs;
}

} // namespace rtprelay::kernel
