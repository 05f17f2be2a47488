// ICE: two agents on a simulated network, and one agent against packets made by hand.
#include <algorithm>
#include <deque>
#include <functional>
#include <random>
#include <utility>

#include "../../native/ice/agent.h"
#include "check.h"

using namespace rtprelay;
using namespace rtprelay::ice;

namespace {

using Bytes = std::vector<std::uint8_t>;

SocketAddress at(const char* host, std::uint16_t port) {
  SocketAddress address;
  CHECK(parse_address(host, port, address));
  return address;
}

/// An agent with its addresses, and what it has said.
struct Node : Outlet {
  explicit Node(unsigned seed) : random_engine(seed) {}

  std::mt19937 random_engine;
  std::vector<SocketAddress> addresses;
  std::deque<std::pair<Route, Bytes>> sent;
  std::vector<Route> routes;
  std::vector<AgentStatus> statuses;
  Agent agent{*this};

  void transmit(const Route& route, std::span<const std::uint8_t> packet) override {
    sent.emplace_back(route, Bytes(packet.begin(), packet.end()));
  }
  void selected(const Route& route) override { routes.push_back(route); }
  void status_changed(AgentStatus status) override { statuses.push_back(status); }
  void random(std::span<std::uint8_t> out) override {
    for (std::uint8_t& octet : out)
      octet = static_cast<std::uint8_t>(random_engine());
  }
};

struct Flight {
  Micros arrives;
  SocketAddress from;
  SocketAddress to;
  Bytes packet;
};

/// Loses and delays what nodes send each other; time passes from event to event.
struct Network {
  explicit Network(unsigned seed) : random_engine(seed) {}

  std::mt19937 random_engine;
  std::vector<Node*> nodes;
  std::vector<Flight> flights;
  unsigned loss_percent = 0;
  Micros now = 1'000'000;
  std::function<bool(const SocketAddress& from, const SocketAddress& to)> blocked =
      [](const SocketAddress&, const SocketAddress&) { return false; };
  std::size_t delivered = 0;

  void collect(Node& node) {
    while (!node.sent.empty()) {
      auto [route, packet] = std::move(node.sent.front());
      node.sent.pop_front();
      const SocketAddress from = node.addresses.at(route.path);
      if (blocked(from, route.remote) || random_engine() % 100 < loss_percent)
        continue;
      const Micros delay = 1000 + static_cast<Micros>(random_engine() % 60'000);
      flights.push_back({now + delay, from, route.remote, std::move(packet)});
    }
  }

  void deliver(const Flight& flight) {
    for (Node* node : nodes) {
      const auto found = std::ranges::find(node->addresses, flight.to);
      if (found == node->addresses.end())
        continue;
      const auto path = static_cast<std::uint8_t>(found - node->addresses.begin());
      ++delivered;
      CHECK(looks_like_stun(flight.packet));
      node->agent.on_packet(flight.packet, {path, flight.from}, now);
    }
  }

  /// Until `done` holds or `micros` have passed; says whether it held.
  bool run(
      Micros micros, const std::function<bool()>& done = [] { return false; }) {
    const Micros end = now + micros;
    for (int steps = 0; steps < 200'000 && now <= end; ++steps) {
      for (Node* node : nodes) {
        node->agent.advance(now);
        collect(*node);
      }
      if (done())
        return true;
      Micros next = end + 1;
      for (const Node* node : nodes)
        next = std::min(next, node->agent.deadline());
      for (const Flight& flight : flights)
        next = std::min(next, flight.arrives);
      now = std::max(next, now);
      if (now > end)
        break;
      std::vector<Flight> due;
      std::erase_if(flights, [this, &due](const Flight& flight) {
        if (flight.arrives > now)
          return false;
        due.push_back(flight);
        return true;
      });
      for (const Flight& flight : due)
        deliver(flight);
    }
    now = end;
    return done();
  }
};

const Credentials kOurs{"ours", "our password of 22 let"};
const Credentials kTheirs{"theirs", "their password 22 char"};

AgentSettings settings(bool first, bool controlling, std::size_t paths = 1) {
  AgentSettings out;
  out.controlling = controlling;
  out.tie_breaker = first ? 1000 : 2000;
  out.local = first ? kOurs : kTheirs;
  out.remote = first ? kTheirs : kOurs;
  out.paths.assign(paths, Family::kIpv4);
  return out;
}

constexpr std::uint32_t kHost = candidate_priority(kHostPreference, 0, 1);

struct Call {
  explicit Call(unsigned seed, bool a_controls = true, bool b_controls = false)
      : network(seed), a(seed + 1), b(seed + 2) {
    a.addresses = {at("192.0.2.1", 1000)};
    b.addresses = {at("192.0.2.2", 2000)};
    network.nodes = {&a, &b};
    CHECK(a.agent.configure(settings(true, a_controls), network.now));
    CHECK(b.agent.configure(settings(false, b_controls), network.now));
  }
  void exchange() {
    for (std::size_t i = 0; i < b.addresses.size(); ++i)
      a.agent.add_remote(
          {b.addresses[i], candidate_priority(kHostPreference, static_cast<std::uint32_t>(i), 1)});
    for (std::size_t i = 0; i < a.addresses.size(); ++i)
      b.agent.add_remote(
          {a.addresses[i], candidate_priority(kHostPreference, static_cast<std::uint32_t>(i), 1)});
  }
  [[nodiscard]] bool connected() const {
    return a.agent.has_route() && b.agent.has_route() &&
           a.agent.status() == AgentStatus::kConnected &&
           b.agent.status() == AgentStatus::kConnected;
  }
  /// Both send where the other receives.
  [[nodiscard]] bool agrees() const {
    return connected() && a.addresses[b_path()] == b.agent.route().remote &&
           a.agent.route().remote == b.addresses[b.agent.route().path];
  }
  [[nodiscard]] std::size_t b_path() const { return a.agent.route().path; }

