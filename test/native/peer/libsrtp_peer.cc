// libsrtp2 as another implementation of SRTP, in a process of its own (its symbols are not to meet
// ours). One order a line on standard input, one reply a line; bytes in hexadecimal:
//   sender ID SUITE KEY         KEY: master key and salt      → ok
//   receiver ID SUITE KEY                                     → ok
//   protect ID PACKET, protect_rtcp ID PACKET                 → packet
//   unprotect ID PACKET, unprotect_rtcp ID PACKET             → packet
// What fails is answered by `error STATUS`, libsrtp's number.
#include <srtp2/srtp.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Bytes = std::vector<unsigned char>;

bool from_hex(const std::string& text, Bytes& out) {
  for (std::size_t at = 0; at + 1 < text.size(); at += 2)
    out.push_back(static_cast<unsigned char>(std::stoul(text.substr(at, 2), nullptr, 16)));
  return text.size() % 2 == 0;
}

void reply(const Bytes& bytes) {
  for (const unsigned char octet : bytes)
    std::printf("%02x", octet);
  std::printf("\n");
}

using SetPolicy = void (*)(srtp_crypto_policy_t*);
struct SuitePolicy {
  SetPolicy rtp;
  SetPolicy rtcp;
};

const std::map<std::string, SuitePolicy> kPolicies{
    {"AES_CM_128_HMAC_SHA1_80",
     {srtp_crypto_policy_set_rtp_default, srtp_crypto_policy_set_rtcp_default}},
    {"AES_CM_128_HMAC_SHA1_32",
     {srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32, srtp_crypto_policy_set_rtcp_default}},
    {"AES_256_CM_HMAC_SHA1_80",
     {srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
      srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80}},
    {"AES_256_CM_HMAC_SHA1_32",
     {srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32,
      srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80}},
    {"NULL_HMAC_SHA1_80",
     {srtp_crypto_policy_set_null_cipher_hmac_sha1_80,
      srtp_crypto_policy_set_null_cipher_hmac_sha1_80}},
    {"AEAD_AES_128_GCM",
     {srtp_crypto_policy_set_aes_gcm_128_16_auth, srtp_crypto_policy_set_aes_gcm_128_16_auth}},
    {"AEAD_AES_256_GCM",
     {srtp_crypto_policy_set_aes_gcm_256_16_auth, srtp_crypto_policy_set_aes_gcm_256_16_auth}},
};

int open_session(const std::string& suite, Bytes key, bool sender, srtp_t& out) {
  const auto found = kPolicies.find(suite);
  if (found == kPolicies.end())
    return srtp_err_status_bad_param;
  srtp_policy_t policy{};
  found->second.rtp(&policy.rtp);
  found->second.rtcp(&policy.rtcp);
  policy.ssrc.type = sender ? ssrc_any_outbound : ssrc_any_inbound;
  key.resize(64);
  policy.key = key.data();
  policy.window_size = 1024;
  return srtp_create(&out, &policy);
}

using Work = srtp_err_status_t (*)(srtp_t, void*, int*);
const std::map<std::string, Work> kWork{{"protect", srtp_protect},
                                        {"protect_rtcp", srtp_protect_rtcp},
                                        {"unprotect", srtp_unprotect},
                                        {"unprotect_rtcp", srtp_unprotect_rtcp}};

void obey(const std::string& line, std::map<std::string, srtp_t>& sessions) {
  std::istringstream words(line);
  std::string order;
  std::string id;
  words >> order >> id;
  if (order == "sender" || order == "receiver") {
    std::string suite;
    std::string key_text;
    words >> suite >> key_text;
    Bytes key;
    const int status = from_hex(key_text, key)
                           ? open_session(suite, key, order == "sender", sessions[id])
                           : srtp_err_status_bad_param;
    std::printf(status == 0 ? "ok\n" : "error %d\n", status);
    return;
  }
  std::string text;
  words >> text;
  Bytes packet;
  const auto work = kWork.find(order);
  if (work == kWork.end() || sessions.count(id) == 0 || !from_hex(text, packet)) {
    std::printf("error %d\n", srtp_err_status_bad_param);
    return;
  }
  int size = static_cast<int>(packet.size());
  packet.resize(packet.size() + SRTP_MAX_TRAILER_LEN + 4);
  const int status = work->second(sessions[id], packet.data(), &size);
  if (status != 0) {
    std::printf("error %d\n", status);
    return;
  }
  packet.resize(static_cast<std::size_t>(size));
  reply(packet);
}

} // namespace

int main() {
  if (srtp_init() != srtp_err_status_ok)
    return 1;
  std::map<std::string, srtp_t> sessions;
  std::string line;
  while (std::getline(std::cin, line)) {
    obey(line, sessions);
    std::fflush(stdout);
  }
}
