// Between FlowSpec and the plain structures of the BPF maps.
#pragma once

#include <cstring>
#include <functional>

#include "../bpf/flow.h"
#include "kernel_forwarder.h"

namespace rtprelay::kernel {

/// Null when the flow can be installed, otherwise what is wrong with it.
const char* invalid(const FlowSpec& spec);

/// The copy for the short way, if this flow may go it; its key is of the same address and port.
std::optional<fast_flow> to_fast(const flow_key& key, const flow& value);
fast_key to_fast_key(const flow_key& key);

flow_key to_key(const SocketAddress& local);
SocketAddress from_key(const flow_key& key);

flow to_flow(const FlowSpec& spec, std::uint32_t slot);
FlowSpec from_flow(const flow_key& key, const flow& value);

FlowCounters read_counters(const flow_counters& raw);

/// One or two words for a log or a metric's label.
const char* reason_name(std::uint32_t reason);
bool reason_drops(std::uint32_t reason);

struct KeyHash {
  template <typename Key> std::size_t operator()(const Key& key) const {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&key), sizeof(key)});
  }
};
struct KeyEqual {
  template <typename Key> bool operator()(const Key& a, const Key& b) const {
    return std::memcmp(&a, &b, sizeof(a)) == 0;
  }
};

} // namespace rtprelay::kernel
