// ICE and DTLS in the relay, over loopback sockets: two relayed calls whose secured sides are each
// other's peers, and peers of the tests' own.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../../native/dtls/session.h"
#include "../../native/ice/agent.h"
#include "../../native/srtp/session.h"
#include "check.h"
#include "loopback.h"

using namespace rtprelay;

namespace {

using Bytes = std::vector<std::uint8_t>;

const std::shared_ptr<const dtls::Identity>& identity(std::size_t which) {
  // The last one's certificate is large.
  static const std::array<std::shared_ptr<const dtls::Identity>, 4> made{
      dtls::Identity::generate({}), dtls::Identity::generate({}), dtls::Identity::generate({}),
      dtls::Identity::generate({.kind = dtls::KeyKind::kRsa, .rsa_bits = 4096})};
  return made[which];
}

IdentitySpec identity_spec(std::size_t which) {
  return {identity(which)->certificate_pem(), identity(which)->key_pem()};
}

dtls::Fingerprint fingerprint(std::size_t which) {
  return identity(which)->fingerprint(dtls::Hash::kSha256);
}

ice::Credentials credentials(const std::string& name) {
  return {name, name + "-password-of-22-characters"};
}

Bytes rtp(std::uint16_t sequence, std::uint8_t fill = 0x55) {
  Bytes packet(172, fill);
  packet[0] = 0x80;
  packet[1] = 0;
  packet[2] = static_cast<std::uint8_t>(sequence >> 8);
  packet[3] = static_cast<std::uint8_t>(sequence & 0xff);
  std::fill_n(packet.begin() + 4, 8, std::uint8_t{7});
  return packet;
}

/// A call between a phone (side 0) and a secured peer (side 1).
struct Secured : Fixture {
  explicit Secured(const char* name) : Fixture(name) {
    peer().flags |= kSecret;
    peer().demux = Demux::kRtcpMux;
  }
  TransportSpec& peer() { return plan.transports[1]; }

  IceSpec& ice(ice::Mode mode, bool controlling) {
    IceSpec spec;
    spec.settings.mode = mode;
    spec.settings.controlling = controlling;
    spec.settings.tie_breaker = 7;
    spec.settings.local = credentials(plan.call_id);
    peer().ice = spec;
    return *peer().ice;
  }
  DtlsSpec& dtls(bool active, std::size_t own) {
    plan.identities = {identity_spec(own)};
    DtlsSpec spec;
    spec.active = active;
    peer().dtls = spec;
    return *peer().dtls;
  }
};

/// A relay whose events are remembered, and whose keys go into the plans as the control side does
/// it.
struct Driven : TestRelay {
  std::map<std::string, std::vector<dtls::SessionStatus>> handshakes;
  std::map<std::string, std::vector<ice::AgentStatus>> checks;
  std::map<std::string, std::vector<std::pair<std::uint32_t, SocketAddress>>> routes;
  std::map<std::string, Secured*> calls;
  std::map<std::string, dtls::SrtpKeys> keys;

  void drive(Secured& call) {
    calls[call.plan.call_id] = &call;
    CHECK(apply(call.plan));
    wake_workers_for_orders();
  }

  void pump() {
    std::vector<TransportEventRecord> records;
    collect(records);
    for (const TransportEventRecord& record : records) {
      if ((record.events & kIceSelected) != 0)
        routes[record.call_id].emplace_back(record.ice_port, record.latch.endpoint);
      if ((record.events & kIceStatus) != 0)
        checks[record.call_id].push_back(record.ice_status);
      if (record.handshake == nullptr)
        continue;
      handshakes[record.call_id].push_back(record.handshake->status);
      if (record.handshake->status == dtls::SessionStatus::kKeyed)
        use_keys(record.call_id, record.handshake->keys);
    }
  }

  void use_keys(const std::string& call_id, const dtls::SrtpKeys& given) {
    keys[call_id] = given;
    Secured& call = *calls.at(call_id);
    SrtpSpec in;
    in.purpose = srtp::Purpose::kUnprotect;
    in.parameters.suite = given.suite;
    in.parameters.master = given.remote;
    SrtpSpec out = in;
    out.purpose = srtp::Purpose::kProtect;
    out.parameters.master = given.local;
    call.plan.sessions = {in, out};
    call.peer().unprotect = 0;
    call.peer().protect = 1;
    drive(call);
  }

