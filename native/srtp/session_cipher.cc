#include "session_cipher.h"

#include <algorithm>

namespace rtprelay::srtp {

namespace {

const EVP_CIPHER* gcm(std::size_t key_size) {
  return key_size == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
}

bool encrypt_block(EVP_CIPHER_CTX* context, CipherBlock& block) {
  int written = 0;
  return EVP_EncryptUpdate(context, block.data(), &written, block.data(), kCipherBlock) == 1;
}

/// Adds the lowest `size` bytes of a number, big-endian, from `at` on.
template <std::size_t Size>
void mix(std::array<std::uint8_t, Size>& block, std::size_t at, std::uint64_t value,
         std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    block[at + i] ^= static_cast<std::uint8_t>(value >> (8 * (size - 1 - i)));
}

} // namespace

bool SessionCipher::init(const SuiteTraits& suite, const SessionKeys& keys, Protocol protocol,
                         Purpose purpose) {
  suite_ = &suite;
  protocol_ = protocol;
  std::copy_n(keys.salt.begin(), suite.salt_size, salt_.begin());
  if (suite.cipher != CipherKind::kGcm && !hmac_.set_key(keys.auth_key))
    return false;
  if (suite.cipher == CipherKind::kNull)
    return true;
  context_.reset(EVP_CIPHER_CTX_new());
  if (context_ == nullptr)
    return false;
  switch (suite.cipher) {
  case CipherKind::kCounterMode:
    return EVP_EncryptInit_ex(context_.get(), counter_mode(suite.key_size), nullptr,
                              keys.key.data(), nullptr) == 1;
  case CipherKind::kGcm:
    return EVP_CipherInit_ex(context_.get(), gcm(suite.key_size), nullptr, keys.key.data(), nullptr,
                             purpose == Purpose::kProtect ? 1 : 0) == 1;
  default:
    return init_f8(keys);
  }
}

bool SessionCipher::crypt(const PacketPosition& position, std::span<std::uint8_t> data) {
  if (data.empty() || suite_->cipher == CipherKind::kNull)
    return true;
  if (suite_->cipher == CipherKind::kF8)
    return crypt_f8(position, data);
  const CipherBlock counter = counter_of(position);
  int written = 0;
  return EVP_EncryptInit_ex(context_.get(), nullptr, nullptr, nullptr, counter.data()) == 1 &&
         EVP_EncryptUpdate(context_.get(), data.data(), &written, data.data(),
                           static_cast<int>(data.size())) == 1;
}

/// RFC 3711 §4.1.1.
CipherBlock SessionCipher::counter_of(const PacketPosition& position) const {
  CipherBlock block{};
  std::ranges::copy(salt_, block.begin());
  mix(block, 4, position.ssrc, 4);
  mix(block, 8, position.index, 6);
  return block;
}

/// RFC 7714 §8.1, §9.1. SRTP's 48 bits stand where SRTCP has 16 zero bits and its index.
std::array<std::uint8_t, kGcmNonceSize>
SessionCipher::nonce_of(const PacketPosition& position) const {
  std::array<std::uint8_t, kGcmNonceSize> nonce{};
  std::copy_n(salt_.begin(), kGcmNonceSize, nonce.begin());
  mix(nonce, 2, position.ssrc, 4);
  mix(nonce, 6, position.index, 6);
  return nonce;
}

// F8 (RFC 3711 §4.1.2)

bool SessionCipher::init_f8(const SessionKeys& keys) {
  masked_.reset(EVP_CIPHER_CTX_new());
  if (masked_ == nullptr)
    return false;
  // The mask is the salt, filled up with 0x55.
  CipherBlock key;
  key.fill(0x55);
  std::copy_n(keys.salt.begin(), suite_->salt_size, key.begin());
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] ^= keys.key[i];
  const bool done =
      EVP_EncryptInit_ex(masked_.get(), EVP_aes_128_ecb(), nullptr, key.data(), nullptr) == 1 &&
      EVP_EncryptInit_ex(context_.get(), EVP_aes_128_ecb(), nullptr, keys.key.data(), nullptr) == 1;
  OPENSSL_cleanse(key.data(), key.size());
  return done;
}

CipherBlock SessionCipher::f8_vector(const PacketPosition& position) const {
  CipherBlock vector{};
  if (protocol_ == Protocol::kSrtp) {
    std::ranges::copy(position.header.subspan(1, 11), vector.begin() + 1);
    mix(vector, 12, position.index >> 16, 4);
  } else {
    // The packet is encrypted, or it would not come here: E is set.
    mix(vector, 4, position.index | 0x80000000, 4);
    std::ranges::copy(position.header.first(8), vector.begin() + 8);
  }
  return vector;
}

bool SessionCipher::crypt_f8(const PacketPosition& position, std::span<std::uint8_t> data) {
  CipherBlock vector = f8_vector(position);
  if (!encrypt_block(masked_.get(), vector))
    return false;
  CipherBlock stream{};
  for (std::size_t at = 0, block = 0; at < data.size(); at += kCipherBlock, ++block) {
    for (std::size_t i = 0; i < kCipherBlock; ++i)
      stream[i] ^= vector[i];
    mix(stream, 12, block, 4);
    if (!encrypt_block(context_.get(), stream))
      return false;
    const std::size_t end = std::min(data.size() - at, kCipherBlock);
    for (std::size_t i = 0; i < end; ++i)
      data[at + i] ^= stream[i];
  }
  return true;
}

// GCM

bool SessionCipher::feed_gcm(std::span<const std::uint8_t> nonce,
                             std::span<const std::uint8_t> plain,
                             std::span<const std::uint8_t> more_plain,
                             std::span<std::uint8_t> data) {
  EVP_CIPHER_CTX* const context = context_.get();
  int written = 0;
  const auto update = [&](std::uint8_t* out, std::span<const std::uint8_t> in) {
    return in.empty() ||
           EVP_CipherUpdate(context, out, &written, in.data(), static_cast<int>(in.size())) == 1;
  };
  return EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, nonce.data(), -1) == 1 &&
         update(nullptr, plain) && update(nullptr, more_plain) && update(data.data(), data);
}

bool SessionCipher::seal(const PacketPosition& position, std::span<const std::uint8_t> plain,
                         std::span<const std::uint8_t> more_plain, std::span<std::uint8_t> data,
                         std::span<std::uint8_t, kGcmTagSize> tag) {
  std::uint8_t nothing = 0;
  int written = 0;
  return feed_gcm(nonce_of(position), plain, more_plain, data) &&
         EVP_CipherFinal_ex(context_.get(), &nothing, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTagSize, tag.data()) == 1;
}

bool SessionCipher::open(const PacketPosition& position, std::span<const std::uint8_t> plain,
                         std::span<const std::uint8_t> more_plain, std::span<std::uint8_t> data,
                         std::span<const std::uint8_t, kGcmTagSize> tag) {
  const auto nonce = nonce_of(position);
  // Final reads it only; the interface has no const.
  std::array<std::uint8_t, kGcmTagSize> expected{};
  std::ranges::copy(tag, expected.begin());
  std::uint8_t nothing = 0;
  int written = 0;
  const bool fed = feed_gcm(nonce, plain, more_plain, data);
  if (fed &&
      EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, kGcmTagSize, expected.data()) ==
          1 &&
      EVP_CipherFinal_ex(context_.get(), &nothing, &written) == 1)
    return true;
  // The same key stream once more brings back what was there.
  if (fed)
    (void)feed_gcm(nonce, {}, {}, data);
  return false;
}

} // namespace rtprelay::srtp
