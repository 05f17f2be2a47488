#include "latch.h"

namespace rtprelay {

std::uint8_t rank_source(const SocketAddress& signalled, const SocketAddress& source) {
  const bool same_port = signalled.port == source.port;
  if (signalled.same_host(source))
    return same_port ? 0 : 1;
  return same_port ? 2 : 3;
}

void Latch::restart(const SocketAddress& endpoint, bool confirmed, Micros now) {
  endpoint_ = endpoint;
  confirmed_ = confirmed && endpoint.valid();
  learned_ = false;
  started_ = now;
  best_rank_ = 0xff;
}

void Latch::refresh(const SocketAddress& endpoint, bool confirmed) {
  if (learned_)
    return;
  endpoint_ = endpoint;
  if (confirmed && endpoint.valid())
    confirmed_ = true;
}

LatchOutcome Latch::on_packet(const LatchPolicy& policy, const SocketAddress& source, Micros now) {
  if (confirmed_)
    return on_confirmed(policy, source);
  if (policy.learning == Learning::kOff) {
    // The signalled endpoint is taken as it is; the first packet ends the wait, whoever sent it.
    if (!endpoint_.valid())
      return {};
    confirmed_ = true;
    LatchOutcome outcome = on_confirmed(policy, source);
    outcome.changed = true;
    return outcome;
  }
  const SocketAddress before = endpoint_;
  learn(policy, source);
  if (policy.learning == Learning::kImmediate || now - started_ >= kSettleMicros)
    confirmed_ = true;
  return {LatchVerdict::kAccept, confirmed_ || !(before == endpoint_)};
}

void Latch::learn(const LatchPolicy& policy, const SocketAddress& source) {
  if (policy.learning == Learning::kHeuristic) {
    // Of equally good sources the newest wins, as without ranking.
    const std::uint8_t rank = rank_source(policy.signalled, source);
    if (rank > best_rank_)
      return;
    best_rank_ = rank;
  }
  endpoint_ = source;
  learned_ = true;
}

LatchOutcome Latch::on_confirmed(const LatchPolicy& policy, const SocketAddress& source) {
  if (source == endpoint_)
    return {};
  if (policy.media_handover && policy.learning != Learning::kOff) {
    endpoint_ = source;
    learned_ = true;
    return {LatchVerdict::kAccept, true};
  }
  return {policy.strict_source ? LatchVerdict::kReject : LatchVerdict::kAccept, false};
}

} // namespace rtprelay
