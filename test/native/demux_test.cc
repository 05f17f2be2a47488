// Which stream of a bundle a packet belongs to, and what of its RTCP.
#include <initializer_list>
#include <utility>
#include <vector>

#include "../../native/core/demux.h"
#include "../../native/core/loop_check.h"
#include "check.h"

using namespace rtprelay;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// Audio 1 (mid a, types 0 and 111), video 2 (mid v, types 96 and 111), the MID with id 4.
DemuxSpec spec() { return {4, {{1, "a", {0x10}, {0, 111}}, {2, "v", {}, {96, 111}}}}; }

Bytes rtp(std::uint8_t type, std::uint8_t ssrc, const Bytes& extension = {}) {
  Bytes packet{static_cast<std::uint8_t>(extension.empty() ? 0x80 : 0x90),
               type,
               0,
               1,
               0,
               0,
               0,
               0,
               0,
               0,
               0,
               ssrc};
  packet.insert(packet.end(), extension.begin(), extension.end());
  packet.push_back(0xd5);
  return packet;
}

Bytes mid(char value) { return {0xbe, 0xde, 0, 1, 0x40, static_cast<std::uint8_t>(value), 0, 0}; }

struct Transport {
  Demultiplexer table{spec()};
  DemuxState state;

  Transport() { table.prepare(state); }
  /// 0: unknown.
  std::uint32_t stream(const Bytes& packet) {
    return table.stream_of_rtp(state, packet).value_or(0);
  }
  Bytes share(std::uint32_t stream, const Bytes& packet) {
    Bytes out(packet.size());
    out.resize(table.rtcp_of(state, stream, packet, out));
    return out;
  }
};

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts)
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

Bytes block(std::uint8_t about) {
  Bytes result(24, 9);
  result[0] = result[1] = result[2] = 0;
  result[3] = about;
  return result;
}

} // namespace

TEST("a packet belongs to the stream of its MID, else of its SSRC, else of its payload type") {
  Transport transport;
  CHECK(transport.stream(rtp(0, 0x20)) == 1 && transport.stream(rtp(96, 0x21)) == 2);
  // Both have 111: nothing is known of the source.
  CHECK(transport.stream(rtp(111, 0x30)) == 0 && transport.stream(rtp(5, 0x31)) == 0);
  // The SDP has said it.
  CHECK(transport.stream(rtp(111, 0x10)) == 1);
  // The MID says it, and teaches it; it goes before everything else.
  CHECK(transport.stream(rtp(111, 0x30, mid('v'))) == 2 && transport.stream(rtp(111, 0x30)) == 2);
  CHECK(transport.stream(rtp(0, 0x30)) == 2 && transport.stream(rtp(0, 0x30, mid('a'))) == 1);
  CHECK(transport.stream(rtp(0, 0x30, mid('x'))) == 0);
  // Of another id it is nothing.
  CHECK(transport.stream(rtp(0, 0x33, {0xbe, 0xde, 0, 1, 0x50, 'v', 0, 0})) == 1);
}

TEST("what packets teach is told once, and what the SDP says is not forgotten for it") {
  Transport transport;
  const auto news = [&] { return std::exchange(transport.state.news_size, 0); };
  CHECK(transport.stream(rtp(111, 0x10)) == 1 && news() == 0);
  CHECK(transport.stream(rtp(96, 0x21)) == 2 && news() == 1);
  CHECK(transport.state.news[0].ssrc == 0x21 && transport.state.news[0].stream == 2);
  CHECK(transport.stream(rtp(96, 0x21)) == 2 && news() == 0);
  CHECK(transport.stream(rtp(96, 0x21, mid('a'))) == 1 && news() == 1);
  for (int count = 0; count < 300; ++count) {
    Bytes packet = rtp(0, static_cast<std::uint8_t>(count));
    packet[10] = static_cast<std::uint8_t>(0x40 + count / 200);
    CHECK(transport.stream(packet) == 1);
    news();
  }
  CHECK(transport.stream(rtp(111, 0x10)) == 1);
}

TEST("what is learned is forgotten before it fills the memory") {
  Transport transport;
  for (std::uint32_t ssrc = 1000; ssrc < 3000; ++ssrc)
    transport.state.arriving.learn(ssrc, ssrc % 2 + 1);
  CHECK(transport.state.arriving.find(2999) == 2U && !transport.state.arriving.find(1000));
}

