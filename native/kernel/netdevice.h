// What the kernel knows of a network device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "../bpf/flow.h"
#include "status.h"

namespace rtprelay::kernel {

/// Index 0 when there is no such device.
std::uint32_t device_index(const std::string& name);
/// Empty when there is no such device.
std::string device_name(std::uint32_t index);
/// The MAC address; EOPNOTSUPP for a device that is not Ethernet.
Status read_mac(const std::string& name, flow_device& out);
/// Filters on the device's clsact qdisc, any program's, both directions.
std::optional<unsigned> count_filters(std::uint32_t index);

/// Makes route lookups "from" the loopback device possible, see flow_lookup; where it may not be
/// changed and is not set, lookups start from the device of arrival. `notes` gets a sentence then.
flow_lookup choose_lookup(bool may_set, std::vector<std::string>& notes);

} // namespace rtprelay::kernel
