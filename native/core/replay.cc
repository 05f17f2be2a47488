#include "replay.h"

#include <algorithm>

#include "packet.h"

namespace rtprelay {

namespace {

/// Lives of the peer that are remembered so as not to take them for its present one.
constexpr std::size_t kEndedEpochs = 1024;
constexpr Micros kTidyMicros = 1'000'000;

} // namespace

Replay::Replay(ReplayOptions options) : options_(std::move(options)), packets_(options_.bytes) {
  for (const SocketAddress& address : options_.hosts)
    hosts_.push_back({.address = address});
}

void Replay::begin_heartbeat() { writer_.begin({options_.epoch, heard_epoch_, ++sequence_}); }

void Replay::tidy(Micros now) {
  packets_.expire(now - options_.window);
  counters_.kept.set(packets_.size());
  counters_.kept_bytes.set(packets_.bytes());
  counters_.crowded_out.set(packets_.crowded_out());
  if (now - tidied_ < kTidyMicros)
    return;
  tidied_ = now;
  own_.forget(now);
  peer_.forget(now);
  counters_.sources.set(own_.size() + peer_.size());
  counters_.too_many_sources.set(own_.refused() + peer_.refused());
}

bool Replay::take_heartbeat(std::span<const std::uint8_t> bytes, Micros now) {
  HeartbeatHeader header;
  told_.clear();
  switch (read_heartbeat(bytes, options_.keys, header, told_)) {
  case HeartbeatFault::kMalformed:
    counters_.malformed.add(1);
    return false;
  case HeartbeatFault::kForged:
    counters_.forged.add(1);
    return false;
  case HeartbeatFault::kNone:
    break;
  }
  if (!is_present(header, now))
    return false;
  if (!window_.take(header.sequence)) {
    counters_.repeated.add(1);
    return true;
  }
  counters_.heartbeats.add(1);
  counters_.last_heartbeat.set(static_cast<std::uint64_t>(now));
  if (known_since_ == 0 || now - last_heard_ > kPeerUnknown)
    known_since_ = now;
  else
    counters_.longest_gap.set(
        std::max(counters_.longest_gap.get(), static_cast<std::uint64_t>(now - last_heard_)));
  last_heard_ = now;
  for (const SentState& state : told_)
    peer_.merge(state, now);
  return true;
}

bool Replay::is_present(const HeartbeatHeader& header, Micros now) {
  // Our own, sent back to us, is no peer's.
  if (header.epoch == 0 || header.epoch == options_.epoch ||
      std::ranges::find(ended_epochs_, header.epoch) != ended_epochs_.end()) {
    counters_.outdated.add(1);
    return false;
  }
  // Only who has heard us in this life can say its name; until then it is merely named in turn.
  if (header.echo != options_.epoch) {
    // A record of an earlier one must not keep the present one from being named.
    if (header.epoch != peer_epoch_ && (peer_epoch_ == 0 || now - last_heard_ > kPeerAlive))
      heard_epoch_ = header.epoch;
    else
      counters_.outdated.add(1);
    return false;
  }
  if (header.epoch == peer_epoch_)
    return true;
  if (peer_epoch_ != 0) {
    if (ended_epochs_.size() == kEndedEpochs)
      ended_epochs_.erase(ended_epochs_.begin());
    ended_epochs_.push_back(peer_epoch_);
  }
  peer_epoch_ = heard_epoch_ = header.epoch;
  window_ = {};
  return true;
}

void Replay::set_held(const std::vector<bool>& held, Micros now) {
  for (std::size_t i = 0; i < hosts_.size() && i < held.size(); ++i) {
    Host& host = hosts_[i];
    const bool came = held[i] && !host.held;
    host.held = held[i];
    if (came && hosts_known_) {
      host.since = now;
      counters_.takeovers.add(1);
      taking_over_until_ = now + kStrayMicros;
    } else if (!host.held) {
      host.since = 0;
    }
  }
  hosts_known_ = true;
}

Replay::Host* Replay::host_of(const SocketAddress& local) {
  const auto found =
      std::ranges::find_if(hosts_, [&](const Host& host) { return host.address.same_host(local); });
  return found == hosts_.end() ? nullptr : &*found;
}

bool Replay::is_for_us(const MacAddress& mac) const {
  // To a group: the network stack gets it as well.
  return (mac[0] & 1) != 0 || std::ranges::find(macs_, mac) != macs_.end();
}

std::vector<SocketAddress> Replay::hosts_to_hear(Micros now) const {
  std::vector<SocketAddress> list;
  for (const Host& host : hosts_)
    if (!is_settled(host, now))
      list.push_back(host.address);
  return list;
}

void Replay::take_frame(std::span<const std::uint8_t> frame, Micros now) {
  HeardDatagram datagram;
  if (!parse_frame(frame, datagram) || datagram.local.port < options_.port_min ||
      datagram.local.port > options_.port_max)
    return;
  const Host* const host = host_of(datagram.local);
  // Anything else is repeated by whoever sent it, and nothing tells it from what was sent.
  if (host == nullptr || classify(datagram.payload) != PacketKind::kRtp)
    return;
  const bool for_us = is_for_us(datagram.destination_mac);
  if (is_settled(*host, now) || (host->held && for_us))
    return;
  const HeardPacket packet{
      .identity = {datagram.local, read_u32(datagram.payload, 8), read_u16(datagram.payload, 2)},
      .source = datagram.source,
      .at = now,
      .for_us = for_us,
  };
  if (packets_.add(packet, datagram.payload))
    counters_.heard.add(1);
}

Replay::Verdict Replay::decide(const HeardPacket& packet, Micros now) {
  const Host* const host = host_of(packet.identity.local);
  if (host == nullptr || !host->held || host->since == 0)
    return Verdict::kNotHere;
  const Micros age = now - packet.at;
  const bool alive = now - last_heard_ < kPeerAlive;
  // What came to this machine while the address did may have been relayed already, or be about to.
  if (age < kPeerMaySay && (alive || packet.for_us))
    return Verdict::kLater;
  if (own_.find(packet.identity) == WasSent::kYes) {
    counters_.already_sent.add(1);
    return Verdict::kNot;
  }
  if (known_since_ == 0 || packet.at < known_since_ || packet.at - last_heard_ > kPeerUnknown) {
    counters_.unknown.add(1);
    return Verdict::kNot;
  }
  if (told_of(packet.identity) == WasSent::kYes) {
    counters_.already_sent.add(1);
    return Verdict::kNot;
  }
  return Verdict::kReplay;
}

} // namespace rtprelay
