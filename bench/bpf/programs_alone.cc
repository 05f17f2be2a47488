#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../../native/kernel/netdevice.h"
#include "../../test/bpf/rows.h"
#include "bare_programs.h"
#include "bench.h"

namespace bench {

namespace {

/// BPF_PROG_TEST_RUN does not reset the packet between repetitions. So the flow maps its packet to
/// itself (its destination is its local address, which the neighbour has), and only the TTL falls.
constexpr int kRepeat = 200;
constexpr int kRuns = 400;

struct Loop {
  rows::FlowSpec spec = rows::plain_flow(rows::Version::kIpv4);
  rows::Frame frame = rows::arriving(rows::Version::kIpv4);

  Loop() {
    spec.local = frames::at("192.0.2.77", 30000);
    spec.source = frames::at("192.0.2.1", 30002);
    spec.destination = spec.local;
    frame.destination = spec.local;
    frame.ttl = 255;
  }
};

/// Nanoseconds per packet, negative when the verdict is not to send it on.
double test_run(int program, bool tc, const frames::Bytes& frame, int verdict) {
  frames::Bytes out(frame.size() + 64);
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.data_out = out.data();
  options.data_size_out = static_cast<__u32>(out.size());
  options.repeat = kRepeat;
  xdp_md xdp = {};
  xdp.data_end = static_cast<__u32>(frame.size());
  xdp.ingress_ifindex = rtprelay::kernel::device_index("in");
  __sk_buff skb = {};
  skb.ifindex = rtprelay::kernel::device_index("in");
  options.ctx_in = tc ? static_cast<void*>(&skb) : static_cast<void*>(&xdp);
  options.ctx_size_in = tc ? sizeof(skb) : sizeof(xdp);
  if (bpf_prog_test_run_opts(program, &options) != 0 || static_cast<int>(options.retval) != verdict)
    return -1;
  return options.duration;
}

} // namespace

bare_rewrite constants(const frames::Mac& to, const frames::Mac& from,
                       const rtprelay::SocketAddress& source,
                       const rtprelay::SocketAddress& destination, std::uint32_t ifindex) {
  bare_rewrite out = {};
  std::copy(to.begin(), to.end(), out.to);
  std::copy(from.begin(), from.end(), out.from);
  std::memcpy(&out.source, source.bytes.data(), sizeof(out.source));
  std::memcpy(&out.destination, destination.bytes.data(), sizeof(out.destination));
  out.source_port = htons(source.port);
  out.destination_port = htons(destination.port);
  out.ifindex = ifindex;
  return out;
}

std::vector<Series> measure_programs(const std::string& bare_object, bool tc) {
  rig::Bench* ours = rig::Bench::of(tc ? rig::Mode::kTc : rig::Mode::kXdp);
  const Loop loop;
  const frames::Mac mac = rig::mac_of("in");
  const BarePrograms bare(bare_object, constants(mac, mac, loop.spec.source, loop.spec.destination,
                                                 tc ? rtprelay::kernel::device_index("in") : 0));
  std::vector<Series> all = {{tc ? "bare TC" : "bare XDP", {}}, {tc ? "our TC" : "our XDP", {}}};
  if (ours == nullptr || !ours->table.set({&loop.spec, 1}).ok())
    return {};
  const frames::Bytes frame = frames::build(loop.frame);
  const int verdict = ours->leave(true);
  const int programs[] = {bare.program(tc ? "bare_tc" : "bare_xdp"), ours->programs.program()};
  for (int i = 0; i < kRuns; ++i) {
    for (std::size_t which = 0; which < all.size(); ++which) {
      if (const double cost = test_run(programs[which], tc, frame, verdict); cost >= 0)
        all[which].values.push_back(cost);
    }
  }
  return all;
}

} // namespace bench
