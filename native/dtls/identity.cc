#include "identity.h"

#include <openssl/pem.h>
#include <openssl/rand.h>

#include "session.h"

namespace rtprelay::dtls {

namespace {

constexpr long kDay = 86'400;
/// GCM first: it costs half of AES_CM with SHA-1. 0x0001 is always among them, because browsers
/// have no media, and say nothing, when only 0x0002 is left.
constexpr const char* kProfiles = "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:"
                                  "SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32";
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AESGCM:DHE+AES:"
                                 "RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK";
constexpr const char* kGroups = "X25519:P-256:P-384";

PrivateKey generate_key(const IdentityOptions& options) {
  if (options.kind == KeyKind::kRsa)
    return PrivateKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{options.rsa_bits}));
  return PrivateKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
}

X509Certificate self_sign(EVP_PKEY* key, const EVP_MD* digest) {
  X509Certificate certificate(X509_new());
  std::uint64_t serial = 0;
  if (!certificate || RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1)
    return nullptr;
  X509* raw = certificate.get();
  X509_NAME* name = X509_get_subject_name(raw);
  const bool done = X509_set_version(raw, X509_VERSION_3) == 1 &&
                    ASN1_INTEGER_set_uint64(X509_get_serialNumber(raw), serial >> 1) == 1 &&
                    X509_gmtime_adj(X509_getm_notBefore(raw), -kDay) != nullptr &&
                    X509_gmtime_adj(X509_getm_notAfter(raw), 30 * kDay) != nullptr &&
                    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                               reinterpret_cast<const unsigned char*>("rtprelay"),
                                               -1, -1, 0) == 1 &&
                    X509_set_issuer_name(raw, name) == 1 && X509_set_pubkey(raw, key) == 1 &&
                    X509_sign(raw, key, digest) > 0;
  if (!done)
    return nullptr;
  return certificate;
}

/// There is no chain to check: the fingerprint in the SDP is what a certificate is held against.
int check_certificate(X509_STORE_CTX* store, void*) {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* session = static_cast<Session*>(SSL_get_app_data(ssl));
  if (session != nullptr && session->accepts(X509_STORE_CTX_get0_cert(store)))
    return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

SslContext make_context(X509* certificate, EVP_PKEY* key, const std::string& ciphers) {
  SslContext context(SSL_CTX_new(DTLS_method()));
  SSL_CTX* raw = context.get();
  if (raw == nullptr)
    return nullptr;
  // Peers sign their own certificates, some with 1024 bits: the fingerprint is what counts.
  SSL_CTX_set_security_level(raw, 1);
  SSL_CTX_set_options(raw, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                               SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_quiet_shutdown(raw, 1);
  SSL_CTX_set_read_ahead(raw, 1);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(raw, check_certificate, nullptr);
  const bool done =
      SSL_CTX_set_min_proto_version(raw, DTLS1_2_VERSION) == 1 &&
      SSL_CTX_set_cipher_list(raw, ciphers.empty() ? kCiphers : ciphers.c_str()) == 1 &&
      SSL_CTX_set1_groups_list(raw, kGroups) == 1 &&
      SSL_CTX_use_certificate(raw, certificate) == 1 && SSL_CTX_use_PrivateKey(raw, key) == 1 &&
      SSL_CTX_check_private_key(raw) == 1 && SSL_CTX_set_tlsext_use_srtp(raw, kProfiles) == 0;
  if (!done)
    return nullptr;
  return context;
}

Bio reading(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::string content_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

/// A key that is encrypted is none that we could use: nobody is asked for a password.
int no_password(char*, int, int, void*) { return -1; }

} // namespace

std::shared_ptr<const Identity> Identity::make(X509Certificate certificate, PrivateKey key,
                                               const SessionRules& rules) {
  ERR_clear_error();
  if (!certificate || !key)
    return nullptr;
  SslContext context = make_context(certificate.get(), key.get(), rules.ciphers);
  if (!context)
    return nullptr;
  std::shared_ptr<Identity> identity(new Identity());
  identity->certificate_ = std::move(certificate);
  identity->key_ = std::move(key);
  identity->context_ = std::move(context);
  identity->mtu_ = rules.mtu;
  return identity;
}

std::shared_ptr<const Identity> Identity::generate(const IdentityOptions& options,
                                                   const SessionRules& rules) {
  PrivateKey key = generate_key(options);
  const EVP_MD* digest = options.sha1 ? EVP_sha1() : EVP_sha256();
  X509Certificate certificate = key ? self_sign(key.get(), digest) : nullptr;
  return make(std::move(certificate), std::move(key), rules);
}

std::shared_ptr<const Identity>
Identity::from_pem(std::string_view certificate, std::string_view key, const SessionRules& rules) {
  const Bio first = reading(certificate);
  const Bio second = reading(key);
  if (!first || !second)
    return nullptr;
  X509Certificate x509(PEM_read_bio_X509(first.get(), nullptr, no_password, nullptr));
  PrivateKey pkey(PEM_read_bio_PrivateKey(second.get(), nullptr, no_password, nullptr));
  return make(std::move(x509), std::move(pkey), rules);
}

Fingerprint Identity::fingerprint(Hash hash) const {
  return fingerprint_of(certificate_.get(), hash);
}

std::string Identity::certificate_pem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate_.get()) != 1)
    return {};
  return content_of(bio.get());
}

std::string Identity::key_pem() const {
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (!bio ||
      PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return {};
  return content_of(bio.get());
}

} // namespace rtprelay::dtls
