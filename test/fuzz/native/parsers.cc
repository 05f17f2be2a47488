// libFuzzer: every parser of untrusted or binary input, chosen by the first byte.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "../../../native/core/packet.h"
#include "../../../native/core/plan.h"
#include "../../../native/core/rtcp.h"

using namespace rtprelay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const std::span<const std::uint8_t> rest(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    PlanSpec plan;
    if (decode_plan(rest, plan) == PlanError::kNone && plan.tos > 255)
      std::abort();
    return 0;
  }
  (void)classify(rest);
  std::vector<std::uint8_t> packet(rest.begin(), rest.end());
  if (overwrite_payload(packet, 0xd5) &&
      !std::equal(packet.begin(), packet.begin() + 12, rest.begin()))
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
