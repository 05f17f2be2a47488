// What a route makes of headers: bytes in, bytes out.
#include <initializer_list>
#include <vector>

#include "../../native/core/rewrite.h"
#include "check.h"

using namespace rtprelay;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts)
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

/// RTP with payload type 96, sequence number 0x0102, timestamp 0x01020304, SSRC 7.
Bytes rtp(const Bytes& extension, const Bytes& payload = {1, 2, 3, 4, 5}) {
  const auto first = static_cast<std::uint8_t>(extension.empty() ? 0x80 : 0x90);
  return joined({{first, 0xe0, 1, 2, 1, 2, 3, 4, 0, 0, 0, 7}, extension, payload});
}

Bytes rewritten(const Rewrite& rewrite, const Bytes& packet, std::size_t room = 200) {
  Bytes out(room);
  out.resize(rewrite_rtp(rewrite, packet, out));
  return out;
}

Bytes rewritten_rtcp(const Rewrite& rewrite, const Bytes& packet) {
  Bytes out(packet.size());
  out.resize(rewrite_rtcp(rewrite, packet, out));
  return out;
}

/// All extensions go on under their own ids.
Rewrite keeping() {
  Rewrite rewrite;
  rewrite.extensions.emplace();
  for (std::size_t id = 0; id < 256; ++id)
    rewrite.extensions->ids[id] = static_cast<std::uint8_t>(id);
  return rewrite;
}

Rewrite with_mid(Rewrite rewrite, std::uint8_t id, const Bytes& mid) {
  rewrite.extensions->mid_id = id;
  rewrite.extensions->mid_size = static_cast<std::uint8_t>(mid.size());
  std::copy(mid.begin(), mid.end(), rewrite.extensions->mid.begin());
  return rewrite;
}

/// Ids 1 (two octets), 2 (one), 3 (three), with padding in the middle.
const Bytes kOneByte{0xbe, 0xde, 0, 3, 0x11, 0xa, 0xb, 0, 0x20, 0xc, 0x32, 0xd, 0xe, 0xf, 0, 0};

} // namespace

TEST("a rewrite that wants nothing leaves each octet as it is") {
  for (const Bytes& extension :
       {Bytes{}, kOneByte, Bytes{0x10, 0, 0, 1, 1, 0, 0, 0}, Bytes{0xca, 0xfe, 0, 1, 1, 2, 3, 4}}) {
    CHECK(rewritten({}, rtp(extension)) == rtp(extension));
  }
}

TEST("payload type, SSRC, CSRCs, sequence number and timestamp") {
  Rewrite rewrite;
  rewrite.payload_types[96] = 100;
  rewrite.ssrcs = {{7, 0x11223344}, {9, 10}};
  rewrite.sequence_offset = 0xff00;
  rewrite.timestamp_offset = 0xffffffff;
  const Bytes packet{0x82, 0xe0, 1, 2, 1, 2, 3, 4, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 8, 5};
  CHECK(rewritten(rewrite, packet) ==
        Bytes({0x82, 0xe4, 0, 2, 1, 2, 3, 3, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 10, 0, 0, 0, 8, 5}));
}

TEST("extensions are renumbered and taken out") {
  Rewrite rewrite;
  rewrite.extensions.emplace();
  rewrite.extensions->ids[1] = 5;
  rewrite.extensions->ids[3] = 1;
  CHECK(rewritten(rewrite, rtp(kOneByte)) ==
        rtp({0xbe, 0xde, 0, 2, 0x51, 0xa, 0xb, 0x12, 0xd, 0xe, 0xf, 0}));
  // Nothing is left: no extension at all.
  rewrite.extensions->ids = {};
  CHECK(rewritten(rewrite, rtp(kOneByte)) == rtp({}));
  CHECK(rewritten(rewrite, rtp({})) == rtp({}));
}

TEST("what is not of RFC 8285 goes on, or not") {
  const Bytes unknown{0xca, 0xfe, 0, 1, 1, 2, 3, 4};
  Rewrite rewrite;
  rewrite.extensions.emplace();
  CHECK(rewritten(rewrite, rtp(unknown)) == rtp(unknown));
  rewrite.extensions->keeps_unknown = false;
  CHECK(rewritten(rewrite, rtp(unknown)) == rtp({}));
}

