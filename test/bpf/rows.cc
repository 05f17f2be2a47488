#include "rows.h"

#include <algorithm>

namespace rows {

namespace {

constexpr frames::Mac kNeighbourIn{2, 0, 0, 0, 1, 9};
constexpr frames::Mac kNeighbourOut{2, 0, 0, 0, 2, 9};

/// The flow's own count of a reason.
std::uint64_t reason_of(const FlowCounters& counters, const char* reason) {
  for (const auto& entry : counters.reasons) {
    if (std::string_view(entry.reason) == reason)
      return entry.packets;
  }
  return 0;
}

/// The rows change routes and neighbours; none may see a next hop from before.
void install(rig::Bench& bench, const FlowSpec& spec) {
  CHECK(bench.programs.forget_next_hops().ok());
  CHECK(bench.table.clear().ok());
  const auto status = bench.table.set({&spec, 1});
  if (!status.ok())
    std::printf("  %s\n", status.message.c_str());
  CHECK(status.ok());
}

bool same(const frames::Bytes& got, const frames::Bytes& wanted) {
  if (got == wanted)
    return true;
  const auto [a, b] = std::mismatch(got.begin(), got.end(), wanted.begin(), wanted.end());
  std::printf("  %zu bytes, %zu wanted; first difference at %td\n", got.size(), wanted.size(),
              a - got.begin());
  return false;
}

/// A packet that is not forwarded leaves as it came, and is counted once.
void refused(rig::Bench& bench, const FlowSpec& spec, const Frame& in, const char* reason,
             int verdict) {
  install(bench, spec);
  const frames::Bytes bytes = frames::build(in);
  const std::uint64_t before = bench.total(reason);
  const rig::Outcome outcome = bench.run(bytes);
  CHECK(outcome.verdict == verdict);
  if (outcome.verdict != verdict)
    std::printf("  verdict %d, wanted %d\n", outcome.verdict, verdict);
  CHECK(same(outcome.frame, bytes));
  CHECK(bench.total(reason) == before + 1);
  const auto counters = bench.table.counters(spec.local);
  CHECK(counters && counters->packets == 0);
  CHECK(counters && reason_of(*counters, reason) == counters->dropped + counters->passed_up);
}

} // namespace

FlowSpec plain_flow(Version version) {
  const bool v4 = version == Version::kIpv4;
  FlowSpec spec;
  spec.local = at(v4 ? "192.0.2.1" : "2001:db8:1::1", 30000);
  spec.source = at(v4 ? "198.51.100.1" : "2001:db8:2::1", 30002);
  spec.destination = at(v4 ? "198.51.100.9" : "2001:db8:2::9", 40000);
  return spec;
}

Frame arriving(Version version) {
  const bool v4 = version == Version::kIpv4;
  Frame frame;
  frame.to = rig::mac_of("in");
  frame.from = kNeighbourIn;
  frame.source = at(v4 ? "192.0.2.9" : "2001:db8:1::9", 5000);
  frame.destination = plain_flow(version).local;
  frame.payload = frames::rtp(0, 1000, 160, 0x11223344);
  return frame;
}

Frame leaving(const FlowSpec& spec, const Frame& arriving) {
  Frame frame = arriving;
  frame.to = kNeighbourOut;
  frame.from = rig::mac_of("out");
  frame.source = spec.source;
  frame.destination = spec.destination;
  --frame.ttl;
  return frame;
}

void forwarded(rig::Bench& bench, const FlowSpec& spec, const Frame& in, const Frame& out) {
  install(bench, spec);
  const std::uint64_t before = bench.total("forwarded");
  const rig::Outcome outcome = bench.run(frames::build(in));
  const int verdict = bench.leave(out.from == in.to);
  CHECK(outcome.verdict == verdict);
  if (outcome.verdict != verdict)
    std::printf("  verdict %d, wanted %d\n", outcome.verdict, verdict);
  CHECK(same(outcome.frame, frames::build(out)));
  CHECK(bench.total("forwarded") == before + 1);
  const auto counters = bench.table.counters(spec.local);
  CHECK(counters && counters->packets == 1 && counters->bytes == in.payload.size());
  CHECK(counters && counters->last_packet_ns != 0 && counters->reasons.empty());
}

void passed_up(rig::Bench& bench, const FlowSpec& spec, const Frame& in, const char* reason) {
  refused(bench, spec, in, reason, bench.up());
}

void dropped(rig::Bench& bench, const FlowSpec& spec, const Frame& in, const char* reason) {
  refused(bench, spec, in, reason, bench.drop());
  const auto counters = bench.table.counters(spec.local);
  CHECK(counters && counters->dropped == 1);
}

FlowCounters count(rig::Bench& bench, const FlowSpec& spec, const std::vector<Frame>& in) {
  install(bench, spec);
  for (const Frame& frame : in)
    CHECK(bench.run(frames::build(frame)).verdict == bench.leave(false));
  return bench.table.counters(spec.local).value_or(FlowCounters{});
}

} // namespace rows
