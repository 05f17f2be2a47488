// The short way must do to every packet exactly what the long way does. Each packet is run with no
// next hop known (the long way), and with the one known that an ordinary packet has found (the
// short way, if it is a packet for it).
#include <array>
#include <random>

#include "rows.h"

using namespace rows;

namespace {

constexpr int kPackets = 20'000;
constexpr std::size_t kHeaders = 14 + 20 + 8 + 12;
/// What BPF_PROG_TEST_RUN takes.
constexpr std::size_t kShortest = 14 + 20;

/// Where decisions change: TTL, kinds of packet (RFC 7983), IP versions.
constexpr std::array<std::uint8_t, 10> kLimits = {0, 1, 2, 3, 4, 20, 63, 64, 191, 255};

struct Way {
  rig::Outcome outcome;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t others = 0;

  bool operator==(const Way& other) const {
    return outcome.verdict == other.outcome.verdict && outcome.frame == other.outcome.frame &&
           packets == other.packets && bytes == other.bytes && others == other.others;
  }
};

/// What comes of the frame, and how the flow's counters grow by it.
Way take(rig::Bench& bench, const FlowSpec& spec, const frames::Bytes& frame) {
  const FlowCounters before = *bench.table.counters(spec.local);
  Way way;
  way.outcome = bench.run(frame);
  const FlowCounters after = *bench.table.counters(spec.local);
  way.packets = after.packets - before.packets;
  way.bytes = after.bytes - before.bytes;
  way.others = after.dropped + after.passed_up - before.dropped - before.passed_up;
  return way;
}

/// A few bytes of the headers changed, or the frame cut off.
frames::Bytes mutate(frames::Bytes frame, std::mt19937& random) {
  const auto changes = static_cast<unsigned>(random() % 3);
  for (unsigned i = 0; i < changes; ++i)
    frame[random() % kHeaders] = random() % 2 == 0 ? static_cast<std::uint8_t>(random())
                                                   : kLimits[random() % kLimits.size()];
  if (random() % 8 == 0)
    frame.resize(kShortest + random() % (frame.size() - kShortest));
  return frame;
}

void compare(rig::Bench& bench, const FlowSpec& spec, std::mt19937& random, int packets) {
  CHECK(bench.table.clear().ok());
  CHECK(bench.table.set({&spec, 1}).ok());
  int forwarded = 0;
  for (int i = 0; i < packets; ++i) {
    Frame plain = arriving(Version::kIpv4);
    plain.tos = static_cast<std::uint8_t>(random());
    plain.sum = i % 2 == 0 ? frames::UdpSum::kRight : frames::UdpSum::kNone;
    plain.payload =
        frames::rtp(static_cast<std::uint8_t>(random() % 128), static_cast<std::uint16_t>(i),
                    160U * unsigned(i), 7, 12 + random() % 200);
    const frames::Bytes whole = frames::build(plain);
    const frames::Bytes frame = mutate(whole, random);
    CHECK(bench.programs.forget_next_hops().ok());
    const Way longer = take(bench, spec, frame);
    bench.run(whole);
    const Way shorter = take(bench, spec, frame);
    CHECK(longer == shorter);
    if (!(longer == shorter)) {
      std::printf("  packet %d: verdicts %d and %d\n", i, longer.outcome.verdict,
                  shorter.outcome.verdict);
      return;
    }
    forwarded += longer.packets > 0 ? 1 : 0;
  }
  // Many of each kind, or the test has shown nothing.
  CHECK(forwarded > packets / 8 && forwarded < packets * 7 / 8);
}

} // namespace

ROW("both ways do the same to any packet") {
  std::mt19937 random(20261123);
  FlowSpec spec = plain_flow(Version::kIpv4);
  spec.rtcp = Rtcp::kUp;
  compare(bench, spec, random, kPackets);
  spec.expected = arriving(Version::kIpv4).source;
  spec.tos = 184;
  compare(bench, spec, random, kPackets);
  spec.other_sources = OnMismatch::kDrop;
  compare(bench, spec, random, kPackets / 4);
}

ROW("a flow that wants more than forwarding goes the long way only") {
  std::mt19937 random(1);
  FlowSpec spec = plain_flow(Version::kIpv4);
  spec.payload_types.emplace();
  spec.payload_types->allowed.set(0).set(8).set(96).set(101);
  compare(bench, spec, random, 2000);
}

ROW("a flow's copy for the short way follows the flow") {
  FlowSpec spec = plain_flow(Version::kIpv4);
  const frames::Bytes frame = frames::build(arriving(Version::kIpv4));
  CHECK(bench.table.clear().ok());
  CHECK(bench.table.set({&spec, 1}).ok());
  for (const std::uint16_t port : {std::uint16_t{40010}, std::uint16_t{40020}}) {
    spec.destination.port = port;
    CHECK(bench.table.set({&spec, 1}).ok());
    for (int i = 0; i < 2; ++i)
      CHECK(bench.run(frame).frame == frames::build(leaving(spec, arriving(Version::kIpv4))));
  }
  spec.action = Action::kUp;
  CHECK(bench.table.set({&spec, 1}).ok());
  CHECK(bench.run(frame).verdict == bench.up());
  spec.action = Action::kForward;
  CHECK(bench.table.set({&spec, 1}).ok());
  CHECK(bench.run(frame).verdict == bench.leave(false));
  std::vector<std::optional<FlowCounters>> last;
  CHECK(bench.table.remove({&spec.local, 1}, &last).ok());
  CHECK(bench.run(frame).verdict == bench.up());
}
