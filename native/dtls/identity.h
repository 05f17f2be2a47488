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
  /// Its signature is by SHA-1, not by SHA-256.
  bool sha1 = false;
};

/// Bytes of UDP payload, rtpengine's default.
constexpr long kDefaultMtu = 1200;
constexpr long kMinMtu = 576;

/// What holds for all sessions of an identity.
struct SessionRules {
  long mtu = kDefaultMtu;
  /// As OpenSSL has it; empty: our own.
  std::string ciphers;
};

// Thread: any once made; sessions of several threads may share it.
class Identity {
public:
  /// Self-signed, valid from yesterday for 31 days. nullptr: OpenSSL refused.
  static std::shared_ptr<const Identity> generate(const IdentityOptions& options,
                                                  const SessionRules& rules = {});
  /// PEM of certificate and private key. nullptr: not PEM, or they do not belong together.
  static std::shared_ptr<const Identity>
  from_pem(std::string_view certificate, std::string_view key, const SessionRules& rules = {});

  [[nodiscard]] Fingerprint fingerprint(Hash hash) const;
  /// Both can be given to `from_pem`; empty: OpenSSL refused.
  [[nodiscard]] std::string certificate_pem() const;
  [[nodiscard]] std::string key_pem() const;
  [[nodiscard]] SSL_CTX* context() const { return context_.get(); }
  [[nodiscard]] long mtu() const { return mtu_; }

private:
  Identity() = default;
  static std::shared_ptr<const Identity> make(X509Certificate certificate, PrivateKey key,
                                              const SessionRules& rules);

  X509Certificate certificate_;
  PrivateKey key_;
  SslContext context_;
  long mtu_ = kDefaultMtu;
};

} // namespace rtprelay::dtls
