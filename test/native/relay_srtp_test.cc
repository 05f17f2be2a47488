// SRTP that ends in the relay, over real sockets: one side is secured, the other is plain.
#include <array>
#include <utility>
#include <vector>

#include "../../native/core/relay.h"
#include "check.h"
#include "loopback.h"
#include "plan_builder.h"

using namespace rtprelay;

namespace {

using Bytes = std::vector<std::uint8_t>;

srtp::Parameters keys(std::uint8_t seed) {
  srtp::Parameters parameters;
  parameters.suite = srtp::Suite::kAeadAes128Gcm;
  parameters.master.key.fill(seed);
  return parameters;
}

SrtpSpec session(srtp::Purpose purpose, std::uint8_t seed) {
  SrtpSpec spec;
  spec.purpose = purpose;
  spec.parameters = keys(seed);
  return spec;
}

Bytes rtp(std::uint16_t sequence, std::size_t payload = 40) {
  Bytes packet{0x80,
               0,
               static_cast<std::uint8_t>(sequence >> 8),
               static_cast<std::uint8_t>(sequence),
               0,
               0,
               0,
               1,
               9,
               9,
               9,
               9};
  packet.resize(12 + payload, static_cast<std::uint8_t>(sequence));
  return packet;
}

Bytes protect(srtp::Sender& sender, Bytes packet) {
  const std::size_t size = packet.size();
  packet.resize(size + srtp::kMaxGrowth);
  packet.resize(sender.protect_rtp(packet, size).size);
  return packet;
}

Bytes unprotect(srtp::Receiver& receiver, Bytes packet) {
  const srtp::Outcome outcome = receiver.unprotect_rtp(packet);
  packet.resize(outcome.status == srtp::Status::kDone ? outcome.size : 0);
  return packet;
}

/// Phone 0 is plain, phone 1 encrypts with key 1 and is sent what key 2 has encrypted.
struct SecureCall : Fixture {
  SecureCall() {
    plan.sessions = {session(srtp::Purpose::kUnprotect, 1), session(srtp::Purpose::kProtect, 2)};
    plan.transports[1].flags |= kSecret;
    plan.transports[1].unprotect = 0;
    plan.transports[1].protect = 1;
  }
  /// Another one of the second party, 2, with its keys.
  void add_transport(const Phone& phone) {
    plan.ports.push_back({2, Phone().address()});
    TransportSpec transport = plan.transports[1];
    transport.id = transport.egress_port = 2;
    transport.ports = {2};
    transport.endpoint = transport.signalled = phone.address();
    plan.transports.push_back(transport);
    StreamSpec stream = plan.streams[1];
    stream.id = stream.transport = 2;
    plan.streams.push_back(stream);
  }
  std::unique_ptr<srtp::Sender> their_sender = srtp::Sender::create(keys(1));
  std::unique_ptr<srtp::Receiver> their_receiver = srtp::Receiver::create(keys(2));
};

std::uint64_t dropped(Relay& relay, std::size_t stream, DropReason reason) {
  CallReading reading;
  CHECK(relay.read("call", reading));
  return reading.streams[stream].stream->counters.drops[static_cast<std::size_t>(reason)].get();
}

} // namespace

TEST("SRTP is made of RTP on its way out, and RTP of SRTP on its way in") {
  TestRelay relay;
  SecureCall call;
  CHECK(relay.apply(call.plan));
  for (std::uint16_t sequence = 1; sequence < 5; ++sequence) {
    call.phones[0].send_bytes(call.facing(0), rtp(sequence));
    const Bytes secret = call.phones[1].receive();
    CHECK(secret.size() == 68);
    CHECK(unprotect(*call.their_receiver, secret) == rtp(sequence));
    call.phones[1].send_bytes(call.facing(1), protect(*call.their_sender, rtp(sequence)));
    CHECK(call.phones[0].receive() == rtp(sequence));
  }
}

