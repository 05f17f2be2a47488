#include "latch.h"

namespace rtprelay {

std::uint8_t rank_source(const SocketAddress& signalled, const SocketAddress& source) {
  const bool same_port = signalled.port == source.port;
  if (signalled.same_host(source))
    return same_port ? 0 : 1;
  return same_port ? 2 : 3;
}

void Latch::restart(const SocketAddress& endpoint, bool confirmed, Micros now) {
  const bool known = endpoint.valid() && endpoint == endpoint_ && (learned_ || confirmed_);
  if (!known) {
    heard_ = now - kGoneMicros;
    ssrc_ = 0;
  }
  endpoint_ = endpoint;
  preferred_ = known ? endpoint : SocketAddress{};
  preferred_heard_ = now;
  learned_ = false;
  confirmed_ = false;
  started_ = now;
  if (confirmed && endpoint.valid())
    confirm();
}

void Latch::refresh(const SocketAddress& endpoint, bool confirmed) {
  if (learned_)
    return;
  endpoint_ = endpoint;
  if (confirmed && endpoint.valid())
    confirm();
}

LatchOutcome Latch::on_packet(const LatchPolicy& policy, const LatchPacket& packet, Micros now) {
  if (confirmed_)
    return on_confirmed(policy, packet, now);
  if (policy.learning != Learning::kOff)
    return on_learning(policy, packet, now);
  // The signalled endpoint is taken as it is; the first packet ends the wait, whoever sent it.
  if (!endpoint_.valid())
    return {};
  if (policy.strict_source && !policy.media_handover && !(packet.source == endpoint_))
    return {LatchVerdict::kReject, false};
  confirm();
  LatchOutcome outcome = on_confirmed(policy, packet, now);
  outcome.changed = true;
  return outcome;
}

LatchOutcome Latch::on_learning(const LatchPolicy& policy, const LatchPacket& packet, Micros now) {
  const SocketAddress before = endpoint_;
  bool follow = packet.source == endpoint_;
  if (packet.teaches) {
    if (follow && !preferred_.valid())
      prefer(packet.source, now);
    follow = follow || takes_over(policy, packet, now);
    if (follow)
      hear(packet, now);
    if (packet.source == preferred_)
      preferred_heard_ = now;
    const bool settled = policy.learning == Learning::kImmediate || now - started_ >= kSettleMicros;
    if (settled && (endpoint_ == preferred_ || now - preferred_heard_ >= kGoneMicros))
      confirm();
  }
  // Nobody is a stranger before somebody is known.
  const bool known = learned_ || preferred_.valid();
  const bool reject = policy.strict_source && known && !follow;
  return {reject ? LatchVerdict::kReject : LatchVerdict::kAccept,
          confirmed_ || !(before == endpoint_)};
}

bool Latch::takes_over(const LatchPolicy& policy, const LatchPacket& packet, Micros now) {
  const SocketAddress& source = packet.source;
  const bool silent = now - heard_ >= kSilentMicros;
  if (!learned_ && silent) {
    if (!preferred_.valid())
      prefer(source, now);
    return true;
  }
  if (source == preferred_)
    return true;
  const std::uint8_t rank = rank_source(policy.signalled, source);
  const std::uint8_t best = rank_source(policy.signalled, endpoint_);
  if (rank < best || (packet.ssrc != 0 && packet.ssrc == ssrc_)) {
    prefer(source, now);
    return true;
  }
  return silent && (rank == best || policy.learning != Learning::kHeuristic);
}

LatchOutcome Latch::on_confirmed(const LatchPolicy& policy, const LatchPacket& packet, Micros now) {
  const SocketAddress& source = packet.source;
  if (source == endpoint_) {
    if (packet.teaches)
      hear(packet, now);
    return {};
  }
  if (policy.media_handover && packet.teaches) {
    const bool same_sender = packet.ssrc != 0 && packet.ssrc == ssrc_;
    if (same_sender)
      prefer(source, now);
    if (same_sender || source == preferred_ || now - heard_ >= kSilentMicros) {
      hear(packet, now);
      return {LatchVerdict::kAccept, true};
    }
  }
  return {policy.strict_source ? LatchVerdict::kReject : LatchVerdict::kAccept, false};
}

void Latch::prefer(const SocketAddress& source, Micros now) {
  preferred_ = source;
  preferred_heard_ = now;
}

void Latch::hear(const LatchPacket& packet, Micros now) {
  endpoint_ = packet.source;
  heard_ = now;
  ssrc_ = packet.ssrc;
  learned_ = true;
}

void Latch::confirm() {
  confirmed_ = true;
  preferred_ = endpoint_;
}

} // namespace rtprelay