TEST("the two-byte form stays, and is taken where the one-byte form has no room") {
  const Bytes two{0x10, 5, 0, 3, 1, 1, 0xa, 200, 0, 0, 3, 2, 0xb, 0xc, 0, 0};
  CHECK(rewritten(keeping(), rtp(two)) ==
        rtp({0x10, 0, 0, 3, 1, 1, 0xa, 200, 0, 3, 2, 0xb, 0xc, 0, 0, 0}));
  Rewrite rewrite = keeping();
  rewrite.extensions->ids.fill(0);
  rewrite.extensions->ids[2] = 15;
  CHECK(rewritten(rewrite, rtp(kOneByte)) == rtp({0x10, 0, 0, 1, 15, 1, 0xc, 0}));
}

TEST("each packet says the recipient's mid") {
  const Rewrite rewrite = with_mid(keeping(), 4, {'v', '1'});
  CHECK(rewritten(rewrite, rtp({})) == rtp({0xbe, 0xde, 0, 1, 0x41, 'v', '1', 0}));
  // In place of the sender's, whose id is the same or another.
  CHECK(rewritten(rewrite, rtp({0xbe, 0xde, 0, 1, 0x40, 'x', 0, 0})) ==
        rtp({0xbe, 0xde, 0, 1, 0x41, 'v', '1', 0}));
  Rewrite other = rewrite;
  other.extensions->ids[9] = 0;
  CHECK(rewritten(other, rtp({0xbe, 0xde, 0, 1, 0x90, 'x', 0x10, 0xa})) ==
        rtp({0xbe, 0xde, 0, 2, 0x10, 0xa, 0x41, 'v', '1', 0, 0, 0}));
  CHECK(rewritten(rewrite, rtp({}), 22).empty() && rewritten(rewrite, rtp({}), 25).size() == 25);
}

TEST("malformed packets are refused, malformed elements end the extension") {
  CHECK(rewritten({}, {0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}).empty());
  CHECK(rewritten({}, {0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}).empty());
  CHECK(rewritten({}, {0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde}).empty());
  CHECK(rewritten({}, {0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 1}).empty());
  // The second element is longer than the extension.
  CHECK(rewritten(keeping(), rtp({0xbe, 0xde, 0, 1, 0x10, 0xa, 0x2f, 0})) ==
        rtp({0xbe, 0xde, 0, 1, 0x10, 0xa, 0, 0}));
  // Id 15 ends it (RFC 8285 §4.2).
  CHECK(rewritten(keeping(), rtp({0xbe, 0xde, 0, 1, 0xf0, 0xa, 0x10, 0xb})) == rtp({}));
}

TEST("elements of an extension can be read") {
  ExtensionElements elements;
  CHECK(read_extensions(rtp(kOneByte), elements) && elements.size == 3);
  CHECK(elements.list[1].id == 2 && elements.list[1].data.size() == 1);
  CHECK(!read_extensions(rtp({}), elements) && elements.size == 0);
  CHECK(!read_extensions(Bytes{0x90}, elements));
}

TEST("reports speak of a rewritten stream as its recipient knows it") {
  Rewrite rewrite;
  rewrite.ssrcs = {{1, 0x11}};
  rewrite.timestamp_offset = 0x10;
  rewrite.about = {{0x22, 2}};
  rewrite.about_sequence_offset = 0x100;
  const auto report = [](std::uint8_t sender, std::uint8_t stamp, std::uint8_t about,
                         std::uint8_t highest) {
    return Bytes{0x81, 200, 0, 12,    0,     0, 0, sender, 1, 2, 3,       4, 5, 6, 7,
                 8,    0,   0, 0,     stamp, 0, 0, 0,      9, 0, 0,       0, 9, // what it has sent
                 0,    0,   0, about, 1,     0, 0, 2,      0, 1, highest, 5, 0, 0, 0,
                 3,    1,   1, 1,     1,     2, 2, 2,      2};
  };
  CHECK(rewritten_rtcp(rewrite, report(1, 1, 0x22, 3)) == report(0x11, 0x11, 2, 2));
  CHECK(rewritten_rtcp(rewrite, report(5, 1, 6, 3)) == report(5, 0x11, 6, 2));
}