TEST("a stranger without the key teaches no address, is not relayed and gets nothing") {
  TestRelay relay;
  SecureCall call;
  CHECK(relay.apply(call.plan));
  const Phone stranger;
  const auto stranger_sender = srtp::Sender::create(keys(3));
  for (std::uint16_t sequence = 1; sequence < 20; ++sequence) {
    stranger.send_bytes(call.facing(1), rtp(sequence));
    stranger.send_bytes(call.facing(1), protect(*stranger_sender, rtp(sequence)));
    call.phones[0].send_bytes(call.facing(0), rtp(sequence));
    CHECK(unprotect(*call.their_receiver, call.phones[1].receive()) == rtp(sequence));
  }
  CHECK(!call.phones[0].hears(50));
  CHECK(!stranger.hears(1));
  CHECK(dropped(relay, 1, DropReason::kNotAuthentic) == 38);
  // What was heard on the way and comes again teaches nothing either.
  const Bytes heard = protect(*call.their_sender, rtp(30));
  call.phones[1].send_bytes(call.facing(1), heard);
  CHECK(call.phones[0].receive() == rtp(30));
  stranger.send_bytes(call.facing(1), heard);
  CHECK(eventually([&] { return dropped(relay, 1, DropReason::kRepeated) == 1; }));
  call.phones[0].send_bytes(call.facing(0), rtp(40));
  CHECK(!call.phones[1].receive().empty());
  CHECK(!stranger.hears(1));
}

TEST("without keys nothing comes and nothing goes") {
  TestRelay relay;
  SecureCall call;
  call.plan.sessions.clear();
  call.plan.transports[1].unprotect = call.plan.transports[1].protect = kNoSession;
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), rtp(1));
  call.phones[1].send_bytes(call.facing(1), rtp(1));
  CHECK(eventually([&] { return dropped(relay, 0, DropReason::kNoKey) == 1; }));
  CHECK(eventually([&] { return dropped(relay, 1, DropReason::kNoKey) == 1; }));
  CHECK(!call.phones[0].hears(20) && !call.phones[1].hears(1));
}

TEST("a session outlives the plans that name its keys, and is told when it moves") {
  TestRelay relay;
  SecureCall call;
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), rtp(7));
  CHECK(!call.phones[1].receive().empty());
  std::vector<TransportEventRecord> events;
  CHECK(eventually([&] {
    relay.collect(events);
    return std::ranges::any_of(events, [](const TransportEventRecord& event) {
      return event.events == kSrtpIndex && event.purpose == srtp::Purpose::kProtect &&
             event.indexes.ssrc == 0x09090909 && event.indexes.rtp == 7;
    });
  }));
  call.plan.transports[1].generation += 1;
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), rtp(7));
  CHECK(eventually([&] { return dropped(relay, 0, DropReason::kRepeated) == 1; }));
  // Other keys begin anew.
  call.plan.sessions[1] = session(srtp::Purpose::kProtect, 5);
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), rtp(7));
  const auto other = srtp::Receiver::create(keys(5));
  CHECK(unprotect(*other, call.phones[1].receive()) == rtp(7));
}

TEST("what came by former keys is taken until something has come by the present ones") {
  TestRelay relay;
  SecureCall call;
  CHECK(relay.apply(call.plan));
  const auto arrives = [&](srtp::Sender& sender, std::uint16_t sequence) {
    call.phones[1].send_bytes(call.facing(1), protect(sender, rtp(sequence)));
    return call.phones[0].receive() == rtp(sequence);
  };
  // Past a rollover, which a session that begins anew would not find.
  std::uint16_t sequence = 65'000;
  for (int i = 0; i < 100; ++i)
    CHECK(arrives(*call.their_sender, sequence = static_cast<std::uint16_t>(sequence + 1000)));
  call.plan.sessions[0] = session(srtp::Purpose::kUnprotect, 3);
  call.plan.sessions.push_back(session(srtp::Purpose::kUnprotect, 1));
  call.plan.transports[1].former = 2;
  CHECK(relay.apply(call.plan));
  const auto next = srtp::Sender::create(keys(3));
  for (int i = 0; i < 3; ++i) {
    CHECK(arrives(*call.their_sender, ++sequence));
    // Another plan of the same keys, as for a second answer.
    call.plan.transports[1].generation += 1;
    CHECK(relay.apply(call.plan));
  }
  const auto stranger = srtp::Sender::create(keys(9));
  call.phones[1].send_bytes(call.facing(1), protect(*stranger, rtp(1)));
  CHECK(eventually([&] { return dropped(relay, 1, DropReason::kNotAuthentic) == 1; }));
  CHECK(arrives(*next, 1));
  call.phones[1].send_bytes(call.facing(1), protect(*call.their_sender, rtp(++sequence)));
  // By the present key its number is far behind what has come.
  CHECK(eventually([&] { return dropped(relay, 1, DropReason::kRepeated) == 1; }));
  CHECK(arrives(*next, 2));
}

