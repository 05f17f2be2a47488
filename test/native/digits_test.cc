// Digits that are dialled in a sender's place (RFC 4733).
#include <vector>

#include "../../native/bytes.h"
#include "../../native/core/digits.h"
#include "../../native/core/packet.h"
#include "check.h"

using namespace rtprelay;

namespace {

constexpr std::uint32_t kFrame = 160;

struct Sent {
  std::uint8_t type = 0;
  bool marked = false;
  std::uint32_t timestamp = 0;
  std::uint8_t event = 0;
  std::uint8_t flags = 0;
  std::uint16_t duration = 0;
};

/// A sender of 20 ms of PCMA a packet, and what goes out in its place.
struct Talk {
  DigitQueue queue;
  std::uint16_t sequence = 65530;
  std::uint32_t timestamp = 0xffffff00;
  std::uint32_t ssrc = 7;

  Sent next(std::vector<std::uint8_t> extension = {}) {
    std::vector<std::uint8_t> packet(kRtpHeaderSize);
    packet[0] = extension.empty() ? 0x80 : 0x90;
    packet[1] = 8;
    write_number(std::span(packet).subspan(2), sequence);
    write_number(std::span(packet).subspan(4), timestamp);
    write_number(std::span(packet).subspan(8), ssrc);
    packet.insert(packet.end(), extension.begin(), extension.end());
    const std::size_t header = packet.size();
    packet.resize(header + kFrame, 0xd5);
    const std::size_t size = queue.replace(packet);
    CHECK(size == 0 || size == header + 4);
    CHECK(read_u16(packet, 2) == sequence && read_u32(packet, 8) == ssrc);
    ++sequence;
    timestamp += kFrame;
    Sent sent{static_cast<std::uint8_t>(packet[1] & 0x7f), (packet[1] & 0x80) != 0,
              read_u32(packet, 4)};
    if (size != 0) {
      sent.event = packet[header];
      sent.flags = packet[header + 1];
      sent.duration = read_u16(packet, header + 2);
    }
    return sent;
  }
};

constexpr Digit kFive{
    .event = 5, .volume = 8, .payload_type = 101, .duration = 500, .pause = 800, .frame = kFrame};

} // namespace

TEST("a digit takes the place of audio, its end comes three times") {
  Talk talk;
  CHECK(talk.next().type == 8);
  const std::uint32_t began = talk.timestamp;
  CHECK(talk.queue.push(kFive));
  // 500 units are rounded up to four packets.
  for (std::uint16_t i = 1; i <= 6; ++i) {
    const Sent sent = talk.next();
    CHECK(sent.type == 101 && sent.marked == (i == 1) && sent.timestamp == began);
    CHECK(sent.event == 5 && sent.flags == (i < 4 ? 8 : 0x88));
    CHECK(sent.duration == (i < 4 ? i : 4) * kFrame);
  }
  const std::uint32_t now = talk.timestamp;
  const Sent audio = talk.next();
  CHECK(audio.type == 8 && audio.timestamp == now);
}

TEST("the next digit waits for the pause after the one before") {
  Talk talk;
  CHECK(talk.queue.push(kFive));
  CHECK(talk.queue.push(kFive));
  std::vector<std::uint8_t> types;
  for (int i = 0; i < 16; ++i)
    types.push_back(talk.next().type);
  // Four of the digit, 800 units of pause from then on (two of them repeat its end).
  const std::vector<std::uint8_t> expected{101, 101, 101, 101, 101, 101, 8,   8,
                                           8,   101, 101, 101, 101, 101, 101, 8};
  CHECK(types == expected);
}

TEST("header extensions stay, late packets and others' digits pass") {
  Talk talk;
  talk.next();
  CHECK(talk.queue.push(kFive));
  CHECK(talk.next({0xbe, 0xde, 0, 1, 0x10, 1, 0, 0}).type == 101);
  talk.timestamp -= 3 * kFrame;
  CHECK(talk.next().type == 8);
  talk.timestamp += 2 * kFrame;
  const Sent second = talk.next();
  CHECK(second.type == 101 && second.duration == 2 * kFrame);
}

TEST("a new source or clock ends the digit, and the queue has an end") {
  Talk talk;
  talk.next();
  CHECK(talk.queue.push(kFive));
  CHECK(talk.next().type == 101);
  talk.ssrc = 8;
  CHECK(talk.next().type == 8);
  CHECK(talk.queue.push(kFive));
  CHECK(talk.next().type == 101);
  talk.timestamp += 0x1000000;
  CHECK(talk.next().type == 8);
  for (std::size_t i = 0; i < kWaitingDigits; ++i)
    CHECK(talk.queue.push(kFive));
  CHECK(!talk.queue.push(kFive));
}

TEST("a packet without room for a digit stays") {
  DigitQueue queue;
  CHECK(queue.push(kFive));
  std::vector<std::uint8_t> packet{0x80, 13, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, 0x40};
  CHECK(queue.replace(packet) == 0 && packet[1] == 13);
}
