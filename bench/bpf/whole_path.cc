#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/socket.h>

#include "../../native/kernel/netdevice.h"
#include "../../test/bpf/network.h"
#include "../../test/bpf/rig.h"
#include "bare_programs.h"
#include "bench.h"

namespace bench {

using namespace rtprelay;
using namespace rtprelay::kernel;
using Clock = std::chrono::steady_clock;

namespace {

constexpr unsigned kFlows = 400;
/// Short turns, so that what else the machine does hits all variants alike.
constexpr unsigned kRounds = 200;
constexpr unsigned kBatches = 30;
constexpr unsigned kBatch = 64;

/// This thread's CPU time; the interrupts that its packets raise run in it.
double thread_nanos() {
  timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) * 1e9 + double(now.tv_nsec);
}

/// Packets to all flows' local addresses in turn; everything up to the last device runs in the
/// sender's system calls, so their duration is what a packet costs.
class Sender {
public:
  Sender(const network::Peer& from, const std::vector<network::Call>& calls) {
    from.inside([&] { fd_ = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
    addresses_.resize(calls.size());
    headers_.resize(calls.size());
    content_ = {payload_.data(), payload_.size()};
    for (std::size_t i = 0; i < calls.size(); ++i) {
      msghdr& header = headers_[i].msg_hdr;
      header.msg_name = &addresses_[i];
      header.msg_namelen = to_kernel(calls[i].to_right.local, addresses_[i]);
      header.msg_iov = &content_;
      header.msg_iovlen = 1;
    }
  }

  /// Nanoseconds per packet.
  double run() {
    const double began = thread_nanos();
    const unsigned sent = send(kBatches);
    return (thread_nanos() - began) / (sent == 0 ? 1 : sent);
  }

  /// How many packets the kernel took.
  unsigned send(unsigned batches) {
    unsigned sent = 0;
    std::size_t at = 0;
    for (unsigned i = 0; i < batches; ++i) {
      const auto count = static_cast<unsigned>(std::min<std::size_t>(kBatch, headers_.size() - at));
      const int done = ::sendmmsg(fd_.get(), &headers_[at], count, 0);
      sent += done > 0 ? static_cast<unsigned>(done) : 0;
      at = (at + count) % headers_.size();
    }
    return sent;
  }

private:
  UniqueFd fd_;
  frames::Bytes payload_ = frames::rtp(0, 1, 2, 3);
  iovec content_ = {};
  std::vector<KernelAddress> addresses_;
  std::vector<mmsghdr> headers_;
};

/// Exchanges the program of one device.
class Hook {
public:
  Hook(std::uint32_t index, bool tc) : index_(index), tc_(tc) {}

  bool put(int program) {
    if (!tc_)
      return put_xdp(program);
    bpf_tc_hook hook = {};
    hook.sz = sizeof(hook);
    hook.ifindex = static_cast<int>(index_);
    hook.attach_point = BPF_TC_INGRESS;
    bpf_tc_hook_create(&hook);
    bpf_tc_opts filter = {};
    filter.sz = sizeof(filter);
    filter.prog_fd = program;
    filter.handle = 1;
    filter.priority = 1;
    filter.flags = BPF_TC_F_REPLACE;
    return bpf_tc_attach(&hook, &filter) == 0;
  }
  void take_over(int link) { link_.reset(link); }

private:
  bool put_xdp(int program) {
    if (link_.valid())
      return bpf_link_update(link_.get(), program, nullptr) == 0;
    link_.reset(bpf_link_create(program, static_cast<int>(index_), BPF_XDP, nullptr));
    return link_.valid();
  }
  std::uint32_t index_;
  bool tc_;
  UniqueFd link_;
};

/// Our programs with their flows, attached.
struct Ours {
  PinDirectory directory;
  Programs programs;
  FlowTable table;
  Devices devices;
  Status status;

  Ours(Mode mode, const std::vector<network::Call>& calls) : devices(directory, programs, mode) {
    Options options;
    options.pin_directory = rig::pins(mode == Mode::kTc ? "path_tc" : "path_xdp");
    options.object_path = rig::object_path();
    options.mode = mode;
    std::vector<std::string> notes;
    status = directory.open(options.pin_directory);
    if (status.ok())
      status = programs.load(directory, options, choose_lookup(true, notes), false);
    if (status.ok())
      status = programs.pin(directory, options);
    if (status.ok())
      status = table.open(programs, options.max_flows);
    if (status.ok())
      status = table.set(network::flows_of(calls));
  }
  ~Ours() { Devices::detach_all(directory, Devices::records(directory)); }
};

std::vector<network::Call> ipv4_calls(const network::Peer& left, const network::Peer& right) {
  std::vector<network::Call> calls = network::make_calls(left, right, 2 * kFlows);
  std::erase_if(
      calls, [](const network::Call& call) { return call.to_right.local.family != Family::kIpv4; });
  for (network::Call& call : calls)
    call.to_right.expected = {}; // one socket sends for all
  return calls;
}

std::unique_ptr<BarePrograms> bare_of(const std::string& object, const network::Peer& right,
                                      const network::Call& call) {
  frames::Mac to{};
  right.inside([&] { to = rig::mac_of("eth"); });
  return std::make_unique<BarePrograms>(
      object, constants(to, rig::mac_of(right.device()), call.to_right.source,
                        call.to_right.destination, device_index(right.device())));
}

/// Packets that a device of this thread's namespace has received (proc_net_dev: second column).
std::uint64_t received_by(const std::string& device) {
  std::ifstream file("/proc/thread-self/net/dev");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream columns(line);
    std::string name;
    std::uint64_t bytes = 0;
    std::uint64_t packets = 0;
    if (columns >> name >> bytes >> packets && name == device + ":")
      return packets;
  }
  return 0;
}

std::uint64_t forwarded_by(const FlowTable& table, const std::vector<network::Call>& calls) {
  std::uint64_t sum = 0;
  for (const network::Call& call : calls)
    sum += table.counters(call.to_right.local)->packets;
  return sum;
}

/// As many packets as all processors can send, for the question whether one of them is lost.
void flood(const network::Peer& left, const network::Peer& right,
           const std::vector<network::Call>& calls, const FlowTable& table) {
  constexpr unsigned kFlood = 20'000;
  const auto arrived = [&] {
    std::uint64_t packets = 0;
    right.inside([&] { packets = received_by("eth"); });
    return packets;
  };
  const std::uint64_t forwarded = forwarded_by(table, calls);
  const std::uint64_t before = arrived();
  std::atomic<std::uint64_t> sent = 0;
  const auto began = Clock::now();
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back([&] { sent += Sender(left, calls).send(kFlood); });
  for (std::thread& thread : threads)
    thread.join();
  const std::chrono::duration<double> took = Clock::now() - began;
  std::this_thread::sleep_for(std::chrono::milliseconds(100)); // the last ones
  std::printf("  flood: %.0f packets/s sent, %llu of them; %llu forwarded, %llu arrived\n",
              double(sent) / took.count(), static_cast<unsigned long long>(sent),
              static_cast<unsigned long long>(forwarded_by(table, calls) - forwarded),
              static_cast<unsigned long long>(arrived() - before));
}

} // namespace

std::vector<Series> measure_path(const std::string& bare_object, bool tc) {
  const Mode mode = tc ? Mode::kTc : Mode::kXdp;
  static network::Peer left("left", 1);
  static network::Peer right("right", 2);
  if (!left.good() || !right.good() || !network::prepare(left, right, mode))
    return {};
  const std::vector<network::Call> calls = ipv4_calls(left, right);
  Ours ours(mode, calls);
  const auto bare = bare_of(bare_object, right, calls[0]);
  Hook entry(device_index(left.device()), tc);
  std::unique_ptr<Hook> end;
  bool good = ours.status.ok();
  right.inside([&] {
    end = std::make_unique<Hook>(device_index("eth"), tc);
    good = good && end->put(bare->program(tc ? "drop_tc" : "drop_xdp"));
  });
  if (!tc) { // recorded, allowed to transmit, and the link is there to be given other programs
    good =
        good && ours.devices.attach(left.device()).ok() && ours.devices.attach(right.device()).ok();
    entry.take_over(bpf_obj_get(
        ours.directory.file("xdp_" + std::to_string(device_index(left.device()))).c_str()));
  }
  if (!good)
    return {};
  std::vector<Series> all = {{"dropped on arrival", {}},
                             {tc ? "bare TC" : "bare XDP", {}},
                             {tc ? "our TC" : "our XDP", {}}};
  const int programs[] = {bare->program(tc ? "drop_tc" : "drop_xdp"),
                          bare->program(tc ? "bare_tc" : "bare_xdp"), ours.programs.program()};
  Sender sender(left, calls);
  for (unsigned round = 0; round < kRounds; ++round) {
    for (std::size_t which = 0; which < all.size(); ++which) {
      if (!entry.put(programs[which]))
        return {};
      all[which].values.push_back(sender.run());
    }
  }
  const std::uint64_t forwarded = forwarded_by(ours.table, calls);
  const std::uint64_t wanted = std::uint64_t{kRounds} * kBatches * kBatch;
  std::printf("  %llu packets forwarded by our program, at most %llu sent\n",
              static_cast<unsigned long long>(forwarded), static_cast<unsigned long long>(wanted));
  if (entry.put(programs[2]))
    flood(left, right, calls, ours.table);
  return all;
}

void measure_flows(unsigned count) {
  Options options;
  options.pin_directory = rig::pins("many");
  options.object_path = rig::object_path();
  options.max_flows = count;
  std::vector<FlowSpec> specs(count);
  for (unsigned i = 0; i < count; ++i) {
    specs[i].local = frames::at("10.0.0.1", static_cast<std::uint16_t>(1 + i));
    specs[i].source = specs[i].destination = specs[i].local;
  }
  KernelForwarder forwarder;
  const auto since = [began = Clock::now()]() mutable {
    const std::chrono::duration<double, std::milli> took = Clock::now() - began;
    began = Clock::now();
    return took.count();
  };
  auto lap = since;
  bool good = forwarder.open(options).ok();
  const double opened = lap();
  good = good && forwarder.set_flows(specs).ok();
  const double set = lap();
  std::uint64_t packets = 0;
  for (const FlowSpec& spec : specs)
    packets += forwarder.counters(spec.local)->packets;
  const double read = lap();
  forwarder.close();
  good = good && forwarder.open(options).ok() && forwarder.size() == count;
  const double adopted = lap();
  good = good && forwarder.clear().ok() && packets == 0;
  const double cleared = lap();
  forwarder.remove();
  std::printf("\n%u flows%s: open %.1f ms, set %.1f ms, read all counters %.1f ms, adopt %.1f ms, "
              "remove %.1f ms\n",
              count, good ? "" : " (FAILED)", opened, set, read, adopted, cleared);
}

} // namespace bench