  /// For as long as a machine with much else to do may need.
  bool sees(const std::function<bool()>& condition) {
    for (int i = 0; i < 15'000; ++i) {
      pump();
      if (condition())
        return true;
      (void)poll(nullptr, 0, 2);
    }
    return false;
  }
  bool is_keyed(const Secured& call) { return keys.contains(call.plan.call_id); }
};

/// Whether RTP from one phone comes out at another, byte for byte, within some attempts.
bool passes(Driven& relay, const Secured& from, const Secured& to, std::uint8_t fill = 0x55) {
  for (std::uint16_t sequence = 0; sequence < 100; ++sequence) {
    relay.pump();
    from.phones[0].send_bytes(from.facing(0), rtp(sequence, fill));
    const Bytes got = to.phones[0].receive(20);
    if (got.empty() || got[12] != fill)
      continue;
    CHECK(got.size() == 172 && got[171] == fill);
    return true;
  }
  return false;
}

/// Two calls whose secured sides talk to each other.
struct Couple {
  Driven relay;
  Secured left{"left"};
  Secured right{"right"};

  void meet(ice::Mode left_mode, ice::Mode right_mode) {
    // Roles are as after an offer of the left side.
    left.ice(left_mode, left_mode == ice::Mode::kFull);
    right.ice(right_mode, left_mode == ice::Mode::kLite);
    const auto introduce = [](Secured& to, const Secured& other) {
      to.peer().ice->settings.remote = credentials(other.plan.call_id);
      to.peer().ice->candidates = {{other.facing(1), 2130706431}};
      // Only ICE may say where packets go.
      parse_address("127.0.0.1", 9, to.peer().endpoint);
    };
    introduce(left, right);
    introduce(right, left);
  }
  void shake(bool left_active) {
    left.dtls(left_active, 0).fingerprint = fingerprint(1);
    right.dtls(!left_active, 1).fingerprint = fingerprint(0);
  }
  void start() {
    relay.drive(left);
    relay.drive(right);
  }
  bool keyed() {
    return relay.sees([&] { return relay.is_keyed(left) && relay.is_keyed(right); });
  }
};

} // namespace

TEST("relay: ICE, DTLS and SRTP end to end, in every role") {
  for (const ice::Mode other : {ice::Mode::kFull, ice::Mode::kLite}) {
    for (const bool active : {true, false}) {
      Couple couple;
      couple.meet(ice::Mode::kFull, other);
      couple.shake(active);
      couple.start();
      CHECK(couple.keyed());
      CHECK(passes(couple.relay, couple.left, couple.right));
      CHECK(passes(couple.relay, couple.right, couple.left));
      const auto& route = couple.relay.routes["left"];
      CHECK(!route.empty() && route.back().first == 1 &&
            route.back().second == couple.right.facing(1));
      CHECK(couple.relay.checks["left"].back() == ice::AgentStatus::kConnected);
      CHECK(couple.relay.checks["right"].back() == ice::AgentStatus::kConnected);
      CHECK(couple.relay.keys["left"].local.key == couple.relay.keys["right"].remote.key);
    }
  }
}

TEST("relay: DTLS without ICE, both roles") {
  for (const bool active : {true, false}) {
    Couple couple;
    couple.shake(active);
    couple.left.peer().endpoint = couple.right.facing(1);
    couple.right.peer().endpoint = couple.left.facing(1);
    couple.start();
    CHECK(couple.keyed());
    CHECK(passes(couple.relay, couple.left, couple.right));
    CHECK(passes(couple.relay, couple.right, couple.left));
  }
}

namespace {

ice::Micros now_micros() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<ice::Micros>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

/// A full agent with two addresses, as a browser that goes from one network to another.
struct Browser : ice::Outlet {
  Browser(const Secured& relayed, bool controlling) : relay(relayed.facing(1)), agent(*this) {
    ice::AgentSettings settings;
    settings.controlling = controlling;
    settings.tie_breaker = 99;
    settings.local = credentials("browser");
    settings.remote = credentials(relayed.plan.call_id);
    settings.paths = {Family::kIpv4};
    CHECK(agent.configure(settings, now_micros()));
    agent.add_remote({relay, 2130706431});
  }

