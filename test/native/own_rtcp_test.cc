// What arrives is counted, and what reports and requests say.
#include <vector>

#include "../../native/core/own_rtcp.h"
#include "../../native/core/rtcp.h"
#include "check.h"

using namespace rtprelay;

namespace {

constexpr std::uint32_t kRate = 8000;

RtpHeader header(std::uint16_t sequence, std::uint32_t ssrc = 7) {
  return {ssrc, std::uint32_t{sequence} * 160, sequence, 8};
}

/// What a source sends, one packet every 20 ms.
struct Source {
  Reception reception;
  Micros now = 1'000'000;

  Source() { reception.restart(7); }
  void comes(std::uint16_t sequence, Micros late = 0) {
    now += 20'000;
    RtpHeader packet = header(sequence);
    packet.timestamp = static_cast<std::uint32_t>(now / 125);
    reception.on_packet(packet, 172, kRate, now + late);
  }
  ReportBlock report() {
    ReportBlock block;
    CHECK(reception.report(now, block));
    return block;
  }
};

} // namespace

TEST("a stream without loss") {
  Source source;
  for (std::uint16_t i = 0; i < 100; ++i)
    source.comes(static_cast<std::uint16_t>(65500 + i));
  const ReportBlock block = source.report();
  CHECK(block.ssrc == 7 && block.fraction_lost == 0 && block.cumulative_loss == 0);
  // One cycle: 65500 + 99.
  CHECK(block.highest_sequence == 65599 && block.jitter == 0 && block.last_report == 0);
  CHECK(source.reception.packets.get() == 100 && source.reception.bytes.get() == 17200);
  CHECK(source.reception.lost.get() == 0 && source.reception.last_sequence.get() == 63);
  CHECK((source.reception.source.get() >> kTypeShift) == 8);
  ReportBlock none;
  CHECK(!source.reception.report(source.now, none));
}

TEST("loss, duplicates and disorder are told apart") {
  Source source;
  for (const std::uint16_t sequence : std::vector<std::uint16_t>{1, 2, 5, 4, 4, 6, 9, 8, 10})
    source.comes(sequence);
  const Reception& reception = source.reception;
  CHECK(reception.lost.get() == 2); // 3 and 7
  CHECK(reception.duplicates.get() == 1 && reception.reordered.get() == 2);
  CHECK(reception.skips.get() == 2 && reception.resets.get() == 0);
  const ReportBlock block = source.report();
  // RFC 3550 §6.4.1 counts a duplicate as received.
  CHECK(block.cumulative_loss == 1 && block.fraction_lost == 256 / 10);
  source.comes(11);
  CHECK(source.report().fraction_lost == 0);
}

TEST("a restart of the numbers is believed with the second packet") {
  Source source;
  source.comes(1);
  source.comes(2);
  source.comes(30000);
  CHECK(source.report().highest_sequence == 2);
  source.comes(30001);
  CHECK(source.report().highest_sequence == 30001 && source.reception.lost.get() == 0);
  CHECK(source.reception.resets.get() == 1 && source.reception.skips.get() == 0);
}

TEST("a run of missing numbers is one skip until it is filled") {
  Source source;
  const Counter& skips = source.reception.skips;
  source.comes(1);
  source.comes(6); // 2 to 5 are missing
  CHECK(skips.get() == 1);
  source.comes(4); // 2, 3 and 5
  CHECK(skips.get() == 2);
  source.comes(5);
  source.comes(2);
  CHECK(skips.get() == 1 && source.reception.lost.get() == 1);
  source.comes(3);
  CHECK(skips.get() == 0 && source.reception.lost.get() == 0);
  source.comes(200);
  CHECK(skips.get() == 1);
}

