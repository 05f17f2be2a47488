#include "heartbeat.h"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "../bytes.h"

namespace rtprelay {

namespace {

constexpr std::uint32_t kMagic = 0x72745270; // "rtRp"
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kEpochAt = 8;
constexpr std::size_t kEchoAt = 16;
constexpr std::size_t kSequenceAt = 24;
constexpr std::size_t kHeaderSize = 32;

constexpr std::size_t kHostHeaderSize = 4;
constexpr std::size_t kCountAt = 2;
constexpr std::size_t kStateSize = 16;
constexpr std::size_t kTagSize = 16;

std::size_t host_size(Family family) { return family == Family::kIpv4 ? 4 : 16; }

using Digest = std::array<std::uint8_t, EVP_MAX_MD_SIZE>;

bool digest_of(std::span<const std::uint8_t> bytes, const HeartbeatKey& key, Digest& out) {
  unsigned size = 0;
  return HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes.data(), bytes.size(),
              out.data(), &size) != nullptr &&
         size >= kTagSize;
}

} // namespace

void HeartbeatWriter::begin(const HeartbeatHeader& header) {
  const std::span<std::uint8_t> bytes(bytes_);
  std::fill_n(bytes_.begin(), kHeaderSize, std::uint8_t{0});
  write_number(bytes, kMagic);
  bytes_[kVersionAt] = kVersion;
  write_number(bytes.subspan(kEpochAt), header.epoch);
  write_number(bytes.subspan(kEchoAt), header.echo);
  write_number(bytes.subspan(kSequenceAt), header.sequence);
  size_ = kHeaderSize;
  host_at_ = 0;
  states_ = 0;
}

bool HeartbeatWriter::add(const SentState& state) {
  const std::size_t address_size = host_size(state.local.family);
  const bool same = host_at_ != 0 && host_.same_host(state.local);
  const std::size_t needed = kStateSize + (same ? 0 : kHostHeaderSize + address_size);
  if (!state.local.valid() || size_ + needed + kTagSize > bytes_.size())
    return false;
  const std::span<std::uint8_t> bytes(bytes_);
  if (!same) {
    host_at_ = size_;
    host_ = state.local;
    bytes_[size_] = static_cast<std::uint8_t>(state.local.family);
    bytes_[size_ + 1] = 0;
    write_number(bytes.subspan(size_ + kCountAt), std::uint16_t{0});
    std::copy_n(state.local.bytes.begin(), address_size, &bytes_[size_ + kHostHeaderSize]);
    size_ += kHostHeaderSize + address_size;
  }
  const auto count = static_cast<std::uint16_t>(read_u16(bytes, host_at_ + kCountAt) + 1);
  write_number(bytes.subspan(host_at_ + kCountAt), count);
  write_number(bytes.subspan(size_), state.local.port);
  write_number(bytes.subspan(size_ + 2), state.sequence);
  write_number(bytes.subspan(size_ + 4), state.ssrc);
  write_number(bytes.subspan(size_ + 8), state.earlier);
  size_ += kStateSize;
  ++states_;
  return true;
}

std::span<const std::uint8_t> HeartbeatWriter::finish(const HeartbeatKey& key) {
  Digest digest;
  if (!digest_of(std::span(bytes_).first(size_), key, digest))
    return {};
  std::copy_n(digest.begin(), kTagSize, &bytes_[size_]);
  return std::span(bytes_).first(size_ + kTagSize);
}

HeartbeatFault read_heartbeat(std::span<const std::uint8_t> bytes,
                              std::span<const HeartbeatKey> keys, HeartbeatHeader& header,
                              std::vector<SentState>& states) {
  if (bytes.size() < kHeaderSize + kTagSize || bytes.size() > kHeartbeatBytes ||
      read_u32(bytes) != kMagic)
    return HeartbeatFault::kMalformed;
  const auto body = bytes.first(bytes.size() - kTagSize);
  const auto tag = bytes.last(kTagSize);
  const bool genuine = std::ranges::any_of(keys, [&](const HeartbeatKey& key) {
    Digest digest;
    return digest_of(body, key, digest) && CRYPTO_memcmp(digest.data(), tag.data(), kTagSize) == 0;
  });
  if (!genuine)
    return HeartbeatFault::kForged;
  return parse_heartbeat(body, header, states) ? HeartbeatFault::kNone : HeartbeatFault::kMalformed;
}

bool parse_heartbeat(std::span<const std::uint8_t> bytes, HeartbeatHeader& header,
                     std::vector<SentState>& states) {
  const std::size_t before = states.size();
  const auto refuse = [&] {
    states.resize(before);
    return false;
  };
  if (bytes.size() < kHeaderSize || read_u32(bytes) != kMagic || bytes[kVersionAt] != kVersion)
    return false;
  header = {read_u64(bytes, kEpochAt), read_u64(bytes, kEchoAt), read_u64(bytes, kSequenceAt)};
  bytes = bytes.subspan(kHeaderSize);
  while (!bytes.empty()) {
    if (bytes.size() < kHostHeaderSize)
      return refuse();
    SentState state;
    state.local.family = static_cast<Family>(bytes[0]);
    if (state.local.family != Family::kIpv4 && state.local.family != Family::kIpv6)
      return refuse();
    const std::size_t count = read_u16(bytes, kCountAt);
    const std::size_t address_size = host_size(state.local.family);
    const std::size_t size = kHostHeaderSize + address_size + count * kStateSize;
    if (bytes.size() < size)
      return refuse();
    std::copy_n(&bytes[kHostHeaderSize], address_size, state.local.bytes.begin());
    for (std::size_t at = kHostHeaderSize + address_size; at < size; at += kStateSize) {
      state.local.port = read_u16(bytes, at);
      state.sequence = read_u16(bytes, at + 2);
      state.ssrc = read_u32(bytes, at + 4);
      state.earlier = read_u64(bytes, at + 8);
      states.push_back(state);
    }
    bytes = bytes.subspan(size);
  }
  return true;
}

bool SequenceWindow::take(std::uint64_t sequence) {
  const auto place = [this](std::uint64_t number) -> std::uint64_t& {
    return taken_[number % kSize / 64];
  };
  const auto bit = [](std::uint64_t number) { return std::uint64_t{1} << (number % 64); };
  if (!any_ || sequence > highest_) {
    if (!any_ || sequence - highest_ >= kSize)
      taken_.fill(0);
    else
      for (std::uint64_t number = highest_ + 1; number <= sequence; ++number)
        place(number) &= ~bit(number);
    any_ = true;
    highest_ = sequence;
  } else if (highest_ - sequence >= kSize || (place(sequence) & bit(sequence)) != 0) {
    return false;
  }
  place(sequence) |= bit(sequence);
  return true;
}

} // namespace rtprelay
