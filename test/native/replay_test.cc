// Replay at takeover: heartbeats, packets in memory, and what is sent in another node's place.
#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "../../native/bytes.h"
#include "../../native/core/heard_packets.h"
#include "../../native/core/heartbeat.h"
#include "../../native/core/replay.h"
#include "check.h"
#include "loopback.h"

using namespace rtprelay;

namespace {

using Bytes = std::vector<std::uint8_t>;

SocketAddress at(const char* host, std::uint16_t port) {
  SocketAddress address;
  (void)parse_address(host, port, address);
  return address;
}

constexpr const char* kHost = "192.0.2.10";
constexpr std::uint16_t kPort = 30000;
constexpr std::uint32_t kSsrc = 0x1234;
constexpr MacAddress kOurs{2, 0, 0, 0, 0, 2};
constexpr MacAddress kTheirs{2, 0, 0, 0, 0, 1};
constexpr MacAddress kGroup{1, 0, 0x5e, 0, 0, 1};

HeartbeatKey key_of(std::uint8_t octet) {
  HeartbeatKey key;
  key.fill(octet);
  return key;
}

Bytes rtp(std::uint16_t sequence, std::uint32_t ssrc = kSsrc, std::size_t payload = 160) {
  Bytes packet(12 + payload, 0xd5);
  packet[0] = 0x80;
  packet[1] = 8;
  write_number(std::span(packet).subspan(2), sequence);
  write_number(std::span(packet).subspan(4), std::uint32_t{sequence} * 160);
  write_number(std::span(packet).subspan(8), ssrc);
  return packet;
}

struct FrameOptions {
  MacAddress to = kTheirs;
  std::size_t tags = 0;
  std::uint16_t fragment = 0;
  std::size_t ip_options = 0;
  std::uint8_t protocol = 17;
  /// Ethernet fills short frames up.
  std::size_t padding = 0;
};

Bytes frame_to(const SocketAddress& to, const Bytes& payload, const FrameOptions& options = {}) {
  const SocketAddress from =
      to.family == Family::kIpv4 ? at("198.51.100.7", 4000) : at("2001:db8::7", 4000);
  Bytes frame(options.to.begin(), options.to.end());
  const auto put = [&](auto number) {
    frame.resize(frame.size() + sizeof(number));
    write_number(std::span(frame).last(sizeof(number)), number);
  };
  frame.insert(frame.end(), 6, 9);
  for (std::size_t i = 0; i < options.tags; ++i) {
    put(static_cast<std::uint16_t>(i + 1 < options.tags ? 0x88a8 : 0x8100));
    put(std::uint16_t{7});
  }
  const auto udp = static_cast<std::uint16_t>(8 + payload.size());
  if (to.family == Family::kIpv4) {
    put(std::uint16_t{0x0800});
    frame.push_back(static_cast<std::uint8_t>(0x45 + options.ip_options));
    frame.push_back(0);
    put(static_cast<std::uint16_t>(20 + 4 * options.ip_options + udp));
    put(std::uint16_t{1});
    put(options.fragment);
    frame.push_back(64);
    frame.push_back(options.protocol);
    put(std::uint16_t{0});
    frame.insert(frame.end(), from.bytes.begin(), from.bytes.begin() + 4);
    frame.insert(frame.end(), to.bytes.begin(), to.bytes.begin() + 4);
    frame.insert(frame.end(), 4 * options.ip_options, 1);
  } else {
    put(std::uint16_t{0x86dd});
    put(std::uint32_t{0x60000000});
    put(udp);
    frame.push_back(options.protocol);
    frame.push_back(64);
    frame.insert(frame.end(), from.bytes.begin(), from.bytes.end());
    frame.insert(frame.end(), to.bytes.begin(), to.bytes.end());
  }
  put(from.port);
  put(to.port);
  put(udp);
  put(std::uint16_t{0});
  frame.insert(frame.end(), payload.begin(), payload.end());
  frame.insert(frame.end(), options.padding, 0);
  return frame;
}

Bytes frame_of(std::uint16_t sequence, const MacAddress& to = kTheirs) {
  return frame_to(at(kHost, kPort), rtp(sequence), {.to = to});
}

SentPacket packet_of(std::uint16_t sequence) { return {at(kHost, kPort), kSsrc, sequence}; }

ReplayOptions options_of(std::uint64_t epoch, std::uint8_t key = 1) {
  return {.keys = {key_of(key)},
          .epoch = epoch,
          .hosts = {at(kHost, 0)},
          .port_min = 30000,
          .port_max = 39999,
          .bytes = 1024 * 1024};
}

using Heartbeats = std::vector<Bytes>;

Heartbeats beats_of(Replay& replay, Micros now) {
  Heartbeats made;
  replay.beat(now, [&](std::span<const std::uint8_t> bytes) {
    made.emplace_back(bytes.begin(), bytes.end());
  });
  return made;
}

/// The sequence numbers that are due.
std::vector<int> due(Replay& replay, Micros now) {
  std::vector<int> sequences;
  replay.each_due(now, [&](const HeardPacket& packet, std::span<const std::uint8_t> payload) {
    CHECK(payload.size() == packet.size && read_u16(payload, 2) == packet.identity.sequence);
    sequences.push_back(packet.identity.sequence);
  });
  return sequences;
}

/// Two nodes that know each other, and the second one hears the first one's packets.
struct Nodes {
  Replay one{options_of(11)};
  Replay two{options_of(22)};
  Micros now = 1'000'000;
  /// Heartbeats that did not get lost.
  Heartbeats sent;

