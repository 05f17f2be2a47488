// What SRTP costs against the bare OpenSSL calls for the same bytes, in turns, ns for each packet
// of 172 bytes: g++ -std=c++20 -O2 bench/srtp/main.cc native/srtp/*.cc -lcrypto -o build/bench/srtp
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <vector>

#include "../../native/srtp/session.h"

using namespace rtprelay::srtp;

namespace {

constexpr int kPackets = 200'000;
constexpr int kRounds = 9;
constexpr std::size_t kPacket = 172;

using Packet = std::array<std::uint8_t, kPacket + kMaxGrowth>;

double nanoseconds_each(auto work) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kPackets; ++i)
    work(static_cast<std::uint16_t>(i));
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  return took.count() / kPackets;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Packet packet_of(std::uint16_t sequence) {
  Packet packet{0x80, 0, static_cast<std::uint8_t>(sequence >> 8),
                static_cast<std::uint8_t>(sequence)};
  packet[11] = 1;
  return packet;
}

/// AES-CM and HMAC-SHA1 as few calls as they can be made with.
struct BareCounterMode {
  CipherContext context{EVP_CIPHER_CTX_new()};
  SHA_CTX inner{};
  SHA_CTX outer{};
  explicit BareCounterMode(const EVP_CIPHER* cipher) {
    const std::array<std::uint8_t, 64> key{};
    EVP_EncryptInit_ex(context.get(), cipher, nullptr, key.data(), nullptr);
    SHA1_Init(&inner);
    SHA1_Update(&inner, key.data(), key.size());
    SHA1_Init(&outer);
    SHA1_Update(&outer, key.data(), key.size());
  }
  void operator()(std::uint16_t sequence) {
    Packet packet = packet_of(sequence);
    const std::array<std::uint8_t, 16> counter{packet[2], packet[3]};
    int written = 0;
    EVP_EncryptInit_ex(context.get(), nullptr, nullptr, nullptr, counter.data());
    EVP_EncryptUpdate(context.get(), packet.data() + 12, &written, packet.data() + 12, 160);
    std::array<std::uint8_t, 20> digest{};
    SHA_CTX state = inner;
    SHA1_Update(&state, packet.data(), kPacket);
    SHA1_Update(&state, counter.data(), 4);
    SHA1_Final(digest.data(), &state);
    state = outer;
    SHA1_Update(&state, digest.data(), digest.size());
    SHA1_Final(digest.data(), &state);
  }
};

struct BareGcm {
  CipherContext context{EVP_CIPHER_CTX_new()};
  explicit BareGcm(const EVP_CIPHER* cipher) {
    const std::array<std::uint8_t, 32> key{};
    EVP_EncryptInit_ex(context.get(), cipher, nullptr, key.data(), nullptr);
  }
  void operator()(std::uint16_t sequence) {
    Packet packet = packet_of(sequence);
    const std::array<std::uint8_t, 12> nonce{packet[2], packet[3]};
    int written = 0;
    EVP_EncryptInit_ex(context.get(), nullptr, nullptr, nullptr, nonce.data());
    EVP_EncryptUpdate(context.get(), nullptr, &written, packet.data(), 12);
    EVP_EncryptUpdate(context.get(), packet.data() + 12, &written, packet.data() + 12, 160);
    EVP_EncryptFinal_ex(context.get(), packet.data(), &written);
    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, 16, packet.data() + kPacket);
  }
};

void compare(Suite suite, auto bare) {
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int round = 0; round < kRounds; ++round) {
    Parameters parameters;
    parameters.suite = suite;
    const auto sender = Sender::create(parameters);
    ours.push_back(nanoseconds_each([&](std::uint16_t sequence) {
      Packet packet = packet_of(sequence);
      if (sender->protect_rtp(packet, kPacket).status != Status::kDone)
        std::abort();
    }));
    theirs.push_back(nanoseconds_each([&](std::uint16_t sequence) { bare(sequence); }));
  }
  const double ratio = median(ours) / median(theirs);
  std::printf("%-26s %7.0f ns, bare OpenSSL %7.0f ns: %.2f times\n", traits_of(suite).name.data(),
              median(ours), median(theirs), ratio);
}

} // namespace

int main() {
  compare(Suite::kAes128CmSha1_80, BareCounterMode(EVP_aes_128_ctr()));
  compare(Suite::kAes256CmSha1_80, BareCounterMode(EVP_aes_256_ctr()));
  compare(Suite::kAeadAes128Gcm, BareGcm(EVP_aes_128_gcm()));
  compare(Suite::kAeadAes256Gcm, BareGcm(EVP_aes_256_gcm()));
}
