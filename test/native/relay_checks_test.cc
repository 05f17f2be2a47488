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
  static const std::array<std::shared_ptr<const dtls::Identity>, 3> made{
      dtls::Identity::generate({}), dtls::Identity::generate({}), dtls::Identity::generate({})};
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

  bool sees(const std::function<bool()>& condition) {
    return eventually([&] {
      pump();
      return condition();
    });
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
