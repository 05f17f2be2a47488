#include "session_cipher.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace rtprelay::srtp {

namespace {

const EVP_CIPHER* gcm(std::size_t key_size) {
  return key_size == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
}

/// Whole blocks in place. The call for one-shot operations: the others look up the context's
/// parameters by their names each time, which costs as much as the blocks.
bool encrypt_blocks(EVP_CIPHER_CTX* context, std::span<std::uint8_t> blocks) {
  const auto size = static_cast<unsigned>(blocks.size());
  return EVP_Cipher(context, blocks.data(), blocks.data(), size) == static_cast<int>(size);
}

bool init_blocks(EVP_CIPHER_CTX* context, std::size_t key_size, const std::uint8_t* key) {
  return EVP_EncryptInit_ex(context, block_cipher(key_size), nullptr, key, nullptr) == 1 &&
         EVP_CIPHER_CTX_set_padding(context, 0) == 1;
}

/// Of a key stream, made at once: as much as nearly all packets need.
constexpr std::size_t kStreamBlocks = 16;

void add_stream(std::span<std::uint8_t> data, const std::uint8_t* stream) {
  std::size_t at = 0;
  for (; at + sizeof(std::uint64_t) <= data.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::uint64_t mask = 0;
    std::memcpy(&word, data.data() + at, sizeof word);
    std::memcpy(&mask, stream + at, sizeof mask);
    word ^= mask;
    std::memcpy(data.data() + at, &word, sizeof word);
  }
  for (; at < data.size(); ++at)
    data[at] ^= stream[at];
}

std::uint32_t swapped(std::uint32_t value) { return __builtin_bswap32(value); }
std::uint16_t swapped(std::uint16_t value) { return __builtin_bswap16(value); }

template <typename Number> Number big_endian(Number value) {
  if constexpr (std::endian::native == std::endian::big)
    return value;
  else
    return swapped(value);
}

/// Adds a number, big-endian, from `at` on.
template <typename Number, std::size_t Size>
void mix(std::array<std::uint8_t, Size>& block, std::size_t at, Number value) {
  Number known = 0;
  std::memcpy(&known, &block[at], sizeof known);
  known = static_cast<Number>(known ^ big_endian(value));
  std::memcpy(&block[at], &known, sizeof known);
}

/// The lowest 48 bits.
template <std::size_t Size>
void mix_index(std::array<std::uint8_t, Size>& block, std::size_t at, std::uint64_t index) {
  mix(block, at, static_cast<std::uint32_t>(index >> 16));
  mix(block, at + 4, static_cast<std::uint16_t>(index));
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
    return init_blocks(context_.get(), suite.key_size, keys.key.data());
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
  return crypt_counter_mode(position, data);
}

/// RFC 3711 §4.1.1: the block's number is in the last 16 bits, so that a packet may have a
/// mebibyte.
bool SessionCipher::crypt_counter_mode(const PacketPosition& position,
                                       std::span<std::uint8_t> data) {
  const CipherBlock counter = counter_of(position);
  std::array<std::uint8_t, kStreamBlocks * kCipherBlock> stream;
  for (std::size_t at = 0, block = 0; at < data.size(); at += stream.size()) {
    const std::size_t size = std::min(data.size() - at, stream.size());
    const std::size_t blocks = (size + kCipherBlock - 1) / kCipherBlock;
    for (std::size_t i = 0; i < blocks; ++i, ++block) {
      std::uint8_t* const out = stream.data() + i * kCipherBlock;
      std::memcpy(out, counter.data(), kCipherBlock);
      out[14] = static_cast<std::uint8_t>(block >> 8);
      out[15] = static_cast<std::uint8_t>(block);
    }
    if (!encrypt_blocks(context_.get(), std::span(stream).first(blocks * kCipherBlock)))
      return false;
    add_stream(data.subspan(at, size), stream.data());
  }
  return true;
}

/// RFC 3711 §4.1.1.
CipherBlock SessionCipher::counter_of(const PacketPosition& position) const {
  CipherBlock block{};
  std::ranges::copy(salt_, block.begin());
  mix(block, 4, position.ssrc);
  mix_index(block, 8, position.index);
  return block;
}

/// RFC 7714 §8.1, §9.1. SRTP's 48 bits stand where SRTCP has 16 zero bits and its index.
std::array<std::uint8_t, kGcmNonceSize>
SessionCipher::nonce_of(const PacketPosition& position) const {
  std::array<std::uint8_t, kGcmNonceSize> nonce{};
  std::copy_n(salt_.begin(), kGcmNonceSize, nonce.begin());
  mix(nonce, 2, position.ssrc);
  mix_index(nonce, 6, position.index);
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
  const bool done = init_blocks(masked_.get(), suite_->key_size, key.data()) &&
                    init_blocks(context_.get(), suite_->key_size, keys.key.data());
  OPENSSL_cleanse(key.data(), key.size());
  return done;
}

CipherBlock SessionCipher::f8_vector(const PacketPosition& position) const {
  CipherBlock vector{};
  if (protocol_ == Protocol::kSrtp) {
    std::ranges::copy(position.header.subspan(1, 11), vector.begin() + 1);
    mix(vector, 12, static_cast<std::uint32_t>(position.index >> 16));
  } else {
    // The packet is encrypted, or it would not come here: E is set.
    mix(vector, 4, static_cast<std::uint32_t>(position.index | 0x80000000));
    std::ranges::copy(position.header.first(8), vector.begin() + 8);
  }
  return vector;
}

bool SessionCipher::crypt_f8(const PacketPosition& position, std::span<std::uint8_t> data) {
  CipherBlock vector = f8_vector(position);
  if (!encrypt_blocks(masked_.get(), vector))
    return false;
  CipherBlock stream{};
  for (std::size_t at = 0, block = 0; at < data.size(); at += kCipherBlock, ++block) {
    for (std::size_t i = 0; i < kCipherBlock; ++i)
      stream[i] ^= vector[i];
    mix(stream, 12, static_cast<std::uint32_t>(block));
    if (!encrypt_blocks(context_.get(), stream))
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
