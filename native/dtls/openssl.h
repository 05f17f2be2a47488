// The parts of OpenSSL that DTLS needs, owned. Node exports libssl as it exports libcrypto; the
// tests link both.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

namespace rtprelay::dtls {

template <auto function> struct Free {
  template <typename Object> void operator()(Object* object) const { function(object); }
};
using PrivateKey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using X509Certificate = std::unique_ptr<X509, Free<X509_free>>;
using SslContext = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Free<SSL_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;

} // namespace rtprelay::dtls