  Network network;
  Node a;
  Node b;
};

struct Request {
  std::string_view local = kOurs.ufrag;
  std::string_view remote = kTheirs.ufrag;
  std::string_view password = kOurs.password;
  bool controlling = false;
  std::uint64_t tie_breaker = 5;
  bool nominates = false;
  std::uint32_t priority = kHost;
};

Bytes make(const Request& request) {
  StunWriter writer(StunClass::kRequest, {1, 2, 3});
  writer.username(request.local, request.remote);
  writer.role(request.controlling, request.tie_breaker);
  if (request.nominates)
    writer.use_candidate();
  writer.priority(request.priority);
  StunKey key;
  CHECK(key.set(request.password));
  const auto bytes = writer.finish(&key);
  return {bytes.begin(), bytes.end()};
}

/// What `node` has answered last.
StunMessage last(const Node& node) {
  StunMessage message;
  CHECK(!node.sent.empty());
  if (!node.sent.empty())
    CHECK(read_stun(node.sent.back().second, message));
  return message;
}

struct Alone {
  explicit Alone(Mode mode = Mode::kFull, bool controlling = true) {
    node.addresses = {at("192.0.2.1", 1000)};
    AgentSettings given = settings(true, controlling);
    given.mode = mode;
    CHECK(node.agent.configure(given, 0));
  }
  void receive(const Bytes& packet, Micros now = 1) { node.agent.on_packet(packet, peer, now); }
  void answer(Micros now, bool success = true) {
    StunMessage check;
    CHECK(read_stun(node.sent.back().second, check));
    StunWriter writer(success ? StunClass::kSuccess : StunClass::kError, check.id);
    if (success)
      writer.mapped_address(node.addresses[0]);
    else
      writer.error(kRoleConflict);
    StunKey key;
    CHECK(key.set(kTheirs.password));
    const auto bytes = writer.finish(&key);
    node.agent.on_packet(bytes, node.sent.back().first, now);
  }
  Node node{7};
  Route peer{0, at("192.0.2.9", 9000)};
};

} // namespace

TEST(
    "ICE: two agents find each other over lossy networks, and both send where the other receives") {
  for (unsigned seed = 1; seed <= 150; ++seed) {
    Call call(seed);
    call.network.loss_percent = seed % 40;
    call.exchange();
    CHECK(call.network.run(29'000'000, [&call] { return call.agrees(); }));
  }
}

TEST("ICE: a role conflict of either kind is settled, and one of them controls") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    const bool both = seed % 2 == 0;
    Call call(seed, both, both);
    call.network.loss_percent = seed % 20;
    call.exchange();
    CHECK(call.network.run(29'000'000, [&call] {
      return call.agrees() && call.a.agent.controlling() != call.b.agent.controlling();
    }));
    call.network.run(2'000'000);
    CHECK(call.agrees());
  }
}

