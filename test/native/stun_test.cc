// STUN: the vectors of RFC 5769, and messages that are broken.
#include <vector>

#include "../../native/ice/stun.h"
#include "check.h"

using namespace rtprelay;
using namespace rtprelay::ice;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::string_view kPassword = "VOkJxbRl1RmTxUk/WvJxBt";

// RFC 5769 §2.1.
const Bytes kRequest = {
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
    0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf};
// RFC 5769 §2.2.
const Bytes kIpv4Response = {
    0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,
    0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
    0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9,
    0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96};
// RFC 5769 §2.3.
const Bytes kIpv6Response = {
    0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,
    0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa,
    0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14,
    0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75,
    0xbf, 0xe3, 0xed, 0x41, 0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c};

StunKey key(std::string_view password = kPassword) {
  StunKey out;
  CHECK(out.set(password));
  return out;
}

SocketAddress at(const char* host, std::uint16_t port) {
  SocketAddress address;
  CHECK(parse_address(host, port, address));
  return address;
}

} // namespace

TEST("STUN: the request of RFC 5769 is read, and a wrong password is noticed") {
  StunMessage message;
  CHECK(looks_like_stun(kRequest) && read_stun(kRequest, message));
  CHECK(message.kind == StunClass::kRequest && message.binding && message.fingerprint);
  CHECK(message.username == "evtj:h6vY" && message.priority == 0x6e0001ffU);
  CHECK(message.controlled == 0x932ff9b151263b36U && !message.controlling &&
        !message.use_candidate);
  CHECK(message.unknown_count == 0);
  CHECK(has_integrity_of(kRequest, message, key()));
  CHECK(!has_integrity_of(kRequest, message, key("another")));
}

TEST("STUN: the responses of RFC 5769 give the address") {
  StunMessage ipv4;
  CHECK(read_stun(kIpv4Response, ipv4) && has_integrity_of(kIpv4Response, ipv4, key()));
  CHECK(ipv4.kind == StunClass::kSuccess && ipv4.mapped == at("192.0.2.1", 32853));
  StunMessage ipv6;
  CHECK(read_stun(kIpv6Response, ipv6) && has_integrity_of(kIpv6Response, ipv6, key()));
  CHECK(ipv6.mapped == at("2001:db8:1234:5678:11:2233:4455:6677", 32853));
}

TEST("STUN: what is written is read") {
  for (const char* host : {"203.0.113.7", "2001:db8::7"}) {
    StunWriter writer(StunClass::kError, {1, 2, 3});
    writer.software("relay");
    writer.mapped_address(at(host, 4242));
    writer.error(kRoleConflict);
    writer.role(true, 77);
    writer.use_candidate();
    const StunKey long_key = key(std::string(200, 'x'));
    const auto bytes = writer.finish(&long_key);
    StunMessage message;
    CHECK(read_stun(bytes, message) && has_integrity_of(bytes, message, long_key));
    CHECK(message.kind == StunClass::kError && message.error == 487);
    CHECK(message.mapped == at(host, 4242) && message.controlling == 77U && message.use_candidate);
  }
}

TEST("STUN: what does not fit is not written") {
  StunWriter writer(StunClass::kRequest, {});
  writer.username(std::string(512, 'a'), std::string(512, 'b'));
  CHECK(writer.finish(nullptr).empty());
}

TEST("STUN: each flipped bit and each cut is noticed, by the fingerprint or by the integrity") {
  for (std::size_t i = 0; i < kRequest.size() * 8; ++i) {
    Bytes changed = kRequest;
    changed[i / 8] ^= static_cast<std::uint8_t>(1 << (i % 8));
    StunMessage message;
    CHECK(!read_stun(changed, message) || !message.fingerprint ||
          !has_integrity_of(changed, message, key()));
  }
  for (std::size_t size = 0; size < kRequest.size(); ++size) {
    StunMessage message;
    CHECK(!read_stun(std::span(kRequest).first(size), message));
  }
}

TEST("STUN: unknown attributes that have to be understood are named") {
  Bytes packet(kRequest.begin(), kRequest.begin() + 20);
  for (const std::uint8_t type : {std::uint8_t{0x30}, std::uint8_t{0x31}}) {
    const Bytes attribute = {0x00, type, 0x00, 0x01, 0xff, 0x00, 0x00, 0x00};
    packet.insert(packet.end(), attribute.begin(), attribute.end());
  }
  const Bytes optional = {0xc0, 0xde, 0x00, 0x00};
  packet.insert(packet.end(), optional.begin(), optional.end());
  packet[3] = 20;
  StunMessage message;
  CHECK(read_stun(packet, message) && message.unknown_count == 2);
  CHECK(message.unknown[0] == 0x30 && message.unknown[1] == 0x31);
}

TEST("STUN: what follows the integrity does not count") {
  StunWriter writer(StunClass::kRequest, {});
  writer.username("a", "b");
  const StunKey used = key();
  const auto written = writer.finish(&used);
  // PRIORITY in the place of FINGERPRINT.
  Bytes packet(written.begin(), written.end());
  packet[packet.size() - 8] = 0;
  packet[packet.size() - 7] = 0x24;
  StunMessage message;
  CHECK(read_stun(packet, message) && has_integrity_of(packet, message, used));
  CHECK(!message.priority.has_value() && !message.fingerprint);
}
