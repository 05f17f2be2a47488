// A certificate with its key, and the settings of all sessions that use it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "fingerprint.h"
#include "openssl.h"

namespace rtprelay::dtls {

enum class KeyKind : std::uint8_t { kP256, kRsa };

struct IdentityOptions {
  KeyKind kind = KeyKind::kP256;
  /// Of RSA.
  unsigned rsa_bits = 2048;
};

// Thread: any once made; sessions of several threads may share it.
class Identity {
public:
  /// Self-signed, valid from yesterday for 31 days. nullptr: OpenSSL refused.
  static std::shared_ptr<const Identity> generate(const IdentityOptions& options);
  /// PEM of certificate and private key. nullptr: not PEM, or they do not belong together.
  static std::shared_ptr<const Identity> from_pem(std::string_view certificate,
                                                  std::string_view key);

  [[nodiscard]] Fingerprint fingerprint(Hash hash) const;
  /// Both can be given to `from_pem`; empty: OpenSSL refused.
  [[nodiscard]] std::string certificate_pem() const;
  [[nodiscard]] std::string key_pem() const;
  [[nodiscard]] SSL_CTX* context() const { return context_.get(); }

private:
  Identity() = default;
  static std::shared_ptr<const Identity> make(X509Certificate certificate, PrivateKey key);

  X509Certificate certificate_;
  PrivateKey key_;
  SslContext context_;
};

} // namespace rtprelay::dtls
