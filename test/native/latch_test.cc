#include "../../native/core/latch.h"
#include "../../native/core/stream.h"
#include "check.h"

using namespace rtprelay;

namespace {

SocketAddress at(const char* host, std::uint16_t port) {
  SocketAddress address;
  CHECK(parse_address(host, port, address));
  return address;
}

const SocketAddress kSignalled = at("192.0.2.1", 4000);
const SocketAddress kSamePort = at("192.0.2.9", 4000);
const SocketAddress kSameHost = at("192.0.2.1", 5000);
const SocketAddress kOther = at("192.0.2.7", 7000);

LatchPolicy policy(Learning learning) { return {learning, false, false, kSignalled}; }

LatchPolicy strict(Learning learning) { return {learning, true, false, kSignalled}; }

LatchPolicy handover(Learning learning) { return {learning, false, true, kSignalled}; }

/// What a source has sent, with an SSRC of its own.
LatchPacket from(const SocketAddress& source) {
  return {source, true, kSsrcKnown | (source.port + source.bytes[3])};
}

Latch started() {
  Latch latch;
  latch.restart(kSignalled, false, 0);
  return latch;
}

/// Follows `source` since `now`.
Latch following(const SocketAddress& source, Learning learning, Micros now = 0) {
  Latch latch = started();
  latch.on_packet(policy(learning), from(source), now);
  CHECK(latch.endpoint() == source);
  return latch;
}

constexpr auto kAccept = LatchVerdict::kAccept;
constexpr auto kReject = LatchVerdict::kReject;
constexpr auto kOff = Learning::kOff;
constexpr auto kImmediate = Learning::kImmediate;
constexpr auto kDelayed = Learning::kDelayed;
constexpr auto kHeuristic = Learning::kHeuristic;

} // namespace

TEST("off keeps the signalled endpoint and is confirmed by the first packet") {
  Latch latch = started();
  const auto outcome = latch.on_packet(policy(kOff), from(kOther), 1);
  CHECK(outcome.verdict == kAccept);
  CHECK(outcome.changed && latch.confirmed() && latch.endpoint() == kSignalled);
}

TEST("off with strict source rejects others from the first packet on") {
  Latch latch = started();
  CHECK(latch.on_packet(strict(kOff), from(kOther), 1).verdict == kReject);
  CHECK(!latch.confirmed());
  CHECK(latch.on_packet(strict(kOff), from(kSignalled), 2).verdict == kAccept);
  CHECK(latch.confirmed());
}

TEST("immediate takes the first source for good") {
  Latch latch = started();
  CHECK(latch.on_packet(policy(kImmediate), from(kOther), 1).changed);
  CHECK(!latch.on_packet(policy(kImmediate), from(kSignalled), 2).changed);
  CHECK(latch.confirmed() && latch.endpoint() == kOther);
}

TEST("delayed follows another source that is as good only while the first is silent") {
  Latch latch = following(kOther, kDelayed);
  const SocketAddress rival = at("192.0.2.8", 8000);
  for (Micros now = 0; now < kSettleMicros; now += 20'000) {
    latch.on_packet(policy(kDelayed), from(kOther), now);
    // Before and after the packets of the first, and many more of them.
    for (Micros later = 1; later < 20'000; later += 4'000) {
      latch.on_packet(policy(kDelayed), from(rival), now + later);
      CHECK(latch.endpoint() == kOther);
    }
  }
  CHECK(!latch.confirmed());
  const Micros end = kSettleMicros - 20'000;
  latch.on_packet(policy(kDelayed), from(rival), end + kSilentMicros);
  CHECK(latch.endpoint() == rival && !latch.confirmed());
  // The first gets it back with its next packet, and the end of learning finds it.
  latch.on_packet(policy(kDelayed), from(kOther), end + kSilentMicros + 1);
  CHECK(latch.endpoint() == kOther && latch.confirmed());
}

