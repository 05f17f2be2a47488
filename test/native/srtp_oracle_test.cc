// libsrtp2, in a process of its own (peer/libsrtp_peer.cc), takes what we protect and protects what
// we take. scripts/test-native names its program in LIBSRTP_PEER.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../native/srtp/session.h"
#include "check.h"

using namespace rtprelay::srtp;

namespace {

using Bytes = std::vector<std::uint8_t>;

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t octet : bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", octet);
    out += digits.data();
  }
  return out;
}

/// Orders and replies over two pipes.
class Peer {
public:
  explicit Peer(const char* program) {
    std::array<int, 2> orders{};
    std::array<int, 2> replies{};
    if (pipe(orders.data()) != 0 || pipe(replies.data()) != 0)
      return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, orders[0], 0);
    posix_spawn_file_actions_adddup2(&actions, replies[1], 1);
    posix_spawn_file_actions_addclose(&actions, orders[1]);
    std::string name = program;
    std::array<char*, 2> arguments{name.data(), nullptr};
    if (posix_spawn(&pid_, program, &actions, nullptr, arguments.data(), environ) != 0)
      pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(orders[0]);
    close(replies[1]);
    out_ = fdopen(orders[1], "w");
    in_ = fdopen(replies[0], "r");
  }
  ~Peer() {
    if (out_ != nullptr)
      std::fclose(out_);
    if (in_ != nullptr)
      std::fclose(in_);
    if (pid_ > 0)
      waitpid(pid_, nullptr, 0);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  std::string ask(const std::string& order) {
    std::fprintf(out_, "%s\n", order.c_str());
    std::fflush(out_);
    std::array<char, 8192> line{};
    if (std::fgets(line.data(), static_cast<int>(line.size()), in_) == nullptr)
      return "gone";
    std::string reply = line.data();
    reply.pop_back();
    return reply;
  }

private:
  pid_t pid_ = -1;
  std::FILE* out_ = nullptr;
  std::FILE* in_ = nullptr;
};

Bytes packet(std::uint32_t number, bool rtcp) {
  Bytes out = rtcp ? Bytes{0x80, 200, 0, 6} : Bytes{0x80, 96};
  if (!rtcp) {
    out.push_back(static_cast<std::uint8_t>(number >> 8));
    out.push_back(static_cast<std::uint8_t>(number));
    out.insert(out.end(), {0, 0, 0, 1});
  }
  out.insert(out.end(), {0xca, 0xfe, 0, 1});
  for (std::uint32_t i = 0; i < (rtcp ? 20 : number % 50); ++i)
    out.push_back(static_cast<std::uint8_t>(number + i));
  return out;
}

/// libsrtp counts SRTCP from 1, we from 0.
void exchange(Peer& peer, Sender& sender, Receiver& receiver, bool rtcp) {
  const std::string suffix = rtcp ? "_rtcp " : " ";
  for (std::uint32_t number = 65'400; number < 65'700; ++number) {
    const Bytes plain = packet(number, rtcp);
    Bytes buffer = plain;
    buffer.resize(plain.size() + kMaxGrowth);
    const Outcome sent =
        rtcp ? sender.protect_rtcp(buffer, plain.size()) : sender.protect_rtp(buffer, plain.size());
    CHECK(sent.status == Status::kDone);
    const std::string secret = to_hex(std::span(buffer).first(sent.size));
    CHECK(peer.ask("unprotect" + suffix + "in " + secret) == to_hex(plain));

    const std::string theirs = peer.ask("protect" + suffix + "out " + to_hex(plain));
    Bytes received;
    for (std::size_t at = 0; at + 1 < theirs.size(); at += 2)
      received.push_back(
          static_cast<std::uint8_t>(std::strtoul(theirs.substr(at, 2).c_str(), nullptr, 16)));
    const Outcome got = rtcp ? receiver.unprotect_rtcp(received) : receiver.unprotect_rtp(received);
    CHECK(got.status == Status::kDone);
    received.resize(got.size);
    CHECK(received == plain);
  }
}

} // namespace

TEST("SRTP: libsrtp understands us and we understand it, in every suite that both have") {
  const char* const program = std::getenv("LIBSRTP_PEER");
  if (program == nullptr) {
    std::printf("  skipped: LIBSRTP_PEER is not set\n");
    return;
  }
  Peer peer(program);
  for (const Suite suite : {Suite::kAeadAes256Gcm, Suite::kAeadAes128Gcm, Suite::kAes256CmSha1_80,
                            Suite::kAes256CmSha1_32, Suite::kAes128CmSha1_80,
                            Suite::kAes128CmSha1_32, Suite::kNullSha1_80}) {
    const SuiteTraits& traits = traits_of(suite);
    Parameters parameters;
    parameters.suite = suite;
    for (std::size_t i = 0; i < traits.key_size; ++i)
      parameters.master.key[i] = static_cast<std::uint8_t>(3 * i + 1);
    for (std::size_t i = 0; i < traits.salt_size; ++i)
      parameters.master.salt[i] = static_cast<std::uint8_t>(200 - i);
    const std::string key = std::string(traits.name) + " " +
                            to_hex(std::span(parameters.master.key).first(traits.key_size)) +
                            to_hex(std::span(parameters.master.salt).first(traits.salt_size));
    CHECK(peer.ask("receiver in " + key) == "ok");
    CHECK(peer.ask("sender out " + key) == "ok");
    const auto sender = Sender::create(parameters);
    const auto receiver = Receiver::create(parameters);
    exchange(peer, *sender, *receiver, false);
    exchange(peer, *sender, *receiver, true);
  }
}