TEST("jitter follows the arrival times") {
  Source source;
  for (std::uint16_t i = 0; i < 200; ++i)
    source.comes(i, i % 2 == 0 ? 0 : 10'000);
  // Each differs from the one before by 10 ms, 80 units.
  const std::uint32_t jitter = source.report().jitter;
  CHECK(jitter > 75 && jitter <= 80);
}

TEST("the report names the sender's last one and how long ago it came") {
  Source source;
  source.comes(1);
  source.reception.on_report(0xabcd1234, source.now - 500'000);
  const ReportBlock block = source.report();
  CHECK(block.last_report == 0xabcd1234 && block.delay == 32768);
}

TEST("a ninth source takes the place of the one that was silent for longest") {
  Receptions receptions;
  for (std::uint32_t ssrc = 1; ssrc <= 8; ++ssrc)
    receptions.on_packet(header(1, ssrc), 10, kRate, static_cast<Micros>(ssrc) * 1000);
  receptions.on_packet(header(2, 1), 10, kRate, 9'000);
  receptions.on_packet(header(1, 9), 10, kRate, 10'000);
  CHECK(receptions.find(1) != nullptr && receptions.find(2) == nullptr);
  CHECK(receptions.find(9) != nullptr && receptions.find(9)->packets.get() == 1);
  CHECK(receptions.find(1)->packets.get() == 2);
}

TEST("the payload is what is left of a packet") {
  CHECK(payload_size(std::vector<std::uint8_t>{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2}) == 2);
  CHECK(payload_size(std::vector<std::uint8_t>{0xb1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                               0,    0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 0, 0, 3}) ==
        3);
  CHECK(payload_size(std::vector<std::uint8_t>{0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) == 0);
}

TEST("who sends gets sender reports, who only receives a receiver report") {
  Receptions receptions;
  Sendings sendings;
  std::vector<std::uint8_t> out(400);
  ReportInput input;
  input.author = {0x11, "me"};
  input.now = 3'000'000;
  input.wall_clock = 1'500'000;
  CHECK(write_reports(input, sendings.all(), receptions.all(), out) == 0);
  receptions.on_packet(header(1), 172, kRate, 2'000'000);
  // RR of 8 + 24 bytes, SDES of 4 + 4 + 2 + "me" + end.
  const std::size_t size = write_reports(input, sendings.all(), receptions.all(), out);
  CHECK(size == 32 + 16 && out[0] == 0x81 && out[1] == 201 && out[7] == 0x11 && out[11] == 7);
  CHECK(out[32] == 0x81 && out[33] == 202 && out[39] == 0x11 && out[40] == 1 && out[42] == 'm');
  receptions.on_packet(header(2), 172, kRate, 2'500'000);
  sendings.on_packet(header(9, 0x22), 160, kRate, 2'500'000);
  sendings.on_packet(header(9, 0x23), 160, kRate, 500'000);
  input.senders_since = 1'000'000;
  const std::size_t both = write_reports(input, sendings.all(), receptions.all(), out);
  CHECK(both == 52 + 16 && out[0] == 0x81 && out[1] == 200 && out[7] == 0x22);
  // NTP 1.5 s after 1970, half a second of samples after the last packet, one packet, 160 octets.
  CHECK(read_u32(out, 8) == 2208988801 && out[12] == 0x80 && read_u32(out, 16) == 9 * 160 + 4000);
  CHECK(read_u32(out, 20) == 1 && read_u32(out, 24) == 160 && read_u32(out, 28) == 7);
  RtcpItems items;
  CHECK(parse_rtcp(std::span(out).first(both), items) && items.size == 2);
  CHECK(write_reports(input, sendings.all(), receptions.all(), std::span(out).first(30)) == 0);
}

TEST("key frames are asked for by PLI or FIR, with a report and a name before them") {
  std::vector<std::uint8_t> out(200);
  const std::vector<std::uint32_t> sources{7, 8};
  const RtcpAuthor author{0x11, "me"};
  std::size_t size = write_key_frame_requests(author, KeyFrameRequest::kPli, sources, 0, out);
  const std::vector<std::uint8_t> pli{0x81, 206, 0, 2, 0, 0, 0, 0x11, 0, 0, 0, 8};
  CHECK(size == 8 + 16 + 24 && out[1] == 201 && out[9] == 202);
  CHECK(std::vector<std::uint8_t>(out.begin() + 36, out.begin() + 48) == pli);
  size = write_key_frame_requests(author, KeyFrameRequest::kFir, sources, 3, out);
  const std::vector<std::uint8_t> fir{0x84, 206, 0, 6, 0, 0, 0, 0x11, 0, 0, 0, 0, 0, 0,
                                      0,    7,   3, 0, 0, 0, 0, 0,    0, 8, 3, 0, 0, 0};
  CHECK(size == 24 + 28);
  CHECK(std::vector<std::uint8_t>(out.begin() + 24, out.begin() + 52) == fir);
}