TEST("delayed settles on another source once the first has been gone for a while") {
  Latch latch = following(kOther, kDelayed);
  latch.on_packet(policy(kDelayed), from(kOther), kSettleMicros - kSilentMicros);
  latch.on_packet(policy(kDelayed), from(kSameHost), kSettleMicros);
  CHECK(latch.endpoint() == kSameHost && latch.confirmed());

  Latch worse = following(kSameHost, kDelayed);
  worse.on_packet(policy(kDelayed), from(kSameHost), kSettleMicros - kSilentMicros);
  worse.on_packet(policy(kDelayed), from(kOther), kSettleMicros);
  CHECK(worse.endpoint() == kOther && !worse.confirmed());
  const Micros gone = kSettleMicros - kSilentMicros + kGoneMicros;
  CHECK(worse.on_packet(policy(kDelayed), from(kOther), gone).changed);
  CHECK(worse.endpoint() == kOther && worse.confirmed());
  CHECK(!worse.on_packet(policy(kDelayed), from(kSameHost), gone + 1).changed);
}

TEST("a source with the SSRC of the one followed is the same one behind another binding") {
  for (const Learning learning : {kDelayed, kHeuristic}) {
    Latch latch = following(kSameHost, learning);
    LatchPacket moved = from(kSameHost);
    const LatchPacket same{kOther, true, moved.ssrc};
    latch.on_packet(policy(learning), same, 1);
    CHECK(latch.endpoint() == kOther);
    // It is preferred now: the old binding is like any other source.
    latch.on_packet(policy(learning), {kSameHost, true, kSsrcKnown | 1}, kSilentMicros / 2);
    CHECK(latch.endpoint() == kSameHost);
  }
  // No SSRC is nobody's.
  Latch latch = following(kOther, kDelayed);
  latch.on_packet(policy(kDelayed), {kOther, true, 0}, 1);
  latch.on_packet(policy(kDelayed), {at("192.0.2.8", 8000), true, 0}, 2);
  CHECK(latch.endpoint() == kOther);
}

TEST("heuristic prefers the signalled address and port, then the address, then the port") {
  CHECK(rank_source(kSignalled, kSignalled) == 0);
  CHECK(rank_source(kSignalled, kSameHost) == 1);
  CHECK(rank_source(kSignalled, kSamePort) == 2);
  CHECK(rank_source(kSignalled, kOther) == 3);
  Latch latch = started();
  const LatchPolicy rule = policy(kHeuristic);
  for (const auto& source : {kOther, kSamePort, kSameHost, kSignalled}) {
    latch.on_packet(rule, from(source), 1);
    CHECK(latch.endpoint() == source);
  }
  latch.on_packet(rule, from(kSameHost), 2);
  CHECK(latch.endpoint() == kSignalled && !latch.confirmed());
  latch.on_packet(rule, from(kOther), kSettleMicros);
  CHECK(latch.endpoint() == kSignalled && latch.confirmed());
}

TEST("strict source rejects while learning what is not followed") {
  Latch latch = started();
  const LatchPacket early{kOther, false, 0};
  CHECK(latch.on_packet(strict(kHeuristic), early, 1).verdict == kAccept);
  CHECK(latch.on_packet(strict(kHeuristic), from(kOther), 1).verdict == kAccept);
  CHECK(latch.on_packet(strict(kHeuristic), from(kSameHost), 2).verdict == kAccept);
  CHECK(latch.on_packet(strict(kHeuristic), from(kOther), 3).verdict == kReject);
  CHECK(latch.on_packet(strict(kHeuristic), early, 4).verdict == kReject);
  CHECK(latch.on_packet(strict(kHeuristic), from(kOther), kSettleMicros).verdict == kReject);
  Latch delayed = following(kOther, kDelayed);
  CHECK(delayed.on_packet(strict(kDelayed), from(kSameHost), kSettleMicros).verdict == kAccept);
  CHECK(delayed.on_packet(strict(kDelayed), from(kOther), kSettleMicros + 1).verdict == kReject);
}

TEST("what is no media of the stream teaches nothing") {
  for (const Learning learning : {kImmediate, kDelayed, kHeuristic}) {
    Latch latch = started();
    const auto outcome = latch.on_packet(policy(learning), {kOther, false, 0}, kSettleMicros);
    CHECK(outcome.verdict == kAccept && !outcome.changed);
    CHECK(!latch.confirmed() && latch.endpoint() == kSignalled);
  }
  Latch latch = following(kSignalled, kImmediate);
  CHECK(!latch.on_packet(handover(kImmediate), {kOther, false, 0}, kSettleMicros).changed);
}

