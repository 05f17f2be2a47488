#include "agent.h"

#include <algorithm>

namespace rtprelay::ice {

namespace {

/// What a peer's check had for PRIORITY if it had none.
constexpr std::uint32_t kAssumedPriority = candidate_priority(kPeerReflexivePreference, 0, 1);

/// Whether it is "OURS:THEIRS" (RFC 8445 §7.2.2); without theirs, whether it begins with "OURS:".
bool names(std::string_view username, std::string_view ours, std::string_view theirs) {
  if (ours.empty() || username.size() <= ours.size() || !username.starts_with(ours) ||
      username[ours.size()] != ':')
    return false;
  return theirs.empty() || username.substr(ours.size() + 1) == theirs;
}

} // namespace

bool Agent::configure(const AgentSettings& settings, Micros now) {
  if (settings.paths.size() > kMaxPaths)
    return false;
  const bool other_local = configured_ && settings.local != settings_.local;
  const bool other_remote =
      configured_ && !settings_.remote.ufrag.empty() && settings.remote != settings_.remote;
  if (other_local) {
    former_ufrag_ = settings_.local.ufrag;
    former_remote_ufrag_ = settings_.remote.ufrag;
    former_key_ = local_key_;
  }
  // A restart that the peer has to answer: with credentials that its checks have before they are
  // heard of.
  if (other_local || other_remote)
    awaits_answer_ = other_local && settings.remote == settings_.remote;
  const bool first = !configured_;
  // A role that was settled with the peer stays; a restart begins with the one that SDP gives.
  const bool keeps_role = !first && !other_local && !other_remote;
  const bool controlling = settings_.controlling;
  const std::uint64_t tie_breaker = settings_.tie_breaker;
  const bool stood_by = settings_.standby;
  // Whatever happens, it never asks with a lower PRIORITY than before.
  const std::uint32_t takeovers = first ? 0 : settings_.takeovers;
  settings_ = settings;
  settings_.takeovers = std::max(settings.takeovers, takeovers);
  if (keeps_role) {
    settings_.controlling = controlling;
    settings_.tie_breaker = tie_breaker;
  }
  configured_ = true;
  if (!local_key_.set(settings.local.password) || !remote_key_.set(settings.remote.password))
    return false;
  if (first || other_local || other_remote)
    restart(now);
  else if (stood_by && !settings_.standby)
    take_over(now);
  return true;
}

/// The call is this node's now: time begins.
void Agent::take_over(Micros now) {
  started_ = now;
  next_check_ = now;
  if (selected() == nullptr)
    return;
  used_since_ = now;
  if (settings_.mode == Mode::kFull)
    consent_until_ = now + kConsentLostMicros;
  probe(now);
}

void Agent::restart(Micros now) {
  pairs_.clear();
  remotes_.clear();
  selected_ = kNone;
  started_ = now;
  next_check_ = now;
  first_valid_ = kNever;
  refresh_at_ = kNever;
  consent_until_ = kNever;
  probing_ = false;
  set_status(AgentStatus::kChecking);
}

void Agent::add_remote(const RemoteCandidate& candidate) {
  if (!candidate.address.valid() || candidate.address.port == 0)
    return;
  const auto known = std::ranges::find(remotes_, candidate.address, &RemoteCandidate::address);
  if (known == remotes_.end() && remotes_.size() < kMaxPairs)
    remotes_.push_back(candidate);
  for (std::size_t path = 0; path < settings_.paths.size(); ++path) {
    const Route route{static_cast<std::uint8_t>(path), candidate.address};
    if (settings_.paths[path] == candidate.address.family && find(route) == nullptr)
      add_pair(route, candidate.priority);
  }
}

bool Agent::restore(const AgentState& state, Micros now) {
  configured_ = false;
  if (!configure(state.settings, now))
    return false;
  for (const RemoteCandidate& remote : state.remotes)
    add_remote(remote);
  if (!state.has_route)
    return true;
  Pair* pair = find(state.route);
  if (pair == nullptr)
    pair = add_pair(state.route, state.route_priority);
  if (pair == nullptr)
    return false;
  pair->state = PairState::kSucceeded;
  pair->nominated = true;
  pair->authentic = true;
  use(*pair, now);
  probe(now);
  return true;
}

AgentState Agent::state() const {
  AgentState state{settings_, remotes_, has_route_, route_, 0};
  if (selected_ < pairs_.size())
    state.route_priority = pairs_[selected_].remote_priority;
  return state;
}

bool Agent::admits(const Route& from) const {
  if (has_route_ && from.remote == route_.remote)
    return true;
  return std::ranges::any_of(pairs_, [&from](const Pair& pair) {
    return pair.authentic && pair.route.remote == from.remote;
  });
}

Agent::Pair* Agent::find(const Route& route) {
  const auto found = std::ranges::find(pairs_, route, &Pair::route);
  return found == pairs_.end() ? nullptr : &*found;
}

Agent::Pair* Agent::add_pair(const Route& route, std::uint32_t remote_priority) {
  Pair pair;
  pair.route = route;
  pair.remote_priority = remote_priority;
  pair.order = order_of(pair);
  if (pairs_.size() < kMaxPairs)
    return &pairs_.emplace_back(pair);
  // Full: one that failed makes room.
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    if (i == selected_ || pairs_[i].state != PairState::kFailed)
      continue;
    pairs_[i] = pair;
    return &pairs_[i];
  }
  return nullptr;
}