  void transmit(const ice::Route& route, std::span<const std::uint8_t> packet) override {
    phones[at].send_bytes(route.remote, packet);
  }
  void selected(const ice::Route& /*route*/) override {}
  void status_changed(ice::AgentStatus /*status*/) override {}
  void random(std::span<std::uint8_t> out) override {
    for (std::uint8_t& octet : out)
      octet = static_cast<std::uint8_t>(rand());
  }

  /// Answers what has come; what is no STUN is left in `media`, by the address where it came.
  void turn() {
    for (std::size_t i = 0; i < phones.size(); ++i) {
      for (Bytes packet = phones[i].receive(0); !packet.empty(); packet = phones[i].receive(0)) {
        if (!ice::looks_like_stun(packet))
          media[i].push_back(packet);
        else if (i == at)
          agent.on_packet(packet, {0, relay}, now_micros());
      }
    }
    agent.advance(now_micros());
  }

  /// From another address, with a check of a PRIORITY that it has announced nowhere.
  void move_and_ask(std::uint32_t priority) {
    at = 1;
    ice::StunKey key;
    CHECK(key.set(agent.state().settings.remote.password));
    ice::TransactionId id{};
    random(id);
    ice::StunWriter writer(ice::StunClass::kRequest, id);
    writer.username(agent.state().settings.remote.ufrag, agent.state().settings.local.ufrag);
    writer.role(true, 99);
    writer.use_candidate();
    writer.priority(priority);
    phones[1].send_bytes(relay, writer.finish(&key));
  }

  SocketAddress relay;
  std::array<Phone, 2> phones;
  std::array<std::vector<Bytes>, 2> media;
  std::size_t at = 0;
  ice::Agent agent;
};

/// A call with a browser that checks without DTLS: its media goes in the clear.
struct CheckedCall : Secured {
  explicit CheckedCall(ice::Mode mode) : Secured("checked") {
    peer().flags = 0;
    ice(mode, false).settings.remote = credentials("browser");
  }
};

} // namespace

TEST("relay: media goes where the checks lead, and comes from nowhere else") {
  for (const ice::Mode mode : {ice::Mode::kFull, ice::Mode::kLite}) {
    Driven relay;
    CheckedCall call(mode);
    // What the SDP's m= line says is no checked address.
    Phone elsewhere;
    call.peer().endpoint = elsewhere.address();
    relay.drive(call);
    call.phones[0].send(call.facing(0));
    elsewhere.send(call.facing(1));
    CHECK(!elsewhere.hears(50) && !call.phones[0].hears(50));
    Browser browser(call, true);
    const auto& routes = relay.routes["checked"];
    CHECK(relay.sees([&] {
      browser.turn();
      return !routes.empty() && browser.agent.status() == ice::AgentStatus::kConnected;
    }));
    CHECK(routes.back() == std::pair(1U, browser.phones[0].address()));
    browser.phones[0].send(call.facing(1));
    CHECK(call.phones[0].hears());
    elsewhere.send(call.facing(1));
    CHECK(!call.phones[0].hears(50));
    call.phones[0].send(call.facing(0));
    CHECK(relay.sees([&] {
      browser.turn();
      return browser.media[0].size() == 1;
    }));
    // Another network: one check, and media follows at once, both ways.
    browser.move_and_ask(2130706432);
    CHECK(relay.sees([&] {
      browser.turn();
      return routes.back().second == browser.phones[1].address();
    }));
    call.phones[0].send(call.facing(0));
    browser.phones[1].send(call.facing(1));
    CHECK(call.phones[0].hears());
    CHECK(relay.sees([&] {
      browser.turn();
      return browser.media[1].size() == 1;
    }));
    CallReading reading;
    CHECK(relay.read("checked", reading));
    CHECK(reading.streams[1].latch.endpoint == browser.phones[1].address());
  }
}

