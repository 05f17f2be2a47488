#include "devices.h"

#include <memory>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include "netdevice.h"

namespace rtprelay::kernel {

namespace {

/// Before most others, and after what somebody wants to be first.
constexpr std::uint32_t kTcPriority = 10;
/// flow_device::reserved[0]: the clsact qdisc was made by us.
constexpr std::uint8_t kMadeQdisc = 1;
constexpr std::size_t kMostDevices = 4096;

/// Several instances share priority and device; the handle tells them apart. Derived from the
/// directory (FNV-1a), so that the next process finds the filter again.
std::uint32_t filter_handle(const PinDirectory& pins) {
  std::uint32_t hash = 2166136261U;
  for (const char byte : pins.path())
    hash = (hash ^ static_cast<std::uint8_t>(byte)) * 16777619U;
  return hash == 0 ? 1 : hash;
}

constexpr const char* kLinkPrefix = "xdp_";

std::string link_name(std::uint32_t index) { return kLinkPrefix + std::to_string(index); }

bpf_tc_hook ingress_of(std::uint32_t index) {
  bpf_tc_hook hook = {};
  hook.sz = sizeof(hook);
  hook.ifindex = static_cast<int>(index);
  hook.attach_point = BPF_TC_INGRESS;
  return hook;
}

bpf_tc_opts filter_of(const PinDirectory& pins) {
  bpf_tc_opts options = {};
  options.sz = sizeof(options);
  options.handle = filter_handle(pins);
  options.priority = kTcPriority;
  return options;
}

std::vector<std::uint32_t> indexes(int map) {
  std::vector<std::uint32_t> list;
  std::uint32_t key = 0;
  std::uint32_t previous = 0;
  while (list.size() < kMostDevices &&
         bpf_map_get_next_key(map, list.empty() ? nullptr : &previous, &key) == 0) {
    list.push_back(key);
    previous = key;
  }
  return list;
}

/// The qdisc goes when we made it and no filter of anybody needs it.
void remove_qdisc(std::uint32_t index) {
  if (count_filters(index) != 0U)
    return;
  bpf_tc_hook hook = ingress_of(index);
  hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  bpf_tc_hook_destroy(&hook);
}

/// Detached first: taking away the last reference does it too, but some time later.
void remove_link(const PinDirectory& pins, std::uint32_t index) {
  const UniqueFd link(bpf_obj_get(pins.file(link_name(index)).c_str()));
  if (link.valid())
    bpf_link_detach(link.get());
  static_cast<void>(pins.unlink(link_name(index)));
}

void detach_index(const PinDirectory& pins, std::uint32_t index, bool made_qdisc) {
  remove_link(pins, index);
  const bpf_tc_hook hook = ingress_of(index);
  const bpf_tc_opts filter = filter_of(pins);
  bpf_tc_detach(&hook, &filter); // ENOENT in the XDP modes
  if (made_qdisc)
    remove_qdisc(index);
}

/// A pinned link outlives its device, without effect.
bool link_serves(int link, std::uint32_t index) {
  bpf_link_info info = {};
  __u32 size = sizeof(info);
  return bpf_obj_get_info_by_fd(link, &info, &size) == 0 && info.xdp.ifindex == index;
}

} // namespace

Status Devices::attach_tc(std::uint32_t index, const std::string& name, bool& made_qdisc) const {
  bpf_tc_hook hook = ingress_of(index);
  const int made = bpf_tc_hook_create(&hook);
  if (made != 0 && made != -EEXIST)
    return failure(made, "clsact on " + name);
  made_qdisc = made_qdisc || made == 0;
  bpf_tc_opts filter = filter_of(pins_);
  filter.prog_fd = programs_.program();
  filter.flags = BPF_TC_F_REPLACE;
  const int error = bpf_tc_attach(&hook, &filter);
  return error == 0 ? Status{} : failure(error, "TC filter on " + name);
}

Status Devices::attach_xdp(std::uint32_t index, const std::string& name) {
  if (std::erase(stale_, index) > 0)
    remove_link(pins_, index);
  const std::string path = pins_.file(link_name(index));
  const UniqueFd old(bpf_obj_get(path.c_str()));
  Status status;
  if (!old.valid() || !link_serves(old.get(), index))
    status = make_link(index, name);
  else if (const int error = bpf_link_update(old.get(), programs_.program(), nullptr); error != 0)
    status = failure(error, "XDP link of " + name);
  if (!status.ok())
    return status;
  const int transmit = programs_.map("transmit");
  return bpf_map_update_elem(transmit, &index, &index, BPF_ANY) == 0
             ? Status{}
             : failure(errno, "XDP transmit on " + name);
}

Status Devices::make_link(std::uint32_t index, const std::string& name) const {
  if (const Status gone = pins_.unlink(link_name(index)); !gone.ok())
    return gone;
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags = mode_ == Mode::kXdp ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const UniqueFd link(
      bpf_link_create(programs_.program(), static_cast<int>(index), BPF_XDP, &options));
  if (!link.valid())
    return failure(errno, "XDP on " + name);
  return bpf_obj_pin(link.get(), pins_.file(link_name(index)).c_str()) == 0
             ? Status{}
             : failure(errno, "pinning the link of " + name);
}

/// The device is recorded first: whatever happens then, it is found again and cleaned up.
Status Devices::attach_index(std::uint32_t index, const std::string& name) {
  flow_device device = {};
  if (const Status read = read_mac(name, device); !read.ok())
    return read;
  const int map = programs_.map("devices");
  flow_device old = {};
  bool made_qdisc = bpf_map_lookup_elem(map, &index, &old) == 0 && old.reserved[0] == kMadeQdisc;
  device.reserved[0] = made_qdisc ? kMadeQdisc : 0;
  if (bpf_map_update_elem(map, &index, &device, BPF_ANY) != 0)
    return failure(errno, "recording " + name);
  const Status status =
      mode_ == Mode::kTc ? attach_tc(index, name, made_qdisc) : attach_xdp(index, name);
  if (!status.ok()) {
    detach_index(pins_, index, made_qdisc);
    bpf_map_delete_elem(map, &index);
    return status;
  }
  remove_other_kind(index, made_qdisc);
  device.reserved[0] = made_qdisc ? kMadeQdisc : 0;
  bpf_map_update_elem(map, &index, &device, BPF_ANY);
  return {};
}

/// What an older instance of another mode has there.
void Devices::remove_other_kind(std::uint32_t index, bool& made_qdisc) const {
  if (mode_ == Mode::kTc) {
    remove_link(pins_, index);
    return;
  }
  const bpf_tc_hook hook = ingress_of(index);
  const bpf_tc_opts filter = filter_of(pins_);
  if (bpf_tc_detach(&hook, &filter) == 0 && made_qdisc) {
    remove_qdisc(index);
    made_qdisc = false;
  }
}

Status Devices::inherit(std::span<const Record> records, bool stale_links) {
  const int map = programs_.map("devices");
  for (const Record& record : records) {
    flow_device device = {};
    device.reserved[0] = record.made_qdisc ? kMadeQdisc : 0;
    if (bpf_map_update_elem(map, &record.index, &device, BPF_ANY) != 0)
      return failure(errno, "recording a device");
    if (stale_links)
      stale_.push_back(record.index);
  }
  return {};
}

Status Devices::attach(const std::string& name) {
  forget_gone();
  const std::uint32_t index = device_index(name);
  return index == 0 ? refusal(ENODEV, "no device " + name) : attach_index(index, name);
}

/// Devices come and go under the same names; records of those that went would fill the map.
void Devices::forget_gone() const {
  const int map = programs_.map("devices");
  for (const std::uint32_t index : indexes(map)) {
    if (!device_name(index).empty())
      continue;
    static_cast<void>(pins_.unlink(link_name(index)));
    bpf_map_delete_elem(map, &index);
  }
}

Status Devices::detach(const std::string& name) {
  const std::uint32_t index = device_index(name);
  const int map = programs_.map("devices");
  flow_device device = {};
  if (index == 0 || bpf_map_lookup_elem(map, &index, &device) != 0)
    return refusal(ENODEV, "not attached to " + name);
  bpf_map_delete_elem(programs_.map("transmit"), &index);
  detach_index(pins_, index, device.reserved[0] == kMadeQdisc);
  bpf_map_delete_elem(map, &index);
  return {};
}

Status Devices::refresh() {
  forget_gone();
  Status first;
  for (const std::uint32_t index : indexes(programs_.map("devices"))) {
    if (Status status = attach_index(index, device_name(index)); !status.ok() && first.ok())
      first = std::move(status);
  }
  return first;
}

Status Devices::set_vlans(std::span<const VlanDevice> vlans) {
  const int by_tag = programs_.map("vlans");
  const int by_device = programs_.map("vlan_egress");
  flow_vlan_key key = {};
  while (bpf_map_get_next_key(by_tag, nullptr, &key) == 0 &&
         bpf_map_delete_elem(by_tag, &key) == 0) {
  }
  for (const std::uint32_t index : indexes(by_device))
    bpf_map_delete_elem(by_device, &index);
  for (const VlanDevice& vlan : vlans) {
    const std::uint32_t device = device_index(vlan.name);
    const std::uint32_t parent = device_index(vlan.parent);
    if (device == 0 || parent == 0)
      return refusal(ENODEV, "no device " + (device == 0 ? vlan.name : vlan.parent));
    key = {parent, vlan.id};
    const flow_vlan_egress egress = {parent, vlan.id, 0};
    if (bpf_map_update_elem(by_tag, &key, &device, BPF_ANY) != 0 ||
        bpf_map_update_elem(by_device, &device, &egress, BPF_ANY) != 0)
      return failure(errno, "VLAN " + vlan.name);
  }
  return {};
}

std::vector<std::string> Devices::names() const {
  std::vector<std::string> list;
  for (const std::uint32_t index : indexes(programs_.map("devices"))) {
    if (std::string name = device_name(index); !name.empty())
      list.push_back(std::move(name));
  }
  return list;
}

std::vector<Devices::Record> Devices::records(const PinDirectory& pins) {
  const UniqueFd map(bpf_obj_get(pins.file("devices").c_str()));
  if (!map.valid())
    return {};
  bpf_map_info info = {};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0 || info.key_size != sizeof(__u32))
    return {};
  std::vector<Record> found;
  std::vector<std::uint8_t> value(info.value_size + sizeof(flow_device));
  for (const std::uint32_t index : indexes(map.get())) {
    flow_device device = {};
    if (bpf_map_lookup_elem(map.get(), &index, value.data()) == 0)
      std::memcpy(&device, value.data(), sizeof(device));
    found.push_back({index, device.reserved[0] == kMadeQdisc});
  }
  return found;
}

std::uint32_t Devices::attached_program(const PinDirectory& pins) {
  const std::unique_ptr<struct if_nameindex[], void (*)(struct if_nameindex*)> devices(
      ::if_nameindex(), ::if_freenameindex);
  // Most devices have no filter, which libbpf would tell.
  const libbpf_print_fn_t tell = libbpf_set_print(nullptr);
  std::uint32_t found = 0;
  for (std::size_t i = 0; devices && devices[i].if_index != 0 && found == 0; ++i) {
    const bpf_tc_hook hook = ingress_of(devices[i].if_index);
    bpf_tc_opts filter = filter_of(pins);
    if (bpf_tc_query(&hook, &filter) == 0)
      found = filter.prog_id;
  }
  libbpf_set_print(tell);
  return found;
}

bool Devices::is_link(const std::string& file) { return file.starts_with(kLinkPrefix); }

void Devices::detach_all(const PinDirectory& pins, std::span<const Record> records) {
  for (const Record& record : records)
    detach_index(pins, record.index, record.made_qdisc);
}

} // namespace rtprelay::kernel