std::uint64_t Agent::order_of(const Pair& pair) const {
  const std::uint64_t ours =
      candidate_priority(kHostPreference, pair.route.path, settings_.component);
  const std::uint64_t theirs = pair.remote_priority;
  const std::uint64_t controlling = settings_.controlling ? ours : theirs;
  const std::uint64_t controlled = settings_.controlling ? theirs : ours;
  return (std::min(controlling, controlled) << 32) + 2 * std::max(controlling, controlled) +
         (controlling > controlled ? 1 : 0);
}

void Agent::switch_role(bool controlling) {
  settings_.controlling = controlling;
  for (Pair& pair : pairs_)
    pair.order = order_of(pair);
}

bool Agent::on_packet(std::span<const std::uint8_t> packet, const Route& from, Micros now) {
  StunMessage message;
  if (!configured_ || !read_stun(packet, message) || !message.binding)
    return false;
  switch (message.kind) {
  case StunClass::kRequest:
    on_request(packet, message, from, now);
    return true;
  case StunClass::kSuccess:
  case StunClass::kError:
    on_response(packet, message, from, now);
    return true;
  case StunClass::kIndication:
    break;
  }
  return true;
}

void Agent::on_request(std::span<const std::uint8_t> packet, const StunMessage& message,
                       const Route& from, Micros now) {
  if (message.username.empty() || message.integrity_at == 0)
    return respond_error(message, kBadRequest, from, nullptr);
  const std::string_view theirs = awaits_answer_ ? std::string_view() : settings_.remote.ufrag;
  const bool current = names(message.username, settings_.local.ufrag, theirs);
  // A peer that restarts may ask with the former password for its new pairs, before it has our
  // answer (Chromium does). Told yes it would keep to such a pair for good, which is none of either
  // generation.
  const bool former = !current && names(message.username, former_ufrag_, former_remote_ufrag_);
  const StunKey& key = current ? local_key_ : former_key_;
  if ((!current && !former) || !has_integrity_of(packet, message, key))
    return respond_error(message, kUnauthenticated, from, nullptr);
  if (message.unknown_count > 0)
    return respond_error(message, kUnknownAttribute, from, &key);
  // The generation before a restart is only kept alive.
  if (former)
    return respond_success(message, from, key);
  if (!settle_roles(message, from))
    return;
  respond_success(message, from, key);
  accept_check(message, from, now);
}

void Agent::respond_error(const StunMessage& request, std::uint16_t code, const Route& to,
                          const StunKey* key) {
  StunWriter writer(StunClass::kError, request.id);
  writer.error(code);
  if (code == kUnknownAttribute)
    writer.unknown_attributes(std::span(request.unknown).first(request.unknown_count));
  if (const auto bytes = writer.finish(key); !bytes.empty())
    outlet_.transmit(to, bytes);
}

void Agent::respond_success(const StunMessage& request, const Route& to, const StunKey& key) {
  StunWriter writer(StunClass::kSuccess, request.id);
  writer.mapped_address(to.remote);
  if (const auto bytes = writer.finish(&key); !bytes.empty())
    outlet_.transmit(to, bytes);
}