TEST("relay: an agent outlives changed plans, and a restart of ICE keeps media until it is "
     "through") {
  Driven relay;
  CheckedCall call(ice::Mode::kFull);
  relay.drive(call);
  Browser browser(call, true);
  const auto connected = [&] {
    browser.turn();
    return browser.agent.status() == ice::AgentStatus::kConnected &&
           !relay.routes["checked"].empty();
  };
  CHECK(relay.sees(connected));
  call.peer().generation += 1;
  call.plan.streams[1].clock_rate = 8000;
  relay.drive(call);
  const auto heard = [&] {
    call.phones[0].send(call.facing(0));
    (void)poll(nullptr, 0, 5);
    browser.turn();
    return !browser.media[0].empty();
  };
  CHECK(relay.sees(heard));
  CHECK(relay.routes["checked"].size() == 1);
  // Both sides' credentials are others.
  call.peer().ice->settings.local = credentials("again");
  call.peer().ice->settings.remote = credentials("browser2");
  relay.drive(call);
  browser.media[0].clear();
  CHECK(relay.sees(heard));
  ice::AgentSettings settings = browser.agent.state().settings;
  settings.local = credentials("browser2");
  settings.remote = credentials("again");
  CHECK(browser.agent.configure(settings, now_micros()));
  browser.agent.add_remote({browser.relay, 2130706431});
  relay.checks["checked"].clear();
  CHECK(relay.sees([&] {
    return connected() && !relay.checks["checked"].empty() &&
           relay.checks["checked"].back() == ice::AgentStatus::kConnected;
  }));
  // And none at all: the plan's endpoint counts again.
  Phone plain;
  call.peer().ice.reset();
  call.peer().endpoint = plain.address();
  relay.drive(call);
  CHECK(eventually([&] {
    call.phones[0].send(call.facing(0));
    return plain.hears(5);
  }));
}

TEST("relay: what has no keys is neither sent nor taken in the clear") {
  Couple couple;
  couple.shake(true);
  couple.left.peer().endpoint = couple.right.facing(1);
  // Nobody answers there.
  Phone silent;
  couple.right.peer().endpoint = silent.address();
  couple.right.peer().flags = 0;
  couple.relay.drive(couple.right);
  couple.right.phones[0].send_bytes(couple.right.facing(0), rtp(1));
  silent.send_bytes(couple.right.facing(1), rtp(2));
  CHECK(!silent.hears(100) && !couple.right.phones[0].hears(50));
  CallReading reading;
  CHECK(couple.relay.read("right", reading));
  const auto no_key = static_cast<std::size_t>(DropReason::kNoKey);
  CHECK(reading.streams[0].stream->counters.drops[no_key].get() == 1);
  CHECK(reading.streams[1].stream->counters.drops[no_key].get() == 1);
}

TEST("relay: a ClientHello before the answer is known is answered, and trusted only then") {
  Couple couple;
  couple.meet(ice::Mode::kFull, ice::Mode::kFull);
  couple.shake(true);
  couple.right.peer().dtls->fingerprint.reset();
  couple.start();
  const auto& told = couple.relay.handshakes;
  CHECK(couple.relay.sees(
      [&] { return couple.relay.is_keyed(couple.left) && told.contains("right"); }));
  CHECK(told.at("right") == std::vector{dtls::SessionStatus::kUnverified});
  CHECK(!passes(couple.relay, couple.left, couple.right));
  couple.right.peer().dtls->fingerprint = fingerprint(0);
  couple.relay.drive(couple.right);
  CHECK(couple.keyed());
  CHECK(passes(couple.relay, couple.left, couple.right));
}

TEST("relay: a peer with another certificate than that of its SDP gets no media") {
  for (const bool late : {false, true}) {
    Couple couple;
    couple.meet(ice::Mode::kFull, ice::Mode::kLite);
    couple.shake(true);
    couple.right.peer().dtls->fingerprint = fingerprint(2);
    if (late)
      couple.right.peer().dtls->fingerprint.reset();
    couple.start();
    const auto last_is = [&](dtls::SessionStatus status) {
      return couple.relay.sees([&] {
        const auto& told = couple.relay.handshakes["right"];
        return !told.empty() && told.back() == status;
      });
    };
    if (late) {
      CHECK(last_is(dtls::SessionStatus::kUnverified));
      couple.right.peer().dtls->fingerprint = fingerprint(2);
      couple.relay.drive(couple.right);
    }
    CHECK(last_is(dtls::SessionStatus::kRefused));
    couple.right.phones[0].send_bytes(couple.right.facing(0), rtp(1));
    CHECK(!couple.left.phones[0].hears(100) && !couple.relay.is_keyed(couple.right));
  }
}

