#include "udp_header.h"

#include <cstring>

#include "../bytes.h"

namespace rtprelay {

namespace {

constexpr std::uint8_t kProtocolUdp = 17;

std::uint64_t add_carry(std::uint64_t sum, std::uint64_t word) {
  sum += word;
  return sum + (sum < word ? 1 : 0);
}

} // namespace

std::uint64_t add_to_sum(std::uint64_t sum, std::span<const std::uint8_t> bytes) {
  std::uint64_t word = 0;
  while (bytes.size() >= sizeof(word)) {
    std::memcpy(&word, bytes.data(), sizeof(word));
    sum = add_carry(sum, word);
    bytes = bytes.subspan(sizeof(word));
  }
  word = 0;
  if (!bytes.empty())
    std::memcpy(&word, bytes.data(), bytes.size());
  return add_carry(sum, word);
}

std::uint16_t fold_sum(std::uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32U);
  sum = (sum & 0xffffffff) + (sum >> 32U);
  sum = (sum & 0xffff) + (sum >> 16U);
  sum = (sum & 0xffff) + (sum >> 16U);
  return static_cast<std::uint16_t>(~sum);
}

void write_udp_header(const SocketAddress& from, const SocketAddress& to,
                      std::span<const std::uint8_t> payload,
                      std::span<std::uint8_t, kUdpHeaderSize> out) {
  const auto length = static_cast<std::uint16_t>(kUdpHeaderSize + payload.size());
  write_number(out, from.port);
  write_number(out.subspan(2), to.port);
  write_number(out.subspan(4), length);
  write_number(out.subspan(6), std::uint16_t{0});
  const std::size_t size = from.family == Family::kIpv4 ? 4 : 16;
  std::array<std::uint8_t, 4> rest{0, kProtocolUdp};
  write_number(std::span(rest).subspan(2), length);
  std::uint64_t sum = add_to_sum(0, std::span(from.bytes).first(size));
  sum = add_to_sum(sum, std::span(to.bytes).first(size));
  sum = add_to_sum(sum, rest);
  sum = add_to_sum(sum, out);
  std::uint16_t checksum = fold_sum(add_to_sum(sum, payload));
  // 0 would say that there is none.
  if (checksum == 0)
    checksum = 0xffff;
  std::memcpy(out.data() + 6, &checksum, sizeof(checksum));
}

} // namespace rtprelay
