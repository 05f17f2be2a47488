// Changes of the plans of large calls: what they name becomes what a whole plan would make of it,
// and nothing else is touched.
#include <atomic>
#include <thread>

#include "loopback.h"

using namespace rtprelay;

namespace {

constexpr std::uint32_t kStreams = 40;

/// Stream 0 hears all others and is heard by them; two of those are phones. Each has the port of
/// its own id, the streams behind the phones have none.
struct LargeCall {
  LargeCall() {
    plan.call_id = "call";
    for (std::uint32_t i = 0; i < kStreams; ++i) {
      TransportSpec transport;
      transport.id = i;
      StreamSpec stream;
      stream.id = stream.transport = i;
      plan.transports.push_back(transport);
      plan.streams.push_back(stream);
    }
    for (std::uint32_t i = 0; i < phones.size(); ++i)
      face(plan.transports[i], phones[i], plan.ports, i);
    for (std::uint32_t i = 1; i < kStreams; ++i)
      add_routes(plan, {route(0, i)});
    for (std::uint32_t i = 1; i < kStreams; ++i)
      add_routes(plan, {route(i, 0)});
  }

  static void face(TransportSpec& transport, const Phone& phone, std::vector<PortSpec>& ports,
                   std::uint32_t port) {
    ports.push_back({port, Phone().address()});
    transport.learning = Learning::kImmediate;
    transport.endpoint = transport.signalled = phone.address();
    transport.egress_port = port;
    transport.ports.push_back(port);
  }

  /// A part as it is, with no new ports and no more routes.
  [[nodiscard]] PartSpec part(std::size_t position) const {
    PartSpec part;
    part.position = position;
    part.transport = plan.transports[position];
    part.transport.ports.clear();
    part.stream = plan.streams[position];
    part.adds_routes = true;
    return part;
  }
  [[nodiscard]] PlanChangeSpec change(std::initializer_list<std::size_t> positions) const {
    PlanChangeSpec change;
    change.call_id = plan.call_id;
    change.tos = plan.tos;
    for (const std::size_t position : positions)
      change.parts.push_back(part(position));
    return change;
  }
  /// The stream behind the others, between stream 0 and a phone.
  [[nodiscard]] PlanChangeSpec one_more(const Phone& phone) const {
    const auto id = static_cast<std::uint32_t>(plan.streams.size());
    PlanChangeSpec more = change({0});
    more.parts[0].routes = {route(0, id)};
    PartSpec added;
    added.position = id;
    added.transport.id = added.stream.id = added.stream.transport = id;
    face(added.transport, phone, more.ports, id);
    added.routes = {route(id, 0)};
    more.parts.push_back(added);
    return more;
  }
  [[nodiscard]] SocketAddress facing(std::uint32_t port) const {
    for (const PortSpec& each : plan.ports)
      if (each.id == port)
        return each.local;
    return {};
  }

  std::array<Phone, 3> phones;
  PlanSpec plan;
};

struct ChangingRelay : TestRelay {
  PlanError change(const PlanChangeSpec& change) {
    std::vector<PortFailure> failures;
    const PlanError error = reconcile(encode_change(change), failures);
    return failures.empty() ? error : PlanError::kBadAddress;
  }
  /// Tells it, and has the call be what a whole plan would have made of it.
  bool change(LargeCall& call, const PlanChangeSpec& change) {
    call.plan = changed(call.plan, change);
    return this->change(change) == PlanError::kNone;
  }
};

/// The source of what comes; not valid: nothing does.
SocketAddress heard_from(const Phone& phone) {
  KernelAddress source{};
  socklen_t length = sizeof(source);
  std::array<std::uint8_t, 2000> room{};
  pollfd ready{phone.fd(), POLLIN, 0};
  if (poll(&ready, 1, 2000) <= 0 ||
      recvfrom(phone.fd(), room.data(), room.size(), 0, &source.generic, &length) < 0)
    return {};
  return from_kernel(source);
}

} // namespace

TEST("a branch that a change adds is heard and hears, and the others as before") {
  ChangingRelay relay;
  LargeCall call;
  CHECK(relay.apply(call.plan));
  const Phone added;
  CHECK(relay.change(call, call.one_more(added)));
  call.phones[0].send(call.facing(0));
  CHECK(heard_from(call.phones[1]) == call.facing(1));
  CHECK(heard_from(call.phones[2]) == call.facing(2));
  CHECK(heard_from(added) == call.facing(kStreams));
  added.send(call.facing(kStreams));
  CHECK(heard_from(call.phones[0]) == call.facing(0));
  call.phones[1].send(call.facing(1));
  CHECK(heard_from(call.phones[0]) == call.facing(0));
  CallReading reading;
  CHECK(relay.read("call", reading) && reading.streams.size() == kStreams + 1);
  CHECK(reading.streams.back().latch.endpoint == added.address());
}