TEST("relay: a raised generation makes another association, the same one none") {
  Couple couple;
  couple.meet(ice::Mode::kFull, ice::Mode::kLite);
  couple.shake(true);
  couple.start();
  CHECK(couple.keyed());
  const dtls::SrtpKeys before = couple.relay.keys["left"];
  couple.relay.drive(couple.left);
  CHECK(passes(couple.relay, couple.left, couple.right));
  CHECK(couple.relay.handshakes["left"].size() == 1);
  couple.left.peer().dtls->generation = couple.right.peer().dtls->generation = 1;
  couple.relay.keys.clear();
  couple.relay.drive(couple.right);
  couple.relay.drive(couple.left);
  CHECK(couple.keyed());
  CHECK(couple.relay.keys["left"].local.key != before.local.key);
  CHECK(passes(couple.relay, couple.right, couple.left));
}

TEST("relay: an association of an earlier process says nothing, and a peer that begins anew is "
     "keyed") {
  Couple couple;
  couple.meet(ice::Mode::kFull, ice::Mode::kLite);
  couple.shake(false);
  couple.left.peer().dtls->established = true;
  couple.right.peer().dtls->established = true;
  couple.start();
  const auto both_connected = [&] {
    const auto connected = [&](const char* name) {
      const auto& told = couple.relay.checks[name];
      return !told.empty() && told.back() == ice::AgentStatus::kConnected;
    };
    return connected("left") && connected("right");
  };
  CHECK(couple.relay.sees(both_connected));
  for (int i = 0; i < 50; ++i) {
    couple.relay.pump();
    (void)poll(nullptr, 0, 2);
  }
  CHECK(couple.relay.handshakes.empty());
  couple.right.peer().dtls->established = false;
  couple.right.peer().dtls->generation = 1;
  couple.relay.drive(couple.right);
  CHECK(couple.keyed());
  CHECK(passes(couple.relay, couple.left, couple.right));
}

namespace {

/// The first flight of a client with an identity of its own.
struct Client : dtls::Outlet {
  explicit Client(std::size_t own)
      : session(identity(own), {dtls::Role::kActive, fingerprint(1), dtls::kDefaultMtu}, *this) {
    CHECK(session.start(0));
  }
  void transmit(std::span<const std::uint8_t> packet) override {
    sent.emplace_back(packet.begin(), packet.end());
  }
  void keyed(const dtls::SrtpKeys& /*keys*/) override { is_keyed = true; }
  void status_changed(dtls::SessionStatus /*status*/) override {}

  std::vector<Bytes> sent;
  bool is_keyed = false;
  dtls::Session session;
};

/// The same hello with another random number: another association.
void renew(Bytes& hello, std::uint32_t number) {
  for (std::size_t i = 0; i < 4; ++i)
    hello[27 + i] = static_cast<std::uint8_t>(number >> (8 * i));
}

std::uint64_t drops_of(Driven& relay, const char* call, std::size_t stream, DropReason reason) {
  CallReading reading;
  CHECK(relay.read(call, reading));
  return reading.streams[stream].stream->counters.drops[static_cast<std::size_t>(reason)].get();
}

} // namespace

TEST("relay: a flood of ClientHellos costs no other call a packet or its handshake") {
  Couple couple;
  Driven& relay = couple.relay;
  Secured victim("victim");
  victim.dtls(false, 1).fingerprint = fingerprint(0);
  relay.drive(victim);
  Fixture plain("plain");
  CHECK(relay.apply(plain.plan));
  Client client(0);
  Bytes hello = client.sent.front();
  std::array<Phone, 8> attackers;
  std::uint32_t number = 0;
  const auto flood = [&] {
    for (const Phone& attacker : attackers)
      for (int i = 0; i < 4; ++i) {
        renew(hello, ++number);
        attacker.send_bytes(victim.facing(1), hello);
      }
  };
  int arrived = 0;
  for (std::uint16_t sequence = 0; sequence < 200; ++sequence) {
    flood();
    plain.phones[0].send_bytes(plain.facing(0), rtp(sequence));
    const Bytes got = plain.phones[1].receive();
    arrived += got == rtp(sequence) ? 1 : 0;
  }
  CHECK(arrived == 200);
  CHECK(drops_of(relay, "victim", 1, DropReason::kHandshakeFlood) > 0);
  couple.meet(ice::Mode::kFull, ice::Mode::kLite);
  couple.shake(true);
  couple.start();
  CHECK(relay.sees([&] {
    flood();
    return relay.is_keyed(couple.left) && relay.is_keyed(couple.right);
  }));
  CHECK(!relay.handshakes.contains("victim"));
  // Nor the peer of the call itself, which is where it is expected.
  const Phone peer;
  victim.peer().signalled = peer.address();
  relay.drive(victim);
  Client late(0);
  CHECK(relay.sees([&] {
    for (const Bytes& packet : late.sent)
      peer.send_bytes(victim.facing(1), packet);
    late.sent.clear();
    for (Bytes packet = peer.receive(5); !packet.empty(); packet = peer.receive(0))
      late.session.on_packet(packet, now_micros());
    late.session.advance(now_micros());
    return late.is_keyed && relay.is_keyed(victim);
  }));
}

