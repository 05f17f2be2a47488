#include "key_derivation.h"

#include <algorithm>

#include "openssl.h"

namespace rtprelay::srtp {

namespace {

constexpr std::size_t kBlockSize = 16;
/// RFC 3711 §4.3.1: where the label stands in the 112 bits that the salt is combined with.
constexpr std::size_t kLabelAt = 7;
constexpr std::uint8_t kFirstRtcpLabel = 3;

/// AES_n_CM_PRF. A salt of 96 bits has 16 zero bits at its end (RFC 7714 §11).
bool derive(const SuiteTraits& suite, const MasterKey& master, std::uint8_t label,
            std::span<std::uint8_t> out) {
  std::array<std::uint8_t, kBlockSize> counter{};
  std::copy_n(master.salt.begin(), suite.salt_size, counter.begin());
  counter[kLabelAt] ^= label;
  const CipherContext context(EVP_CIPHER_CTX_new());
  std::ranges::fill(out, std::uint8_t{0});
  int written = 0;
  return context != nullptr &&
         EVP_EncryptInit_ex(context.get(), counter_mode(suite.key_size), nullptr, master.key.data(),
                            counter.data()) == 1 &&
         EVP_EncryptUpdate(context.get(), out.data(), &written, out.data(),
                           static_cast<int>(out.size())) == 1;
}

} // namespace

SessionKeys::~SessionKeys() {
  OPENSSL_cleanse(key.data(), key.size());
  OPENSSL_cleanse(salt.data(), salt.size());
  OPENSSL_cleanse(auth_key.data(), auth_key.size());
}

bool derive_session_keys(const SuiteTraits& suite, const MasterKey& master, Protocol protocol,
                         SessionKeys& out) {
  const std::uint8_t label = protocol == Protocol::kSrtp ? 0 : kFirstRtcpLabel;
  const auto next = [label](int offset) { return static_cast<std::uint8_t>(label + offset); };
  return derive(suite, master, label, std::span(out.key).first(suite.key_size)) &&
         derive(suite, master, next(1), out.auth_key) &&
         derive(suite, master, next(2), std::span(out.salt).first(suite.salt_size));
}

} // namespace rtprelay::srtp
