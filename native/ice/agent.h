// An ICE agent for one component of one media (RFC 8445, 8838, 7675), full or lite. Packets and
// time in; packets and events out through `Outlet`; no socket, no clock.
//
// What differs from RFC 8445, and why:
// - No frozen pairs (§6.1.2.6): a component of a relay has few of them; all wait from the start.
// - Retransmissions begin after 100 ms as browsers do it, not after 500 (§14.3).
// - Until a pair is nominated, media goes to the best valid one (§12.1 permits it).
// - An agent that has lost consent, or that took a call over, goes on asking the last address until
//   it is answered, even as lite: browsers that gave up return when they are asked. A lite one asks
//   when it has not heard the peer's checks for long, and counts that as consent lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../core/address.h"
#include "stun.h"

namespace rtprelay::ice {

/// Monotonic time in microseconds.
using Micros = std::int64_t;
constexpr Micros kNever = std::numeric_limits<Micros>::max();

/// RFC 8445 §14.2: at least so long between two checks that begin.
constexpr Micros kPaceMicros = 50'000;
/// A check is repeated after 0.1, 0.3, 0.7 … 6.3 s and has failed after 12.7 s.
constexpr Micros kRetryMicros = 100'000;
constexpr std::uint8_t kMaxAttempts = 7;
/// A controlling agent waits so long for a better pair than the first valid one.
constexpr Micros kNominationMicros = 100'000;
/// RFC 7675 §5.1: a check every 5 s, give or take a fifth; consent ends 30 s after the last answer.
constexpr Micros kConsentMicros = 5'000'000;
constexpr Micros kConsentLostMicros = 30'000'000;
/// A lite agent hears the peer's checks; after so long without one it asks by itself. A browser
/// that has given up, because of an outage between, comes back only when it is asked.
constexpr Micros kSilenceMicros = 15'000'000;
/// A check of the last address after a takeover: first so often, then more rarely.
constexpr Micros kProbeMicros = 50'000;
constexpr Micros kSlowProbeMicros = 1'000'000;
constexpr std::uint32_t kFastProbes = 40;
/// Without any valid pair so long: failed, until the peer asks.
constexpr Micros kFailedMicros = 30'000'000;
/// A nomination of a pair with a lower priority counts when the better one is silent so long.
constexpr Micros kNominationSilenceMicros = 3'000'000;
constexpr std::size_t kMaxPairs = 64;
constexpr std::size_t kMaxPaths = 16;

/// RFC 8445 §5.1.2.2: type preferences.
constexpr std::uint32_t kHostPreference = 126;
constexpr std::uint32_t kPeerReflexivePreference = 110;

/// RFC 8445 §5.1.2.1; `index` is the position of the local address.
constexpr std::uint32_t candidate_priority(std::uint32_t preference, std::uint32_t index,
                                           std::uint32_t component) {
  return (preference << 24) | ((65535 - index) << 8) | (256 - component);
}

/// The PRIORITY of checks from another address than before the takeover: above each candidate of
/// type host and rising, because browsers follow only to a pair that is strictly better.
constexpr std::uint32_t takeover_priority(std::uint32_t takeovers) {
  constexpr std::uint32_t kAboveHosts = (kHostPreference + 1) << 24;
  constexpr std::uint32_t kRoom = 0x00ffffff;
  return kAboveHosts + (takeovers < kRoom ? takeovers : kRoom);
}

enum class Mode : std::uint8_t { kFull, kLite };
enum class AgentStatus : std::uint8_t { kChecking, kConnected, kDisconnected, kFailed };

struct Credentials {
  std::string ufrag;
  std::string password;
  bool operator==(const Credentials&) const = default;
};

struct RemoteCandidate {
  SocketAddress address;
  std::uint32_t priority = 0;
};

/// Where packets leave and go to. `path`: which of our local addresses.
struct Route {
  std::uint8_t path = 0;
  SocketAddress remote;
  bool operator==(const Route&) const = default;
};

struct AgentSettings {
  Mode mode = Mode::kFull;
  bool controlling = false;
  std::uint8_t component = 1;
  std::uint64_t tie_breaker = 0;
  Credentials local;
  /// Empty until the peer's SDP is known.
  Credentials remote;
  /// Family of each local address; at most `kMaxPaths`.
  std::vector<Family> paths;
  /// How often the call moved to another local address.
  std::uint32_t takeovers = 0;
  /// Another node has the call: nothing is sent but answers. When that ends, the peer is asked as
  /// after `restore`.
  bool standby = false;
};

/// All that another node needs to go on.
struct AgentState {
  AgentSettings settings;
  std::vector<RemoteCandidate> remotes;
  bool has_route = false;
  Route route;
  std::uint32_t route_priority = 0;
};

/// What an agent gives out. It must not call the agent.
class Outlet {
public:
  virtual ~Outlet() = default;
  virtual void transmit(const Route& route, std::span<const std::uint8_t> packet) = 0;
  /// Media goes there from now on.
  virtual void selected(const Route& route) = 0;
  virtual void status_changed(AgentStatus status) = 0;
  /// Unpredictable bytes.
  virtual void random(std::span<std::uint8_t> out) = 0;
};

// Thread: one owner.
class Agent {
public:
  explicit Agent(Outlet& outlet) : outlet_(outlet) {}
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// Begins, goes on with more knowledge, or starts anew (RFC 8445 §9) when credentials of either
  /// side differ from those known before; media keeps its route until another is found.
  /// false: too many paths, or OpenSSL refused a password.
  bool configure(const AgentSettings& settings, Micros now);
  void add_remote(const RemoteCandidate& candidate);
  /// Goes on where another node stopped. Its `takeovers` have to be one more than there, where our
  /// address or port is another one.
  bool restore(const AgentState& state, Micros now);
  [[nodiscard]] AgentState state() const;