namespace {

/// RFC 6347 §4.3.2.
bool is_client_hello(const Bytes& packet) {
  return packet.size() > 13 && packet[0] == 22 && packet[13] == 1;
}

/// A call whose peer has `own` and is expected at a phone of the test's own.
struct Expecting : Secured {
  Expecting(bool active, std::size_t own) : Secured("expecting") {
    dtls(active, 1).fingerprint = fingerprint(own);
    peer().endpoint = peer().signalled = phone.address();
  }
  void turn(Client& client, const Phone& at) {
    for (const Bytes& packet : client.sent) {
      hellos += is_client_hello(packet) && !is_repeated(packet) ? 1 : 0;
      at.send_bytes(facing(1), packet);
    }
    client.sent.clear();
    for (Bytes packet = at.receive(2); !packet.empty(); packet = at.receive(0))
      client.session.on_packet(packet, now_micros());
    client.session.advance(now_micros());
  }
  /// On a busy machine the first one may be sent again.
  [[nodiscard]] bool is_repeated(const Bytes& packet) const {
    constexpr std::ptrdiff_t kRandomAt = 27;
    constexpr std::size_t kRandom = 32;
    const std::size_t end = kRandomAt + kRandom;
    return packet.size() >= end && begun.size() >= end &&
           std::equal(packet.begin() + kRandomAt, packet.begin() + end, begun.begin() + kRandomAt);
  }
  const Phone phone;
  /// The ClientHello of the handshake that goes on.
  Bytes begun;
  /// Others, sent in turns.
  int hellos = 0;
};

/// Both have keys.
bool agree(Driven& relay, Expecting& call, Client& peer) {
  return relay.sees([&] {
    call.turn(peer, call.phone);
    return peer.is_keyed && relay.is_keyed(call);
  });
}

bool has(const Driven& relay, std::size_t handshakes) {
  const auto told = relay.handshakes.find("expecting");
  return (told == relay.handshakes.end() ? 0 : told->second.size()) == handshakes;
}

} // namespace

namespace {

/// Datagrams with the handshake messages that are not encrypted, as a path with a tiny MTU and a
/// chain of large certificates make them: fragments of so many bytes, each a record and a datagram.
std::vector<Bytes> in_fragments(const std::vector<Bytes>& flight, std::size_t most,
                                std::uint8_t& number) {
  constexpr std::size_t kRecord = 13;
  constexpr std::size_t kMessage = 12;
  std::vector<Bytes> out;
  for (const Bytes& packet : flight)
    for (std::size_t at = 0; at < packet.size();) {
      const std::size_t size = kRecord + ((packet[at + 11] << 8) | packet[at + 12]);
      const Bytes record(packet.begin() + static_cast<std::ptrdiff_t>(at),
                         packet.begin() + static_cast<std::ptrdiff_t>(at + size));
      at += size;
      const bool encrypted = record[4] != 0;
      if (encrypted || record[0] != 22) {
        out.push_back(record);
        if (!encrypted)
          out.back()[10] = number++;
        continue;
      }
      const std::size_t body = size - kRecord - kMessage;
      const std::size_t begin =
          static_cast<std::size_t>((record[kRecord + 7] << 8) | record[kRecord + 8]);
      for (std::size_t from = 0; from < body; from += most) {
        const std::size_t part = std::min(most, body - from);
        Bytes one(record.begin(), record.begin() + kRecord + kMessage);
        one[10] = number++;
        one[11] = 0;
        one[12] = static_cast<std::uint8_t>(kMessage + part);
        one[kRecord + 7] = static_cast<std::uint8_t>((begin + from) >> 8);
        one[kRecord + 8] = static_cast<std::uint8_t>((begin + from) & 0xff);
        one[kRecord + 10] = 0;
        one[kRecord + 11] = static_cast<std::uint8_t>(part);
        const auto body_at =
            record.begin() + static_cast<std::ptrdiff_t>(kRecord + kMessage + from);
        one.insert(one.end(), body_at, body_at + static_cast<std::ptrdiff_t>(part));
        out.push_back(one);
      }
    }
  return out;
}

/// Everything that comes until so many datagrams have, or nothing does for a while.
std::vector<Bytes> heard(const Phone& phone, std::size_t most) {
  std::vector<Bytes> out;
  for (Bytes packet = phone.receive(3000); !packet.empty(); packet = phone.receive(3000)) {
    out.push_back(std::move(packet));
    if (out.size() == most)
      break;
  }
  return out;
}

} // namespace

