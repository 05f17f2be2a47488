#include "fingerprint.h"

namespace rtprelay::dtls {

namespace {

const EVP_MD* digest_of(Hash hash) {
  switch (hash) {
  case Hash::kSha1:
    return EVP_sha1();
  case Hash::kSha224:
    return EVP_sha224();
  case Hash::kSha256:
    return EVP_sha256();
  case Hash::kSha384:
    return EVP_sha384();
  case Hash::kSha512:
    return EVP_sha512();
  }
  return nullptr;
}

} // namespace

Fingerprint fingerprint_of(const X509* certificate, Hash hash) {
  Fingerprint out;
  out.hash = hash;
  unsigned size = 0;
  const EVP_MD* digest = digest_of(hash);
  if (digest != nullptr && X509_digest(certificate, digest, out.digest.data(), &size) == 1)
    out.size = static_cast<std::uint8_t>(size);
  return out;
}

bool matches(const X509* certificate, const Fingerprint& expected) {
  if (certificate == nullptr || expected.size == 0)
    return false;
  return fingerprint_of(certificate, expected.hash) == expected;
}

} // namespace rtprelay::dtls
