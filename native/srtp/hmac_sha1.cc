#include "hmac_sha1.h"

#include <algorithm>

namespace rtprelay::srtp {

namespace {

constexpr std::size_t kBlockSize = 64;

bool hash_pad(std::span<const std::uint8_t> key, std::uint8_t pad, SHA_CTX& state) {
  std::array<std::uint8_t, kBlockSize> block{};
  std::ranges::copy(key, block.begin());
  for (std::uint8_t& octet : block)
    octet ^= pad;
  const bool done = SHA1_Init(&state) == 1 && SHA1_Update(&state, block.data(), block.size()) == 1;
  OPENSSL_cleanse(block.data(), block.size());
  return done;
}

} // namespace

HmacSha1::~HmacSha1() {
  OPENSSL_cleanse(&inner_, sizeof inner_);
  OPENSSL_cleanse(&outer_, sizeof outer_);
}

bool HmacSha1::set_key(std::span<const std::uint8_t> key) {
  return key.size() <= kBlockSize && hash_pad(key, 0x36, inner_) && hash_pad(key, 0x5c, outer_);
}

bool HmacSha1::digest(std::span<const std::uint8_t> message, std::span<const std::uint8_t> trailer,
                      Sha1Digest& out) const {
  SHA_CTX state = inner_;
  if (SHA1_Update(&state, message.data(), message.size()) != 1 ||
      (!trailer.empty() && SHA1_Update(&state, trailer.data(), trailer.size()) != 1) ||
      SHA1_Final(out.data(), &state) != 1)
    return false;
  state = outer_;
  return SHA1_Update(&state, out.data(), out.size()) == 1 && SHA1_Final(out.data(), &state) == 1;
}

} // namespace rtprelay::srtp
