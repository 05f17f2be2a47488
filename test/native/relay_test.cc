// Real workers and sockets on loopback.
#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <span>
#include <thread>

#include <poll.h>
#include <sys/socket.h>

#include "../../native/core/relay.h"
#include "check.h"
#include "loopback.h"
#include "plan_builder.h"

using namespace rtprelay;

TEST("packets go both ways") {
  TestRelay relay;
  Fixture call;
  CHECK(relay.apply(call.plan));
  call.phones[0].send(call.facing(0));
  CHECK(call.phones[1].hears());
  call.phones[1].send(call.facing(1));
  CHECK(call.phones[0].hears());
  CHECK(relay.totals().packets == 2 && relay.totals().errors == 0);
}

TEST("what came to an address and left it is counted there, also of streams that are gone") {
  TestRelay relay;
  const auto of = [&](const char* host) {
    SocketAddress address;
    CHECK(parse_address(host, 0, address));
    const std::vector<AddressCounters> all = relay.by_address();
    const auto found = std::ranges::find_if(
        all, [&](const AddressCounters& each) { return each.address.same_host(address); });
    return found == all.end() ? AddressCounters() : *found;
  };
  Fixture call;
  CHECK(parse_address("127.0.0.2", call.plan.ports[1].local.port, call.plan.ports[1].local));
  CHECK(relay.apply(call.plan));
  for (int i = 0; i < 3; ++i) {
    call.phones[0].send(call.facing(0));
    CHECK(call.phones[1].hears());
  }
  const auto both_as_expected = [&] {
    const AddressCounters first = of("127.0.0.1");
    const AddressCounters second = of("127.0.0.2");
    return first.received.packets == 3 && first.received.bytes == 3 * 172 &&
           first.packets_out == 0 && second.received.packets == 0 && second.packets_out == 3 &&
           second.bytes_out == 3 * 172;
  };
  CHECK(eventually(both_as_expected));
  // What it has counted stays where it was counted.
  CHECK(parse_address("127.0.0.3", call.plan.ports[0].local.port, call.plan.ports[0].local));
  CHECK(relay.apply(call.plan));
  CHECK(both_as_expected());
  call.phones[0].send(call.facing(0));
  CHECK(call.phones[1].hears());
  CHECK(relay.end("call"));
  relay.wake_workers_for_orders();
  CHECK(eventually([&] {
    return of("127.0.0.1").received.packets == 3 && of("127.0.0.3").received.packets == 1 &&
           of("127.0.0.2").packets_out == 4;
  }));
  CHECK(relay.totals().packets == 4);
}

TEST("muxed RTCP goes to the RTCP sinks and RTP to the RTP sinks") {
  TestRelay relay;
  Fixture call;
  call.plan.transports[0].demux = Demux::kRtcpMux;
  add_routes(call.plan, {route(0, 0, RouteKind::kRtcp)});
  CHECK(relay.apply(call.plan));
  call.phones[0].send(call.facing(0), 200);
  CHECK(call.phones[0].hears());
  call.phones[0].send(call.facing(0), 8);
  CHECK(call.phones[1].hears());
}

TEST("a report on the port of RTP goes to the RTCP sinks without rtcp-mux, too") {
  TestRelay relay;
  Fixture call;
  add_routes(call.plan, {route(0, 0, RouteKind::kRtcp)});
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), kReport);
  CHECK(call.phones[0].receive() == std::vector<std::uint8_t>(kReport.begin(), kReport.end()));
  // A payload type of that range is RTP, with the marker bit or without.
  call.phones[0].send(call.facing(0), 72);
  call.phones[0].send(call.facing(0), 200);
  CHECK(call.phones[1].hears() && call.phones[1].hears());
}