TEST("ICE: a candidate that nobody announced is learned from the peer's check") {
  Call call(3);
  // a does not know b's address; b knows a's.
  call.b.agent.add_remote({call.a.addresses[0], kHost});
  CHECK(call.network.run(5'000'000, [&call] { return call.agrees(); }));
  CHECK(call.a.agent.route().remote == call.b.addresses[0]);
}

TEST("ICE: candidates may trickle in, and an agent that has none of the peer's waits for them") {
  Call call(4);
  call.network.run(20'000'000);
  CHECK(!call.connected() && call.network.delivered == 0);
  call.exchange();
  CHECK(call.network.run(5'000'000, [&call] { return call.agrees(); }));
}

TEST("ICE: of two addresses on each side the best pair that works is used by both") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    Call call(seed);
    call.a.addresses = {at("192.0.2.1", 1000), at("198.51.100.1", 1000)};
    call.b.addresses = {at("192.0.2.2", 2000), at("198.51.100.2", 2000)};
    CHECK(call.a.agent.configure(settings(true, true, 2), call.network.now));
    CHECK(call.b.agent.configure(settings(false, false, 2), call.network.now));
    // Only the worse of the addresses reach each other.
    const SocketAddress dead = call.a.addresses[0];
    call.network.blocked = [dead, seed](const SocketAddress& from, const SocketAddress& to) {
      return seed % 2 == 0 && (from == dead || to == dead);
    };
    call.network.loss_percent = seed % 10;
    call.exchange();
    CHECK(call.network.run(29'000'000, [&call] { return call.agrees(); }));
    call.network.run(3'000'000);
    CHECK(call.agrees());
    CHECK(call.a.agent.route().path == (seed % 2 == 0 ? 1 : 0) || seed % 10 > 0);
  }
}

TEST("ICE: a restart keeps media on its way until the new pair is found") {
  Call call(5);
  call.exchange();
  CHECK(call.network.run(5'000'000, [&call] { return call.agrees(); }));
  AgentSettings first = settings(true, true);
  AgentSettings second = settings(false, false);
  first.local = second.remote = {"again", "another password 22 ch"};
  first.remote = second.local = {"anew", "and one more of 22 cha"};
  CHECK(call.a.agent.configure(first, call.network.now));
  CHECK(call.a.agent.has_route() && call.a.agent.admits(call.a.agent.route()));
  CHECK(call.a.agent.status() == AgentStatus::kChecking);
  // The peer has not got the offer yet: what it asks is answered as before.
  call.a.sent.clear();
  call.a.agent.on_packet(make({}), {0, call.b.addresses[0]}, call.network.now);
  CHECK(last(call.a).kind == StunClass::kSuccess);
  CHECK(call.b.agent.configure(second, call.network.now));
  call.exchange();
  CHECK(call.network.run(5'000'000, [&call] { return call.agrees(); }));
  CHECK(call.a.routes.size() == 1);
}

TEST("ICE: a check of the peer's new generation under our former one is not answered") {
  Alone alone;
  AgentSettings again = settings(true, true);
  again.local = {"again", "another password 22 ch"};
  again.remote = {"anew", "and one more of 22 cha"};
  // The offer that restarts has not come: the peer is known by its former name.
  alone.receive(make({.remote = "anew"}));
  CHECK(last(alone.node).error == kUnauthenticated);
  CHECK(alone.node.agent.configure(again, 2));
  alone.receive(make({.remote = "anew"}));
  CHECK(last(alone.node).error == kUnauthenticated);
  alone.receive(make({}));
  CHECK(last(alone.node).kind == StunClass::kSuccess);
  CHECK(!alone.node.agent.has_route());
  alone.receive(make({.local = "again", .remote = "anew", .password = again.local.password}));
  CHECK(last(alone.node).kind == StunClass::kSuccess);
}

TEST("ICE: a restart of ours is answered by checks before the peer's new credentials are known") {
  Alone alone;
  AgentSettings again = settings(true, true);
  again.local = {"again", "another password 22 ch"};
  CHECK(alone.node.agent.configure(again, 2));
  const Bytes early = make({.local = "again", .remote = "anew", .password = again.local.password});
  alone.receive(early);
  CHECK(last(alone.node).kind == StunClass::kSuccess);
  again.remote = {"anew", "and one more of 22 cha"};
  CHECK(alone.node.agent.configure(again, 3));
  alone.receive(early);
  CHECK(last(alone.node).kind == StunClass::kSuccess);
  alone.receive(make({.local = "again", .remote = "other", .password = again.local.password}));
  CHECK(last(alone.node).error == kUnauthenticated);
}

