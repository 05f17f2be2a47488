#include "../../native/srtp/session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"

using namespace rtprelay::srtp;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes hex(std::string_view text) {
  Bytes out;
  std::string digits;
  for (const char c : text)
    if (c != ' ')
      digits += c;
  for (std::size_t at = 0; at + 1 < digits.size(); at += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoi(digits.substr(at, 2), nullptr, 16)));
  return out;
}

template <std::size_t Size> void fill(std::array<std::uint8_t, Size>& out, std::string_view text) {
  std::ranges::copy(hex(text), out.begin());
}

bool begins(std::span<const std::uint8_t> bytes, std::string_view text) {
  const Bytes expected = hex(text);
  return bytes.size() >= expected.size() &&
         std::equal(expected.begin(), expected.end(), bytes.begin());
}

Suite suite_at(std::size_t number) { return static_cast<Suite>(number); }

Parameters parameters(Suite suite, std::uint8_t seed = 1) {
  Parameters out;
  out.suite = suite;
  for (std::size_t i = 0; i < out.master.key.size(); ++i)
    out.master.key[i] = static_cast<std::uint8_t>(seed * 31 + i * 7);
  for (std::size_t i = 0; i < out.master.salt.size(); ++i)
    out.master.salt[i] = static_cast<std::uint8_t>(seed * 17 + i * 3);
  return out;
}

Bytes rtp(std::uint16_t sequence, std::uint32_t ssrc = 0x11223344, std::size_t payload = 160) {
  Bytes packet{0x80, 0x08, static_cast<std::uint8_t>(sequence >> 8),
               static_cast<std::uint8_t>(sequence)};
  for (int shift = 24; shift >= 0; shift -= 8)
    packet.push_back(static_cast<std::uint8_t>((sequence * 160u) >> shift));
  for (int shift = 24; shift >= 0; shift -= 8)
    packet.push_back(static_cast<std::uint8_t>(ssrc >> shift));
  for (std::size_t i = 0; i < payload; ++i)
    packet.push_back(static_cast<std::uint8_t>(i * 5 + sequence));
  return packet;
}

Bytes receiver_report(std::uint32_t ssrc = 0x11223344) {
  Bytes packet{0x81, 201, 0, 7};
  for (int shift = 24; shift >= 0; shift -= 8)
    packet.push_back(static_cast<std::uint8_t>(ssrc >> shift));
  for (std::uint8_t i = 0; i < 24; ++i)
    packet.push_back(i);
  return packet;
}

/// Empty: it was refused.
Bytes protect(Sender& sender, const Bytes& plain, bool rtcp = false) {
  Bytes buffer = plain;
  buffer.resize(plain.size() + kMaxGrowth);
  const Outcome outcome =
      rtcp ? sender.protect_rtcp(buffer, plain.size()) : sender.protect_rtp(buffer, plain.size());
  buffer.resize(outcome.status == Status::kDone ? outcome.size : 0);
  return buffer;
}

Status unprotect(Receiver& receiver, const Bytes& secret, Bytes& plain, bool rtcp = false) {
  plain = secret;
  const Outcome outcome = rtcp ? receiver.unprotect_rtcp(plain) : receiver.unprotect_rtp(plain);
  if (outcome.status == Status::kDone)
    plain.resize(outcome.size);
  return outcome.status;
}

/// It arrives as what it was.
bool passes(Sender& sender, Receiver& receiver, const Bytes& packet, bool rtcp = false) {
  Bytes plain;
  const Bytes secret = protect(sender, packet, rtcp);
  return !secret.empty() && unprotect(receiver, secret, plain, rtcp) == Status::kDone &&
         plain == packet;
}

/// The key stream of one index, by protecting zeros.
struct Pair {
  std::unique_ptr<Sender> sender;
  std::unique_ptr<Receiver> receiver;
  explicit Pair(const Parameters& both)
      : sender(Sender::create(both)), receiver(Receiver::create(both)) {}
};

void check_derivation(Suite suite, const char* key, const char* salt, const char* cipher_key,
                      const char* cipher_salt, const char* auth_key) {
  MasterKey master;
  fill(master.key, key);
  fill(master.salt, salt);
  SessionKeys keys;
  CHECK(derive_session_keys(traits_of(suite), master, Protocol::kSrtp, keys));
  CHECK(begins(keys.key, cipher_key));
  CHECK(begins(keys.salt, cipher_salt));
  CHECK(begins(keys.auth_key, auth_key));
}

} // namespace