TEST("descriptions, byes and feedback are translated, compound or not") {
  Rewrite rewrite = with_mid(keeping(), 1, {'a'});
  rewrite.ssrcs = {{1, 0x11}};
  rewrite.about = {{0x22, 2}};
  rewrite.about_sequence_offset = 1;
  // The mid item (15) is the sender's own, so it goes.
  const Bytes description{0x81, 202, 0, 4, 0, 0, 0, 1, 1, 2, 'c', 'n', 15, 1, 'x', 0, 0, 0, 0, 0};
  const Bytes described{0x81, 202, 0, 3, 0, 0, 0, 0x11, 1, 2, 'c', 'n', 0, 0, 0, 0};
  CHECK(rewritten_rtcp(rewrite, {0x81, 202, 0, 3, 0, 0, 0, 1, 1, 2, 'c', 'n', 15, 1, 'x', 0}) ==
        Bytes({0x81, 202, 0, 3, 0, 0, 0, 0x11, 1, 2, 'c', 'n', 0, 0, 0, 0}));
  CHECK(rewritten_rtcp(rewrite, description) == described);
  const Bytes bye{0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3};
  const Bytes nack{0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0x22, 0, 9, 0, 1};
  const Bytes fir{0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x22, 1, 0, 0, 0};
  const Bytes remb{0x8f, 206, 0,   5,   0, 0, 0, 1, 0, 0, 0, 0,
                   'R',  'E', 'M', 'B', 1, 0, 0, 9, 0, 0, 0, 0x22};
  CHECK(rewritten_rtcp(rewrite, joined({bye, nack, fir, remb})) ==
        joined({{0x82, 203, 0, 2, 0, 0, 0, 0x11, 0, 0, 0, 3},
                {0x81, 205, 0, 3, 0, 0, 0, 0x11, 0, 0, 0, 2, 0, 8, 0, 1},
                {0x84, 206, 0, 4, 0, 0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0},
                {0x8f, 206, 0,   5,   0, 0, 0, 0x11, 0, 0, 0, 0,
                 'R',  'E', 'M', 'B', 1, 0, 0, 9,    0, 0, 0, 2}}));
  // Transport-wide feedback: its numbers are of an extension that goes on.
  const Bytes wide{0x8f, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0x22, 0, 9, 0, 1};
  CHECK(rewritten_rtcp(rewrite, wide) ==
        Bytes({0x8f, 205, 0, 3, 0, 0, 0, 0x11, 0, 0, 0, 2, 0, 9, 0, 1}));
}

TEST("extended reports are translated") {
  Rewrite rewrite;
  rewrite.ssrcs = {{1, 0x11}};
  rewrite.about = {{0x22, 2}};
  rewrite.about_sequence_offset = 1;
  CHECK(rewritten_rtcp(rewrite, {0x80, 207, 0, 8, 0, 0, 0, 1,                            // header
                                 5,    0,   0, 3, 0, 0, 0, 0x22, 1, 1, 1, 1, 2, 2, 2, 2, // DLRR
                                 1,    0,   0, 2, 0, 0, 0, 0x22, 0, 5, 0, 9}) ==         // loss
        Bytes({0x80, 207, 0, 8, 0, 0, 0, 0x11, 5, 0, 0, 3, 0, 0, 0, 2, 1, 1,
               1,    1,   2, 2, 2, 2, 1, 0,    0, 2, 0, 0, 0, 2, 0, 4, 0, 8}));
}

TEST("malformed RTCP is left out with what follows") {
  const Bytes bye{0x81, 203, 0, 1, 0, 0, 0, 1};
  const Bytes shorter{0x80, 200, 0, 9, 0, 0, 0, 1};
  CHECK(rewritten_rtcp({}, joined({bye, shorter, bye})) == bye);
  CHECK(rewritten_rtcp({}, joined({bye, {0x80, 200, 0, 1, 0, 0, 0, 1}})) == bye);
  CHECK(rewritten_rtcp({}, joined({bye, {0x81, 202, 0, 1, 0, 0, 0, 1}})) == bye);
  CHECK(rewritten_rtcp({}, {1, 2, 3, 4}).empty());
}