TEST("what goes is encrypted by our former key while packets come by the peer's") {
  TestRelay relay;
  SecureCall call;
  CHECK(relay.apply(call.plan));
  const auto ours = srtp::Receiver::create(keys(2));
  const auto next_of_ours = srtp::Receiver::create(keys(4));
  std::uint16_t sequence = 0;
  const auto goes_by = [&](srtp::Receiver& receiver) {
    call.phones[0].send_bytes(call.facing(0), rtp(++sequence));
    return unprotect(receiver, call.phones[1].receive()) == rtp(sequence);
  };
  const auto arrives = [&](srtp::Sender& sender) {
    call.phones[1].send_bytes(call.facing(1), protect(sender, rtp(++sequence)));
    return call.phones[0].receive() == rtp(sequence);
  };
  CHECK(arrives(*call.their_sender));
  CHECK(goes_by(*ours));
  call.plan.sessions[0] = session(srtp::Purpose::kUnprotect, 3);
  call.plan.sessions[1] = session(srtp::Purpose::kProtect, 4);
  call.plan.sessions.push_back(session(srtp::Purpose::kUnprotect, 1));
  call.plan.sessions.push_back(session(srtp::Purpose::kProtect, 2));
  call.plan.transports[1].former = 2;
  call.plan.transports[1].former_protect = 3;
  CHECK(relay.apply(call.plan));
  // A busy machine may take longer than a silence that counts.
  const auto goes_on = [&] {
    return eventually([&] { return arrives(*call.their_sender) && goes_by(*ours); });
  };
  CHECK(goes_by(*next_of_ours));
  CHECK(goes_on());
  // Another plan of the same keys, as for a second answer.
  call.plan.transports[1].generation += 1;
  CHECK(relay.apply(call.plan));
  CHECK(goes_on());
  // It has been silent for so long that it may have the present ones.
  CHECK(eventually([&] { return goes_by(*next_of_ours); }));
  CHECK(goes_on());
  const auto next = srtp::Sender::create(keys(3));
  CHECK(arrives(*next));
  CHECK(goes_by(*next_of_ours));
  call.phones[1].send_bytes(call.facing(1), protect(*call.their_sender, rtp(++sequence)));
  CHECK(goes_by(*next_of_ours));
}

TEST("what comes to one transport by former keys counts for all that had the same") {
  TestRelay relay;
  SecureCall call;
  // As that for RTCP.
  const Phone other;
  call.add_transport(other);
  add_routes(call.plan, {route(0, 2), route(2, 0)});
  CHECK(relay.apply(call.plan));
  call.plan.sessions[0] = session(srtp::Purpose::kUnprotect, 3);
  call.plan.sessions[1] = session(srtp::Purpose::kProtect, 4);
  call.plan.sessions.push_back(session(srtp::Purpose::kUnprotect, 1));
  call.plan.sessions.push_back(session(srtp::Purpose::kProtect, 2));
  for (const std::size_t at : {std::size_t{1}, std::size_t{2}}) {
    call.plan.transports[at].former = 2;
    call.plan.transports[at].former_protect = 3;
  }
  CHECK(relay.apply(call.plan));
  const auto former = srtp::Receiver::create(keys(2));
  const auto present = srtp::Receiver::create(keys(4));
  std::uint16_t sequence = 0;
  /// To both phones of that side.
  const auto goes_by = [&](srtp::Receiver& receiver) {
    call.phones[0].send_bytes(call.facing(0), rtp(++sequence));
    const Bytes packet = call.phones[1].receive();
    // It is the same packet for both.
    return other.receive() == packet && unprotect(receiver, packet) == rtp(sequence);
  };
  const auto arrives = [&](const Phone& phone, std::size_t at, srtp::Sender& sender) {
    phone.send_bytes(call.facing(at), protect(sender, rtp(++sequence)));
    return call.phones[0].receive() == rtp(sequence);
  };
  CHECK(goes_by(*present));
  // A busy machine may take longer than a silence that counts.
  CHECK(eventually([&] { return arrives(other, 2, *call.their_sender) && goes_by(*former); }));
  CHECK(eventually(
      [&] { return arrives(call.phones[1], 1, *call.their_sender) && goes_by(*former); }));
  const auto next = srtp::Sender::create(keys(3));
  CHECK(arrives(call.phones[1], 1, *next));
  CHECK(goes_by(*present));
  other.send_bytes(call.facing(2), protect(*call.their_sender, rtp(++sequence)));
  CHECK(eventually([&] {
    return dropped(relay, 2, DropReason::kNotAuthentic) > 0 ||
           dropped(relay, 2, DropReason::kRepeated) > 0;
  }));
  CHECK(goes_by(*present));
}