TEST("routes that are not in the change lead where it says, and leave by the port that it says") {
  ChangingRelay relay;
  LargeCall call;
  CHECK(relay.apply(call.plan));
  // Another port, and another phone: what others send to it leaves there.
  const Phone other;
  PlanChangeSpec moved = call.change({0});
  TransportSpec& transport = moved.parts[0].transport;
  LargeCall::face(transport, other, moved.ports, 100);
  transport.generation += 1;
  CHECK(relay.change(call, moved));
  call.phones[1].send(call.facing(1));
  CHECK(heard_from(other) == call.facing(100));
  // Both of its ports are open, and the first one closes without any harm to that.
  other.send(call.facing(0));
  CHECK(call.phones[1].hears() && call.phones[2].hears());
  PlanChangeSpec closed = call.change({0});
  closed.closed = {0};
  CHECK(relay.change(call, closed));
  call.phones[2].send(call.facing(2));
  CHECK(eventually([&] { return other.hears(20); }));
  // NAT-wait is the receiver's, whoever sends.
  const Phone added;
  CHECK(relay.change(call, call.one_more(added)));
  PlanChangeSpec waiting = call.change({kStreams});
  waiting.parts[0].transport.flags = kNatWait;
  CHECK(relay.change(call, waiting));
  other.send(call.facing(100));
  CHECK(call.phones[1].hears() && !added.hears(20));
  added.send(call.facing(kStreams));
  CHECK(eventually([&] {
    other.send(call.facing(100));
    return added.hears(20);
  }));
}

TEST("routes come to those before, or take their place") {
  ChangingRelay relay;
  LargeCall call;
  CHECK(relay.apply(call.plan));
  PlanChangeSpec fewer = call.change({0});
  fewer.parts[0].adds_routes = false;
  fewer.parts[0].routes = {route(0, 1)};
  CHECK(relay.change(call, fewer));
  call.phones[0].send(call.facing(0));
  CHECK(call.phones[1].hears() && !call.phones[2].hears(20));
  // So many times that the list grows beyond its room, and once more.
  constexpr int kMore = 30;
  for (int i = 0; i < kMore; ++i)
    CHECK(relay.change(call, call.one_more(call.phones[2])));
  call.phones[0].send(call.facing(0));
  CHECK(call.phones[1].hears());
  for (int i = 0; i < kMore; ++i)
    CHECK(call.phones[2].hears());
  CHECK(!call.phones[1].hears(20) && !call.phones[2].hears(1));
  PlanChangeSpec again = call.change({0});
  again.parts[0].routes = {route(0, 2), route(0, 2, RouteKind::kRtcp)};
  CHECK(relay.change(call, again));
  call.phones[0].send_bytes(call.facing(0), kReport);
  CHECK(call.phones[2].receive().size() == kReport.size());
  // What comes after it may be a whole plan.
  CHECK(relay.apply(call.plan));
  call.phones[0].send(call.facing(0));
  CHECK(call.phones[1].hears() && call.phones[2].hears());
}

