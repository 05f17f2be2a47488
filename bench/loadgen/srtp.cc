#include "srtp.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <openssl/evp.h>
#include <openssl/rand.h>

namespace loadgen {

namespace {

using namespace rtprelay::srtp;

constexpr std::size_t kMostKey = kMaxKeySize + kMaxSaltSize;

Parameters parameters_of(Suite suite, std::span<const std::uint8_t> key) {
  const SuiteTraits& traits = traits_of(suite);
  Parameters parameters;
  parameters.suite = suite;
  std::ranges::copy(key.first(traits.key_size), parameters.master.key.begin());
  std::ranges::copy(key.subspan(traits.key_size, traits.salt_size), parameters.master.salt.begin());
  return parameters;
}

std::size_t key_size(Suite suite) {
  const SuiteTraits& traits = traits_of(suite);
  return std::size_t{traits.key_size} + traits.salt_size;
}

} // namespace

std::optional<Suite> suite_named(std::string_view name) {
  for (std::size_t number = 0; number < kSuites; ++number)
    if (const auto suite = static_cast<Suite>(number); traits_of(suite).name == name)
      return suite;
  return {};
}

std::string SrtpEnd::choose(Suite suite, unsigned tag) {
  std::array<std::uint8_t, kMostKey> key{};
  (void)RAND_bytes(key.data(), static_cast<int>(key.size()));
  sender_ = Sender::create(parameters_of(suite, key));
  std::array<unsigned char, 2 * kMostKey> text{};
  const int size = EVP_EncodeBlock(text.data(), key.data(), static_cast<int>(key_size(suite)));
  return "a=crypto:" + std::to_string(tag) + ' ' + std::string(traits_of(suite).name) + " inline:" +
         std::string(reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(size)) +
         "\r\n";
}

unsigned SrtpEnd::hear(std::string_view reply, Suite suite) {
  const std::string words = ' ' + std::string(traits_of(suite).name) + " inline:";
  const auto at = reply.find(words);
  const auto line = reply.rfind("a=crypto:", at);
  if (at == std::string_view::npos || line == std::string_view::npos)
    return 0;
  unsigned tag = 0;
  (void)std::from_chars(reply.data() + line + 9, reply.data() + at, tag);
  const auto from = at + words.size();
  std::string text(reply.substr(from, reply.find_first_of("\r| ", from) - from));
  while (text.size() % 4 != 0)
    text += '=';
  std::array<std::uint8_t, 2 * kMostKey> key{};
  if (text.size() > key.size() ||
      EVP_DecodeBlock(key.data(), reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size())) < static_cast<int>(key_size(suite)))
    return 0;
  receiver_ = Receiver::create(parameters_of(suite, key));
  return tag;
}

std::size_t SrtpEnd::protect(std::span<std::uint8_t> buffer, std::size_t size) {
  return sender_ == nullptr ? size : sender_->protect_rtp(buffer, size).size;
}

std::optional<std::size_t> SrtpEnd::unprotect(std::span<std::uint8_t> packet) {
  if (receiver_ == nullptr)
    return packet.size();
  const Outcome outcome = receiver_->unprotect_rtp(packet);
  if (outcome.status != Status::kDone)
    return {};
  return outcome.size;
}

} // namespace loadgen