TEST("only what a stream is for teaches where its packets go") {
  TestRelay relay;
  Fixture call;
  const Phone stranger;
  std::array<std::uint8_t, 40> stun{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  std::array<std::uint8_t, 40> dtls{22, 0xfe, 0xff};
  std::array<std::uint8_t, 40> noise{0x41};
  CHECK(relay.apply(call.plan));
  // RTP
  for (const std::span<const std::uint8_t> bytes :
       std::array<std::span<const std::uint8_t>, 4>{kReport, stun, dtls, noise})
    stranger.send_bytes(call.facing(0), bytes);
  call.phones[1].send(call.facing(1));
  CHECK(call.phones[0].hears() && !stranger.hears(20));
  // Secured media begins with DTLS.
  PlanSpec secured = call.plan;
  secured.streams[0].kind = StreamKind::kOpaque;
  secured.transports[0].generation = 1;
  CHECK(relay.apply(secured));
  stranger.send_bytes(call.facing(0), dtls);
  CHECK(eventually([&] {
    call.phones[1].send(call.facing(1));
    return stranger.hears(20);
  }));
  // RTCP
  PlanSpec control = call.plan;
  control.streams[0].kind = StreamKind::kRtcp;
  // It leads nowhere: only what it teaches is looked at.
  control.routes.erase(control.routes.begin());
  control.transports[0].generation = 2;
  CHECK(relay.apply(control));
  stranger.send_bytes(call.facing(0), noise);
  stranger.send(call.facing(0));
  while (stranger.hears(20)) {
  }
  call.phones[1].send(call.facing(1));
  CHECK(call.phones[0].hears() && !stranger.hears(20));
  stranger.send_bytes(call.facing(0), kReport);
  CHECK(eventually([&] {
    call.phones[1].send(call.facing(1));
    return stranger.hears(20);
  }));
}

TEST("feedback goes only to a side that takes part in it") {
  TestRelay relay;
  Fixture call;
  std::vector<std::uint8_t> both(kReport.begin(), kReport.end());
  const std::array<std::uint8_t, 12> feedback{0x81, 206, 0, 2};
  both.insert(both.end(), feedback.begin(), feedback.end());
  // The sender hears itself, whole; the other one does not take part.
  add_routes(call.plan, {route(0, 1, RouteKind::kRtcp), route(0, 0, RouteKind::kRtcp)});
  RouteSpec& to_other = call.plan.routes[2];
  to_other.without_feedback = true;
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), both);
  CHECK(call.phones[0].receive() == both);
  CHECK(call.phones[1].receive() == std::vector<std::uint8_t>(kReport.begin(), kReport.end()));
  call.phones[0].send_bytes(call.facing(0), feedback);
  CHECK(call.phones[0].receive().size() == feedback.size() && !call.phones[1].hears(20));
  CallReading reading;
  CHECK(relay.read("call", reading));
  const StreamCounters& counters = reading.streams.at(0).stream->counters;
  CHECK(counters.drops[static_cast<std::size_t>(DropReason::kFeedback)].get() == 1);
  CHECK(counters.errors.get() == 0);
  // To a sender that takes no part either it goes as it is.
  to_other.without_feedback = false;
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), both);
  CHECK(call.phones[0].receive() == both && call.phones[1].receive() == both);
}

TEST("each recipient gets the headers that its route wants") {
  TestRelay relay;
  Fixture call;
  const Phone third;
  PortSpec port{2, Phone().address()};
  call.plan.ports.push_back(port);
  TransportSpec transport = call.plan.transports[1];
  transport.id = 2;
  transport.ports = {2};
  transport.egress_port = 2;
  transport.endpoint = transport.signalled = third.address();
  call.plan.transports.push_back(transport);
  StreamSpec stream;
  stream.id = stream.transport = 2;
  call.plan.streams.push_back(stream);
  add_routes(call.plan, {route(0, 2), route(0, 2, RouteKind::kRtcp)});
  Rewrite rewrite;
  rewrite.payload_types[0] = 9;
  rewrite.ssrcs = {{0, 77}, {7, 78}};
  rewrite.extensions.emplace();
  rewrite.extensions->mid_id = 3;
  rewrite.extensions->mid_size = 1;
  rewrite.extensions->mid[0] = 'm';
  call.plan.routes[2].rewrite = call.plan.routes[3].rewrite = rewrite;
  CHECK(relay.apply(call.plan));
  call.phones[0].send(call.facing(0));
  const std::vector<std::uint8_t> plain = call.phones[1].receive();
  CHECK(plain.size() == 172 && plain[0] == 0x80 && plain[1] == 0 && plain[11] == 0);
  const std::vector<std::uint8_t> changed = third.receive();
  CHECK(changed.size() == 180 && changed[0] == 0x90 && changed[1] == 9 && changed[11] == 77);
  CHECK(changed.size() == 180 && changed[16] == 0x30 && changed[17] == 'm');
  call.phones[0].send_bytes(call.facing(0), kReport);
  CHECK(third.receive()[7] == 78);
}