/// RFC 8445 §7.3.1.1. false: the request was refused.
bool Agent::settle_roles(const StunMessage& request, const Route& from) {
  const auto& claimed = settings_.controlling ? request.controlling : request.controlled;
  if (!claimed.has_value())
    return true;
  // A lite agent can nominate nothing: it stays controlled.
  const bool ours_is_larger = settings_.tie_breaker >= *claimed;
  const bool stays =
      settings_.controlling ? ours_is_larger : !ours_is_larger || settings_.mode == Mode::kLite;
  if (stays) {
    respond_error(request, kRoleConflict, from, &local_key_);
    return false;
  }
  switch_role(!settings_.controlling);
  return true;
}

void Agent::accept_check(const StunMessage& request, const Route& from, Micros now) {
  Pair* pair = find(from);
  if (pair == nullptr)
    pair = add_pair(from, request.priority.value_or(kAssumedPriority));
  if (pair == nullptr)
    return;
  pair->heard = now;
  pair->authentic = true;
  const bool nominates = request.use_candidate && !settings_.controlling;
  if (settings_.mode == Mode::kLite) {
    // RFC 8445 §7.3.2: the nomination makes the pair valid.
    if (nominates) {
      pair->state = PairState::kSucceeded;
      pair->nominated = true;
      choose(now);
    }
    return;
  }
  if (pair->state == PairState::kSucceeded) {
    pair->nominated = pair->nominated || nominates;
    if (nominates)
      choose(now);
    return;
  }
  pair->nominate_when_valid = pair->nominate_when_valid || nominates;
  // RFC 8445 §7.3.1.4; one that is under way is repeated at once.
  pair->triggered = true;
  if (pair->state == PairState::kFailed)
    pair->state = PairState::kWaiting;
}

void Agent::on_response(std::span<const std::uint8_t> packet, const StunMessage& message,
                        const Route& from, Micros now) {
  const auto found = std::ranges::find_if(pairs_, [&message](const Pair& pair) {
    return pair.in_flight && pair.transaction == message.id;
  });
  // An error without integrity (401, 400) can be anybody's: it counts as no answer.
  if (found == pairs_.end() || !has_integrity_of(packet, message, remote_key_))
    return;
  Pair& pair = *found;
  if (message.kind == StunClass::kError && message.error == kRoleConflict)
    return on_role_conflict(pair);
  // RFC 8445 §7.2.5.2.1: the answer has to come from where the check went.
  if (message.kind == StunClass::kSuccess && from == pair.route)
    return on_success(pair, now);
  pair.in_flight = false;
  pair.due = kNever;
  if (pair.state != PairState::kSucceeded)
    pair.state = PairState::kFailed;
}

void Agent::on_role_conflict(Pair& pair) {
  pair.in_flight = false;
  pair.due = kNever;
  if (pair.sent_controlling == settings_.controlling) {
    // RFC 8445 §7.1.3: another number after a conflict.
    std::array<std::uint8_t, sizeof settings_.tie_breaker> bytes{};
    outlet_.random(bytes);
    settings_.tie_breaker = 0;
    for (const std::uint8_t octet : bytes)
      settings_.tie_breaker = (settings_.tie_breaker << 8) | octet;
    switch_role(!settings_.controlling);
  }
  if (pair.state == PairState::kSucceeded) {
    refresh_at_ = 0;
    return;
  }
  pair.state = PairState::kWaiting;
  pair.triggered = true;
}

void Agent::on_success(Pair& pair, Micros now) {
  pair.in_flight = false;
  pair.due = kNever;
  pair.heard = now;
  pair.authentic = true;
  pair.state = PairState::kSucceeded;
  first_valid_ = std::min(first_valid_, now);
  if (pair.nominate_when_valid || (pair.sent_nomination && pair.sent_controlling))
    pair.nominated = true;
  pair.nominate_when_valid = false;
  choose(now);
  if (&pair != selected())
    return;
  if (settings_.mode == Mode::kFull)
    consent_until_ = now + kConsentLostMicros;
  if (probing_) {
    probing_ = false;
    schedule_refresh(now);
  }
  set_status(AgentStatus::kConnected);
}

} // namespace rtprelay::ice