TEST("ICE: consent is asked for, lost 30 s after the last answer, and regained by an answer") {
  Call call(6);
  call.exchange();
  CHECK(call.network.run(5'000'000, [&call] { return call.agrees(); }));
  call.network.run(120'000'000);
  CHECK(call.connected() && call.network.delivered < 200);
  bool cut = true;
  call.network.blocked = [&cut](const SocketAddress&, const SocketAddress&) { return cut; };
  const Micros since = call.network.now;
  const auto lost = [&call] { return call.a.agent.status() == AgentStatus::kDisconnected; };
  CHECK(call.network.run(60'000'000, lost));
  CHECK(call.network.now - since > 20'000'000 && call.network.now - since < 31'000'000);
  call.network.run(100'000'000);
  cut = false;
  CHECK(call.network.run(3'000'000, [&call] { return call.agrees(); }));
}

TEST("ICE: the controlling side's peer that moves to a worse pair is followed when it left the "
     "better") {
  Alone alone(Mode::kFull, false);
  Agent& agent = alone.node.agent;
  const Route better = alone.peer;
  alone.receive(make({.controlling = true, .nominates = true}));
  agent.advance(2);
  alone.answer(3);
  CHECK(agent.route() == better);
  alone.peer = {0, at("192.0.2.10", 9000)};
  const Bytes worse = make({.controlling = true, .nominates = true, .priority = 1000});
  alone.receive(worse, 1'000'000);
  agent.advance(1'000'001);
  alone.answer(1'000'002);
  CHECK(agent.route() == better);
  alone.receive(worse, 4'000'000);
  CHECK(agent.route() == alone.peer);
}

TEST("ICE: lite answers, follows nominations, and asks nothing") {
  Alone alone(Mode::kLite, false);
  Agent& agent = alone.node.agent;
  agent.add_remote({alone.peer.remote, kHost});
  agent.advance(1);
  CHECK(alone.node.sent.empty());
  alone.receive(make({.controlling = true}));
  CHECK(last(alone.node).kind == StunClass::kSuccess && !agent.has_route());
  CHECK(last(alone.node).mapped == alone.peer.remote);
  alone.receive(make({.controlling = true, .nominates = true}));
  CHECK(agent.has_route() && agent.route() == alone.peer);
  // As long as the peer's checks come, here every 5 s, it sends nothing but answers.
  for (Micros now = 2; now < 100'000'000; now += 1'000'000) {
    if (now % 5'000'000 == 2)
      alone.receive(make({.controlling = true}), now);
    alone.node.sent.clear();
    agent.advance(now);
    CHECK(alone.node.sent.empty() && agent.status() == AgentStatus::kConnected);
  }
  // It can't control, whatever the numbers are.
  alone.receive(make({.controlling = false, .tie_breaker = 0}));
  CHECK(last(alone.node).error == kRoleConflict && !agent.controlling());
}

