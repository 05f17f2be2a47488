// Bundles, RTCP of our own, loops and counted sources, by real workers on loopback.
#include <algorithm>
#include <vector>

#include "../../native/core/relay.h"
#include "check.h"
#include "loopback.h"
#include "plan_builder.h"

using namespace rtprelay;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes rtp(std::uint8_t type, std::uint8_t ssrc, std::uint8_t sequence = 1) {
  Bytes packet(32, 0);
  packet[0] = 0x80;
  packet[1] = type;
  packet[3] = sequence;
  packet[11] = ssrc;
  return packet;
}

/// Of payload type `type` at `at` in a compound packet; empty: there is none.
Bytes part_of(const Bytes& packet, std::uint8_t type) {
  for (std::size_t at = 0; at + 4 <= packet.size();) {
    const std::size_t size = (std::size_t{read_u16(packet, at + 2)} + 1) * 4;
    if (packet[at + 1] == type)
      return Bytes(packet.begin() + static_cast<std::ptrdiff_t>(at),
                   packet.begin() +
                       static_cast<std::ptrdiff_t>(std::min(at + size, packet.size())));
    at += size;
  }
  return {};
}

/// Phone 0 has audio (stream 0) and video (stream 2) on one transport; phone 1 hears the audio, a
/// third one the video.
struct Bundle : Fixture {
  Bundle() {
    TransportSpec transport = plan.transports[1];
    transport.id = 2;
    transport.ports = {2};
    transport.egress_port = 2;
    transport.endpoint = transport.signalled = third.address();
    plan.ports.push_back({2, Phone().address()});
    plan.transports.push_back(transport);
    StreamSpec stream;
    stream.id = 2;
    stream.transport = 0;
    plan.streams.push_back(stream);
    stream.id = 3;
    stream.transport = 2;
    plan.streams.push_back(stream);
    add_routes(plan, {route(2, 3), route(3, 2), route(0, 1, RouteKind::kRtcp),
                      route(2, 3, RouteKind::kRtcp)});
    plan.transports[0].demux = Demux::kTable;
    plan.transports[0].table = DemuxSpec{4, {{0, "a", {}, {8}}, {2, "v", {}, {96}}}};
  }
  Phone third;
};

std::uint64_t drops(Relay& relay, std::size_t stream, DropReason reason) {
  CallReading reading;
  CHECK(relay.read("call", reading));
  return reading.streams.at(stream).stream->counters.drops[static_cast<std::size_t>(reason)].get();
}

} // namespace

TEST("streams that share a transport go their own ways, and both back by it") {
  TestRelay relay;
  Bundle call;
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), rtp(8, 1));
  call.phones[0].send_bytes(call.facing(0), rtp(96, 2));
  CHECK(call.phones[1].receive() == rtp(8, 1) && call.third.receive() == rtp(96, 2));
  // Nobody's.
  call.phones[0].send_bytes(call.facing(0), rtp(5, 3));
  CHECK(eventually([&] { return drops(relay, 0, DropReason::kUnknownStream) == 1; }));
  call.phones[1].send_bytes(call.facing(1), rtp(8, 11));
  CHECK(call.phones[0].receive() == rtp(8, 11));
  call.third.send_bytes(call.facing(2), rtp(96, 12));
  CHECK(call.phones[0].receive() == rtp(96, 12));
  // Reports go where what they are about has come from.
  Bytes report(8 + 20 + 48, 0);
  report[0] = 0x82;
  report[1] = 200;
  report[3] = 18;
  report[7] = 1;
  report[31] = 11;
  report[55] = 12;
  call.phones[0].send_bytes(call.facing(0), report);
  const Bytes audio = call.phones[1].receive();
  const Bytes video = call.third.receive();
  CHECK(audio.size() == 52 && audio[1] == 200 && audio[31] == 11);
  CHECK(video.size() == 32 && video[1] == 201 && video[7] == 1 && video[11] == 12);
  CallReading reading;
  CHECK(relay.read("call", reading));
  CHECK(reading.streams.at(2).stream->counters.packets.get() == 2);
  CHECK(reading.streams.at(2).stream->counters.packets_out.get() == 1);
}

TEST("a packet that comes again and again is dropped") {
  TestRelay relay;
  Fixture call;
  call.plan.streams[0].loop_checked = true;
  CHECK(relay.apply(call.plan));
  for (int i = 0; i < 40; ++i)
    call.phones[0].send(call.facing(0));
  int passed = 0;
  while (passed < 31 && call.phones[1].hears())
    ++passed;
  CHECK(passed == 31 && !call.phones[1].hears(20));
  CHECK(eventually([&] { return drops(relay, 0, DropReason::kLoop) == 9; }));
}

