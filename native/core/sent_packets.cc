#include "sent_packets.h"

#include <cstring>

namespace rtprelay {

namespace {

/// Packets before the last one that are remembered.
constexpr int kRemembered = 64;
/// A sequence number that is farther away is one of a source that has begun anew (RFC 3550 §A.1).
constexpr int kBegunAnew = 3000;

/// `bits`, as seen from so many packets later.
std::uint64_t moved_on(std::uint64_t bits, int packets) {
  return packets >= kRemembered ? 0 : bits << packets;
}

std::uint64_t bit_of(int packets_before) {
  return packets_before < 1 || packets_before > kRemembered
             ? 0
             : std::uint64_t{1} << (packets_before - 1);
}

int distance(std::uint16_t from, std::uint16_t to) {
  return static_cast<std::int16_t>(static_cast<std::uint16_t>(to - from));
}

} // namespace

std::size_t SentPackets::Hash::operator()(const Source& source) const {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::memcpy(&low, source.local.bytes.data(), sizeof(low));
  std::memcpy(&high, source.local.bytes.data() + sizeof(low), sizeof(high));
  std::uint64_t mixed = low ^ (high * 0x9e3779b97f4a7c15ULL) ^
                        (std::uint64_t{source.local.port} << 40U) ^
                        (std::uint64_t{source.ssrc} * 0xbf58476d1ce4e5b9ULL);
  mixed *= 0x9e3779b97f4a7c15ULL;
  return mixed ^ (mixed >> 29U);
}

SentPackets::State* SentPackets::state_of(const SocketAddress& local, std::uint32_t ssrc,
                                          bool& is_new) {
  const Source source{local, ssrc};
  auto found = sources_.find(source);
  is_new = found == sources_.end();
  if (is_new) {
    if (sources_.size() >= most_) {
      ++refused_;
      return nullptr;
    }
    found = sources_.emplace(source, State{}).first;
  }
  if (!tells_)
    return &found->second;
  if (found->second.untold == 0)
    moved_.push_back(&*found);
  found->second.untold = kTold;
  return &found->second;
}

void SentPackets::move_to(State& state, std::uint16_t sequence, std::uint64_t earlier) {
  const int ahead = distance(state.sequence, sequence);
  if (ahead > kBegunAnew || ahead < -kBegunAnew) {
    state.sequence = sequence;
    state.earlier = earlier;
  } else if (ahead > 0) {
    state.earlier = moved_on(state.earlier, ahead) | bit_of(ahead) | earlier;
    state.sequence = sequence;
  } else if (ahead == 0) {
    state.earlier |= earlier;
  } else {
    state.earlier |= bit_of(-ahead) | moved_on(earlier, -ahead);
  }
}

void SentPackets::note(const SentPacket& packet, Micros now) {
  merge({packet.local, packet.ssrc, packet.sequence, 0}, now);
}

void SentPackets::merge(const SentState& told, Micros now) {
  bool is_new = false;
  State* const state = state_of(told.local, told.ssrc, is_new);
  if (state == nullptr)
    return;
  state->changed = now;
  if (is_new) {
    state->sequence = told.sequence;
    state->earlier = told.earlier;
  } else {
    move_to(*state, told.sequence, told.earlier);
  }
}

WasSent SentPackets::find(const SentPacket& packet) const {
  const auto found = sources_.find(Source{packet.local, packet.ssrc});
  if (found == sources_.end())
    return WasSent::kUnknownSource;
  const State& state = found->second;
  const int before = distance(packet.sequence, state.sequence);
  if (before < 0)
    return WasSent::kNo;
  const bool sent = before == 0 || before > kRemembered || (state.earlier & bit_of(before)) != 0;
  return sent ? WasSent::kYes : WasSent::kNo;
}

void SentPackets::forget(Micros now) {
  std::erase_if(sources_, [now](const auto& entry) {
    return entry.second.untold == 0 && now - entry.second.changed > kForgotten;
  });
}

} // namespace rtprelay