namespace {

/// Phone 1 encrypts with key 1, or sends in the clear; ours is 2.
struct TurningCall : SecureCall {
  /// What it sends comes to the plain phone.
  bool arrives(const Bytes& packet, std::uint16_t number) const {
    phones[1].send_bytes(facing(1), packet);
    return phones[0].receive() == rtp(number);
  }
  bool arrives_clear() {
    sequence += 1;
    return arrives(rtp(sequence), sequence);
  }
  bool arrives_secret() {
    const Bytes packet = protect(*their_sender, rtp(++sequence));
    return arrives(packet, sequence);
  }
  Bytes sent() {
    phones[0].send_bytes(facing(0), rtp(++sequence));
    return phones[1].receive();
  }
  bool goes_clear() {
    const Bytes packet = sent();
    return packet == rtp(sequence);
  }
  bool goes_secret() {
    const Bytes packet = unprotect(*their_receiver, sent());
    return packet == rtp(sequence);
  }
  void is_refused(const Phone& from, const Bytes& packet, TestRelay& relay,
                  DropReason reason) const {
    const std::uint64_t before = dropped(relay, 1, reason);
    from.send_bytes(facing(1), packet);
    CHECK(eventually([&] { return dropped(relay, 1, reason) == before + 1; }));
  }

  std::uint16_t sequence = 0;
};

} // namespace

TEST("who sent in the clear before is heard, and sent to so, until something is authentic") {
  TestRelay relay;
  TurningCall call;
  call.plan.transports[1].former_plain = true;
  CHECK(relay.apply(call.plan));
  // Nothing goes in the clear by itself.
  CHECK(call.goes_secret());
  // Anybody could send so.
  const Phone stranger;
  call.is_refused(stranger, rtp(1), relay, DropReason::kNotAuthentic);
  CHECK(call.goes_secret());
  const auto goes_on = [&] {
    return eventually([&] { return call.arrives_clear() && call.goes_clear(); });
  };
  CHECK(goes_on());
  // Another answer, after which it may have the keys.
  call.plan.transports[1].generation += 1;
  CHECK(relay.apply(call.plan));
  CHECK(call.goes_secret());
  CHECK(goes_on());
  // It has been silent for so long that it may have them.
  CHECK(eventually([&] { return call.goes_secret(); }));
  CHECK(goes_on());
  CHECK(call.arrives_secret());
  CHECK(call.goes_secret());
  call.is_refused(call.phones[1], rtp(++call.sequence), relay, DropReason::kNotAuthentic);
  CHECK(call.goes_secret());
}

TEST("without keys yet nothing goes in the clear but to who sends so") {
  TestRelay relay;
  TurningCall call;
  call.plan.transports[1].unprotect = call.plan.transports[1].protect = kNoSession;
  call.plan.transports[1].former_plain = true;
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), rtp(++call.sequence));
  CHECK(eventually([&] { return dropped(relay, 0, DropReason::kNoKey) == 1; }));
  CHECK(eventually([&] { return call.arrives_clear() && call.goes_clear(); }));
}

TEST("who encrypted before is heard, and encrypted to, until something comes in the clear") {
  TestRelay relay;
  TurningCall call;
  CHECK(relay.apply(call.plan));
  CHECK(call.arrives_secret() && call.goes_secret());
  TransportSpec& transport = call.plan.transports[1];
  transport.former = std::exchange(transport.unprotect, kNoSession);
  transport.former_protect = std::exchange(transport.protect, kNoSession);
  transport.present_plain = true;
  CHECK(relay.apply(call.plan));
  CHECK(call.goes_clear());
  const auto goes_on = [&] {
    return eventually([&] { return call.arrives_secret() && call.goes_secret(); });
  };
  CHECK(goes_on());
  // That of a stranger shows nothing.
  const Phone stranger;
  call.is_refused(stranger, rtp(++call.sequence), relay, DropReason::kNotAuthentic);
  CHECK(goes_on());
  CHECK(call.arrives_clear());
  CHECK(call.goes_clear());
  // From now on it is what it seems to be.
  const Bytes late = protect(*call.their_sender, rtp(++call.sequence));
  call.phones[1].send_bytes(call.facing(1), late);
  CHECK(call.phones[0].receive() == late);
  CHECK(call.goes_clear());
}