TEST("senders of video are asked for key frames, twice, as soon as they are known") {
  TestRelay relay;
  Fixture call;
  OwnRtcpSpec own;
  own.by = 0;
  own.cname = "relay";
  own.pli = true;
  own.video_types = {96};
  call.plan.streams[0].own_rtcp = own;
  CHECK(relay.apply(call.plan));
  CHECK(!relay.request_key_frames("another"));
  CHECK(relay.request_key_frames("call"));
  CHECK(!call.phones[0].hears(50));
  // Retransmissions have no key frames.
  call.phones[0].send_bytes(call.facing(0), rtp(97, 6));
  CHECK(call.phones[1].hears() && !call.phones[0].hears(50));
  call.phones[0].send_bytes(call.facing(0), rtp(96, 7));
  for (int i = 0; i < 2; ++i) {
    const Bytes pli = part_of(call.phones[0].receive(), 206);
    CHECK(pli.size() == 12 && pli[0] == 0x81 && pli[11] == 7);
  }
  CHECK(!call.phones[0].hears(400));
  // Now at once.
  CHECK(relay.request_key_frames("call"));
  CHECK(part_of(call.phones[0].receive(250), 206).size() == 12);
}

TEST("reports of our own tell a side what it sends and what it gets") {
  TestRelay relay;
  Fixture call;
  OwnRtcpSpec own;
  own.by = 0;
  own.interval_ms = 200;
  own.cname = "relay";
  call.plan.streams[0].own_rtcp = own;
  call.plan.streams[0].clock_rate = call.plan.streams[1].clock_rate = 8000;
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), rtp(8, 1, 1));
  call.phones[0].send_bytes(call.facing(0), rtp(8, 1, 3));
  CHECK(call.phones[1].hears() && call.phones[1].hears());
  call.phones[1].send_bytes(call.facing(1), rtp(8, 2));
  CHECK(call.phones[0].receive() == rtp(8, 2));
  const Bytes report = call.phones[0].receive();
  const Bytes sender = part_of(report, 200);
  // It has got one packet of 20 octets from source 2, and of its three packets one was lost.
  CHECK(sender.size() == 52 && sender[0] == 0x81 && sender[7] == 2 && sender[23] == 1 &&
        sender[27] == 20);
  CHECK(sender.size() == 52 && sender[31] == 1 && sender[35] == 1 && sender[32] == 85);
  const Bytes names = part_of(report, 202);
  CHECK(names.size() > 15 && names[7] == 2 &&
        Bytes(names.begin() + 10, names.begin() + 15) == Bytes({'r', 'e', 'l', 'a', 'y'}));
  // RTCP that leads nowhere is not missed.
  call.phones[0].send_bytes(call.facing(0), kReport);
  CHECK(eventually([&] {
    CallReading reading;
    return relay.read("call", reading) && reading.streams.at(0).stream->counters.packets.get() == 3;
  }));
  CHECK(drops(relay, 0, DropReason::kNoSink) == 0);
  // They end with the plan.
  call.plan.streams[0].own_rtcp.reset();
  CHECK(relay.apply(call.plan));
  relay.wake_workers_for_orders();
  while (call.phones[0].hears(100)) {
  }
  call.phones[1].send_bytes(call.facing(1), rtp(8, 2, 2));
  CHECK(call.phones[0].hears() && !call.phones[0].hears(400));
}

TEST("sources are remembered, and counted where the plan wants it") {
  TestRelay relay;
  Fixture call;
  call.plan.streams[1].measured = true;
  CHECK(relay.apply(call.plan));
  for (const std::uint8_t ssrc : Bytes{1, 2, 1, 3, 2})
    call.phones[0].send_bytes(call.facing(0), rtp(8, ssrc));
  for (const std::uint8_t sequence : Bytes{1, 2, 5})
    call.phones[1].send_bytes(call.facing(1), rtp(8, 9, sequence));
  for (int i = 0; i < 5; ++i)
    CHECK(call.phones[1].hears());
  for (int i = 0; i < 3; ++i)
    CHECK(call.phones[0].hears());
  CallReading reading;
  CHECK(relay.read("call", reading));
  const StreamCounters& plain = reading.streams.at(0).stream->counters;
  const auto ssrc = [](const Counter& source) { return source.get() & 0xffffffff; };
  CHECK(ssrc(plain.ssrc) == 2 && ssrc(plain.earlier[0]) == 3 && ssrc(plain.earlier[1]) == 1 &&
        plain.earlier[2].get() == 0);
  CHECK((plain.ssrc.get() >> kTypeShift) == 8);
  CHECK(reading.streams.at(0).stream->receptions == nullptr);
  Reception* counted = reading.streams.at(1).stream->receptions->find(9);
  CHECK(counted != nullptr && counted->packets.get() == 3 && counted->lost.get() == 2);
}
