#include "frame.h"

#include <algorithm>

namespace frames {

using rtprelay::Family;
using rtprelay::SocketAddress;

namespace {

void put16(Bytes& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}

void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

void append(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }

std::size_t address_size(const SocketAddress& address) {
  return address.family == Family::kIpv4 ? 4 : 16;
}

void put_address(Bytes& out, const SocketAddress& address) {
  const auto* const begin = address.bytes.begin();
  out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(address_size(address)));
}

/// RFC 1071 over everything.
std::uint16_t checksum(const Bytes& bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    sum += static_cast<std::uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

Bytes udp(const Frame& frame) {
  const std::size_t length = 8 + frame.payload.size();
  Bytes out;
  put16(out, frame.source.port);
  put16(out, frame.destination.port);
  put16(out, length + static_cast<std::size_t>(frame.udp_length_error));
  put16(out, 0);
  append(out, frame.payload);
  if (frame.sum == UdpSum::kNone)
    return out;
  Bytes pseudo;
  put_address(pseudo, frame.source);
  put_address(pseudo, frame.destination);
  put32(pseudo, static_cast<std::uint32_t>(length));
  put32(pseudo, 17);
  append(pseudo, out);
  std::uint16_t sum = checksum(pseudo);
  if (sum == 0)
    sum = 0xffff;
  if (frame.sum == UdpSum::kWrong)
    sum = static_cast<std::uint16_t>(sum ^ 0x5555);
  out[6] = static_cast<std::uint8_t>(sum >> 8);
  out[7] = static_cast<std::uint8_t>(sum);
  return out;
}

Bytes ipv4(const Frame& frame, const Bytes& content) {
  const std::size_t header = 20 + frame.options.size();
  Bytes out;
  out.push_back(static_cast<std::uint8_t>(0x40 | header / 4));
  out.push_back(frame.tos);
  put16(out, header + content.size());
  put16(out, 0x1234);
  put16(out, frame.fragment);
  out.push_back(frame.ttl);
  out.push_back(frame.protocol);
  put16(out, 0);
  put_address(out, frame.source);
  put_address(out, frame.destination);
  append(out, frame.options);
  std::uint16_t sum = checksum(out);
  if (frame.wrong_header_sum)
    sum = static_cast<std::uint16_t>(sum ^ 0x0101);
  out[10] = static_cast<std::uint8_t>(sum >> 8);
  out[11] = static_cast<std::uint8_t>(sum);
  append(out, content);
  return out;
}

Bytes ipv6(const Frame& frame, const Bytes& content) {
  constexpr std::uint32_t kFlowLabel = 0xabcde;
  Bytes out;
  put32(out, 0x60000000U | static_cast<std::uint32_t>(frame.tos) << 20 | kFlowLabel);
  put16(out, frame.options.size() + content.size());
  out.push_back(frame.protocol);
  out.push_back(frame.ttl);
  put_address(out, frame.source);
  put_address(out, frame.destination);
  append(out, frame.options);
  append(out, content);
  return out;
}

} // namespace

Bytes build(const Frame& frame) {
  const bool v4 = frame.source.family == Family::kIpv4;
  Bytes out(frame.to.begin(), frame.to.end());
  out.insert(out.end(), frame.from.begin(), frame.from.end());
  for (const std::uint16_t vlan : frame.vlans) {
    put16(out, 0x8100);
    put16(out, vlan);
  }
  put16(out, v4 ? 0x0800 : 0x86dd);
  const Bytes content = udp(frame);
  append(out, v4 ? ipv4(frame, content) : ipv6(frame, content));
  out.resize(out.size() + frame.padding);
  return out;
}

SocketAddress at(const std::string& host, std::uint16_t port) {
  SocketAddress address;
  rtprelay::parse_address(host, port, address);
  return address;
}

Bytes rtp(std::uint8_t payload_type, std::uint16_t sequence, std::uint32_t timestamp,
          std::uint32_t ssrc, std::size_t size) {
  Bytes out{0x80, payload_type};
  put16(out, sequence);
  put32(out, timestamp);
  put32(out, ssrc);
  while (out.size() < size)
    out.push_back(static_cast<std::uint8_t>(out.size() * 7 + sequence));
  out.resize(size);
  return out;
}

Bytes rtcp(std::uint32_t ssrc) {
  Bytes out{0x80, 201};
  put16(out, 1);
  put32(out, ssrc);
  return out;
}

} // namespace frames
