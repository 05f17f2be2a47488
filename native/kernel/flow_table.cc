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

/// One call for all: a batch as large as the map cannot end early.
Status FlowTable::read_flows() {
  std::vector<flow_key> keys(max_flows_);
  std::vector<flow> values(max_flows_);
  __u32 count = max_flows_;
  __u64 position = 0;
  if (bpf_map_lookup_batch(flows_map_, nullptr, &position, keys.data(), values.data(), &count,
                           nullptr) != 0 &&
      errno != ENOENT)
    return failure(errno, "reading the flows");
  for (__u32 i = 0; i < count; ++i)
    flows_.emplace(keys[i], values[i]);
  return {};
}

Status FlowTable::open(int flows_map, int counters_map, std::uint32_t max_flows) {
  close();
  flows_map_ = flows_map;
  max_flows_ = max_flows;
  if (Status mapped = map_counters(counters_map); !mapped.ok())
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
  return {};
}

void FlowTable::close() {
  if (counters_ != nullptr)
    ::munmap(counters_, std::size_t{max_flows_} * sizeof(flow_counters));
  counters_ = nullptr;
  flows_map_ = -1;
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

/// The kernel says how many it took before an error; memory follows exactly.
Status FlowTable::write(Batch& batch) {
  auto count = static_cast<__u32>(batch.keys.size());
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  const int result =
      bpf_map_update_batch(flows_map_, batch.keys.data(), batch.values.data(), &count, &options);
  const int error = result == 0 ? 0 : errno;
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    if (i < count)
      flows_.insert_or_assign(batch.keys[i], batch.values[i]);
    else if (!flows_.contains(batch.keys[i]))
      free_slots_.push_back(batch.values[i].slot);
  }
  return error == 0 ? Status{} : failure(error, "writing flows");
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

std::vector<FlowSpec> FlowTable::list() const {
  std::vector<FlowSpec> specs;
  specs.reserve(flows_.size());
  for (const auto& [key, value] : flows_)
    specs.push_back(from_flow(key, value));
  return specs;
}

} // namespace rtprelay::kernel
