// The half of the agent that acts by time: checks, nomination, consent, takeover.
#include <algorithm>
#include <tuple>

#include "agent.h"

namespace rtprelay::ice {

bool Agent::sends_checks() const {
  return settings_.mode == Mode::kFull && !settings_.remote.ufrag.empty();
}

std::uint32_t Agent::check_priority(std::uint8_t path) const {
  if (settings_.takeovers > 0)
    return takeover_priority(settings_.takeovers);
  return candidate_priority(kPeerReflexivePreference, path, settings_.component);
}

void Agent::begin_check(Pair& pair, bool nominate, Micros now) {
  outlet_.random(pair.transaction);
  pair.in_flight = true;
  pair.triggered = false;
  pair.attempts = 1;
  pair.due = now + kRetryMicros;
  pair.sent_controlling = settings_.controlling;
  pair.sent_nomination = nominate && settings_.controlling;
  if (pair.state != PairState::kSucceeded)
    pair.state = PairState::kInProgress;
  transmit_check(pair);
}

void Agent::transmit_check(const Pair& pair) {
  StunWriter writer(StunClass::kRequest, pair.transaction);
  writer.username(settings_.remote.ufrag, settings_.local.ufrag);
  writer.role(pair.sent_controlling, settings_.tie_breaker);
  if (pair.sent_nomination)
    writer.use_candidate();
  writer.priority(check_priority(pair.route.path));
  if (const auto bytes = writer.finish(&remote_key_); !bytes.empty())
    outlet_.transmit(pair.route, bytes);
}

void Agent::advance(Micros now) {
  if (!configured_ || settings_.standby)
    return;
  if (sends_checks()) {
    repeat_checks(now);
    next_check(now);
    nominate(now);
  }
  refresh(now);
  watch(now);
}

void Agent::repeat_checks(Micros now) {
  for (Pair& pair : pairs_) {
    if (!pair.in_flight || pair.due > now)
      continue;
    if (pair.attempts < kMaxAttempts) {
      pair.due = now + (kRetryMicros << pair.attempts);
      ++pair.attempts;
      transmit_check(pair);
      continue;
    }
    pair.in_flight = false;
    pair.due = kNever;
    // One in use is given up by consent alone.
    if (&pair != selected() || pair.state != PairState::kSucceeded)
      pair.state = PairState::kFailed;
  }
}

/// RFC 8445 §6.1.4.2: triggered checks first, then the best pair that waits.
void Agent::next_check(Micros now) {
  if (now < next_check_)
    return;
  Pair* next = nullptr;
  for (Pair& pair : pairs_) {
    if (!pair.triggered && pair.state != PairState::kWaiting)
      continue;
    if (next == nullptr || pair.triggered > next->triggered ||
        (pair.triggered == next->triggered && pair.order > next->order))
      next = &pair;
  }
  if (next == nullptr)
    return;
  next_check_ = now + kPaceMicros;
  // One that is under way is repeated as it is: its answer may be on the way, and a peer that asks
  // faster than the round trip would otherwise make each answer one to a check that is forgotten.
  if (next->in_flight && next->sent_controlling == settings_.controlling) {
    next->triggered = false;
    transmit_check(*next);
    return;
  }
  begin_check(*next, false, now);
}

/// RFC 8445 §8.1.1: regular nomination of the best valid pair.
void Agent::nominate(Micros now) {
  if (!settings_.controlling)
    return;
  Pair* best = nullptr;
  for (Pair& pair : pairs_) {
    if (pair.nominated || (pair.in_flight && pair.sent_nomination))
      return;
    if (pair.state == PairState::kSucceeded && (best == nullptr || pair.order > best->order))
      best = &pair;
  }
  if (best == nullptr) {
    first_valid_ = kNever;
    return;
  }
  const bool better_may_come = std::ranges::any_of(pairs_, [best](const Pair& pair) {
    return pair.order > best->order &&
           (pair.state == PairState::kWaiting || pair.state == PairState::kInProgress);
  });
  if (better_may_come && now < first_valid_ + kNominationMicros)
    return;
  begin_check(*best, true, now);
}

void Agent::schedule_refresh(Micros now) {
  if (probing_) {
    refresh_at_ = now + (probes_ < kFastProbes ? kProbeMicros : kSlowProbeMicros);
    return;
  }
  if (settings_.mode == Mode::kLite) {
    refresh_at_ = kNever;
    return;
  }
  std::array<std::uint8_t, 2> bytes{};
  outlet_.random(bytes);
  const Micros share = (bytes[0] << 8) | bytes[1];
  refresh_at_ = now + kConsentMicros * 4 / 5 + kConsentMicros * 2 / 5 * share / 65536;
}

/// Consent (RFC 7675), or the question whether the peer is there after a takeover.
void Agent::refresh(Micros now) {
  Pair* pair = selected();
  if (pair == nullptr || now < refresh_at_ || settings_.remote.ufrag.empty())
    return;
  // A check that is under way and repeated anyway (a nomination) asks for consent as well.
  if (!probing_ && pair->in_flight && pair->due != kNever)
    return schedule_refresh(now);
  // While it asks, the same check is repeated: an answer to any of them counts.
  if (!probing_ || !pair->in_flight || pair->sent_controlling != settings_.controlling) {
    begin_check(*pair, pair->nominated, now);
  } else {
    transmit_check(*pair);
  }
  pair->due = kNever;
  if (probing_)
    ++probes_;
  schedule_refresh(now);
}

void Agent::probe(Micros now) {
  probing_ = true;
  probes_ = 0;
  refresh_at_ = now;
}

Micros Agent::heard_last() const { return std::max(pairs_[selected_].heard, used_since_); }

/// What consent is for a full agent: the checks of the peer, which a lite one answers.
void Agent::listen(Micros now) {
  const Micros silent = now - heard_last();
  if (silent < kSilenceMicros) {
    if (asks_silent_peer_) {
      asks_silent_peer_ = probing_ = false;
      refresh_at_ = kNever;
    }
    return set_status(AgentStatus::kConnected);
  }
  if (!probing_) {
    asks_silent_peer_ = true;
    probe(now);
    probes_ = kFastProbes;
  }
  if (silent >= kConsentLostMicros)
    set_status(AgentStatus::kDisconnected);
}

void Agent::watch(Micros now) {
  if (has_route_ && selected() != nullptr) {
    if (settings_.mode == Mode::kLite)
      return listen(now);
    if (now >= consent_until_) {
      consent_until_ = kNever;
      set_status(AgentStatus::kDisconnected);
      probe(now);
      probes_ = kFastProbes;
    }
    return;
  }
  if (status_ == AgentStatus::kChecking && now - started_ >= kFailedMicros)
    set_status(AgentStatus::kFailed);
}

/// Which pair carries media: the best nominated one that the peer still uses, else the best valid
/// one. A peer that moved (another network) nominates a pair that may be a worse one.
void Agent::choose(Micros now) {
  const auto rank = [now](const Pair& pair) {
    const bool fresh = now - pair.heard < kNominationSilenceMicros;
    return std::tuple(pair.nominated, fresh, pair.order);
  };
  Pair* best = nullptr;
  for (Pair& pair : pairs_) {
    if (pair.state == PairState::kSucceeded && (best == nullptr || rank(pair) > rank(*best)))
      best = &pair;
  }
  Pair* current = selected();
  if (best == nullptr || best == current)
    return;
  use(*best, now);
}

void Agent::use(Pair& pair, Micros now) {
  selected_ = static_cast<std::size_t>(&pair - pairs_.data());
  former_ufrag_.clear();
  used_since_ = now;
  asks_silent_peer_ = false;
  if (settings_.mode == Mode::kFull)
    consent_until_ = now + kConsentLostMicros;
  probing_ = false;
  schedule_refresh(now);
  const bool changed = !has_route_ || route_ != pair.route;
  route_ = pair.route;
  has_route_ = true;
  if (changed)
    outlet_.selected(route_);
  set_status(AgentStatus::kConnected);
}

void Agent::set_status(AgentStatus status) {
  if (status == status_)
    return;
  status_ = status;
  outlet_.status_changed(status);
}

Micros Agent::deadline() const {
  if (!configured_ || settings_.standby)
    return kNever;
  Micros next = kNever;
  if (sends_checks()) {
    for (const Pair& pair : pairs_) {
      if (pair.in_flight)
        next = std::min(next, pair.due);
      if (pair.triggered || pair.state == PairState::kWaiting)
        next = std::min(next, next_check_);
    }
    if (settings_.controlling && first_valid_ != kNever &&
        std::ranges::none_of(pairs_, [](const Pair& pair) {
          return pair.nominated || (pair.in_flight && pair.sent_nomination);
        }))
      next = std::min(next, first_valid_ + kNominationMicros);
  }
  if (selected_ < pairs_.size()) {
    if (!settings_.remote.ufrag.empty())
      next = std::min(next, refresh_at_);
    if (settings_.mode == Mode::kFull)
      return std::min(next, consent_until_);
    if (!probing_)
      return std::min(next, heard_last() + kSilenceMicros);
    return status_ == AgentStatus::kConnected ? std::min(next, heard_last() + kConsentLostMicros)
                                              : next;
  }
  return status_ == AgentStatus::kChecking ? std::min(next, started_ + kFailedMicros) : next;
}

} // namespace rtprelay::ice