TEST("media handover follows a changed source, and no rival of one that still sends") {
  for (const Learning learning : {kImmediate, kOff}) {
    Latch latch = started();
    latch.on_packet(handover(learning), from(kSignalled), 1);
    CHECK(latch.confirmed());
    CHECK(!latch.on_packet(handover(learning), from(kOther), kSilentMicros).changed);
    CHECK(latch.on_packet(handover(learning), from(kOther), kSilentMicros + 1).changed);
    CHECK(latch.endpoint() == kOther && latch.confirmed());
    // It was not gone.
    CHECK(latch.on_packet(handover(learning), from(kSignalled), kSilentMicros + 2).changed);
    CHECK(latch.endpoint() == kSignalled);
    const LatchPacket moved{kSameHost, true, from(kSignalled).ssrc};
    CHECK(latch.on_packet(handover(learning), moved, kSilentMicros + 3).changed);
    CHECK(!latch.on_packet(handover(learning), from(kSignalled), kSilentMicros + 4).changed ||
          from(kSignalled).ssrc == moved.ssrc);
  }
}

TEST("a plan of the same epoch does not undo what packets have taught") {
  Latch latch = started();
  latch.refresh(kSamePort, false);
  CHECK(latch.endpoint() == kSamePort);
  latch.on_packet(policy(kImmediate), from(kOther), 1);
  latch.refresh(kSignalled, true);
  CHECK(latch.endpoint() == kOther);
}

TEST("learning that starts again keeps what was learned until something else is heard") {
  for (const Learning learning : {kImmediate, kDelayed, kHeuristic}) {
    Latch latch = following(kOther, learning);
    latch.on_packet(policy(learning), from(kOther), kSettleMicros);
    CHECK(latch.confirmed());
    const Micros again = 2 * kSettleMicros;
    latch.restart(kOther, false, again);
    CHECK(latch.endpoint() == kOther && !latch.confirmed());
    // Its binding is another one now.
    CHECK(latch.on_packet(policy(learning), from(kSamePort), again + 1).verdict == kAccept);
    CHECK(latch.endpoint() == kSamePort && !latch.confirmed());
    latch.on_packet(policy(learning), from(kSamePort), again + kSettleMicros);
    CHECK(latch.endpoint() == kSamePort && latch.confirmed());
  }
}

TEST("a stranger who is first when learning starts again loses to the source known before") {
  for (const Learning learning : {kImmediate, kDelayed, kHeuristic}) {
    const SocketAddress rival = at("192.0.2.8", 8000);
    Latch latch = following(kOther, learning);
    const Micros again = 2 * kSettleMicros;
    latch.restart(kOther, false, again);
    latch.on_packet(policy(learning), from(rival), again + 1);
    latch.on_packet(policy(learning), from(kOther), again + 2);
    latch.on_packet(policy(learning), from(rival), again + 3);
    CHECK(latch.endpoint() == kOther);
    latch.on_packet(policy(learning), from(kOther), again + kSettleMicros - 1);
    latch.on_packet(policy(learning), from(rival), again + kSettleMicros);
    CHECK(latch.endpoint() == kOther && latch.confirmed());
    // While it sends it is not even disturbed.
    latch.restart(kOther, false, again + kSettleMicros + 2);
    latch.on_packet(policy(learning), from(rival), again + kSettleMicros + 3);
    CHECK(latch.endpoint() == kOther);
  }
}

TEST("a changed SDP forgets what was learned") {
  Latch latch = following(kOther, kImmediate);
  latch.restart(kSamePort, false, 10);
  CHECK(latch.endpoint() == kSamePort && !latch.confirmed());
  latch.on_packet(policy(kDelayed), from(kSameHost), 11);
  CHECK(latch.endpoint() == kSameHost);
  latch.on_packet(policy(kDelayed), from(kOther), 12);
  CHECK(latch.endpoint() == kSameHost);
}