TEST("a failure to send is reported once, with its reason") {
  TestRelay relay;
  Fixture call;
  SocketAddress everybody;
  CHECK(parse_address("255.255.255.255", 9, everybody));
  call.plan.transports[1].endpoint = everybody;
  CHECK(relay.apply(call.plan));
  std::vector<TransportEventRecord> failures;
  const auto failing = [&] {
    call.phones[0].send(call.facing(0));
    std::vector<TransportEventRecord> events;
    relay.collect(events);
    for (auto& event : events)
      if ((event.events & kSendFailed) != 0)
        failures.push_back(std::move(event));
    return !failures.empty();
  };
  CHECK(eventually(failing));
  for (int i = 0; i < 20; ++i)
    (void)failing();
  CHECK(failures.size() == 1 && failures[0].transport_id == 1);
  CHECK(failures[0].send_error == EACCES && failures[0].send_failures >= 1);
  CHECK(failures[0].latch.endpoint == everybody);
}

TEST("what a payload type has in store for a packet") {
  TestRelay relay;
  Fixture call;
  PayloadRules rules;
  rules.otherwise = PayloadAction::kDrop;
  rules.types.fill(PayloadAction::kDrop);
  rules.types[101] = PayloadAction::kForward;
  rules.types[0] = PayloadAction::kSilencePcmu;
  call.plan.streams[0].payloads = rules;
  CHECK(relay.apply(call.plan));
  // In order: 8 is dropped, 101 is not, and 0 comes as silence.
  for (const std::uint8_t type : std::array<std::uint8_t, 3>{8, 101, 0})
    call.phones[0].send(call.facing(0), type);
  std::vector<std::uint8_t> first = call.phones[1].receive();
  std::vector<std::uint8_t> second = call.phones[1].receive();
  CHECK(first.size() == 172 && first[1] == 101 && first[171] == 0);
  CHECK(second.size() == 172 && second[1] == 0 && second[12] == 0xff && second[171] == 0xff);
  // What only looks like RTCP is one more payload type where RTCP is not muxed.
  call.phones[0].send(call.facing(0), 200);
  call.phones[1].send(call.facing(1), 8);
  CHECK(call.phones[0].hears() && !call.phones[1].hears(50));
  // The rules end while packets come.
  call.plan.streams[0].payloads.reset();
  CHECK(relay.apply(call.plan));
  call.phones[0].send(call.facing(0), 8);
  CHECK(call.phones[1].hears());
}

TEST("events name what was learned, once") {
  TestRelay relay;
  Fixture call;
  CHECK(relay.apply(call.plan));
  for (int i = 0; i < 3; ++i)
    call.phones[0].send(call.facing(0));
  for (int i = 0; i < 3; ++i)
    CHECK(call.phones[1].hears());
  std::vector<TransportEventRecord> events;
  CHECK(eventually([&] {
    relay.collect(events);
    return !events.empty();
  }));
  std::uint32_t bits = 0;
  for (const auto& event : events)
    bits |= event.events;
  CHECK(bits == (kFirstPacket | kEndpointLearned));
  CHECK(events.back().latch.endpoint == call.phones[0].address());
}

TEST("a packet that strict source rejects is no sign of life") {
  TestRelay relay;
  Fixture call;
  call.plan.transports[0].flags = kStrictSource | kConfirmed;
  CHECK(relay.apply(call.plan));
  const Phone stranger;
  stranger.send(call.facing(0));
  const auto reading = [&] {
    CallReading found;
    CHECK(relay.read("call", found));
    return found.streams.at(0);
  };
  CHECK(eventually([&] { return reading().stream->counters.errors.get() == 1; }));
  CHECK(reading().stream->counters.packets.get() == 0 &&
        reading().stream->counters.last_packet.get() == 0);
  CHECK(relay.last_packet("call") == 0 && relay.last_packet("another") == 0);
  std::vector<TransportEventRecord> events;
  relay.collect(events);
  CHECK(events.empty());
  call.phones[0].send(call.facing(0));
  CHECK(call.phones[1].hears());
  CHECK(eventually([&] { return reading().stream->counters.last_packet.get() > 0; }));
}