TEST("a change that does not fit its call is refused and changes nothing") {
  ChangingRelay relay;
  LargeCall call;
  const auto outcome = [&](PlanChangeSpec change, auto edit) {
    edit(change);
    return relay.change(change);
  };
  const auto nothing = [](PlanChangeSpec&) {};
  CHECK(outcome(call.change({0}), nothing) == PlanError::kUnknownPlan);
  CHECK(relay.apply(call.plan));
  const PlanError bad = PlanError::kBadValue;
  const PlanError unknown = PlanError::kUnknownId;
  // Streams that are not those.
  CHECK(outcome(call.change({1}), [](auto& c) { c.parts[0].position = 2; }) == bad);
  CHECK(outcome(call.one_more(call.phones[0]), [](auto& c) { c.parts[1].position += 1; }) == bad);
  CHECK(outcome(call.one_more(call.phones[0]), [](auto& c) {
          c.parts[1].stream.id = 1;
          c.parts[1].routes.clear();
          c.parts[0].routes.clear();
        }) == bad);
  // Routes to nowhere.
  CHECK(outcome(call.change({1}), [](auto& c) { c.parts[0].routes = {route(1, 99)}; }) == unknown);
  // Ports: without an owner, with two, of nobody, there already, closed twice, in use.
  CHECK(outcome(call.one_more(call.phones[0]), [](auto& c) { c.parts[1].transport.ports = {}; }) ==
        bad);
  CHECK(outcome(call.one_more(call.phones[0]),
                [](auto& c) { c.parts[0].transport.ports = c.parts[1].transport.ports; }) == bad);
  CHECK(outcome(call.change({1}), [](auto& c) { c.parts[0].transport.ports = {2}; }) == unknown);
  CHECK(outcome(call.change({1}), [](auto& c) { c.parts[0].transport.egress_port = 99; }) ==
        unknown);
  CHECK(outcome(call.change({1}), [&](auto& c) { c.ports = {call.plan.ports[1]}; }) ==
        PlanError::kUnknownPlan);
  CHECK(outcome(call.change({1}), [](auto& c) { c.closed = {1, 1}; }) == PlanError::kDuplicateId);
  CHECK(outcome(call.change({1}), [](auto& c) { c.closed = {1}; }) == unknown);
  CHECK(outcome(call.change({1}), [](auto& c) { c.closed = {99}; }) == unknown);
  CHECK(outcome(call.change({0}), [](auto& c) {
          c.closed = {1};
          c.parts[0].transport.egress_port = kNoPort;
        }) == bad);
  // Another transport sends from it.
  CHECK(relay.change(call, [&] {
    PlanChangeSpec borrows = call.change({2});
    borrows.parts[0].transport.egress_port = 1;
    return borrows;
  }()));
  CHECK(outcome(call.change({1}), [](auto& c) {
          c.closed = {1};
          c.parts[0].transport.egress_port = kNoPort;
        }) == unknown);
  // An address that is in use: no port, no change.
  CHECK(outcome(call.one_more(call.phones[0]), [&](auto& c) {
          c.ports[0].local = call.phones[2].address();
        }) == PlanError::kBadAddress);
  call.phones[0].send(call.facing(0));
  CHECK(heard_from(call.phones[1]) == call.facing(1) &&
        heard_from(call.phones[2]) == call.facing(1));
  CHECK(relay.change(call, call.one_more(call.phones[1])));
  // Of a small call nothing is known.
  Fixture small("small");
  CHECK(relay.apply(small.plan));
  PlanChangeSpec change;
  change.call_id = "small";
  CHECK(relay.change(change) == PlanError::kUnknownPlan);
}

TEST("changes come under traffic, and what they replace is given back") {
  ChangingRelay relay;
  LargeCall call;
  CHECK(relay.apply(call.plan));
  std::atomic<bool> done{false};
  std::thread sender([&] {
    while (!done.load()) {
      call.phones[0].send(call.facing(0));
      call.phones[1].send(call.facing(1));
      (void)call.phones[1].hears(1);
      (void)call.phones[0].hears(1);
    }
  });
  std::vector<TransportEventRecord> events;
  for (int i = 0; i < 200; ++i) {
    PlanChangeSpec change = call.change({0, 1});
    change.parts[0].transport.generation = static_cast<std::uint32_t>(i);
    change.parts[0].routes = {route(0, 3), route(0, 3, RouteKind::kRtcp)};
    if (i % 16 == 0)
      change.parts[1].adds_routes = false;
    CHECK(relay.ChangingRelay::change(change) == PlanError::kNone);
    relay.collect(events);
    CallReading reading;
    CHECK(relay.read("call", reading));
  }
  CHECK(relay.apply(call.plan));
  CHECK(relay.end("call"));
  done.store(true);
  sender.join();
}

TEST("a process that stands by is told by changes, too, and goes on from what they say") {
  RelayOptions options;
  options.dormant = true;
  Relay relay(options, {ignore, nullptr});
  int error = 0;
  CHECK(relay.start(error));
  LargeCall call;
  std::vector<PortFailure> failures;
  CHECK(relay.reconcile(encode_plan(call.plan), failures) == PlanError::kNone);
  const Phone added;
  PlanChangeSpec more = call.one_more(added);
  more.parts[0].stream.packets = 7;
  more.parts[0].stream.bytes = 700;
  CHECK(relay.reconcile(encode_change(more), failures) == PlanError::kNone && failures.empty());
  call.plan = changed(call.plan, more);
  CHECK(relay.activate());
  call.phones[0].send(call.facing(0));
  CHECK(heard_from(added) == call.facing(kStreams));
  std::array<double, 5> heard{};
  CHECK(eventually([&] {
    return relay.heard("call", heard) >= heard.size() && heard[0] == 0 && heard[1] == 8;
  }));
}