TEST("relay: a flight of many datagrams is taken whole, the first time") {
  for (int again = 0; again < 8; ++again) {
    Driven relay;
    Expecting call(false, 3);
    relay.drive(call);
    Client peer(3);
    call.phone.send_bytes(call.facing(1), peer.sent.front());
    peer.sent.clear();
    for (const Bytes& packet : heard(call.phone, 1))
      peer.session.on_packet(packet, 0);
    CHECK(!peer.sent.empty());
    std::uint8_t number = 1;
    const std::vector<Bytes> flight = in_fragments(peer.sent, 36, number);
    CHECK(flight.size() > 40 && flight.size() < 64);
    // Nothing is sent again.
    for (const Bytes& packet : flight)
      call.phone.send_bytes(call.facing(1), packet);
    const bool keyed = relay.sees([&] { return relay.is_keyed(call); });
    CHECK(keyed);
    CHECK(drops_of(relay, "expecting", 1, DropReason::kHandshakeFlood) == 0);
    if (!keyed)
      return;
  }
}

TEST("relay: every datagram of a flight is sent, once") {
  // 4096 bits: the server's first flight has two datagrams.
  std::array<std::unique_ptr<Expecting>, 12> calls;
  Driven relay;
  for (auto& call : calls) {
    call = std::make_unique<Expecting>(false, 0);
    call->plan.call_id += std::to_string(&call - calls.data());
    call->plan.identities = {identity_spec(3)};
    relay.drive(*call);
  }
  std::vector<std::unique_ptr<Client>> peers;
  for (const auto& call : calls) {
    peers.push_back(std::make_unique<Client>(0));
    call->phone.send_bytes(call->facing(1), peers.back()->sent.front());
  }
  for (const auto& call : calls) {
    // Records are numbered: none is missing between those that have come.
    std::vector<std::uint8_t> numbers;
    for (const Bytes& packet : heard(call->phone, 2))
      for (std::size_t at = 0; at < packet.size();
           at += 13 + static_cast<std::size_t>((packet[at + 11] << 8) | packet[at + 12]))
        numbers.push_back(packet[at + 10]);
    CHECK(numbers.size() > 3);
    for (std::size_t i = 0; i < numbers.size(); ++i)
      CHECK(numbers[i] == i);
  }
}

TEST("relay: a peer that begins a handshake itself, though it was to wait for ours, is keyed, the "
     "first time and anew; a stranger is not heard") {
  Driven relay;
  Expecting call(true, 0);
  relay.drive(call);
  Client peer(0);
  CHECK(agree(relay, call, peer));
  const dtls::SrtpKeys before = relay.keys["expecting"];
  Client again(0);
  CHECK(relay.sees([&] {
    call.turn(again, call.phone);
    return again.is_keyed && relay.keys["expecting"].local.key != before.local.key;
  }));
  CHECK(has(relay, 2));
}

TEST("relay: while there are keys, a handshake with an unknown certificate waits for its "
     "fingerprint, and is none of the call's without it") {
  Driven relay;
  Expecting call(false, 0);
  relay.drive(call);
  Client peer(0);
  CHECK(agree(relay, call, peer));
  // Another one answers, from elsewhere; its packets are faster than its body.
  const Phone elsewhere;
  Client other(2);
  CHECK(relay.sees([&] {
    call.turn(other, elsewhere);
    return other.is_keyed;
  }));
  CHECK(has(relay, 1));
  const dtls::SrtpKeys before = relay.keys["expecting"];
  call.peer().dtls->fingerprint = fingerprint(2);
  call.peer().dtls->generation = 1;
  relay.drive(call);
  CHECK(relay.sees([&] { return relay.keys["expecting"].local.key != before.local.key; }));
  CHECK(has(relay, 2));
}