TEST("RTP of a payload type that its sender has not announced is an error, and goes on") {
  TestRelay relay;
  Fixture call;
  call.plan.streams[0].announced = {1, 0};
  CHECK(relay.apply(call.plan));
  const auto counters = [&](std::uint64_t errors) {
    CallReading found;
    CHECK(relay.read("call", found));
    const StreamCounters& counted = found.streams.at(0).stream->counters;
    return counted.errors.get() == errors && counted.packets.get() == errors + 1;
  };
  call.phones[0].send(call.facing(0), 0);
  CHECK(call.phones[1].hears());
  CHECK(eventually([&] { return counters(0); }));
  call.phones[0].send(call.facing(0), 64);
  CHECK(call.phones[1].hears());
  CHECK(eventually([&] { return counters(1); }));
}

TEST("a busy port changes nothing") {
  TestRelay relay;
  Fixture call;
  CHECK(relay.apply(call.plan));
  PlanSpec changed = call.plan;
  changed.ports.push_back({7, call.phones[0].address()});
  changed.transports[0].ports.push_back(7);
  std::vector<PortFailure> failures;
  CHECK(relay.reconcile(encode_plan(changed), failures) == PlanError::kNone);
  CHECK(failures.size() == 1 && failures[0].port_id == 7 && failures[0].error == EADDRINUSE);
  call.phones[0].send(call.facing(0));
  CHECK(call.phones[1].hears());
}

TEST("snapshots are exchanged under traffic without losing counters") {
  TestRelay relay;
  Fixture call;
  CHECK(relay.apply(call.plan));
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> sent{0};
  std::thread sender([&] {
    while (!done.load()) {
      call.phones[0].send(call.facing(0));
      sent.fetch_add(1);
      (void)call.phones[1].hears(20);
    }
  });
  std::vector<TransportEventRecord> events;
  for (int i = 0; i < 500; ++i) {
    call.plan.streams[0].clock_rate = static_cast<std::uint32_t>(8000 + i);
    call.plan.transports[1].generation = static_cast<std::uint32_t>(i);
    CHECK(relay.apply(call.plan));
    relay.collect(events);
    CallReading reading;
    CHECK(relay.read("call", reading));
  }
  done.store(true);
  sender.join();
  CHECK(eventually([&] { return relay.totals().packets == sent.load(); }));
}

TEST("calls end under traffic and their ports can be used at once") {
  TestRelay relay;
  Fixture call;
  std::atomic<bool> done{false};
  std::thread sender([&] {
    while (!done.load()) {
      call.phones[0].send(call.facing(0));
      call.phones[0].send(call.facing(0), 201);
      (void)call.phones[1].hears(1);
    }
  });
  for (int i = 0; i < 300; ++i) {
    CHECK(relay.apply(call.plan));
    CHECK(relay.end("call"));
  }
  done.store(true);
  sender.join();
  CallReading reading;
  CHECK(!relay.read("call", reading));
}

TEST("a relay with calls under traffic closes") {
  Fixture call;
  {
    TestRelay relay;
    CHECK(relay.apply(call.plan));
    call.phones[0].send(call.facing(0));
  }
  TestRelay next;
  CHECK(next.apply(call.plan));
}

TEST("a stream of RTCP is no active one") {
  TestRelay relay;
  Fixture call;
  call.plan.streams[0].kind = StreamKind::kRtcp;
  CHECK(relay.apply(call.plan));
  CHECK(relay.active_streams() == 0);
  call.phones[0].send_bytes(call.facing(0), kReport);
  CHECK(eventually([&] {
    CallReading reading;
    return relay.read("call", reading) && reading.streams.at(0).stream->counters.packets.get() == 1;
  }));
  CHECK(relay.active_streams() == 0);
  CHECK(eventually([&] {
    call.phones[1].send(call.facing(1));
    return relay.active_streams() == 1;
  }));
}
