// Digits that the relay dials in somebody's place (RFC 4733): each takes the place of the audio of
// its time. Pure: packets in, packets changed. Nothing else has to change: numbers of packets stay
// those of their sender, whoever relays the next one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace rtprelay {

/// Digits that wait for their turn; further ones are refused.
constexpr std::size_t kWaitingDigits = 32;

/// Times are in units of the RTP clock.
struct Digit {
  std::uint8_t event = 0;
  /// dBm0 without its sign, at most 63.
  std::uint8_t volume = 0;
  std::uint8_t payload_type = 0;
  /// Rounded up to whole packets.
  std::uint32_t duration = 0;
  /// From its end to the next one.
  std::uint32_t pause = 0;
  /// Of one packet, until two have been seen.
  std::uint32_t frame = 0;
  /// Control hears of its end.
  bool told = true;
};

/// What is dialled into one stream.
// Thread: worker only.
class DigitQueue {
public:
  /// false: as many as there may be wait already.
  bool push(const Digit& digit);
  /// `packet` is RTP with a whole fixed header. Its size as a packet of a digit; 0: it stays what
  /// it is.
  std::size_t replace(std::span<std::uint8_t> packet);
  /// Of the digit that `replace` has made a packet of last.
  [[nodiscard]] bool told() const { return told_; }

private:
  [[nodiscard]] const Digit& current() const { return waiting_[first_]; }
  bool begin(std::uint32_t ssrc, std::uint32_t timestamp);
  void give_up();

  std::array<Digit, kWaitingDigits> waiting_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  bool active_ = false;
  bool told_ = false;
  bool marked_ = false;
  /// Copies of the last packet that are still to come; the first of them ends the digit.
  std::uint8_t last_copies_ = 0;
  std::uint32_t ssrc_ = 0;
  std::uint32_t began_ = 0;
  std::uint32_t length_ = 0;
  /// When the next one may begin, if there was one before.
  bool rests_ = false;
  std::uint32_t rests_until_ = 0;
  std::uint32_t last_timestamp_ = 0;
  std::uint32_t frame_ = 0;
};

} // namespace rtprelay
