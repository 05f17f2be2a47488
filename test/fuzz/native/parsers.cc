// libFuzzer: every parser of untrusted or binary input, chosen by the first byte.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "../../../native/core/demux.h"
#include "../../../native/core/icmp.h"
#include "../../../native/core/packet.h"
#include "../../../native/core/plan.h"
#include "../../../native/core/reception.h"
#include "../../../native/core/rewrite.h"
#include "../../../native/core/rtcp.h"

using namespace rtprelay;

namespace {

/// A rewrite that changes whatever it can.
Rewrite busy_rewrite() {
  Rewrite rewrite;
  rewrite.ssrcs = rewrite.about = {{0, 1}, {0x01020304, 2}};
  rewrite.sequence_offset = rewrite.about_sequence_offset = 0x8001;
  rewrite.timestamp_offset = 0x80000001;
  ExtensionRules& rules = rewrite.extensions.emplace();
  for (std::size_t id = 1; id < rules.ids.size(); id += 2)
    rules.ids[id] = static_cast<std::uint8_t>(256 - id);
  rules.mid_id = 15;
  rules.mid_size = 2;
  rules.mid[0] = rules.mid[1] = 'm';
  return rewrite;
}

/// Headers are changed, and the packets of a bundle told apart, within the memory that is there.
void change(std::span<const std::uint8_t> packet) {
  static const Rewrite kRewrite = busy_rewrite();
  static const Demultiplexer kTable({4, {{1, "a", {1}, {0, 96}}, {2, "v", {}, {97}}}});
  for (const std::size_t more : {std::size_t{0}, std::size_t{3}, std::size_t{400}}) {
    std::vector<std::uint8_t> out(packet.size() + more);
    if (rewrite_rtp(kRewrite, packet, out) > out.size() ||
        rewrite_rtcp(kRewrite, packet, out) > out.size())
      std::abort();
  }
  DemuxState state;
  kTable.learn_from_rtcp(state, packet);
  std::vector<std::uint8_t> part(packet.size());
  for (const std::uint32_t stream : kTable.streams())
    if (kTable.rtcp_of(state, stream, packet, part) > part.size())
      std::abort();
  if (packet.size() >= kRtpHeaderSize) {
    (void)kTable.stream_of_rtp(state, packet);
    if (payload_size(packet) > packet.size())
      std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const std::span<const std::uint8_t> rest(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    PlanSpec plan;
    if (decode_plan(rest, plan) == PlanError::kNone && plan.tos > 255)
      std::abort();
    PlanChangeSpec changes;
    if (decode_change(rest, changes) == PlanError::kNone && changes.tos > 255)
      std::abort();
    return 0;
  }
  (void)classify(rest);
  std::vector<std::uint8_t> packet(rest.begin(), rest.end());
  if (overwrite_payload(packet, 0xd5) &&
      !std::equal(packet.begin(), packet.begin() + 12, rest.begin()))
    std::abort();
  change(rest);
  IcmpError error;
  if (parse_icmp4(rest, error) && (error.error == 0 || !error.local.valid()))
    std::abort();
  if (parse_icmp6(rest, error) && (error.error == 0 || !error.remote.valid()))
    std::abort();
  RtcpItems items;
  (void)parse_rtcp(rest, items);
  QualityTable table;
  Micros now = 1;
  for (std::size_t i = 0; i < items.size; ++i) {
    now += 2'000'000;
    table.add(items.items[i], 0, items.items[i].jitter, now, now / 1'000'000);
  }
  for (const auto& [ssrc, quality] : table.reporters())
    for (const QualityEntry& entry : quality.progression)
      if (entry.mos < 0 || entry.mos > 45)
        std::abort();
  return 0;
}
