// What a packet costs in our programs and in bare ones that write constants, alternating.
//   bpf-bench FORWARD_OBJECT BARE_OBJECT
#include <cstdio>

#include "../../test/bpf/rig.h"
#include "bench.h"

namespace {

/// What is left of the two when the cost of a packet that goes nowhere is taken off.
void print_ratio(const std::vector<bench::Series>& path) {
  const double net_bare = path[1].low() - path[0].low();
  const double net_ours = path[2].low() - path[0].low();
  std::printf("  net of the sender: bare %.0f ns, ours %.0f ns, ratio %.2f\n", net_bare, net_ours,
              net_bare > 0 ? net_ours / net_bare : 0);
}

/// The neighbour that the programs alone send to has our own MAC address, see Loop.
bool add_mirror() {
  const frames::Mac mac = rig::mac_of("in");
  char text[32];
  std::snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                mac[4], mac[5]);
  return rig::run(std::string("ip neighbour add 192.0.2.77 dev in nud permanent lladdr ") + text);
}

} // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::printf("usage: bpf-bench FORWARD_OBJECT BARE_OBJECT\n");
    return 1;
  }
  rig::object_path() = arguments[1];
  const std::string bare_object = arguments[2];
  if (!rig::enter_namespaces() || !rig::make_devices() || !add_mirror())
    return 1;
  for (const bool tc : {true, false})
    bench::print(tc ? "TC program alone, per packet" : "XDP program alone, per packet",
                 bench::measure_programs(bare_object, tc));
  for (const bool tc : {true, false}) {
    const auto path = bench::measure_path(bare_object, tc);
    bench::print(tc ? "TC, sender to receiving device" : "native XDP, sender to receiving device",
                 path);
    if (path.size() == 3)
      print_ratio(path);
  }
  bench::measure_flows(10000);
  return 0;
}