TEST("SRTP keys are derived as RFC 3711 B.3 and RFC 6188 7.2 and 7.4 show") {
  check_derivation(Suite::kAes128CmSha1_80, "E1F97A0D3E018BE0D64FA32C06DE4139",
                   "0EC675AD498AFEEBB6960B3AABE6", "C61E7A93744F39EE10734AFE3FF7A087",
                   "30CBBC08863D8C85D49DB34A9AE1", "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4");
  check_derivation(Suite::kAes192CmSha1_80, "73edc66c4fa15776fb57f9505c17136550ffda71f3e8e5f1",
                   "c8522f3acd4ce86d5add78edbb11",
                   "31874736a8f1143870c26e4857d8a5b2c4a354407faadabb",
                   "2372b82d639b6d8503a47adc0a6c", "355b10973cd95b9eacf4061c7e1a7151e7cfbfcb");
  check_derivation(Suite::kAes256CmSha1_80,
                   "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
                   "3b04803de51ee7c96423ab5b78d2",
                   "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
                   "fa31791685ca444a9e07c6c64e93", "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05");
}

TEST("SRTP counter mode is that of RFC 3711 B.2") {
  SessionKeys keys;
  fill(keys.key, "2B7E151628AED2A6ABF7158809CF4F3C");
  fill(keys.salt, "F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
  SessionCipher cipher;
  CHECK(cipher.init(traits_of(Suite::kAes128CmSha1_80), keys, Protocol::kSrtp, Purpose::kProtect));
  Bytes data(48);
  CHECK(cipher.crypt({{}, 0, 0}, data));
  CHECK(begins(data, "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB"
                     "41E95B3BB0A2E8DD477901E4FCA894C0"));
}

TEST("SRTP F8 is that of RFC 3711 B.1") {
  SessionKeys keys;
  fill(keys.key, "234829008467be186c3de14aae72d62c");
  fill(keys.salt, "32f2870d55555555555555555555");
  SessionCipher cipher;
  CHECK(cipher.init(traits_of(Suite::kF8Sha1_80), keys, Protocol::kSrtp, Purpose::kProtect));
  const Bytes header = hex("806e5cba50681de55c621599");
  Bytes data =
      hex("70736575646f72616e646f6d6e65737320697320746865206e6578742062657374207468696e67");
  CHECK(cipher.crypt({header, 0x5c621599, (std::uint64_t{0xd462564a} << 16) | 0x5cba}, data));
  CHECK(data ==
        hex("019ce7a26e7854014a6366aa95d4eefd1ad4172a14f9faf455b7f1d4b62bd08f562c0eef7c4802"));
}

TEST("SRTP GCM is that of RFC 7714 16.1.1 and 17.1") {
  SessionKeys keys;
  fill(keys.key, "000102030405060708090a0b0c0d0e0f");
  fill(keys.salt, "517569642070726f2071756f");
  const SuiteTraits& suite = traits_of(Suite::kAeadAes128Gcm);
  SessionCipher cipher;
  CHECK(cipher.init(suite, keys, Protocol::kSrtp, Purpose::kProtect));
  Bytes packet = hex("8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976"
                     "69736120 696e2070 61727465 73207472 6573");
  std::array<std::uint8_t, kGcmTagSize> tag{};
  CHECK(cipher.seal({std::span(packet).first(12), 0x5501a0b2, 0xf17b}, std::span(packet).first(12),
                    {}, std::span(packet).subspan(12), tag));
  packet.insert(packet.end(), tag.begin(), tag.end());
  CHECK(packet == hex("8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5"
                      "0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439"
                      "0cce"));

  SessionCipher control;
  CHECK(control.init(suite, keys, Protocol::kSrtcp, Purpose::kProtect));
  Bytes report = hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61"
                     "deadbeef deadbeef deadbeef deadbeef deadbeef");
  const Bytes word = hex("800005d4");
  CHECK(control.seal({std::span(report).first(8), 0x4d617273, 0x5d4}, std::span(report).first(8),
                     word, std::span(report).subspan(8), tag));
  report.insert(report.end(), tag.begin(), tag.end());
  CHECK(report == hex("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d"
                      "c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872"
                      "45d9eade"));
}