  /// A packet for which `looks_like_stun` holds. false: it was none of ours and left no trace.
  bool on_packet(std::span<const std::uint8_t> packet, const Route& from, Micros now);
  /// Does what is due. To be called at `deadline()` and after each input.
  void advance(Micros now);
  [[nodiscard]] Micros deadline() const;

  /// Whether media from there is the peer's: it has proven that it knows our password.
  [[nodiscard]] bool admits(const Route& from) const;
  [[nodiscard]] bool has_route() const { return has_route_; }
  [[nodiscard]] const Route& route() const { return route_; }
  /// Of the peer's candidate at the end of the route; 0: there is no route.
  [[nodiscard]] std::uint32_t route_priority() const {
    return selected_ < pairs_.size() ? pairs_[selected_].remote_priority : 0;
  }
  [[nodiscard]] AgentStatus status() const { return status_; }
  [[nodiscard]] bool controlling() const { return settings_.controlling; }

private:
  enum class PairState : std::uint8_t { kWaiting, kInProgress, kSucceeded, kFailed };

  struct Pair {
    Route route;
    std::uint32_t remote_priority = 0;
    /// RFC 8445 §6.1.2.3.
    std::uint64_t order = 0;
    TransactionId transaction{};
    /// When the check that is under way is repeated or given up.
    Micros due = kNever;
    /// Last packet of the peer that was authentic.
    Micros heard = -kConsentLostMicros;
    std::uint8_t attempts = 0;
    PairState state = PairState::kWaiting;
    bool in_flight = false;
    bool triggered = false;
    bool nominated = false;
    bool nominate_when_valid = false;
    /// Of the check that is under way.
    bool sent_nomination = false;
    bool sent_controlling = false;
    /// The peer sent a check from there.
    bool authentic = false;
  };

  // What arrives: agent.cc.
  void on_request(std::span<const std::uint8_t> packet, const StunMessage& message,
                  const Route& from, Micros now);
  void on_response(std::span<const std::uint8_t> packet, const StunMessage& message,
                   const Route& from, Micros now);
  void respond_error(const StunMessage& request, std::uint16_t code, const Route& to,
                     const StunKey* key);
  void respond_success(const StunMessage& request, const Route& to, const StunKey& key);
  bool settle_roles(const StunMessage& request, const Route& from);
  void accept_check(const StunMessage& request, const Route& from, Micros now);
  void on_role_conflict(Pair& pair);
  void on_success(Pair& pair, Micros now);
  Pair* find(const Route& route);
  Pair* add_pair(const Route& route, std::uint32_t remote_priority);
  void switch_role(bool controlling);
  [[nodiscard]] std::uint64_t order_of(const Pair& pair) const;
  void restart(Micros now);
  void take_over(Micros now);

  // What leaves: agent_checks.cc.
  void begin_check(Pair& pair, bool nominate, Micros now);
  void transmit_check(const Pair& pair);
  void repeat_checks(Micros now);
  void next_check(Micros now);
  void nominate(Micros now);
  void refresh(Micros now);
  void schedule_refresh(Micros now);
  void watch(Micros now);
  void listen(Micros now);
  [[nodiscard]] Micros heard_last() const;
  void choose(Micros now);
  void use(Pair& pair, Micros now);
  void probe(Micros now);
  void set_status(AgentStatus status);
  [[nodiscard]] bool sends_checks() const;
  [[nodiscard]] std::uint32_t check_priority(std::uint8_t path) const;
  [[nodiscard]] Pair* selected() {
    return selected_ < pairs_.size() ? &pairs_[selected_] : nullptr;
  }

  static constexpr std::size_t kNone = kMaxPairs;

  Outlet& outlet_;
  AgentSettings settings_;
  StunKey local_key_;
  StunKey remote_key_;
  /// Of the time before a restart: still answered until a new pair is in use.
  std::string former_ufrag_;
  /// The peer's of that time; empty: it was not known.
  std::string former_remote_ufrag_;
  StunKey former_key_;
  std::vector<RemoteCandidate> remotes_;
  std::vector<Pair> pairs_;
  std::size_t selected_ = kNone;
  Route route_;
  bool has_route_ = false;
  bool configured_ = false;
  /// Only ours are new: the peer's credentials are those of the former generation.
  bool awaits_answer_ = false;
  AgentStatus status_ = AgentStatus::kChecking;
  Micros started_ = 0;
  Micros next_check_ = 0;
  Micros first_valid_ = kNever;
  Micros refresh_at_ = kNever;
  Micros consent_until_ = kNever;
  /// When the selected pair came into use, or this node took the call over.
  Micros used_since_ = 0;
  bool probing_ = false;
  /// It does so because the peer is silent.
  bool asks_silent_peer_ = false;
  std::uint32_t probes_ = 0;
};

} // namespace rtprelay::ice