  Nodes() {
    one.set_macs({kTheirs});
    two.set_macs({kOurs});
    one.set_held({true}, now);
    two.set_held({false}, now);
    for (int i = 0; i < 3; ++i)
      exchange();
  }
  void exchange(bool lost = false) {
    now += kHeartbeatMicros;
    for (const Bytes& bytes : beats_of(one, now)) {
      if (!lost)
        two.take_heartbeat(bytes, now);
      sent.push_back(bytes);
    }
    for (const Bytes& bytes : beats_of(two, now))
      one.take_heartbeat(bytes, now);
  }
  /// A packet comes; `relayed`: the first node has sent it on.
  void packet(std::uint16_t sequence, bool relayed = true) {
    two.take_frame(frame_of(sequence), now);
    if (relayed)
      one.note_sent(packet_of(sequence), now);
  }
  void take_over() { two.set_held({true}, now); }
};

} // namespace

TEST("what was sent is known for the last 65 packets, in whatever order they came, around zero") {
  SentPackets sent(true);
  CHECK(sent.find(packet_of(5)) == WasSent::kUnknownSource);
  for (const int sequence : {65530, 65532, 65531, 2, 65535})
    sent.note(packet_of(static_cast<std::uint16_t>(sequence)), 0);
  for (const int sequence : {65530, 65531, 65532, 65535, 2})
    CHECK(sent.find(packet_of(static_cast<std::uint16_t>(sequence))) == WasSent::kYes);
  for (const int sequence : {65533, 65534, 0, 1, 3, 65529})
    CHECK(sent.find(packet_of(static_cast<std::uint16_t>(sequence))) == WasSent::kNo);
  sent.note(packet_of(66), 0);
  CHECK(sent.find(packet_of(2)) == WasSent::kYes);
  CHECK(sent.find(packet_of(3)) == WasSent::kNo);
  // Nobody remembers.
  CHECK(sent.find(packet_of(1)) == WasSent::kYes);
  // A source that begins anew.
  sent.note(packet_of(20'000), 0);
  CHECK(sent.find(packet_of(20'001)) == WasSent::kNo);
  CHECK(sent.find(packet_of(19'999)) == WasSent::kNo);
}

TEST("what is merged is what was noted, in any order and however often") {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    SentPackets noted(true);
    SentPackets merged(false);
    std::vector<SentState> told;
    std::set<std::uint16_t> sequences;
    auto next = static_cast<std::uint16_t>(random());
    for (int i = 0; i < 40; ++i) {
      next = static_cast<std::uint16_t>(next + 1 + random() % 2);
      if (random() % 5 == 0)
        continue;
      sequences.insert(next);
      noted.note(packet_of(next), 0);
      noted.tell([&](const SentState& state) { told.push_back(state); });
    }
    const std::size_t before = told.size();
    for (std::size_t i = 0; i < before / 2; ++i)
      told.push_back(told[random() % before]);
    std::shuffle(told.begin(), told.end(), random);
    for (const SentState& state : told)
      merged.merge(state, 0);
    for (int back = -5; back < 60; ++back) {
      const auto sequence = static_cast<std::uint16_t>(next - back);
      CHECK(noted.find(packet_of(sequence)) == merged.find(packet_of(sequence)));
    }
  }
}

TEST("a change is told twice, and a source that is silent is forgotten") {
  SentPackets sent(true, 2);
  sent.note(packet_of(1), 0);
  int told = 0;
  for (int i = 0; i < 5; ++i)
    sent.tell([&](const SentState&) { ++told; });
  CHECK(told == SentPackets::kTold);
  sent.note({at(kHost, kPort), 2, 1}, 0);
  sent.note({at(kHost, kPort), 3, 1}, 0);
  CHECK(sent.size() == 2 && sent.refused() == 1);
  for (int i = 0; i < 5; ++i)
    sent.tell([](const SentState&) {});
  sent.forget(SentPackets::kForgotten + 1);
  CHECK(sent.size() == 0);
}

TEST("a heartbeat is read as it was written, for both families, and fits a packet") {
  HeartbeatWriter writer;
  writer.begin({1, 2, 3});
  std::vector<SentState> written;
  for (std::uint16_t i = 0; i < 1000; ++i) {
    const SocketAddress local = i % 10 < 5 ? at(kHost, i) : at("2001:db8::1", i);
    written.push_back({local, i * 3U, static_cast<std::uint16_t>(i * 7), ~std::uint64_t{i}});
    if (writer.add(written.back()))
      continue;
    written.pop_back();
    break;
  }
  CHECK(written.size() > 60 && writer.states() == written.size());
  const auto bytes = writer.finish(key_of(1));
  CHECK(bytes.size() <= kHeartbeatBytes);
  const std::vector<HeartbeatKey> keys{key_of(9), key_of(1)};
  HeartbeatHeader header;
  std::vector<SentState> read;
  CHECK(read_heartbeat(bytes, keys, header, read) == HeartbeatFault::kNone);
  CHECK(header.epoch == 1 && header.echo == 2 && header.sequence == 3);
  CHECK(std::ranges::equal(read, written, [](const SentState& a, const SentState& b) {
    return a.local == b.local && a.ssrc == b.ssrc && a.sequence == b.sequence &&
           a.earlier == b.earlier;
  }));
}

TEST("no heartbeat that was cut, changed in one bit or made with another key is taken") {
  Nodes nodes;
  nodes.packet(1);
  Bytes bytes = beats_of(nodes.one, nodes.now).front();
  const std::uint64_t taken = nodes.two.counters().heartbeats.get();
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(!nodes.two.take_heartbeat(std::span(bytes).first(size), nodes.now));
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    CHECK(!nodes.two.take_heartbeat(bytes, nodes.now));
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
  }
  Replay stranger(options_of(33, 2));
  CHECK(!nodes.two.take_heartbeat(beats_of(stranger, nodes.now).front(), nodes.now));
  const ReplayCounters& counters = nodes.two.counters();
  CHECK(counters.heartbeats.get() == taken);
  CHECK(counters.forged.get() > 0 && counters.malformed.get() > 0);
  // Nothing of it has been believed.
  nodes.take_over();
  CHECK(due(nodes.two, nodes.now + kPeerAlive) == std::vector{1});
  CHECK(nodes.two.take_heartbeat(bytes, nodes.now));
}

TEST("a heartbeat counts once, whichever path brings it first; a recorded one changes nothing") {
  Nodes nodes;
  nodes.exchange();
  const ReplayCounters& counters = nodes.two.counters();
  const std::uint64_t taken = counters.heartbeats.get();
  const std::uint64_t last = counters.last_heartbeat.get();
  for (const Bytes& bytes : nodes.sent)
    nodes.two.take_heartbeat(bytes, nodes.now + 500'000);
  CHECK(counters.heartbeats.get() == taken && counters.last_heartbeat.get() == last);
  CHECK(counters.repeated.get() > 0);
  // Our own, sent back.
  CHECK(!nodes.two.take_heartbeat(beats_of(nodes.two, nodes.now).front(), nodes.now));
}

TEST("a new life of the peer counts as soon as it has heard us, and the former one never again") {
  Nodes nodes;
  const Heartbeats before = nodes.sent;
  Replay again(options_of(44));
  Micros now = nodes.now + kPeerAlive + 1;
  // It does not know us yet.
  CHECK(!nodes.two.take_heartbeat(beats_of(again, now).front(), now));
  again.take_heartbeat(beats_of(nodes.two, now).front(), now);
  again.note_sent(packet_of(7), now);
  CHECK(nodes.two.take_heartbeat(beats_of(again, now).front(), now));
  // A record of the former life, even one that names us.
  for (const Bytes& bytes : before)
    CHECK(!nodes.two.take_heartbeat(bytes, now));
  CHECK(!nodes.two.take_heartbeat(beats_of(nodes.one, now).front(), now));
  CHECK(nodes.two.take_heartbeat(beats_of(again, now + 1).front(), now + 1));
  // A node that has just started is not told anything by a record either.
  Replay fresh(options_of(55));
  for (const Bytes& bytes : before)
    CHECK(!fresh.take_heartbeat(bytes, now));
  CHECK(fresh.counters().heartbeats.get() == 0);
}

TEST("sequence numbers are taken once, in any order, and none from too far back") {
  SequenceWindow window;
  for (const std::uint64_t number :
       {5000ULL, 5002ULL, 4990ULL, 5001ULL, 6023ULL, 5000ULL + 1024 + 500})
    CHECK(window.take(number) && !window.take(number));
  CHECK(!window.take(5000));
  CHECK(window.take(6022));
  CHECK(window.take(1'000'000) && window.take(999'500) && !window.take(6022));
}

TEST(
    "frames: VLAN tags, options of IP and padding are understood; fragments and the rest are not") {
  HeardDatagram out;
  const Bytes payload = rtp(1, kSsrc, 3);
  for (const char* host : {kHost, "2001:db8::1"})
    for (std::size_t tags = 0; tags < 3; ++tags) {
      const Bytes frame = frame_to(at(host, kPort), payload, {.tags = tags, .padding = 9});
      CHECK(parse_frame(frame, out) && out.local == at(host, kPort));
      CHECK(std::ranges::equal(out.payload, payload) && out.destination_mac == kTheirs);
      for (std::size_t size = 0; size + 9 < frame.size(); ++size)
        CHECK(!parse_frame(std::span(frame).first(size), out));
    }
  const Bytes longer = frame_to(at(kHost, kPort), payload, {.ip_options = 3});
  CHECK(parse_frame(longer, out));
  CHECK(std::ranges::equal(out.payload, payload));
  CHECK(out.source == at("198.51.100.7", 4000));
  const auto refused = [&](const FrameOptions& options) {
    return !parse_frame(frame_to(at(kHost, kPort), payload, options), out);
  };
  CHECK(refused({.tags = 3}) && refused({.fragment = 0x2000}) && refused({.fragment = 1}) &&
        refused({.protocol = 6}));
  CHECK(parse_frame(frame_to(at(kHost, kPort), payload, {.fragment = 0x4000}), out));
}

TEST("packets in memory: the newest ones that fit, whole and in order, however long they are") {
  std::mt19937 random(3);
  HeardPackets packets(64 * 1024);
  struct Kept {
    std::uint16_t sequence;
    std::size_t size;
  };
  std::vector<Kept> model;
  std::uint16_t next = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t size = random() % 50 == 0 ? 9000 : 20 + random() % 1400;
    const Bytes payload(size, static_cast<std::uint8_t>(next));
    HeardPacket packet;
    packet.identity = packet_of(next);
    packet.at = i;
    CHECK(packets.add(packet, payload));
    model.push_back({next++, size});
    if (random() % 8 == 0)
      packets.expire(i - static_cast<int>(random() % 40));
    CHECK(packets.size() <= model.size() && packets.bytes() <= 64 * 1024);
    model.erase(model.begin(), model.end() - static_cast<std::ptrdiff_t>(packets.size()));
    if (random() % 16 != 0)
      continue;
    // All of them may be seen, and those that are done are not seen again.
    std::size_t seen = 0;
    const bool all = random() % 4 == 0;
    const std::size_t stop = random() % (model.size() + 1);
    std::uint16_t last = 0;
    packets.each_open([&](HeardPacket& each, std::span<const std::uint8_t> bytes) {
      if (!all && seen == stop)
        return false;
      CHECK(seen == 0 || static_cast<std::uint16_t>(each.identity.sequence - last) < 0x8000);
      last = each.identity.sequence;
      const auto offset = static_cast<std::uint16_t>(last - model.front().sequence);
      CHECK(offset < model.size() && bytes.size() == model[offset].size);
      CHECK(std::ranges::all_of(
          bytes, [&](std::uint8_t octet) { return octet == static_cast<std::uint8_t>(last); }));
      each.done = random() % 2 == 0;
      ++seen;
      return true;
    });
  }
  CHECK(packets.crowded_out() > 0);
  HeardPacket packet;
  CHECK(!packets.add(packet, Bytes(70'000)));
  packets.expire(kNever);
  CHECK(packets.size() == 0 && packets.bytes() == 0);
}

TEST("power-off: what the peer has not said it sent is sent, in order and once") {
  Nodes nodes;
  for (std::uint16_t sequence = 1; sequence <= 10; ++sequence) {
    nodes.packet(sequence);
    nodes.exchange();
  }
  // It received these, and the power went.
  nodes.packet(11, false);
  nodes.packet(12, false);
  CHECK(!nodes.two.taking_over(nodes.now) && due(nodes.two, nodes.now).empty());
  nodes.now += 20'000;
  nodes.packet(13, false);
  nodes.take_over();
  CHECK(nodes.two.taking_over(nodes.now));
  CHECK(due(nodes.two, nodes.now) == (std::vector{11, 12, 13}));
  CHECK(due(nodes.two, nodes.now + 1000).empty());
  // Its senders do not know yet where the address is; mirrored twice it is one packet all the same.
  nodes.packet(14, false);
  nodes.packet(14, false);
  CHECK(due(nodes.two, nodes.now) == std::vector{14});
  CHECK(nodes.two.counters().replayed.get() == 4);
  CHECK(nodes.two.counters().already_sent.get() == 11);
}

TEST("a peer that lives on may still say for some milliseconds what it has sent") {
  Nodes nodes;
  nodes.packet(1);
  nodes.packet(2, false);
  nodes.take_over();
  CHECK(due(nodes.two, nodes.now).empty());
  nodes.exchange();
  nodes.exchange();
  nodes.exchange();
  CHECK(due(nodes.two, nodes.now) == std::vector{2});
}

TEST("heartbeats that are lost are made up for by those that come") {
  Nodes nodes;
  for (std::uint16_t sequence = 1; sequence <= 20; ++sequence) {
    nodes.packet(sequence);
    nodes.exchange(sequence % 2 == 1);
  }
  nodes.exchange();
  nodes.now += kPeerAlive;
  nodes.take_over();
  CHECK(due(nodes.two, nodes.now).empty());
}

TEST("what nobody knows is not sent: before the first heartbeat, and long after the last") {
  Nodes nodes;
  Replay fresh(options_of(66));
  fresh.set_macs({kOurs});
  fresh.set_held({false}, nodes.now);
  fresh.take_frame(frame_of(1), nodes.now);
  fresh.set_held({true}, nodes.now + 1000);
  CHECK(due(fresh, nodes.now + 1000).empty() && fresh.counters().unknown.get() == 1);
  nodes.now += kPeerUnknown + kPeerAlive;
  nodes.packet(1, false);
  nodes.take_over();
  CHECK(due(nodes.two, nodes.now + 1000).empty() && nodes.two.counters().unknown.get() == 1);
}

TEST("what our own network stack was given is sent only if nobody has it by then") {
  Nodes nodes;
  nodes.now += kPeerAlive;
  // A shared group address: both nodes get it, and this one dropped it.
  nodes.two.take_frame(frame_of(1, kGroup), nodes.now);
  nodes.two.take_frame(frame_of(2, kOurs), nodes.now);
  nodes.take_over();
  // From here on it is delivered.
  nodes.two.take_frame(frame_of(3, kGroup), nodes.now);
  nodes.two.take_frame(frame_of(4, kOurs), nodes.now);
  CHECK(due(nodes.two, nodes.now).empty());
  // It was already, before anybody knew that the address is here.
  nodes.two.note_sent(packet_of(2), nodes.now);
  CHECK(due(nodes.two, nodes.now + kPeerMaySay) == std::vector{1});
}

TEST("only RTP to the media ports of a known address is kept, 100 ms of it, not that of our own "
     "calls") {
  Nodes nodes;
  const SocketAddress here = at(kHost, kPort);
  Bytes rtcp = rtp(1);
  rtcp[1] = 200;
  const std::array frames{frame_to(at(kHost, 29999), rtp(1)),
                          frame_to(at("192.0.2.11", kPort), rtp(1)), frame_to(here, rtcp),
                          frame_to(here, Bytes(40, 0)), frame_to(here, {})};
  for (const Bytes& frame : frames)
    nodes.two.take_frame(frame, nodes.now);
  CHECK(nodes.two.counters().heard.get() == 0);
  nodes.one.take_frame(frame_of(1), nodes.now);
  CHECK(nodes.one.counters().heard.get() == 0);
  nodes.packet(1, false);
  CHECK(nodes.two.counters().heard.get() == 1);
  nodes.now += options_of(1).window + 1;
  nodes.take_over();
  CHECK(due(nodes.two, nodes.now).empty());
  // An address that goes and comes again.
  nodes.two.set_held({false}, nodes.now);
  nodes.packet(2, false);
  CHECK(due(nodes.two, nodes.now).empty());
  nodes.two.set_held({true}, nodes.now);
  CHECK(due(nodes.two, nodes.now) == std::vector{2});
  // Senders have learned by then.
  nodes.now += kStrayMicros + 1;
  CHECK(!nodes.two.taking_over(nodes.now));
  nodes.packet(3, false);
  CHECK(nodes.two.counters().heard.get() == 2);
}

TEST("only an address that the peer has, or had some seconds ago, is listened to") {
  Nodes nodes;
  const std::vector<SocketAddress> heard{at(kHost, 0)};
  CHECK(nodes.one.hosts_to_hear(nodes.now).empty() && nodes.two.hosts_to_hear(nodes.now) == heard);
  nodes.take_over();
  CHECK(nodes.two.hosts_to_hear(nodes.now + kStrayMicros) == heard);
  CHECK(nodes.two.hosts_to_hear(nodes.now + kStrayMicros + 1).empty());
  nodes.one.set_held({false}, nodes.now);
  CHECK(nodes.one.hosts_to_hear(nodes.now) == heard);
}

TEST("a source that the peer has never sent anything of is sent from its first packet on") {
  Nodes nodes;
  nodes.packet(1);
  nodes.exchange();
  nodes.two.take_frame(frame_to(at(kHost, kPort + 2), rtp(9, 77)), nodes.now);
  nodes.now += kPeerAlive;
  nodes.take_over();
  CHECK(due(nodes.two, nodes.now) == std::vector{9});
}

TEST("many streams take several heartbeats, and all of it arrives") {
  Nodes nodes;
  for (std::uint16_t i = 0; i < 500; ++i) {
    const auto port = static_cast<std::uint16_t>(kPort + i);
    nodes.two.take_frame(frame_to(at(kHost, port), rtp(i, i)), nodes.now);
    nodes.one.note_sent({at(kHost, port), i, i}, nodes.now);
  }
  const std::size_t before = nodes.sent.size();
  nodes.exchange();
  CHECK(nodes.sent.size() - before > 5);
  nodes.now += kPeerAlive;
  nodes.take_over();
  CHECK(due(nodes.two, nodes.now).empty());
}

namespace {

struct ReplayingRelay : Relay {
  ReplayingRelay() : Relay({.workers = 2, .replays = true}, {ignore, nullptr}) {
    int error = 0;
    CHECK(start(error));
  }
};

void send_heartbeats(Replay& from, const Phone& phone, const SocketAddress& to) {
  from.beat(monotonic_micros(),
            [&](std::span<const std::uint8_t> bytes) { phone.send_bytes(to, bytes); });
}

} // namespace

TEST(
    "a relay tells its peer what its workers have sent, and what they could not send it does not") {
  ReplayingRelay relay;
  Fixture call;
  std::vector<PortFailure> failures;
  CHECK(relay.reconcile(encode_plan(call.plan), failures) == PlanError::kNone && failures.empty());
  // The peer, which a thread of ours has nothing to do with.
  const Phone peer_socket;
  const SocketAddress own = Phone().address();
  ReplayOptions options = options_of(0);
  options.hosts = {at("192.0.2.77", 0)};
  std::string fault;
  const bool started = relay.start_replay(
      {.replay = options, .paths = {{own, peer_socket.address()}}, .devices = {"lo"}}, fault);
  if (!started) {
    CHECK(fault == "lo: Operation not permitted");
    return;
  }
  CHECK(!relay.start_replay({}, fault));
  Replay peer(options_of(99));
  const ReplayCounters& heard = peer.counters();
  // As many as have come: there is another one every 3 ms.
  const auto hear = [&] {
    send_heartbeats(peer, peer_socket, own);
    for (int i = 0; i < 100; ++i) {
      const auto bytes = peer_socket.receive(0);
      if (bytes.empty())
        return;
      peer.take_heartbeat(bytes, monotonic_micros());
    }
  };
  CHECK(eventually([&] {
    hear();
    return heard.heartbeats.get() > 0 && relay.replay_link()->counters().heartbeats.get() > 0;
  }));
  const auto sent = [&](int sequence) {
    return peer.told_of({call.facing(0), kSsrc, static_cast<std::uint16_t>(sequence)});
  };
  for (std::uint16_t sequence = 1; sequence <= 20; ++sequence) {
    const Bytes packet = rtp(sequence);
    call.phones[0].send_bytes(call.facing(0), packet);
    CHECK(call.phones[1].receive() == packet);
  }
  CHECK(eventually([&] {
    hear();
    return sent(20) == WasSent::kYes;
  }));
  for (int sequence = 1; sequence <= 20; ++sequence)
    CHECK(sent(sequence) == WasSent::kYes);
  CHECK(sent(21) == WasSent::kNo);
  // Nobody to send it to: it may be somebody's after all.
  call.plan.transports[1].endpoint = call.plan.transports[1].signalled = {};
  ++call.plan.transports[1].generation;
  CHECK(relay.reconcile(encode_plan(call.plan), failures) == PlanError::kNone);
  relay.wake_workers_for_orders();
  call.phones[0].send_bytes(call.facing(0), rtp(21));
  CHECK(eventually(
      [&] { return relay.drops()[static_cast<std::size_t>(DropReason::kNoEndpoint)] == 1; }));
  // What came the other way after it has been told of.
  call.phones[1].send_bytes(call.facing(1), rtp(1, kSsrc + 1));
  CHECK(call.phones[0].receive() == rtp(1, kSsrc + 1));
  CHECK(eventually([&] {
    hear();
    return peer.told_of({call.facing(1), kSsrc + 1, 1}) == WasSent::kYes;
  }));
  CHECK(sent(20) == WasSent::kYes && sent(21) == WasSent::kNo);
  CHECK(relay.replay_link()->paths().front()->received.get() > 0);
  relay.pause();
  CHECK(relay.replay_link() == nullptr);
}