TEST("SRTP and SRTCP of every suite come back as what they were, and nothing else is believed") {
  std::mt19937 random(7);
  for (std::size_t number = 0; number < kSuites; ++number) {
    for (const bool with_mki : {false, true}) {
      Parameters both = parameters(suite_at(number));
      if (with_mki) {
        both.mki_size = 4;
        both.mki = {0, 0, 0, 9};
      }
      Pair pair(both);
      const SuiteTraits& suite = traits_of(both.suite);
      for (std::uint16_t sequence = 1; sequence < 40; ++sequence) {
        const Bytes plain = rtp(sequence, 5, sequence % 23);
        Bytes secret = protect(*pair.sender, plain);
        CHECK(secret.size() == plain.size() + suite.rtp_tag_size + both.mki_size);
        Bytes bad = secret;
        const std::size_t at = random() % bad.size();
        bad[at] ^= static_cast<std::uint8_t>(1 + random() % 255);
        Bytes out;
        CHECK(unprotect(*pair.receiver, bad, out) != Status::kDone);
        // The receiver has changed nothing of it: GCM's is put back.
        CHECK(out == bad);
        CHECK(unprotect(*pair.receiver, secret, out) == Status::kDone && out == plain);
        CHECK(unprotect(*pair.receiver, secret, out) == Status::kRepeated);
        const Bytes report = receiver_report(5);
        secret = protect(*pair.sender, report, true);
        CHECK(secret.size() == report.size() + 4 + suite.rtcp_tag_size + both.mki_size);
        bad = secret;
        bad[random() % bad.size()] ^= 0x40;
        CHECK(unprotect(*pair.receiver, bad, out, true) != Status::kDone);
        CHECK(unprotect(*pair.receiver, secret, out, true) == Status::kDone && out == report);
        CHECK(unprotect(*pair.receiver, secret, out, true) == Status::kRepeated);
      }
    }
  }
}

TEST("SRTP: another key, another suite and a missing MKI are refused") {
  for (std::size_t number = 0; number < kSuites; ++number) {
    Pair pair(parameters(suite_at(number), 1));
    const auto other = Receiver::create(parameters(suite_at(number), 2));
    const auto next = Receiver::create(parameters(suite_at((number + 1) % kSuites), 1));
    Parameters wants_mki = parameters(suite_at(number), 1);
    wants_mki.mki_size = 1;
    wants_mki.mki[0] = 1;
    const auto marked = Receiver::create(wants_mki);
    Bytes out;
    const Bytes secret = protect(*pair.sender, rtp(100));
    CHECK(unprotect(*other, secret, out) == Status::kRefused);
    CHECK(unprotect(*marked, secret, out) == Status::kRefused);
    CHECK(unprotect(*next, secret, out) != Status::kDone || out != rtp(100));
    CHECK(unprotect(*pair.receiver, secret, out) == Status::kDone);
  }
}

TEST("SRTP session parameters leave in the clear what they name") {
  for (std::size_t number = 0; number < kSuites; ++number) {
    Parameters both = parameters(suite_at(number));
    const SuiteTraits& suite = traits_of(both.suite);
    both.unencrypted_srtp = true;
    both.unencrypted_srtcp = true;
    Pair clear(both);
    const Bytes secret = protect(*clear.sender, rtp(3));
    CHECK(std::equal(secret.begin(), secret.begin() + 172, rtp(3).begin()));
    CHECK(passes(*clear.sender, *clear.receiver, rtp(4)));
    const Bytes report = protect(*clear.sender, receiver_report(), true);
    CHECK(std::equal(report.begin(), report.begin() + 32, receiver_report().begin()));
    CHECK(passes(*clear.sender, *clear.receiver, receiver_report(), true));
    Bytes bad = protect(*clear.sender, rtp(5));
    bad[20] ^= 1;
    Bytes out;
    CHECK(unprotect(*clear.receiver, bad, out) == Status::kRefused);

    both = parameters(suite_at(number));
    both.unauthenticated_srtp = true;
    Pair open(both);
    const bool gcm = suite.cipher == CipherKind::kGcm;
    CHECK(protect(*open.sender, rtp(3)).size() == 172u + (gcm ? 16 : 0));
    CHECK(passes(*open.sender, *open.receiver, rtp(4)));
    CHECK(protect(*open.sender, receiver_report(), true).size() == 36u + suite.rtcp_tag_size);
    CHECK(passes(*open.sender, *open.receiver, receiver_report(), true));
  }
}

