#include "../../native/core/latch.h"
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

Latch started() {
  Latch latch;
  latch.restart(kSignalled, false, 0);
  return latch;
}

} // namespace

TEST("off keeps the signalled endpoint and is confirmed by the first packet") {
  Latch latch = started();
  const auto outcome = latch.on_packet(policy(Learning::kOff), kOther, 1);
  CHECK(outcome.verdict == LatchVerdict::kAccept);
  CHECK(outcome.changed && latch.confirmed() && latch.endpoint() == kSignalled);
}

TEST("off with strict source rejects others from the first packet on") {
  Latch latch = started();
  LatchPolicy strict = policy(Learning::kOff);
  strict.strict_source = true;
  CHECK(latch.on_packet(strict, kOther, 1).verdict == LatchVerdict::kReject);
  CHECK(latch.on_packet(strict, kSignalled, 2).verdict == LatchVerdict::kAccept);
}

TEST("immediate takes the first source for good") {
  Latch latch = started();
  CHECK(latch.on_packet(policy(Learning::kImmediate), kOther, 1).changed);
  CHECK(!latch.on_packet(policy(Learning::kImmediate), kSignalled, 2).changed);
  CHECK(latch.confirmed() && latch.endpoint() == kOther);
}

TEST("delayed follows every source until it settles with the first packet after 3 s") {
  Latch latch = started();
  latch.on_packet(policy(Learning::kDelayed), kOther, 1);
  CHECK(latch.endpoint() == kOther && !latch.confirmed());
  latch.on_packet(policy(Learning::kDelayed), kSameHost, kSettleMicros - 1);
  CHECK(latch.endpoint() == kSameHost && !latch.confirmed());
  latch.on_packet(policy(Learning::kDelayed), kSamePort, kSettleMicros);
  CHECK(latch.endpoint() == kSamePort && latch.confirmed());
  CHECK(!latch.on_packet(policy(Learning::kDelayed), kOther, kSettleMicros + 1).changed);
}

TEST("heuristic prefers the signalled address and port, then the address, then the port") {
  CHECK(rank_source(kSignalled, kSignalled) == 0);
  CHECK(rank_source(kSignalled, kSameHost) == 1);
  CHECK(rank_source(kSignalled, kSamePort) == 2);
  CHECK(rank_source(kSignalled, kOther) == 3);
  Latch latch = started();
  const LatchPolicy rule = policy(Learning::kHeuristic);
  for (const auto& source : {kOther, kSamePort, kSameHost, kSignalled}) {
    latch.on_packet(rule, source, 1);
    CHECK(latch.endpoint() == source);
  }
  latch.on_packet(rule, kSameHost, 2);
  CHECK(latch.endpoint() == kSignalled && !latch.confirmed());
  latch.on_packet(rule, kOther, kSettleMicros);
  CHECK(latch.endpoint() == kSignalled && latch.confirmed());
}

TEST("strict source rejects others only once confirmed") {
  Latch latch = started();
  LatchPolicy strict = policy(Learning::kDelayed);
  strict.strict_source = true;
  CHECK(latch.on_packet(strict, kOther, 1).verdict == LatchVerdict::kAccept);
  CHECK(latch.on_packet(strict, kSameHost, kSettleMicros).verdict == LatchVerdict::kAccept);
  CHECK(latch.on_packet(strict, kOther, kSettleMicros + 1).verdict == LatchVerdict::kReject);
}

TEST("media handover follows a changed source at once") {
  Latch latch = started();
  LatchPolicy handover = policy(Learning::kImmediate);
  handover.media_handover = true;
  latch.on_packet(handover, kOther, 1);
  CHECK(latch.on_packet(handover, kSameHost, 2).changed);
  CHECK(latch.endpoint() == kSameHost && latch.confirmed());
}

TEST("a plan of the same epoch does not undo what packets have taught") {
  Latch latch = started();
  latch.refresh(kSamePort, false);
  CHECK(latch.endpoint() == kSamePort);
  latch.on_packet(policy(Learning::kImmediate), kOther, 1);
  latch.refresh(kSignalled, true);
  CHECK(latch.endpoint() == kOther);
}
