// Media between two network namespaces through the kernel path: nothing lost, nothing changed, also
// without the process that set it up.
#include <csignal>
#include <cstdio>

#include <bpf/bpf.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../native/kernel/netdevice.h"
#include "../native/check.h"
#include "network.h"
#include "rig.h"

using namespace rtprelay::kernel;
using network::Call;
using network::Peer;

namespace {

constexpr unsigned kCalls = 105;
constexpr unsigned kRounds = 20;

const Mode kModes[] = {Mode::kTc, Mode::kXdp, Mode::kXdpGeneric};

Peer& left() {
  static Peer peer("left", 1);
  return peer;
}

Peer& right() {
  static Peer peer("right", 2);
  return peer;
}

Options options_of(Mode mode, const char* name = "e2e") {
  Options options;
  options.pin_directory = rig::pins(name);
  options.object_path = rig::object_path();
  options.mode = mode;
  options.max_flows = 1024;
  return options;
}

bool report(const Status& status) {
  if (!status.ok())
    std::printf("  %s\n", status.message.c_str());
  return status.ok();
}

/// Opens, attaches both devices and installs all flows.
bool start(KernelForwarder& forwarder, const Options& options, const std::vector<Call>& calls) {
  return report(forwarder.open(options)) && report(forwarder.attach(left().device())) &&
         report(forwarder.attach(right().device())) &&
         report(forwarder.set_flows(network::flows_of(calls)));
}

/// A process that holds the forwarder until it is killed.
class Holder {
public:
  enum class Start { kNow, kLater };
  /// `kLater`: returns while the process is still starting.
  Holder(const Options& options, const std::vector<Call>& calls, Start start = Start::kNow) {
    int ready[2];
    if (::pipe(ready) != 0)
      return;
    process_ = ::fork();
    if (process_ == 0)
      hold(options, calls, ready[1]);
    ::close(ready[1]);
    char said = 0;
    started = start == Start::kNow && ::read(ready[0], &said, 1) == 1;
    ::close(ready[0]);
  }
  ~Holder() { kill_it(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  void kill_it() {
    if (process_ <= 0)
      return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }

  bool started = false;

private:
  [[noreturn]] static void hold(const Options& options, const std::vector<Call>& calls, int ready) {
    KernelForwarder forwarder;
    if (start(forwarder, options, calls) && ::write(ready, "r", 1) == 1)
      ::pause();
    std::fflush(stdout);
    ::_exit(1);
  }
  pid_t process_ = 0;
};

/// Every flow's counters against what its call has sent.
bool counters_match(const KernelForwarder& forwarder, const std::vector<Call>& calls) {
  for (const Call& call : calls) {
    for (const FlowSpec* flow : {&call.to_right, &call.to_left}) {
      const auto counted = forwarder.counters(flow->local);
      if (!counted || counted->packets != call.sent || counted->bytes != call.bytes ||
          counted->lost != 0 || !counted->reasons.empty()) {
        std::printf("  call %u: %llu packets counted, %u sent\n", call.number,
                    counted ? static_cast<unsigned long long>(counted->packets) : 0, call.sent);
        return false;
      }
    }
  }
  return true;
}

/// Makes what is pinned look like another version's.
bool pretend_layout(const Options& options, std::uint32_t layout) {
  const UniqueFd map(bpf_obj_get((options.pin_directory + "/meta").c_str()));
  const std::uint32_t zero = 0;
  flow_meta meta = {};
  if (bpf_map_lookup_elem(map.get(), &zero, &meta) != 0)
    return false;
  meta.layout = layout;
  return bpf_map_update_elem(map.get(), &zero, &meta, BPF_ANY) == 0;
}

void expect_survival(Mode mode) {
  CHECK(left().good() && right().good());
  CHECK(network::prepare(left(), right(), mode));
  std::vector<Call> calls = network::make_calls(left(), right(), kCalls);
  Holder holder(options_of(mode), calls);
  CHECK(holder.started);
  if (!holder.started)
    return;
  CHECK(network::exchange(calls, kRounds));

  KernelForwarder second;
  CHECK(second.open(options_of(mode)).code == EBUSY);
  bool killed = false;
  CHECK(network::exchange(calls, kRounds, [&] {
    if (!killed)
      holder.kill_it();
    killed = true;
  }));

  // Adopting exchanges the program; packets run on.
  bool opened = false;
  CHECK(network::exchange(calls, kRounds, [&] {
    if (!opened)
      CHECK(report(second.open(options_of(mode))));
    opened = true;
  }));
  CHECK(second.adopted() && second.size() == 2 * kCalls);
  CHECK(second.devices().size() == 2);
  CHECK(counters_match(second, calls));
  CHECK(network::exchange(calls, kRounds));
  CHECK(counters_match(second, calls));

  CHECK(report(second.remove()));
  CHECK(network::nothing_arrives(calls[0]));
  CHECK(::access(options_of(mode).pin_directory.c_str(), F_OK) != 0);
  CHECK(count_filters(device_index(left().device())) == 0U);
}

} // namespace

TEST("TC: media arrives whole, kill -9 loses nothing, the next process adopts") {
  expect_survival(Mode::kTc);
}
TEST("native XDP: media arrives whole, kill -9 loses nothing, the next process adopts") {
  expect_survival(Mode::kXdp);
}
TEST("generic XDP: media arrives whole, kill -9 loses nothing, the next process adopts") {
  expect_survival(Mode::kXdpGeneric);
}

TEST("a removed flow stops at once, the others go on") {
  for (const Mode mode : kModes) {
    CHECK(network::prepare(left(), right(), mode));
    std::vector<Call> calls = network::make_calls(left(), right(), 4);
    KernelForwarder forwarder;
    CHECK(start(forwarder, options_of(mode), calls));
    CHECK(network::exchange(calls, 3));
    std::vector<std::optional<FlowCounters>> last;
    CHECK(report(forwarder.remove_flows({&calls[0].to_right.local, 1}, &last)));
    CHECK(last.size() == 1 && last[0] && last[0]->packets == 3);
    CHECK(network::nothing_arrives(calls[0]));
    calls.erase(calls.begin());
    CHECK(network::exchange(calls, 3));
    CHECK(report(forwarder.detach(right().device())));
    CHECK(forwarder.detach(right().device()).code == ENODEV);
    CHECK(forwarder.devices() == std::vector<std::string>{left().device()});
    CHECK(report(forwarder.remove()));
  }
}

TEST("a re-INVITE replaces a flow between two packets") {
  for (const Mode mode : kModes) {
    CHECK(network::prepare(left(), right(), mode));
    // Calls 0 and 2 are of one family, so their phones can be exchanged.
    std::vector<Call> calls = network::make_calls(left(), right(), 3);
    KernelForwarder forwarder;
    CHECK(start(forwarder, options_of(mode), calls));
    CHECK(network::exchange(calls, 3));
    std::swap(calls[0].right, calls[2].right);
    std::swap(calls[0].to_right.destination, calls[2].to_right.destination);
    std::swap(calls[0].to_left.expected, calls[2].to_left.expected);
    CHECK(report(forwarder.set_flows(network::flows_of(calls))));
    CHECK(forwarder.size() == 6);
    CHECK(network::exchange(calls, 3));
    CHECK(counters_match(forwarder, calls));
    CHECK(report(forwarder.remove()));
  }
}

TEST("a known VLAN's packets are forwarded without their tag, others are left to the stack") {
  for (const Mode mode : kModes) {
    CHECK(network::prepare(left(), right(), mode));
    std::vector<Call> calls = network::make_calls(left(), right(), 2);
    KernelForwarder forwarder;
    CHECK(start(forwarder, options_of(mode), calls));
    const VlanDevice known = {left().device(), left().device(), 100};
    CHECK(report(forwarder.set_vlans({&known, 1})));
    for (Call& call : calls) {
      CHECK(network::tagged_arrives(call, left(), 100));
      CHECK(!network::tagged_arrives(call, left(), 101));
    }
    CHECK(report(forwarder.set_vlans({})));
    CHECK(!network::tagged_arrives(calls[0], left(), 100));
    CHECK(report(forwarder.remove()));
  }
}

TEST("killed at any moment of setting up, the next process cleans up or adopts") {
  CHECK(network::prepare(left(), right(), Mode::kTc));
  for (int i = 0; i < 20; ++i) {
    const Mode mode = kModes[i % 3];
    std::vector<Call> calls = network::make_calls(left(), right(), 4);
    {
      Holder holder(options_of(mode), calls, Holder::Start::kLater);
      ::usleep(static_cast<useconds_t>(i * 3000)); // wherever that is
    }
    KernelForwarder forwarder;
    CHECK(start(forwarder, options_of(mode), calls));
    CHECK(forwarder.size() == 8);
    if (mode == Mode::kTc)
      CHECK(network::exchange(calls, 2));
    CHECK(report(forwarder.remove()));
    CHECK(count_filters(device_index(left().device())) == 0U);
  }
}

TEST("TC: flows whose pins are gone are found by the program that is attached") {
  CHECK(network::prepare(left(), right(), Mode::kTc));
  std::vector<Call> calls = network::make_calls(left(), right(), kCalls);
  const Options options = options_of(Mode::kTc);
  KernelForwarder forwarder;
  CHECK(start(forwarder, options, calls));
  CHECK(network::exchange(calls, kRounds));
  forwarder.close();
  // As a BPF file system that ends with its container.
  CHECK(rig::run(("rm " + options.pin_directory + "/* && rmdir " + options.pin_directory).c_str()));
  bool opened = false;
  CHECK(network::exchange(calls, kRounds, [&] {
    if (!opened)
      CHECK(report(forwarder.open(options)));
    opened = true;
  }));
  CHECK(forwarder.adopted() && !forwarder.replaces() && forwarder.notes().empty());
  CHECK(forwarder.size() == 2 * kCalls && forwarder.devices().size() == 2);
  CHECK(counters_match(forwarder, calls));
  // Once more, by the program that has taken the place of the first.
  forwarder.close();
  CHECK(rig::run(("rm " + options.pin_directory + "/* && rmdir " + options.pin_directory).c_str()));
  CHECK(report(forwarder.open(options)));
  CHECK(forwarder.adopted() && forwarder.size() == 2 * kCalls);
  CHECK(network::exchange(calls, kRounds));
  CHECK(counters_match(forwarder, calls));
  CHECK(report(forwarder.remove()));
  CHECK(network::nothing_arrives(calls[0]));
  CHECK(count_filters(device_index(left().device())) == 0U);
}

TEST("a new instance begins with nothing, and a device that came back is found again") {
  CHECK(network::prepare(left(), right(), Mode::kTc));
  std::vector<Call> calls = network::make_calls(left(), right(), 2);
  KernelForwarder forwarder;
  CHECK(start(forwarder, options_of(Mode::kTc), calls));
  CHECK(!forwarder.adopted() && !forwarder.replaces() && forwarder.notes().empty());
  constexpr int kMoreThanRoom = 66; // FLOW_MAX_DEVICES is 64
  for (int i = 0; i < kMoreThanRoom; ++i) {
    CHECK(rig::run("ip link add again type veth peer name other"));
    CHECK(report(forwarder.attach("again")));
    CHECK(forwarder.devices().size() == 3);
    CHECK(rig::run("ip link del again"));
  }
  CHECK(network::exchange(calls, 1));
  CHECK(report(forwarder.remove()));
}

/// What an instance with `before` left is replaced by one with `after`, under media.
void replaced(const Options& before, const Options& after, std::uint32_t layout) {
  std::vector<Call> calls = network::make_calls(left(), right(), 2);
  KernelForwarder forwarder;
  CHECK(start(forwarder, before, calls));
  CHECK(network::exchange(calls, 1));
  forwarder.close();
  CHECK(pretend_layout(before, layout));
  CHECK(report(forwarder.open(after)));
  CHECK(!forwarder.adopted() && forwarder.replaces() && forwarder.notes().size() == 1);
  CHECK(forwarder.size() == 0 && forwarder.devices().size() == 2);
  // The older program goes on with its flows.
  CHECK(network::exchange(calls, 3));
  CHECK(report(forwarder.set_flows(network::flows_of(calls))));
  CHECK(report(forwarder.attach(left().device())) && report(forwarder.attach(right().device())));
  for (Call& call : calls) { // counted anew
    call.sent = 0;
    call.bytes = 0;
  }
  CHECK(network::exchange(calls, 3));
  CHECK(counters_match(forwarder, calls));
  const auto filters = count_filters(device_index(left().device()));
  CHECK(filters.has_value() && (*filters > 0) == (after.mode == Mode::kTc));
  CHECK(report(forwarder.remove()));
  CHECK(count_filters(device_index(left().device())) == 0U);
}

TEST("something pinned by another layout or size forwards until it is replaced") {
  for (const Mode mode : kModes) {
    CHECK(network::prepare(left(), right(), mode));
    Options larger = options_of(mode);
    larger.max_flows *= 2;
    replaced(options_of(mode), larger, FLOW_LAYOUT_VERSION);
    replaced(options_of(mode), options_of(mode), FLOW_LAYOUT_VERSION + 1);
  }
}

TEST("something of another mode forwards until it is replaced") {
  CHECK(network::prepare(left(), right(), Mode::kTc)); // checksums are right for generic XDP too
  replaced(options_of(Mode::kTc), options_of(Mode::kXdpGeneric), FLOW_LAYOUT_VERSION);
  replaced(options_of(Mode::kXdpGeneric), options_of(Mode::kTc), FLOW_LAYOUT_VERSION);
  CHECK(network::prepare(left(), right(), Mode::kXdp));
  replaced(options_of(Mode::kXdp), options_of(Mode::kXdpGeneric), FLOW_LAYOUT_VERSION);
}

TEST("what is replaced ends where it is not wanted any more, and with the instance") {
  CHECK(network::prepare(left(), right(), Mode::kTc));
  std::vector<Call> calls = network::make_calls(left(), right(), 2);
  for (const bool detached : {true, false}) {
    KernelForwarder forwarder;
    CHECK(start(forwarder, options_of(Mode::kTc), calls));
    forwarder.close();
    CHECK(report(forwarder.open(options_of(Mode::kXdpGeneric))));
    CHECK(count_filters(device_index(left().device())) != 0U);
    CHECK(!detached || report(forwarder.detach(left().device())));
    CHECK(!detached || count_filters(device_index(left().device())) == 0U);
    CHECK(report(forwarder.remove()));
    CHECK(count_filters(device_index(left().device())) == 0U);
    CHECK(count_filters(device_index(right().device())) == 0U);
  }
}

TEST("two instances share a device and do not disturb each other") {
  CHECK(network::prepare(left(), right(), Mode::kTc));
  std::vector<Call> calls = network::make_calls(left(), right(), 4);
  std::vector<Call> others;
  others.push_back(std::move(calls.back()));
  calls.pop_back();
  KernelForwarder one;
  KernelForwarder two;
  CHECK(start(one, options_of(Mode::kTc, "one"), calls));
  CHECK(start(two, options_of(Mode::kTc, "two"), others));
  CHECK(network::exchange(calls, 3));
  CHECK(network::exchange(others, 3));
  CHECK(report(one.remove()));
  CHECK(network::exchange(others, 3));
  CHECK(counters_match(two, others));
  CHECK(report(two.remove()));
  CHECK(count_filters(device_index(left().device())) == 0U);
}

TEST("refused: a file system without BPF, a full table, a flow without addresses, a lost device") {
  KernelForwarder forwarder;
  Options options = options_of(Mode::kTc);
  options.pin_directory = "/proc/self";
  CHECK(forwarder.open(options).code == EINVAL && !forwarder.is_open());
  options = options_of(Mode::kTc);
  options.object_path = "/nonexistent";
  CHECK(forwarder.open(options).code == ENOENT);
  options = options_of(Mode::kTc);
  options.max_flows = 3;
  std::vector<Call> calls = network::make_calls(left(), right(), 2);
  CHECK(report(forwarder.open(options)));
  CHECK(forwarder.set_flows(network::flows_of(calls)).code == ENOSPC && forwarder.size() == 0);
  FlowSpec bare;
  CHECK(forwarder.set_flows({&bare, 1}).code == EINVAL);
  CHECK(forwarder.attach("no-such").code == ENODEV);
  CHECK(forwarder.attach("lo").code == EOPNOTSUPP);
  CHECK(forwarder.devices().empty());
  CHECK(report(forwarder.remove()));
  CHECK(forwarder.clear().code == EBADF);
}

TEST("ten thousand flows come and go, and read back as they were set") {
  Options options = options_of(Mode::kTc);
  options.max_flows = 10000;
  KernelForwarder forwarder;
  CHECK(report(forwarder.open(options)));
  std::vector<FlowSpec> specs(10000);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    FlowSpec& spec = specs[i];
    spec.local = frames::at("2001:db8::1", static_cast<std::uint16_t>(i + 1));
    spec.source = frames::at("10.0.0.1", static_cast<std::uint16_t>(i + 2));
    spec.destination = frames::at("10.0.0.2", static_cast<std::uint16_t>(i + 3));
    spec.rtcp = i % 2 == 0 ? Rtcp::kUp : Rtcp::kForward;
    spec.tos = i % 3 == 0 ? 184 : -1;
    if (i % 5 == 0) {
      spec.payload_types.emplace();
      spec.payload_types->allowed.set(i % 128);
      spec.payload_types->otherwise = OnMismatch::kDrop;
    }
  }
  CHECK(report(forwarder.set_flows(specs)));
  CHECK(report(forwarder.set_flows(specs)));
  forwarder.close();
  CHECK(report(forwarder.open(options)));
  CHECK(forwarder.adopted() && forwarder.size() == specs.size());
  std::size_t same = 0;
  std::size_t slices = 0;
  std::size_t from = 0;
  do {
    for (const FlowSpec& read : forwarder.flows(from)) {
      if (read == specs[read.local.port - 1U])
        ++same;
    }
    ++slices;
  } while (from != 0 && slices <= specs.size());
  CHECK(same == specs.size());
  CHECK(slices > 1 && from == 0);
  CHECK(report(forwarder.clear()));
  CHECK(forwarder.size() == 0);
  CHECK(report(forwarder.set_flows(specs)));
  CHECK(report(forwarder.remove()));
}