TEST("relay: a handshake that is under way goes on in the association that the peer's body asks "
     "for meanwhile") {
  for (const bool keyed : {false, true}) {
    Driven relay;
    Expecting call(false, 0);
    relay.drive(call);
    if (keyed) {
      Client first(0);
      CHECK(relay.sees([&] {
        call.turn(first, call.phone);
        return relay.is_keyed(call);
      }));
    }
    Client peer(2);
    call.begun = peer.sent.front();
    call.phone.send_bytes(call.facing(1), call.begun);
    peer.sent.clear();
    const Bytes hello = call.phone.receive(5000);
    CHECK(!hello.empty());
    peer.session.on_packet(hello, now_micros());
    relay.keys.clear();
    call.peer().dtls->fingerprint = fingerprint(2);
    call.peer().dtls->generation = 1;
    relay.drive(call);
    call.hellos = 0;
    CHECK(agree(relay, call, peer));
    // It has not begun anew.
    CHECK(call.hellos == 0);
  }
}

TEST("relay: garbage that looks like STUN or DTLS leaves checks and handshakes as they are") {
  Couple couple;
  couple.meet(ice::Mode::kFull, ice::Mode::kLite);
  couple.shake(true);
  Secured open("open");
  open.dtls(false, 1).fingerprint = fingerprint(0);
  couple.relay.drive(open);
  couple.start();
  Client client(0);
  const Bytes hello = client.sent.front();
  const Phone stranger;
  const std::array<SocketAddress, 3> targets{couple.left.facing(1), couple.right.facing(1),
                                             open.facing(1)};
  srand(1);
  const auto any = [](std::size_t below) { return static_cast<std::size_t>(rand()) % below; };
  for (std::size_t i = 0; i < 6000; ++i) {
    Bytes packet = hello;
    if (i % 3 == 0) {
      packet.assign(20 + any(100), 0);
      packet[1] = 1;
      packet[3] = static_cast<std::uint8_t>(packet.size() - 20);
      const std::array<std::uint8_t, 4> cookie{0x21, 0x12, 0xa4, 0x42};
      std::ranges::copy(cookie, packet.begin() + 4);
    }
    for (std::size_t changes = any(12); changes > 0; --changes)
      packet[any(packet.size())] = static_cast<std::uint8_t>(any(256));
    packet.resize(1 + any(packet.size()));
    stranger.send_bytes(targets[i % targets.size()], packet);
  }
  CHECK(couple.keyed());
  CHECK(passes(couple.relay, couple.left, couple.right));
  CHECK(passes(couple.relay, couple.right, couple.left));
  CHECK(couple.relay.routes["left"].back().second == couple.right.facing(1));
  CHECK(!couple.relay.is_keyed(open));
}

TEST("relay: a call that is taken over on another address goes on by itself, full and lite") {
  for (const ice::Mode mode : {ice::Mode::kFull, ice::Mode::kLite}) {
    Driven relay;
    CheckedCall call(mode);
    relay.drive(call);
    Browser browser(call, true);
    const auto& routes = relay.routes["checked"];
    CHECK(relay.sees([&] {
      browser.turn();
      return !routes.empty() && browser.agent.status() == ice::AgentStatus::kConnected;
    }));
    // Another process, which knows what was stored; its port is another one.
    Driven standby;
    CheckedCall taken(mode);
    IceSpec& ice = *taken.peer().ice;
    ice.resumed = true;
    ice.route_port = 1;
    ice.route_endpoint = routes.back().second;
    ice.route_priority = 2130706431;
    ice.settings.takeovers = 1;
    CHECK(relay.end("checked"));
    standby.drive(taken);
    const auto heard = [&] {
      taken.phones[0].send(taken.facing(0));
      (void)poll(nullptr, 0, 2);
      browser.turn();
      return !browser.media[0].empty();
    };
    CHECK(standby.sees(heard));
    // It has asked, and is answered at the new address.
    browser.relay = taken.facing(1);
    CHECK(standby.sees([&] {
      browser.turn();
      return browser.agent.admits({0, taken.facing(1)});
    }));
    browser.phones[0].send(taken.facing(1));
    CHECK(taken.phones[0].hears());
    // What it was told it does not tell.
    CHECK(standby.routes["checked"].empty() && standby.checks["checked"].empty());
  }
}