TEST("SRTP follows the rollover of sequence numbers, with packets lost and out of order") {
  std::mt19937 random(11);
  for (const Suite suite : {Suite::kAes128CmSha1_80, Suite::kAeadAes256Gcm, Suite::kF8Sha1_32}) {
    Pair pair(parameters(suite));
    std::vector<Bytes> held;
    std::size_t received = 0;
    for (std::uint32_t index = 65'000; index < 65'536 * 2 + 2'000;) {
      const Bytes plain = rtp(static_cast<std::uint16_t>(index), 9, 8);
      const Bytes secret = protect(*pair.sender, plain);
      CHECK(!secret.empty());
      held.push_back(secret);
      if (held.size() == 20) {
        std::ranges::shuffle(held, random);
        // One of twenty is lost.
        for (std::size_t i = 1; i < held.size(); ++i) {
          Bytes out;
          received += unprotect(*pair.receiver, held[i], out) == Status::kDone;
        }
        held.clear();
      }
      const bool gap = index > 90'000 && index < 91'000;
      index += gap ? 20'000 : 1 + static_cast<std::uint32_t>(random() % 3);
    }
    SourceIndexes indexes;
    CHECK(pair.sender->indexes_of(9, indexes) && indexes.rtp >> 16 == 2);
    CHECK(received > 1'000);
    CHECK(pair.receiver->indexes_of(9, indexes) && indexes.rtp >> 16 == 2);
  }
}

TEST("SRTP: a receiver that comes late finds a sender after its first rollover, not further") {
  for (std::size_t number = 0; number < kSuites; ++number) {
    for (const std::uint64_t rollovers : {1, 2}) {
      Pair pair(parameters(suite_at(number)));
      CHECK(pair.sender->resume({0x11223344, true, false, rollovers << 16, 0}));
      CHECK(passes(*pair.sender, *pair.receiver, rtp(5)) == (rollovers == 1));
    }
  }
}

TEST("SRTP: the sender never uses an index twice, whatever it is given") {
  std::mt19937 random(5);
  const auto sender = Sender::create(parameters(Suite::kAes128CmSha1_80));
  // Only zeros: every packet shows its key stream.
  std::set<Bytes> streams;
  std::size_t sent = 0;
  std::uint16_t sequence = 0;
  for (int i = 0; i < 40'000; ++i) {
    switch (random() % 40) {
    case 0:
      sequence = static_cast<std::uint16_t>(random());
      break;
    case 1:
      sequence = static_cast<std::uint16_t>(sequence - random() % 600);
      break;
    case 2:
      break;
    default:
      ++sequence;
    }
    Bytes packet = rtp(sequence, 7, 16);
    std::fill(packet.begin() + 12, packet.end(), std::uint8_t{0});
    const Bytes secret = protect(*sender, packet);
    if (secret.empty())
      continue;
    ++sent;
    streams.insert(Bytes(secret.begin() + 12, secret.begin() + 28));
  }
  CHECK(streams.size() == sent);
  CHECK(sent > 20'000);
}

TEST("SRTP: a source that starts its sequence numbers anew is heard again") {
  Pair pair(parameters(Suite::kAes256CmSha1_32));
  for (std::uint16_t sequence = 30'000; sequence < 30'200; ++sequence)
    CHECK(passes(*pair.sender, *pair.receiver, rtp(sequence)));
  for (const std::uint16_t first : std::array<std::uint16_t, 3>{0, 29'000, 29'950}) {
    std::size_t heard = 0;
    for (std::uint16_t i = 0; i < 300; ++i) {
      Bytes plain;
      const Bytes secret = protect(*pair.sender, rtp(static_cast<std::uint16_t>(first + i)));
      heard += !secret.empty() && unprotect(*pair.receiver, secret, plain) == Status::kDone;
    }
    CHECK(heard >= 290);
  }
}

TEST("SRTP: what was sent twice on the way to the sender is refused, and moves nothing") {
  Pair pair(parameters(Suite::kAeadAes128Gcm));
  for (std::uint16_t sequence = 10; sequence < 200; ++sequence) {
    CHECK(passes(*pair.sender, *pair.receiver, rtp(sequence)));
    CHECK(protect(*pair.sender, rtp(sequence)).empty());
  }
  SourceIndexes indexes;
  CHECK(pair.sender->indexes_of(0x11223344, indexes) && indexes.rtp == 199);
}

TEST("SRTP: a sender that continues another one uses no index that the other may have used") {
  const Parameters both = parameters(Suite::kAes128CmSha1_80);
  Pair first(both);
  for (std::uint16_t sequence = 65'500; sequence != 200; ++sequence)
    CHECK(passes(*first.sender, *first.receiver, rtp(sequence)));
  CHECK(passes(*first.sender, *first.receiver, receiver_report(), true));
  SourceIndexes known;
  CHECK(first.sender->indexes_of(0x11223344, known) && known.rtp == 65'536 + 199);

  // What the store knows is older than what was sent.
  known.rtp -= 400;
  known.rtcp += 1'000;
  const auto second = Sender::create(both);
  CHECK(second->resume(known));
  CHECK(protect(*second, rtp(65'300)).empty());
  CHECK(passes(*second, *first.receiver, rtp(205)));
  CHECK(protect(*second, rtp(204)).empty());
  CHECK(passes(*second, *first.receiver, rtp(206)));
  CHECK(passes(*second, *first.receiver, receiver_report(), true));
  SourceIndexes indexes;
  CHECK(second->indexes_of(0x11223344, indexes) && indexes.rtp == 65'536 + 206 &&
        indexes.rtcp == known.rtcp + 1);
  // A source of which the store knows nothing.
  CHECK(!protect(*second, rtp(500, 77)).empty());
  CHECK(protect(*second, rtp(499, 77)).empty());
}

TEST("SRTP: a source that has started anew goes on where the sender is continued") {
  const Parameters both = parameters(Suite::kAes128CmSha1_80);
  Pair first(both);
  for (std::uint16_t sequence = 40'000; sequence < 40'100; ++sequence)
    CHECK(passes(*first.sender, *first.receiver, rtp(sequence)));
  // Its numbers are lower ones from here on.
  std::uint16_t sequence = 30'000;
  for (int i = 0; i < 3; ++i)
    CHECK(protect(*first.sender, rtp(sequence++)).empty());
  // On the way out they go on from those before.
  const auto heard = [&](Sender& sender) {
    Bytes plain;
    return unprotect(*first.receiver, protect(sender, rtp(sequence++)), plain) == Status::kDone;
  };
  for (int i = 0; i < 20; ++i)
    CHECK(heard(*first.sender));
  SourceIndexes known;
  CHECK(first.sender->indexes_of(0x11223344, known) && known.offset != 0);
  const auto second = Sender::create(both);
  CHECK(second->resume(known));
  for (int i = 0; i < 20; ++i)
    CHECK(heard(*second));
}

TEST("SRTP: a source starts anew while another sender continues, and nothing is used twice") {
  const Parameters both = parameters(Suite::kAes128CmSha1_80);
  Pair first(both);
  SourceIndexes known;
  for (std::uint16_t sequence = 40'000; sequence < 45'000; ++sequence) {
    CHECK(passes(*first.sender, *first.receiver, rtp(sequence)));
    // What the store knows is older than what was sent.
    if (sequence == 40'000)
      CHECK(first.sender->indexes_of(0x11223344, known));
  }
  const auto second = Sender::create(both);
  CHECK(second->resume(known));
  std::size_t heard = 0;
  for (std::uint16_t sequence = 30'000; sequence < 30'300; ++sequence) {
    Bytes plain;
    const Bytes secret = protect(*second, rtp(sequence));
    heard += !secret.empty() && unprotect(*first.receiver, secret, plain) == Status::kDone;
  }
  CHECK(heard >= 290);
}

TEST("SRTCP of a source that is not known begins where a continued sender is told") {
  const Parameters both = parameters(Suite::kAes128CmSha1_80);
  Pair pair(both);
  pair.sender->resume(70'000);
  CHECK(passes(*pair.sender, *pair.receiver, receiver_report(), true));
  SourceIndexes indexes;
  CHECK(pair.sender->indexes_at(0).rtcp == 70'000);
}

TEST("SRTP: a receiver that continues another one refuses what that one has had") {
  const Parameters both = parameters(Suite::kAeadAes256Gcm);
  Pair first(both);
  std::vector<Bytes> sent;
  for (std::uint16_t sequence = 65'400; sequence != 100; ++sequence) {
    sent.push_back(protect(*first.sender, rtp(sequence)));
    Bytes out;
    CHECK(unprotect(*first.receiver, sent.back(), out) == Status::kDone);
  }
  SourceIndexes known;
  CHECK(first.receiver->indexes_of(0x11223344, known));
  const auto second = Receiver::create(both);
  CHECK(second->resume(known));
  Bytes out;
  for (const Bytes& packet : sent)
    CHECK(unprotect(*second, packet, out) != Status::kDone);
  CHECK(passes(*first.sender, *second, rtp(30'000)));
}

TEST("SRTP tells the store of a source that is new and of one that has moved far") {
  const auto sender = Sender::create(parameters(Suite::kAes128CmSha1_80));
  int told = 0;
  for (std::uint32_t i = 0; i < 3 * kTellRtp; ++i) {
    Bytes buffer = rtp(static_cast<std::uint16_t>(i + 65'000), 3, 4);
    buffer.resize(buffer.size() + kMaxGrowth);
    told += sender->protect_rtp(buffer, 16).progressed;
  }
  CHECK(told == 3);
}

TEST("SRTP: sources are kept apart, bounded, and none is forgotten") {
  Pair pair(parameters(Suite::kAes128CmSha1_80));
  for (std::uint32_t ssrc = 0; ssrc < kMaxSources; ++ssrc)
    CHECK(passes(*pair.sender, *pair.receiver, rtp(static_cast<std::uint16_t>(ssrc), ssrc, 3)));
  Bytes buffer = rtp(1, 99'999, 3);
  buffer.resize(buffer.size() + kMaxGrowth);
  CHECK(pair.sender->protect_rtp(buffer, 15).status == Status::kTooManySources);
  CHECK(passes(*pair.sender, *pair.receiver, rtp(2, 0, 3)));
  CHECK(protect(*pair.sender, rtp(0, 0, 3)).empty());
}

TEST("SRTP: what is no packet, and what has no room, is refused") {
  Pair pair(parameters(Suite::kAes128CmSha1_80));
  for (std::size_t size = 0; size < 30; ++size) {
    Bytes packet = rtp(1, 1, 18);
    packet.resize(size);
    if (size > 0)
      packet[0] = 0x9f; // fifteen CSRCs and an extension
    CHECK(pair.receiver->unprotect_rtp(packet).status == Status::kMalformed);
    CHECK(pair.receiver->unprotect_rtcp(packet).status != Status::kDone);
    CHECK(pair.sender->protect_rtp(packet, size).status == Status::kMalformed);
  }
  Bytes exact = rtp(1);
  CHECK(pair.sender->protect_rtp(exact, exact.size()).status == Status::kNoRoom);
  Bytes report = receiver_report();
  CHECK(pair.sender->protect_rtcp(report, report.size()).status == Status::kNoRoom);
  CHECK(pair.sender->protect_rtcp(report, 7).status == Status::kMalformed);
}

TEST("SRTP: header extensions and CSRCs stay in the clear") {
  for (std::size_t number = 0; number < kSuites; ++number) {
    Pair pair(parameters(suite_at(number)));
    Bytes packet = rtp(1);
    packet[0] = 0x92;
    const Bytes more = hex("0000000a 0000000b bede0001 10ff0000");
    packet.insert(packet.begin() + 12, more.begin(), more.end());
    const Bytes secret = protect(*pair.sender, packet);
    CHECK(std::equal(secret.begin(), secret.begin() + 28, packet.begin()));
    Bytes out;
    CHECK(unprotect(*pair.receiver, secret, out) == Status::kDone && out == packet);
  }
}

TEST("SRTP: a key is not used for more packets than it may") {
  Pair pair(parameters(Suite::kAes128CmSha1_80));
  CHECK(pair.sender->resume({0x11223344, true, true, kMaxRtpIndex - 1, kMaxRtcpIndex - 1}));
  CHECK(!protect(*pair.sender, rtp(0xffff)).empty());
  CHECK(protect(*pair.sender, rtp(0)).empty());
  CHECK(!protect(*pair.sender, receiver_report(), true).empty());
  CHECK(protect(*pair.sender, receiver_report(), true).empty());
}
