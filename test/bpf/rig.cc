#include "rig.h"

#include <cstdio>
#include <cstdlib>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../native/kernel/netdevice.h"

namespace rig {

using namespace rtprelay::kernel;

namespace {

constexpr const char* kMountPoint = "/mnt";
constexpr std::uint32_t kBenchFlows = 64;

bool skip(const char* why) {
  std::printf("skipped: %s\n", why);
  return false;
}

} // namespace

bool enter_namespaces() {
  if (::geteuid() != 0)
    return skip("needs root");
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET) != 0)
    return skip("no permission to make namespaces");
  // Private first: what is mounted here must not show elsewhere.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("bpf", kMountPoint, "bpf", 0, nullptr) != 0)
    return skip("cannot mount a BPF file system");
  return run("ip link set lo up");
}

std::string pins(const std::string& name) { return std::string(kMountPoint) + "/" + name; }

std::string& object_path() {
  static std::string path;
  return path;
}

bool run(const std::string& command) {
  const bool good = std::system(command.c_str()) == 0; // NOLINT: fixed commands of a test
  if (!good)
    std::printf("  failed: %s\n", command.c_str());
  return good;
}

frames::Mac mac_of(const std::string& device) {
  flow_device found = {};
  frames::Mac mac{};
  if (read_mac(device, found).ok())
    std::copy(std::begin(found.mac), std::end(found.mac), mac.begin());
  return mac;
}

bool make_devices() {
  const char* const commands[] = {
      "ip link add in type veth peer name in-peer",
      "ip link add out type veth peer name out-peer",
      "ip link set in-peer up",
      "ip link set out-peer up",
      "ip link set in up",
      "ip link set out up",
      "ip address add 192.0.2.1/24 dev in",
      "ip address add 198.51.100.1/24 dev out",
      "ip address add 2001:db8:1::1/64 dev in nodad",
      "ip address add 2001:db8:2::1/64 dev out nodad",
      "ip neighbour add 192.0.2.9 lladdr 02:00:00:00:01:09 dev in nud permanent",
      "ip neighbour add 198.51.100.9 lladdr 02:00:00:00:02:09 dev out nud permanent",
      "ip neighbour add 2001:db8:1::9 lladdr 02:00:00:00:01:09 dev in nud permanent",
      "ip neighbour add 2001:db8:2::9 lladdr 02:00:00:00:02:09 dev out nud permanent",
  };
  for (const char* command : commands) {
    if (!run(command))
      return false;
  }
  return true;
}

Bench::Bench(Mode mode) : devices(directory, programs, mode), mode_(mode) {
  Options options;
  options.pin_directory = pins(mode == Mode::kTc ? "tc" : "xdp");
  options.object_path = object_path();
  options.mode = mode;
  options.max_flows = kBenchFlows;
  std::vector<std::string> notes;
  Status status = directory.open(options.pin_directory);
  if (status.ok())
    status = programs.load(directory, options, choose_lookup(true, notes), false);
  if (status.ok())
    status = programs.pin(directory, options);
  if (status.ok())
    status = table.open(programs, kBenchFlows);
  for (const char* device : {"in", "out"}) {
    if (status.ok())
      status = devices.attach(device);
  }
  if (!status.ok())
    std::printf("  %s\n", status.message.c_str());
  ready = status.ok();
}

Bench* Bench::of(Mode mode) {
  static std::unique_ptr<Bench> tc;
  static std::unique_ptr<Bench> xdp;
  std::unique_ptr<Bench>& mine = mode == Mode::kTc ? tc : xdp;
  if (!mine)
    mine = std::make_unique<Bench>(mode);
  return mine->ready ? mine.get() : nullptr;
}

Outcome Bench::run(const frames::Bytes& frame, unsigned repeat, unsigned* nanoseconds,
                   unsigned gso_size) {
  Outcome outcome;
  outcome.frame.resize(frame.size() + 64);
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.data_out = outcome.frame.data();
  options.data_size_out = static_cast<__u32>(outcome.frame.size());
  options.repeat = static_cast<int>(repeat);
  xdp_md xdp = {};
  xdp.data_end = static_cast<__u32>(frame.size());
  xdp.ingress_ifindex = device_index("in");
  __sk_buff skb = {};
  skb.ifindex = device_index("in");
  skb.gso_size = gso_size;
  skb.gso_segs = gso_size == 0 ? 0 : 2;
  options.ctx_in = mode_ == Mode::kTc ? static_cast<void*>(&skb) : static_cast<void*>(&xdp);
  options.ctx_size_in = mode_ == Mode::kTc ? sizeof(skb) : sizeof(xdp);
  if (const int error = bpf_prog_test_run_opts(programs.program(), &options); error != 0) {
    std::printf("  test run: error %d\n", error);
    return outcome;
  }
  outcome.verdict = static_cast<int>(options.retval);
  outcome.frame.resize(options.data_size_out);
  if (nanoseconds != nullptr)
    *nanoseconds = options.duration;
  return outcome;
}

std::uint64_t Bench::total(const char* reason) const {
  const int cpus = libbpf_num_possible_cpus();
  std::vector<std::uint64_t> values(static_cast<std::size_t>(cpus > 0 ? cpus : 1));
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < FLOW_REASONS; ++i) {
    if (std::string_view(reason_name(i)) != reason ||
        bpf_map_lookup_elem(programs.map("totals"), &i, values.data()) != 0)
      continue;
    for (const std::uint64_t value : values)
      sum += value;
  }
  return sum;
}

int Bench::up() const { return mode_ == Mode::kTc ? TC_ACT_UNSPEC : XDP_PASS; }
int Bench::drop() const { return mode_ == Mode::kTc ? TC_ACT_SHOT : XDP_DROP; }
int Bench::leave(bool same_device) const {
  if (mode_ == Mode::kTc)
    return TC_ACT_REDIRECT;
  return same_device ? XDP_TX : XDP_REDIRECT;
}

} // namespace rig
