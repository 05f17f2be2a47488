// OpenSSL as exported by the node executable (3.0 and later); the tests link libcrypto. Its
// low-level SHA-1 is used because a saved state of it is a plain value: an HMAC costs two blocks
// less per packet, and no call that allocates.
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <cstddef>
#include <memory>

namespace rtprelay::srtp {

struct FreeCipherContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeCipherContext>;

/// AES of a key size in bytes, block by block.
inline const EVP_CIPHER* block_cipher(std::size_t key_size) {
  switch (key_size) {
  case 16:
    return EVP_aes_128_ecb();
  case 24:
    return EVP_aes_192_ecb();
  default:
    return EVP_aes_256_ecb();
  }
}

/// AES of a key size in bytes.
inline const EVP_CIPHER* counter_mode(std::size_t key_size) {
  switch (key_size) {
  case 16:
    return EVP_aes_128_ctr();
  case 24:
    return EVP_aes_192_ctr();
  default:
    return EVP_aes_256_ctr();
  }
}

} // namespace rtprelay::srtp