TEST("each stream gets the reports of its sender and those about what its remote gets") {
  Transport transport;
  CHECK(transport.stream(rtp(0, 0x20)) == 1 && transport.stream(rtp(96, 0x21)) == 2);
  transport.state.sent.learn(0x51, 1);
  transport.state.sent.learn(0x52, 2);
  const Bytes info(20, 3);
  const Bytes head{0x82, 200, 0, 18, 0, 0, 0, 0x20};
  const Bytes names{0x81, 202, 0, 2, 0, 0, 0, 0x20, 1, 1, 'x', 0};
  const Bytes packet = joined({head, info, block(0x51), block(0x52), names});
  CHECK(transport.share(1, packet) ==
        joined({{0x81, 200, 0, 12, 0, 0, 0, 0x20}, info, block(0x51), names}));
  CHECK(transport.share(2, packet) ==
        joined({{0x81, 201, 0, 7, 0, 0, 0, 0x20}, block(0x52), names}));
  // Whole where it concerns one alone.
  const Bytes alone = joined({{0x81, 200, 0, 12, 0, 0, 0, 0x21}, info, block(0x52)});
  CHECK(transport.share(2, alone) == alone && transport.share(1, alone).empty());
}

TEST("feedback goes with the source that it is about, byes with those who leave") {
  Transport transport;
  CHECK(transport.stream(rtp(0, 0x20)) == 1 && transport.stream(rtp(96, 0x21)) == 2);
  transport.state.sent.learn(0x52, 2);
  const Bytes pli{0x81, 206, 0, 2, 0, 0, 0, 0x20, 0, 0, 0, 0x52};
  const Bytes fir{0x84, 206, 0, 4, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0x52, 1, 0, 0, 0};
  const Bytes remb{0x8f, 206, 0,   5,   0, 0, 0, 0x20, 0, 0, 0, 0,
                   'R',  'E', 'M', 'B', 1, 0, 0, 9,    0, 0, 0, 0x52};
  const Bytes unknown{0x81, 206, 0, 2, 0, 0, 0, 0x20, 0, 0, 0, 0x59};
  for (const Bytes& packet : {pli, fir, remb})
    CHECK(transport.share(2, packet) == packet && transport.share(1, packet).empty());
  CHECK(transport.share(1, unknown) == unknown && transport.share(2, unknown).empty());
  const Bytes bye{0x82, 203, 0, 2, 0, 0, 0, 0x20, 0, 0, 0, 0x21};
  CHECK(transport.share(1, bye) == Bytes({0x81, 203, 0, 1, 0, 0, 0, 0x20}));
  CHECK(transport.share(2, bye) == Bytes({0x81, 203, 0, 1, 0, 0, 0, 0x21}));
}

TEST("a description's MID teaches the stream of its source") {
  Transport transport;
  const Bytes names{0x81, 202, 0, 3, 0, 0, 0, 0x40, 15, 1, 'v', 1, 1, 'x', 0, 0};
  transport.table.learn_from_rtcp(transport.state, names);
  CHECK(transport.stream(rtp(111, 0x40)) == 2);
  // Malformed ones teach nothing and end nothing.
  for (std::size_t size = 0; size < names.size(); ++size)
    transport.table.learn_from_rtcp(transport.state, std::span(names).first(size));
  CHECK(transport.share(2, {0x81, 200, 0, 1, 0, 0, 0, 0x40}).empty());
}

TEST("a packet that comes again and again passes 31 times, and again after a second") {
  LoopCheck check;
  auto passed = [&check, now = Micros{0}](int count, std::uint8_t kinds, std::uint8_t from,
                                          Micros wait = 0) mutable {
    now += wait;
    int result = 0;
    for (int i = 0; i < count; ++i)
      result += check.passes(rtp(8, static_cast<std::uint8_t>(from + i % kinds)), now += 1000);
    return result;
  };
  CHECK(passed(60, 1, 1) == 31 && passed(10, 1, 1) == 0);
  CHECK(passed(60, 1, 1, 1'000'000) == 31);
  // As rtpengine 10.5: two in turn are seen, three are not.
  CHECK(passed(120, 2, 10) == 32 && passed(150, 3, 20) == 150);
  CHECK(passed(5, 5, 40) == 5 && passed(60, 1, 50) == 31);
}
