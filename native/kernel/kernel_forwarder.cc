#include "kernel_forwarder.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "devices.h"
#include "flow_table.h"
#include "netdevice.h"
#include "pin_directory.h"
#include "programs.h"

namespace rtprelay::kernel {

/// Everything between open and close.
class KernelForwarder::State {
public:
  explicit State(const Options& wanted) : options(wanted), devices(pins, programs, options.mode) {}

  Status open();
  Status remove();
  [[nodiscard]] std::vector<ReasonCount> totals() const;

  const Options options;
  PinDirectory pins;
  Programs programs;
  Devices devices;
  FlowTable table;
  bool adopted = false;
  bool replaces = false;
  std::vector<std::string> notes;

private:
  void find_again();
  Status adopt();
  Status make(std::span<const Devices::Record> older);
  Status load(bool adopt);
  Status wipe(std::span<const Devices::Record> attached);
};

/// Programs first: from then on userspace gets the packets, and nothing refers to the maps.
Status KernelForwarder::State::wipe(std::span<const Devices::Record> attached) {
  Devices::detach_all(pins, attached);
  Status first;
  for (const std::string& name : pins.files()) {
    if (Status gone = pins.unlink(name); !gone.ok() && first.ok())
      first = std::move(gone);
  }
  return first;
}

Status KernelForwarder::State::load(bool adopt) {
  std::vector<std::string> lookup_notes;
  const flow_lookup lookup = choose_lookup(options.set_loopback_forwarding, lookup_notes);
  Status status = programs.load(pins, options, lookup, adopt);
  if (status.ok())
    status = table.open(programs, options.max_flows);
  if (!status.ok())
    return status;
  notes.insert(notes.end(), lookup_notes.begin(), lookup_notes.end());
  return {};
}

Status KernelForwarder::State::adopt() {
  if (Status status = load(true); !status.ok())
    return status;
  adopted = true;
  if (const Status refreshed = devices.refresh(); !refreshed.ok())
    notes.push_back(refreshed.message);
  return {};
}

/// New maps in the place of what is pinned there. The older programs go on with theirs, which only
/// they know then, until `attach` replaces them or `detach` ends them; at any moment the pinned
/// record of devices tells where they are.
Status KernelForwarder::State::make(std::span<const Devices::Record> older) {
  const bool stale_links = Programs::pinned_mode(pins) != options.mode;
  Status status = load(false);
  if (status.ok())
    status = devices.inherit(older, stale_links);
  if (status.ok())
    status = programs.pin(pins, options);
  if (!status.ok()) {
    static_cast<void>(wipe(older)); // nothing half made stays
    pins.remove();
  }
  replaces = status.ok() && !older.empty();
  return status;
}

/// A container that is restarted in the network that it had finds its filters there, but nothing
/// pinned.
void KernelForwarder::State::find_again() {
  const std::uint32_t program = pins.files().empty() ? Devices::attached_program(pins) : 0;
  if (program == 0)
    return;
  if (const Status found = Programs::pin_again(pins, program); !found.ok())
    notes.push_back("an earlier process' program forwards, but its flows cannot be taken over (" +
                    found.message + "): that needs CAP_SYS_ADMIN, or the same BPF file system");
}

Status KernelForwarder::State::open() {
  if (options.max_flows == 0)
    return refusal(EINVAL, "room for no flow at all");
  if (Status locked = pins.open(options.pin_directory); !locked.ok())
    return locked;
  find_again();
  std::string why;
  const Pinned pinned = Programs::examine(pins, options, why);
  if (pinned == Pinned::kUsable) {
    const Status status = adopt();
    if (status.code != ESTALE)
      return status;
    why = status.message;
    table.close();
    programs.close();
  }
  if (pinned != Pinned::kNothing)
    notes.push_back(why + ": replaced");
  return make(Devices::records(pins));
}

Status KernelForwarder::State::remove() {
  Status status = wipe(Devices::records(pins));
  if (status.ok())
    pins.remove();
  return status;
}

std::vector<ReasonCount> KernelForwarder::State::totals() const {
  std::vector<ReasonCount> out;
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0)
    return out;
  std::vector<std::uint64_t> values(static_cast<std::size_t>(cpus));
  for (std::uint32_t reason = 0; reason < FLOW_REASONS; ++reason) {
    if (bpf_map_lookup_elem(programs.map("totals"), &reason, values.data()) != 0)
      continue;
    std::uint64_t sum = 0;
    for (const std::uint64_t value : values)
      sum += value;
    out.push_back({reason_name(reason), reason_drops(reason), sum});
  }
  return out;
}

namespace {
Status not_open() { return refusal(EBADF, "kernel forwarding is not open"); }
} // namespace

KernelForwarder::KernelForwarder() = default;
KernelForwarder::~KernelForwarder() = default;

Status KernelForwarder::open(const Options& options) {
  close();
  auto state = std::make_unique<State>(options);
  Status status = state->open();
  if (status.ok())
    state_ = std::move(state);
  return status;
}

void KernelForwarder::close() { state_.reset(); }
bool KernelForwarder::is_open() const { return state_ != nullptr; }
bool KernelForwarder::adopted() const { return state_ && state_->adopted; }

bool KernelForwarder::replaces() const { return state_ && state_->replaces; }

const std::vector<std::string>& KernelForwarder::notes() const {
  static const std::vector<std::string> none;
  return state_ ? state_->notes : none;
}

Status KernelForwarder::attach(const std::string& device) {
  return state_ ? state_->devices.attach(device) : not_open();
}

Status KernelForwarder::detach(const std::string& device) {
  return state_ ? state_->devices.detach(device) : not_open();
}

std::vector<std::string> KernelForwarder::devices() const {
  return state_ ? state_->devices.names() : std::vector<std::string>{};
}

Status KernelForwarder::set_vlans(std::span<const VlanDevice> vlans) {
  return state_ ? state_->devices.set_vlans(vlans) : not_open();
}

Status KernelForwarder::routes_changed() {
  return state_ ? state_->programs.forget_next_hops() : not_open();
}

Status KernelForwarder::set_flows(std::span<const FlowSpec> flows) {
  return state_ ? state_->table.set(flows) : not_open();
}

Status KernelForwarder::remove_flows(std::span<const SocketAddress> locals,
                                     std::vector<std::optional<FlowCounters>>* last) {
  return state_ ? state_->table.remove(locals, last) : not_open();
}

std::optional<FlowCounters> KernelForwarder::counters(const SocketAddress& local) const {
  return state_ ? state_->table.counters(local) : std::nullopt;
}

std::vector<FlowSpec> KernelForwarder::flows(std::size_t& from) const {
  if (state_)
    return state_->table.list(from);
  from = 0;
  return {};
}

std::size_t KernelForwarder::size() const { return state_ ? state_->table.size() : 0; }

std::vector<ReasonCount> KernelForwarder::totals() const {
  return state_ ? state_->totals() : std::vector<ReasonCount>{};
}

Status KernelForwarder::clear() { return state_ ? state_->table.clear() : not_open(); }

Status KernelForwarder::remove() {
  if (!state_)
    return not_open();
  Status status = state_->remove();
  close();
  return status;
}

} // namespace rtprelay::kernel
