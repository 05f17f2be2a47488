// libFuzzer: heartbeats, genuine in all but what they say, and frames from the wire.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "../../../native/core/heard_packets.h"
#include "../../../native/core/heartbeat.h"
#include "../../../native/core/replay.h"

using namespace rtprelay;

namespace {

/// What was read is written again as it was read.
void check_states(const std::vector<SentState>& states) {
  static const HeartbeatKey kKey{1};
  HeartbeatWriter writer;
  writer.begin({1, 2, 3});
  std::size_t written = 0;
  while (written < states.size() && writer.add(states[written]))
    ++written;
  std::vector<SentState> again;
  HeartbeatHeader header;
  if (read_heartbeat(writer.finish(kKey), {&kKey, 1}, header, again) != HeartbeatFault::kNone ||
      again.size() != written)
    std::abort();
  for (std::size_t i = 0; i < written; ++i)
    if (again[i].local != states[i].local || again[i].ssrc != states[i].ssrc ||
        again[i].sequence != states[i].sequence || again[i].earlier != states[i].earlier)
      std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::uint8_t> copy(data, data + size);
  std::vector<SentState> states;
  HeartbeatHeader header;
  SentPackets sent(true, 64);
  if (parse_heartbeat(copy, header, states)) {
    check_states(states);
    for (const SentState& state : states) {
      sent.merge(state, 0);
      if (sent.find({state.local, state.ssrc, state.sequence}) == WasSent::kNo)
        std::abort();
    }
  } else if (!states.empty()) {
    std::abort();
  }
  HeardDatagram datagram;
  if (parse_frame(copy, datagram) &&
      (datagram.payload.data() + datagram.payload.size() > copy.data() + copy.size() ||
       !datagram.local.valid()))
    std::abort();
  Replay replay({.keys = {HeartbeatKey{1}}, .epoch = 1, .hosts = {datagram.local}, .bytes = 4096});
  replay.take_heartbeat(copy, 1);
  replay.set_held({false}, 1);
  for (Micros now = 2; now < 6; ++now)
    replay.take_frame(copy, now);
  replay.set_held({true}, 6);
  replay.each_due(7, [](const HeardPacket&, std::span<const std::uint8_t>) { std::abort(); });
  if (replay.counters().heartbeats.get() != 0)
    std::abort();
  return 0;
}
