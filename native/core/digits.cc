#include "digits.h"

#include <algorithm>

#include "packet.h"

namespace rtprelay {

namespace {

/// RFC 4733 §2.5.1.4: the last packet of an event goes out three times.
constexpr std::uint8_t kLastCopies = 3;
/// Event, end and volume, duration (RFC 4733 §2.3).
constexpr std::size_t kEventSize = 4;
constexpr std::uint32_t kLongest = 0xffff;
/// Packets of a stream are no farther apart: beyond it its clock has begun anew.
constexpr std::uint32_t kFarApart = 0x40000;
/// What may be the time of one packet: up to 120 ms at 48 kHz.
constexpr std::uint32_t kLongestFrame = 5760;

bool is_before(std::uint32_t one, std::uint32_t other) {
  return static_cast<std::int32_t>(one - other) < 0;
}

bool is_near(std::uint32_t one, std::uint32_t other) {
  return one - other < kFarApart || other - one < kFarApart;
}

} // namespace

bool DigitQueue::push(const Digit& digit) {
  if (size_ == waiting_.size())
    return false;
  waiting_[(first_ + size_++) % waiting_.size()] = digit;
  return true;
}

void DigitQueue::give_up() {
  active_ = false;
  first_ = (first_ + 1) % waiting_.size();
  --size_;
}

bool DigitQueue::begin(std::uint32_t ssrc, std::uint32_t timestamp) {
  if (size_ == 0)
    return false;
  if (rests_ && ssrc == ssrc_ && is_near(timestamp, rests_until_) &&
      is_before(timestamp, rests_until_))
    return false;
  active_ = true;
  marked_ = rests_ = false;
  last_copies_ = 0;
  ssrc_ = ssrc;
  began_ = timestamp;
  length_ = 0;
  return true;
}

std::size_t DigitQueue::replace(std::span<std::uint8_t> packet) {
  const std::uint32_t ssrc = read_u32(packet, 8);
  const std::uint32_t timestamp = read_u32(packet, 4);
  const std::uint32_t step = timestamp - last_timestamp_;
  if (ssrc == ssrc_ && step != 0 && step <= kLongestFrame)
    frame_ = step;
  if (active_ && (ssrc != ssrc_ || !is_near(timestamp, began_)))
    give_up();
  if (!active_ && !begin(ssrc, timestamp)) {
    ssrc_ = ssrc;
    last_timestamp_ = timestamp;
    return 0;
  }
  const Digit digit = current();
  bool valid = false;
  const std::span<std::uint8_t> payload = rtp_payload(packet, valid);
  const std::size_t header = static_cast<std::size_t>(payload.data() - packet.data());
  // Late ones, digits of the sender's own, and what has no room for an event.
  if (!valid || is_before(timestamp, began_) || (packet[1] & 0x7f) == digit.payload_type ||
      packet.size() < header + kEventSize)
    return 0;
  last_timestamp_ = timestamp;
  told_ = digit.told;
  if (last_copies_ == 0) {
    const std::uint32_t elapsed = timestamp - began_ + (frame_ == 0 ? digit.frame : frame_);
    length_ = std::clamp(elapsed, length_, kLongest);
    if (length_ >= std::min(digit.duration, kLongest))
      last_copies_ = kLastCopies;
  }
  const bool ends = last_copies_ > 0;
  packet[0] &= static_cast<std::uint8_t>(~0x20U);
  packet[1] = static_cast<std::uint8_t>((marked_ ? 0 : 0x80U) | digit.payload_type);
  marked_ = true;
  write_number(packet.subspan(4), began_);
  packet[header] = digit.event;
  packet[header + 1] = static_cast<std::uint8_t>((ends ? 0x80U : 0) | (digit.volume & 0x3fU));
  write_number(packet.subspan(header + 2), static_cast<std::uint16_t>(length_));
  if (ends && --last_copies_ == 0) {
    rests_ = true;
    rests_until_ = began_ + length_ + digit.pause;
    give_up();
  }
  return header + kEventSize;
}

} // namespace rtprelay