TEST("ICE: lite asks a peer that has fallen silent, until it is heard or answers") {
  Alone alone(Mode::kLite, false);
  Agent& agent = alone.node.agent;
  const auto nominate = [&](Micros now) {
    alone.receive(make({.controlling = true, .nominates = true}), now);
    agent.advance(now);
  };
  nominate(1);
  alone.node.sent.clear();
  std::size_t rounds = 0;
  Micros now = 1;
  for (; now < 40'000'000 && rounds < 1000; ++rounds) {
    now = std::max(agent.deadline(), now + 1);
    const AgentStatus before = agent.status();
    agent.advance(now);
    if (before == AgentStatus::kConnected && agent.status() == AgentStatus::kDisconnected)
      CHECK(now == 30'000'001);
    if (now < 15'000'000)
      CHECK(alone.node.sent.empty());
  }
  // Once a second, and not more often; the peer controls.
  CHECK(alone.node.sent.size() >= 24 && alone.node.sent.size() <= 27 && rounds < 100);
  CHECK(last(alone.node).controlled.has_value() && !last(alone.node).use_candidate);
  CHECK(agent.status() == AgentStatus::kDisconnected && agent.has_route());
  alone.answer(now);
  agent.advance(now);
  CHECK(agent.status() == AgentStatus::kConnected);
  // Silent again, and heard.
  now += 16'000'000;
  agent.advance(now);
  agent.advance(now);
  alone.node.sent.clear();
  nominate(now + 1);
  alone.node.sent.clear();
  for (Micros later = now + 2; later < now + 10'000'000; later += 100'000)
    agent.advance(later);
  CHECK(alone.node.sent.empty() && agent.status() == AgentStatus::kConnected);
}

TEST("ICE: a peer that gives its role up only at the second 487 is refused twice") {
  Alone alone;
  for (int i = 0; i < 2; ++i) {
    alone.receive(make({.controlling = true, .tie_breaker = 999}));
    CHECK(last(alone.node).error == kRoleConflict);
  }
  alone.receive(make({.controlling = false, .tie_breaker = 999}));
  CHECK(last(alone.node).kind == StunClass::kSuccess && alone.node.agent.controlling());
}

TEST("ICE: a 487 flips the role and the tie-breaker, once for several of them") {
  Alone alone;
  Agent& agent = alone.node.agent;
  agent.add_remote({alone.peer.remote, kHost});
  agent.advance(1);
  CHECK(last(alone.node).controlling == 1000);
  alone.answer(2, false);
  CHECK(!agent.controlling());
  agent.advance(kPaceMicros + 1);
  CHECK(last(alone.node).controlled.has_value() && last(alone.node).controlled != 1000);
}

TEST("ICE: what is wrong with a check is said as browsers do it, and teaches nothing") {
  Alone alone;
  StunKey key;
  CHECK(key.set(kOurs.password));
  StunWriter nameless(StunClass::kRequest, {});
  const auto bytes = nameless.finish(&key);
  alone.receive({bytes.begin(), bytes.end()});
  CHECK(last(alone.node).error == kBadRequest && last(alone.node).integrity_at == 0);
  alone.receive(make({.password = "somebody's"}));
  CHECK(last(alone.node).error == kUnauthenticated && last(alone.node).integrity_at == 0);
  alone.receive(make({.local = "other"}));
  CHECK(last(alone.node).error == kUnauthenticated);
  alone.receive(make({.local = "our"}));
  CHECK(last(alone.node).error == kUnauthenticated);
  alone.receive(make({.remote = "somebody"}));
  CHECK(last(alone.node).error == kUnauthenticated);
  CHECK(!alone.node.agent.admits(alone.peer));
  alone.receive(make({}));
  CHECK(last(alone.node).kind == StunClass::kSuccess && alone.node.agent.admits(alone.peer));
}

TEST("ICE: answers count only from where the check went, with integrity, and to a check of ours") {
  Alone alone;
  Agent& agent = alone.node.agent;
  agent.add_remote({alone.peer.remote, kHost});
  agent.advance(1);
  StunMessage check;
  CHECK(read_stun(alone.node.sent.back().second, check));
  StunKey key;
  CHECK(key.set("wrong"));
  StunWriter forged(StunClass::kSuccess, check.id);
  agent.on_packet(forged.finish(&key), alone.peer, 2);
  CHECK(!agent.has_route());
  StunWriter open(StunClass::kError, check.id);
  open.error(kUnauthenticated);
  agent.on_packet(open.finish(nullptr), alone.peer, 2);
  CHECK(key.set(kTheirs.password));
  StunWriter unasked(StunClass::kSuccess, {9});
  agent.on_packet(unasked.finish(&key), alone.peer, 2);
  CHECK(!agent.has_route());
  alone.answer(3);
  CHECK(agent.has_route());
}

TEST("ICE: a peer that asks faster than the round trip takes does not keep us from an answer") {
  Alone alone;
  Agent& agent = alone.node.agent;
  agent.add_remote({alone.peer.remote, kHost});
  agent.advance(0);
  const auto first = alone.node.sent.back();
  for (Micros now = 60'000; now < 400'000; now += 60'000) {
    alone.receive(make({}), now);
    agent.advance(now);
  }
  alone.node.sent.push_back(first);
  alone.answer(400'000);
  CHECK(agent.has_route());
}

TEST("ICE: after a takeover it asks the last address until it is answered, also as lite") {
  for (const Mode mode : {Mode::kFull, Mode::kLite}) {
    Alone before(mode, false);
    before.receive(make({.controlling = true, .nominates = true}));
    before.node.agent.advance(2);
    if (mode == Mode::kFull)
      before.answer(3);
    CHECK(before.node.agent.has_route());
    const AgentState state = before.node.agent.state();
    Alone after(mode, false);
    Agent& agent = after.node.agent;
    CHECK(agent.restore(state, 0));
    CHECK(agent.has_route() && agent.route() == before.peer && agent.admits(before.peer));
    std::size_t count = 0;
    for (Micros now = 0; now <= 20'000'000; now += 10'000) {
      agent.advance(now);
      if (now == 1'000'000)
        CHECK(after.node.sent.size() >= 15);
      count = after.node.sent.size();
    }
    CHECK(count >= 50 && count < 80);
    CHECK(last(after.node).priority == candidate_priority(kPeerReflexivePreference, 0, 1));
    after.answer(20'000'001);
    after.node.sent.clear();
    agent.advance(20'000'002);
    agent.advance(23'000'000);
    CHECK(after.node.sent.empty());
  }
}

TEST("ICE: a call that moved to another address asks with a priority above all before") {
  Alone before;
  before.node.agent.add_remote({before.peer.remote, kHost});
  before.node.agent.advance(1);
  before.answer(2);
  AgentState state = before.node.agent.state();
  std::uint32_t priority = kHost;
  for (int move = 0; move < 3; ++move) {
    Alone after;
    ++state.settings.takeovers;
    CHECK(after.node.agent.restore(state, 0));
    after.node.agent.advance(0);
    const StunMessage check = last(after.node);
    CHECK(check.priority.value_or(0) > priority && check.priority.value_or(~0U) <= 0x7fffffff);
    CHECK(check.use_candidate);
    priority = check.priority.value_or(0);
    state = after.node.agent.state();
  }
}

TEST("ICE: while another node has the call it answers, and asks nothing until it takes over") {
  for (const Mode mode : {Mode::kFull, Mode::kLite}) {
    Alone before(mode, false);
    before.receive(make({.controlling = true, .nominates = true}));
    before.node.agent.advance(2);
    if (mode == Mode::kFull)
      before.answer(3);
    AgentState state = before.node.agent.state();
    state.settings.standby = true;
    Alone after(mode, false);
    Agent& agent = after.node.agent;
    CHECK(agent.restore(state, 0) && agent.deadline() == kNever);
    for (Micros now = 0; now <= 60'000'000; now += 100'000)
      agent.advance(now);
    CHECK(after.node.sent.empty() && agent.status() != AgentStatus::kDisconnected);
    // The address has come, and nobody has said so yet.
    after.receive(make({.controlling = true}), 60'000'001);
    agent.advance(60'000'001);
    CHECK(after.node.sent.size() == 1 && last(after.node).kind == StunClass::kSuccess);
    state.settings.standby = false;
    CHECK(agent.configure(state.settings, 60'000'002) && agent.deadline() == 60'000'002);
    agent.advance(60'000'002);
    CHECK(last(after.node).kind == StunClass::kRequest && agent.route() == before.peer);
  }
}

TEST("ICE: peers without number cost bounded memory, and the call goes on") {
  Alone alone;
  Agent& agent = alone.node.agent;
  agent.add_remote({alone.peer.remote, kHost});
  agent.advance(1);
  alone.answer(2);
  for (std::uint16_t port = 1; port < 500; ++port)
    agent.on_packet(make({}), {0, at("192.0.2.77", port)}, 3);
  CHECK(!agent.admits({0, at("192.0.2.77", 400)}));
  for (Micros now = 3; now < 60'000'000; now += 25'000) {
    alone.node.sent.clear();
    agent.advance(now);
    for (std::size_t i = 0; i < alone.node.sent.size(); ++i)
      if (alone.node.sent[i].first == alone.peer) {
        alone.node.sent.push_back(alone.node.sent[i]);
        alone.answer(now);
        break;
      }
  }
  CHECK(agent.route() == alone.peer && agent.status() == AgentStatus::kConnected);
  // Those that never answered make room.
  const Route late{0, at("192.0.2.88", 1)};
  agent.on_packet(make({}), late, 60'000'001);
  CHECK(agent.admits(late));
}

TEST("ICE: without any answer it has failed after a while, and comes back when the peer asks") {
  Alone alone;
  Agent& agent = alone.node.agent;
  agent.add_remote({at("192.0.2.50", 1), kHost});
  for (Micros now = 0; now < 40'000'000; now += 20'000)
    agent.advance(now);
  CHECK(agent.status() == AgentStatus::kFailed && agent.deadline() == kNever);
  alone.receive(make({}), 40'000'000);
  agent.advance(40'000'000);
  alone.answer(40'000'001);
  CHECK(agent.status() == AgentStatus::kConnected && agent.route() == alone.peer);
}
