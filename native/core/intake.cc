#include "intake.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace rtprelay {

namespace {

constexpr std::int16_t kMostMerit = 100;
constexpr std::int16_t kRubbishCosts = 10;
/// So much rubbish in a row, and nothing else before it, makes a nuisance.
constexpr std::int16_t kLeastMerit = -10;
/// Likewise: more than a proxy sends that ends calls which its relay has lost.
constexpr std::uint16_t kMostRefused = 1000;

/// Some seconds of commands of a busy proxy; what is older has been repeated.
constexpr std::size_t kMaxProxyMessages = 4096;
constexpr std::size_t kMaxProxyBytes = 8 * 1024 * 1024;
constexpr std::size_t kMaxOtherMessages = 1024;
constexpr std::size_t kMaxOtherBytes = 2 * 1024 * 1024;

/// Of so many messages one is of somebody who is no proxy yet, when such wait.
constexpr unsigned kPreferred = 8;

/// Malformed messages worked on at once and per second: enough for somebody who tries by hand.
constexpr std::uint64_t kTokens = 200;
constexpr std::uint64_t kTokensPerSecond = 100;

} // namespace

bool looks_like_message(std::span<const std::uint8_t> bytes) {
  const void* space = std::memchr(bytes.data(), ' ', bytes.size());
  if (space == nullptr || space == bytes.data())
    return false;
  const auto body =
      static_cast<std::size_t>(static_cast<const std::uint8_t*>(space) - bytes.data()) + 1;
  if (body + 1 >= bytes.size())
    return false;
  if (bytes[body] == '{')
    return true;
  // A dictionary begins with the length of its first key.
  return bytes[body] == 'd' && bytes[body + 1] >= '0' && bytes[body + 1] <= '9';
}

SourceTable::SourceTable(std::uint64_t seed) : sets_(kSets), seed_(seed) {}

std::size_t SourceTable::set_of(const SocketAddress& source) const {
  std::uint64_t words[2];
  static_assert(sizeof(words) == sizeof(source.bytes));
  std::memcpy(words, source.bytes.data(), sizeof(words));
  std::uint64_t hash = seed_ ^ source.port;
  for (const std::uint64_t word : words) {
    // The finaliser of splitmix64: every bit of the input reaches every bit of the output.
    hash = (hash ^ word) + 0x9e3779b97f4a7c15ULL;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
    hash ^= hash >> 31;
  }
  return hash % kSets;
}

Standing SourceTable::standing(const SocketAddress& source) const {
  for (const Entry& entry : sets_[set_of(source)]) {
    if (entry.source != source)
      continue;
    if (entry.merit > 0)
      return Standing::kProxy;
    const bool nuisance = entry.merit <= kLeastMerit || entry.refused >= kMostRefused;
    return nuisance ? Standing::kNuisance : Standing::kUnknown;
  }
  return Standing::kUnknown;
}

void SourceTable::note(const SocketAddress& source, Outcome outcome) {
  const bool command = outcome == Outcome::kCommand;
  Set& set = sets_[set_of(source)];
  Entry* found = nullptr;
  Entry* least = &set[0];
  for (Entry& entry : set) {
    if (entry.source == source)
      found = &entry;
    if (std::pair(entry.merit, entry.used) < std::pair(least->merit, least->used))
      least = &entry;
  }
  if (found == nullptr) {
    if (!command && least->merit > 0)
      return;
    found = least;
    *found = {source, 0, 0, 0};
  }
  found->used = ++clock_;
  if (outcome == Outcome::kNeutral)
    return;
  if (outcome == Outcome::kRefused) {
    found->refused = std::min<std::uint16_t>(kMostRefused, found->refused + 1);
    return;
  }
  if (command) {
    found->refused = 0;
    found->merit = std::min<std::int16_t>(kMostMerit, std::max<std::int16_t>(found->merit, 0) + 1);
  } else if (found->merit > 0)
    found->merit = std::max<std::int16_t>(found->merit - kRubbishCosts, 0);
  else
    found->merit = std::max<std::int16_t>(found->merit - 1, kLeastMerit);
}

Intake::Intake(std::uint64_t seed)
    : sources_(seed), proxies_{kMaxProxyMessages, kMaxProxyBytes, {}, 0}, others_{kMaxOtherMessages,
                                                                                  kMaxOtherBytes,
                                                                                  {},
                                                                                  0},
      tokens_(kTokens) {}

bool Intake::spend_token(std::uint64_t now_ms) {
  const std::uint64_t earned = (now_ms - tokens_at_ms_) * kTokensPerSecond / 1000;
  if (earned > 0) {
    tokens_ = std::min(kTokens, tokens_ + earned);
    tokens_at_ms_ = now_ms;
  }
  if (tokens_ == 0)
    return false;
  --tokens_;
  return true;
}

void Intake::offer(const SocketAddress& source, std::span<const std::uint8_t> bytes,
                   std::uint64_t now_ms) {
  const Standing standing = sources_.standing(source);
  if (standing == Standing::kNuisance || !looks_like_message(bytes)) {
    if (!spend_token(now_ms)) {
      ++refused_.malformed;
      refused_.last = source;
      return;
    }
  }
  Queue& queue = standing == Standing::kProxy ? proxies_ : others_;
  if (queue.waiting.size() >= queue.max_messages || queue.bytes + bytes.size() > queue.max_bytes) {
    ++refused_.overflow;
    refused_.last = source;
    return;
  }
  queue.bytes += bytes.size();
  queue.waiting.push_back({source, {bytes.begin(), bytes.end()}});
}

Intake::Queue& Intake::next_queue() {
  if (others_.waiting.empty())
    return proxies_;
  if (proxies_.waiting.empty() || ++preferred_ == kPreferred) {
    preferred_ = 0;
    return others_;
  }
  return proxies_;
}

bool Intake::take(Message& out) {
  Queue& queue = next_queue();
  if (queue.waiting.empty())
    return false;
  out = std::move(queue.waiting.front());
  queue.waiting.pop_front();
  queue.bytes -= out.bytes.size();
  return true;
}

Intake::Refused Intake::take_refused() { return std::exchange(refused_, {}); }

} // namespace rtprelay