TEST("a key without authentication does not hide that its peer goes on with the former one") {
  TestRelay relay;
  TurningCall call;
  CHECK(relay.apply(call.plan));
  CHECK(call.arrives_secret() && call.goes_secret());
  srtp::Parameters open;
  open.suite = srtp::Suite::kAes128CmSha1_80;
  open.master.key.fill(5);
  open.unauthenticated_srtp = true;
  for (SrtpSpec& spec : call.plan.sessions) {
    spec.parameters = open;
    open.master.key.fill(6);
  }
  call.plan.sessions.push_back(session(srtp::Purpose::kUnprotect, 1));
  call.plan.sessions.push_back(session(srtp::Purpose::kProtect, 2));
  call.plan.transports[1].former = 2;
  call.plan.transports[1].former_protect = 3;
  CHECK(relay.apply(call.plan));
  CHECK(eventually([&] { return call.arrives_secret() && call.goes_secret(); }));
  open.master.key.fill(5);
  const auto next = srtp::Sender::create(open);
  call.sequence += 1;
  CHECK(call.arrives(protect(*next, rtp(call.sequence)), call.sequence));
  CHECK(!call.goes_secret());
}

TEST("what two ends have encrypted for each other does not go in the clear") {
  TestRelay relay;
  TurningCall call;
  call.plan.sessions = {session(srtp::Purpose::kUnprotect, 1),
                        session(srtp::Purpose::kUnprotect, 3)};
  for (std::uint16_t at = 0; at < 2; ++at) {
    TransportSpec& transport = call.plan.transports[at];
    transport.flags |= kSecret;
    transport.unprotect = transport.protect = kNoSession;
    transport.former = at == 0 ? 1 : 0;
    transport.present_plain = true;
    transport.passing = Passing::kFormer;
  }
  CHECK(relay.apply(call.plan));
  const auto other = srtp::Sender::create(keys(3));
  call.is_refused(call.phones[1], protect(*call.their_sender, rtp(1)), relay, DropReason::kNoKey);
  CHECK(!call.phones[0].hears(50));
  const auto passes = [&](std::size_t from, srtp::Sender& sender) {
    const Bytes packet = protect(sender, rtp(++call.sequence));
    call.phones[from].send_bytes(call.facing(from), packet);
    return call.phones[1 - from].receive() == packet;
  };
  call.sequence = 10;
  CHECK(eventually([&] { return passes(0, *other) && passes(1, *call.their_sender); }));
}

namespace {

/// Phones 0 and 1 encrypt with keys 1 and 2, or 3 and 4 by the former ones; ours are 11 and 12.
struct PassingCall : Fixture {
  explicit PassingCall(Passing passing) {
    for (const auto& [purpose, seed] :
         {std::pair(srtp::Purpose::kUnprotect, 1), std::pair(srtp::Purpose::kUnprotect, 2),
          std::pair(srtp::Purpose::kUnprotect, 3), std::pair(srtp::Purpose::kUnprotect, 4),
          std::pair(srtp::Purpose::kProtect, 11), std::pair(srtp::Purpose::kProtect, 12)})
      plan.sessions.push_back(session(purpose, static_cast<std::uint8_t>(seed)));
    for (std::uint16_t at = 0; at < 2; ++at) {
      TransportSpec& transport = plan.transports[at];
      const auto ours = static_cast<std::uint16_t>(4 + at);
      transport.flags |= kSecret;
      transport.unprotect = at;
      transport.former = static_cast<std::uint16_t>(2 + at);
      (passing == Passing::kPresent ? transport.former_protect : transport.protect) = ours;
      transport.passing = passing;
      by_ours[at] = srtp::Receiver::create(keys(static_cast<std::uint8_t>(11 + at)));
      present[at] = srtp::Sender::create(keys(static_cast<std::uint8_t>(1 + at)));
      former[at] = srtp::Sender::create(keys(static_cast<std::uint8_t>(3 + at)));
    }
  }

  /// What phone `from` encrypts with `sender` comes to the other one as it was.
  bool passes(std::size_t from, srtp::Sender& sender) {
    const Bytes packet = protect(sender, rtp(++sequence));
    phones[from].send_bytes(facing(from), packet);
    return phones[1 - from].receive() == packet;
  }
  /// ... comes encrypted by our key.
  bool ends_here(std::size_t from, srtp::Sender& sender) {
    phones[from].send_bytes(facing(from), protect(sender, rtp(++sequence)));
    return unprotect(*by_ours[1 - from], phones[1 - from].receive()) == rtp(sequence);
  }

