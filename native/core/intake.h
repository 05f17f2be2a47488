// Which messages of the control port are worked on, and in which order, when more come than can be.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "address.h"

namespace rtprelay {

/// Whether the bytes may be `COOKIE SP DICTIONARY`: a look at two of them, no reading.
bool looks_like_message(std::span<const std::uint8_t> bytes);

/// What has come from an address so far.
enum class Standing : std::uint8_t { kUnknown, kProxy, kNuisance };

/// What a message has turned out to be. Commands that are refused make nobody a proxy, and somebody
/// who sends nothing else is a nuisance in the end; proxies send such, too. Repetitions and pings
/// say nothing.
enum class Outcome : std::uint8_t { kMalformed, kCommand, kRefused, kNeutral };

/// Senders by what they have sent, a fixed number of them. A newcomer takes the place of whoever
/// has sent the fewest commands, one that sends rubbish never that of a proxy.
// Thread: JavaScript thread.
class SourceTable {
public:
  /// `seed`: nobody shall know whose place an address competes for.
  explicit SourceTable(std::uint64_t seed);

  [[nodiscard]] Standing standing(const SocketAddress& source) const;
  void note(const SocketAddress& source, Outcome outcome);

private:
  struct Entry {
    SocketAddress source;
    /// Above 0: a proxy. Commands add, rubbish takes ten times as much away.
    std::int16_t merit = 0;
    /// Commands that were refused since the last one that was not.
    std::uint16_t refused = 0;
    std::uint32_t used = 0;
  };

  static constexpr std::size_t kWays = 4;
  static constexpr std::size_t kSets = 1024;
  using Set = std::array<Entry, kWays>;

  [[nodiscard]] std::size_t set_of(const SocketAddress& source) const;

  std::vector<Set> sets_;
  std::uint64_t seed_;
  std::uint32_t clock_ = 0;
};

/// The messages that wait, bounded in number and bytes: those of proxies first, but for one in
/// eight, which is of others as long as any waits: a proxy that has just been started must not wait
/// for ever behind busy ones. Of what does not look like a message, only some a second are worked
/// on (they are answered and logged); the rest are counted.
// Thread: JavaScript thread.
class Intake {
public:
  struct Message {
    SocketAddress source;
    std::vector<std::uint8_t> bytes;
  };

  /// What was not taken.
  struct Refused {
    std::uint64_t malformed = 0;
    std::uint64_t overflow = 0;
    SocketAddress last;
  };

  explicit Intake(std::uint64_t seed);

  /// `now_ms`: any clock that only goes forward.
  void offer(const SocketAddress& source, std::span<const std::uint8_t> bytes,
             std::uint64_t now_ms);
  /// The next message; false: there is none.
  bool take(Message& out);
  [[nodiscard]] bool empty() const { return proxies_.waiting.empty() && others_.waiting.empty(); }
  /// What a message that was taken has turned out to be.
  void note(const SocketAddress& source, Outcome outcome) { sources_.note(source, outcome); }
  /// Counted since the last call.
  Refused take_refused();

private:
  struct Queue {
    std::size_t max_messages;
    std::size_t max_bytes;
    std::deque<Message> waiting;
    std::size_t bytes = 0;
  };

  bool spend_token(std::uint64_t now_ms);
  Queue& next_queue();

  SourceTable sources_;
  Queue proxies_;
  Queue others_;
  /// Messages of proxies taken while others waited.
  unsigned preferred_ = 0;
  Refused refused_;
  std::uint64_t tokens_;
  std::uint64_t tokens_at_ms_ = 0;
};

} // namespace rtprelay
