// Counters of a flow: volume, sequence numbers, jitter.
#include "rows.h"

using namespace rows;

namespace {

Frame packet(std::uint16_t sequence, std::uint32_t ssrc = 1, std::uint32_t timestamp = 0) {
  Frame frame = arriving(Version::kIpv4);
  frame.payload = frames::rtp(0, sequence, timestamp, ssrc, 20);
  return frame;
}

std::vector<Frame> packets(std::initializer_list<std::uint16_t> sequences, std::uint32_t ssrc = 1) {
  std::vector<Frame> out;
  for (const std::uint16_t sequence : sequences)
    out.push_back(packet(sequence, ssrc));
  return out;
}

} // namespace

ROW("packets and bytes of payload are counted") {
  const FlowCounters counted = count(bench, plain_flow(Version::kIpv4), packets({1, 2, 3, 4}));
  CHECK(counted.packets == 4 && counted.bytes == 80);
  CHECK(counted.received == 4 && counted.lost == 0 && counted.restarts == 0);
  CHECK(counted.ssrc == 1U && counted.highest_sequence == 4);
}

ROW("a gap is loss, a late packet fills it, a packet twice is less than none lost") {
  const FlowSpec spec = plain_flow(Version::kIpv4);
  CHECK(count(bench, spec, packets({1, 2, 5, 6})).lost == 2);
  CHECK(count(bench, spec, packets({1, 2, 5, 3, 6})).lost == 1);
  const FlowCounters twice = count(bench, spec, packets({1, 2, 2, 3}));
  CHECK(twice.lost == -1 && twice.highest_sequence == 3 && twice.restarts == 0);
}

ROW("sequence numbers wrap") {
  const FlowCounters counted =
      count(bench, plain_flow(Version::kIpv4), packets({65533, 65534, 0, 1}));
  CHECK(counted.lost == 1 && counted.highest_sequence == 0x10001 && counted.restarts == 0);
}

ROW("a new SSRC and a jump of the sequence number start anew, earlier loss stays") {
  std::vector<Frame> all = packets({1, 3});
  for (const Frame& frame : packets({500, 502}, 2))
    all.push_back(frame);
  for (const Frame& frame : packets({30000, 30001}, 2))
    all.push_back(frame);
  const FlowCounters counted = count(bench, plain_flow(Version::kIpv4), all);
  CHECK(counted.ssrc == 2U && counted.restarts == 2);
  CHECK(counted.lost == 2 && counted.received == 6);
  CHECK(counted.highest_sequence == 30001);
}

ROW("jitter grows by a sixteenth of how far arrival and timestamp disagree") {
  // All arrive within a moment. Of each eight packets two are looked at: the first two of those
  // claim to be 16000 time units (2 s) apart, the next two to be sent at once; the others say
  // nothing.
  const FlowCounters counted =
      count(bench, plain_flow(Version::kIpv4),
            {packet(8, 1, 0), packet(9, 1, 16000), packet(10, 1, 90000), packet(16, 1, 32000),
             packet(17, 1, 32000), packet(20, 1, 0)});
  // RFC 3550 §A.8: 16000 / 16, then a sixteenth less, but for the time that really passed.
  CHECK(counted.jitter > 600 && counted.jitter <= 940);
}

ROW("jitter is not taken from packets that are no neighbours, nor across a change of the sender") {
  const FlowSpec spec = plain_flow(Version::kIpv4);
  CHECK(count(bench, spec, {packet(8, 1, 0), packet(10, 1, 0), packet(17, 1, 90000)}).jitter == 0);
  CHECK(count(bench, spec, {packet(8, 1, 0), packet(9, 2, 90000)}).jitter == 0);
}

ROW("RTCP on the port touches neither sequence nor jitter") {
  std::vector<Frame> all = packets({1, 2});
  all.push_back(arriving(Version::kIpv4));
  all.back().payload = frames::rtcp(99);
  all.push_back(packet(3));
  const FlowCounters counted = count(bench, plain_flow(Version::kIpv4), all);
  CHECK(counted.packets == 4 && counted.received == 3 && counted.ssrc == 1U && counted.lost == 0);
}

ROW("replacing a flow keeps its counters, removing it gives the last ones") {
  FlowSpec spec = plain_flow(Version::kIpv4);
  count(bench, spec, packets({1, 2, 3}));
  spec.destination.port = 40010;
  CHECK(bench.table.set({&spec, 1}).ok());
  CHECK(bench.run(frames::build(packet(4))).verdict == bench.leave(false));
  std::vector<std::optional<FlowCounters>> last;
  CHECK(bench.table.remove({&spec.local, 1}, &last).ok());
  CHECK(last.size() == 1 && last[0] && last[0]->packets == 4 && last[0]->lost == 0);
  CHECK(bench.run(frames::build(packet(5))).verdict == bench.up());
  CHECK(!bench.table.counters(spec.local));
  CHECK(bench.table.set({&spec, 1}).ok());
  CHECK(bench.table.counters(spec.local)->packets == 0);
}