  std::uint16_t sequence = 0;
  std::array<std::unique_ptr<srtp::Receiver>, 2> by_ours;
  std::array<std::unique_ptr<srtp::Sender>, 2> present;
  std::array<std::unique_ptr<srtp::Sender>, 2> former;
};

} // namespace

TEST("SRTP that passes through ends here while a side goes on with former keys, by which it did") {
  TestRelay relay;
  PassingCall call(Passing::kPresent);
  CHECK(relay.apply(call.plan));
  // There is nothing that it could pass by, whatever the other side has.
  CHECK(call.ends_here(0, *call.former[0]));
  CHECK(eventually(
      [&] { return call.ends_here(1, *call.former[1]) && call.ends_here(0, *call.former[0]); }));
  const auto stranger = srtp::Sender::create(keys(9));
  call.phones[1].send_bytes(call.facing(1), protect(*stranger, rtp(1)));
  CHECK(eventually([&] { return dropped(relay, 1, DropReason::kNotAuthentic) == 1; }));
  // One side has the present ones, the other has not shown any yet.
  CHECK(eventually(
      [&] { return call.ends_here(0, *call.former[0]) && call.ends_here(1, *call.present[1]); }));
  CHECK(call.passes(0, *call.present[0]));
  CHECK(call.passes(1, *call.present[1]));
  // The former ones are over.
  call.phones[0].send_bytes(call.facing(0), protect(*call.former[0], rtp(++call.sequence)));
  CHECK(call.passes(0, *call.present[0]));
}

TEST("SRTP that ends here passes through while both sides go on with former keys, as it did then") {
  TestRelay relay;
  PassingCall call(Passing::kFormer);
  CHECK(relay.apply(call.plan));
  CHECK(call.ends_here(0, *call.former[0]));
  CHECK(eventually(
      [&] { return call.passes(1, *call.former[1]) && call.passes(0, *call.former[0]); }));
  CHECK(call.ends_here(0, *call.present[0]));
  CHECK(call.ends_here(1, *call.present[1]));
  CHECK(call.ends_here(0, *call.present[0]));
}

TEST("of a side whose key has stayed the other side shows how it goes on") {
  for (const Passing passing : {Passing::kPresent, Passing::kFormer}) {
    TestRelay relay;
    PassingCall call(passing);
    call.plan.transports[0].former = call.plan.transports[0].unprotect;
    CHECK(relay.apply(call.plan));
    const auto goes = [&](std::size_t from, srtp::Sender& sender, bool formerly) {
      return formerly == (passing == Passing::kFormer) ? call.passes(from, sender)
                                                       : call.ends_here(from, sender);
    };
    CHECK(goes(0, *call.present[0], false));
    CHECK(eventually(
        [&] { return goes(1, *call.former[1], true) && goes(0, *call.present[0], true); }));
    CHECK(goes(1, *call.present[1], false));
    CHECK(goes(0, *call.present[0], false));
  }
}

TEST("a packet for two sides with the same keys is encrypted once") {
  TestRelay relay;
  SecureCall call;
  const Phone third;
  call.add_transport(third);
  add_routes(call.plan, {route(0, 2)});
  CHECK(relay.apply(call.plan));
  for (std::uint16_t sequence = 1; sequence < 40; ++sequence) {
    call.phones[0].send_bytes(call.facing(0), rtp(sequence));
    const Bytes first = call.phones[1].receive();
    CHECK(!first.empty() && third.receive() == first);
  }
}

TEST("what another process has come to is where a waiting session goes on from") {
  TestRelay relay;
  SecureCall call;
  SrtpSpec& send = call.plan.sessions[1];
  send.resumed = true;
  send.indexes = {{0x09090909, true, false, 0x1fff0, 0}};
  CHECK(relay.apply(call.plan));
  send.indexes[0].rtp = 0x2fff0;
  CHECK(relay.apply(call.plan));
  call.phones[0].send_bytes(call.facing(0), rtp(3));
  const Bytes secret = call.phones[1].receive();
  CHECK(call.their_receiver->resume({0x09090909, true, false, 0x2fff0, 0}));
  CHECK(unprotect(*call.their_receiver, secret) == rtp(3));
}
