// DTLS-SRTP: two sessions with each other, with loss, and against OpenSSL's own client and server.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../../native/dtls/session.h"
#include "check.h"

using namespace rtprelay;
using namespace rtprelay::dtls;

namespace {

using Bytes = std::vector<std::uint8_t>;

Micros now_micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const std::shared_ptr<const Identity>& identity(int which) {
  static const std::shared_ptr<const Identity> made[] = {
      Identity::generate({}), Identity::generate({}),
      Identity::generate({.kind = KeyKind::kRsa, .rsa_bits = 2048})};
  return made[which];
}

struct End : Outlet {
  End(int which, Role role, std::optional<Fingerprint> expected, long mtu = kDefaultMtu)
      : session(identity(which), {role, expected, mtu}, *this) {}

  std::deque<Bytes> sent;
  std::vector<SrtpKeys> keys;
  std::vector<SessionStatus> statuses;
  std::size_t largest = 0;
  Session session;

  void transmit(std::span<const std::uint8_t> packet) override {
    sent.emplace_back(packet.begin(), packet.end());
    largest = std::max(largest, packet.size());
  }
  void keyed(const SrtpKeys& given) override { keys.push_back(given); }
  void status_changed(SessionStatus status) override { statuses.push_back(status); }
};

struct Pair {
  explicit Pair(int first = 0, int second = 1, Hash hash = Hash::kSha256)
      : client(first, Role::kActive, identity(second)->fingerprint(hash)),
        server(second, Role::kPassive, identity(first)->fingerprint(hash)) {}
  End client;
  End server;
};

/// Carries packets until `done`; `lost` says which are not.
bool run(
    End& client, End& server, const std::function<bool()>& done,
    const std::function<bool(const Bytes&)>& lost = [](const Bytes&) { return false; }) {
  const Micros end = now_micros() + 60'000'000;
  while (now_micros() < end) {
    for (End* from : {&client, &server}) {
      End& to = from == &client ? server : client;
      while (!from->sent.empty()) {
        const Bytes packet = std::move(from->sent.front());
        from->sent.pop_front();
        CHECK(looks_like_dtls(packet));
        if (!lost(packet))
          to.session.on_packet(packet, now_micros());
      }
    }
    if (done())
      return true;
    if (!client.sent.empty() || !server.sent.empty())
      continue;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    client.session.advance(now_micros());
    server.session.advance(now_micros());
  }
  return false;
}

bool same(const srtp::MasterKey& a, const srtp::MasterKey& b) {
  return a.key == b.key && a.salt == b.salt;
}

bool agree(const Pair& pair) {
  return pair.client.keys.size() == 1 && pair.server.keys.size() == 1 &&
         pair.client.keys[0].suite == pair.server.keys[0].suite &&
         same(pair.client.keys[0].local, pair.server.keys[0].remote) &&
         same(pair.client.keys[0].remote, pair.server.keys[0].local) &&
         !same(pair.client.keys[0].local, pair.client.keys[0].remote);
}

bool start(Pair& pair) {
  return pair.server.session.start(now_micros()) && pair.client.session.start(now_micros());
}

/// Each record as a datagram of its own, in two fragments of its handshake message: what a path
/// with a small MTU makes of a large first flight.
std::vector<Bytes> split_hello(const Bytes& packet) {
  const std::size_t body = packet.size() - 25;
  const std::size_t half = body / 2;
  std::vector<Bytes> out;
  for (const auto& [offset, size] :
       {std::pair{std::size_t{0}, half}, std::pair{half, body - half}}) {
    Bytes part(packet.begin(), packet.begin() + 25);
    part[10] = static_cast<std::uint8_t>(out.size()); // the record's number
    part[11] = static_cast<std::uint8_t>((size + 12) >> 8);
    part[12] = static_cast<std::uint8_t>(size + 12);
    for (int i = 0; i < 3; ++i) {
      part[static_cast<std::size_t>(19 + i)] = static_cast<std::uint8_t>(offset >> (16 - 8 * i));
      part[static_cast<std::size_t>(22 + i)] = static_cast<std::uint8_t>(size >> (16 - 8 * i));
    }
    const auto begin = packet.begin() + 25 + static_cast<std::ptrdiff_t>(offset);
    part.insert(part.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
    out.push_back(part);
  }
  return out;
}

std::string hex(const std::uint8_t* bytes, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < size; ++i) {
    char text[3];
    std::snprintf(text, sizeof text, "%02X", bytes[i]);
    out += text;
  }
  return out;
}

/// The `openssl` program as a peer, on loopback, its output in a file.
struct Peer {
  Peer(const std::string& directory_, std::vector<std::string> arguments)
      : directory(directory_), output(directory_ + "/output") {
    pid = fork();
    if (pid == 0) {
      std::vector<char*> argv;
      for (std::string& argument : arguments)
        argv.push_back(argument.data());
      argv.push_back(nullptr);
      // It reads its input while it runs: a pipe that nobody closes before.
      int input[2];
      const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      if (pipe(input) != 0 || dup2(input[0], 0) < 0 || dup2(file, 1) < 0 || dup2(file, 2) < 0)
        _exit(1);
      execvp(argv[0], argv.data());
      _exit(127);
    }
  }
  ~Peer() {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  [[nodiscard]] std::string said() const {
    std::ifstream file(output);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  std::string directory;
  std::string output;
  pid_t pid = 0;
};

struct Directory {
  Directory() {
    char name[] = "/tmp/rtprelay-dtls-XXXXXX";
    CHECK(mkdtemp(name) != nullptr);
    path = name;
    std::ofstream(path + "/cert.pem") << identity(1)->certificate_pem();
    std::ofstream(path + "/key.pem") << identity(1)->key_pem();
  }
  ~Directory() {
    for (const char* name : {"/cert.pem", "/key.pem", "/output"})
      unlink((path + name).c_str());
    rmdir(path.c_str());
  }
  std::string path;
};

struct Socket {
  Socket() : fd(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in local{};
    local.sin_family = AF_INET;
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, reinterpret_cast<sockaddr*>(&local), sizeof local) == 0);
    socklen_t size = sizeof local;
    CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) == 0);
    port = ntohs(local.sin_port);
  }
  ~Socket() { close(fd); }
  int fd;
  std::uint16_t port = 0;
};

/// Speaks with the program until the session is keyed and the program has said its keys.
void converse(End& end, const Socket& socket, sockaddr_in peer, const Peer& program,
              std::string_view until) {
  const Micros limit = now_micros() + 60'000'000;
  while (now_micros() < limit) {
    end.session.advance(now_micros());
    while (!end.sent.empty()) {
      const Bytes& packet = end.sent.front();
      (void)sendto(socket.fd, packet.data(), packet.size(), 0,
                   reinterpret_cast<const sockaddr*>(&peer), sizeof peer);
      end.sent.pop_front();
    }
    pollfd ready{socket.fd, POLLIN, 0};
    if (poll(&ready, 1, 5) == 1) {
      Bytes packet(4096);
      socklen_t size = sizeof peer;
      const ssize_t count = recvfrom(socket.fd, packet.data(), packet.size(), 0,
                                     reinterpret_cast<sockaddr*>(&peer), &size);
      if (count > 0)
        end.session.on_packet(std::span(packet).first(static_cast<std::size_t>(count)),
                              now_micros());
      continue;
    }
    if (end.session.status() == SessionStatus::kKeyed && end.sent.empty() &&
        program.said().find(until) != std::string::npos)
      return;
  }
  CHECK(false);
}

std::string material_of(const End& end, bool client, std::size_t key, std::size_t salt) {
  const SrtpKeys& keys = end.keys.at(0);
  const srtp::MasterKey& first = client ? keys.local : keys.remote;
  const srtp::MasterKey& second = client ? keys.remote : keys.local;
  return hex(first.key.data(), key) + hex(second.key.data(), key) + hex(first.salt.data(), salt) +
         hex(second.salt.data(), salt);
}

bool has_openssl() { return std::system("openssl version >/dev/null 2>&1") == 0; }

constexpr const char* kLabel = "EXTRACTOR-dtls_srtp";

} // namespace

TEST("DTLS: two sessions agree on keys, each with the other's for what it receives") {
  for (int certificate = 0; certificate < 3; certificate += 2) {
    Pair pair(certificate, 1);
    CHECK(start(pair));
    CHECK(run(pair.client, pair.server, [&pair] { return agree(pair); }));
    CHECK(pair.client.keys.at(0).suite == srtp::Suite::kAeadAes128Gcm);
    CHECK(pair.client.session.deadline() == kNever && pair.server.session.deadline() == kNever);
    CHECK(pair.client.largest <= 1200 && pair.server.largest <= 1200);
  }
}

TEST("DTLS: fingerprints of each hash are checked") {
  for (int hash = 0; hash < kHashes; ++hash) {
    Pair pair(0, 1, static_cast<Hash>(hash));
    CHECK(start(pair));
    CHECK(run(pair.client, pair.server, [&pair] { return agree(pair); }));
  }
}

TEST("DTLS: a peer with another certificate gets no keys, whoever of the two it is, ever") {
  for (const bool wrong_client : {true, false}) {
    Fingerprint wrong = identity(2)->fingerprint(Hash::kSha256);
    const Fingerprint right_client = identity(0)->fingerprint(Hash::kSha256);
    const Fingerprint right_server = identity(1)->fingerprint(Hash::kSha256);
    End client(0, Role::kActive, wrong_client ? right_server : wrong);
    End server(1, Role::kPassive, wrong_client ? wrong : right_client);
    CHECK(server.session.start(now_micros()) && client.session.start(now_micros()));
    End& judge = wrong_client ? server : client;
    CHECK(run(client, server,
              [&judge] { return judge.session.status() == SessionStatus::kRefused; }));
    CHECK(judge.keys.empty());
    // A later fingerprint is a later session's.
    judge.session.set_fingerprint(wrong_client ? right_client : right_server);
    CHECK(judge.session.status() == SessionStatus::kRefused && judge.keys.empty());
  }
}

TEST("DTLS: a handshake before the answer waits for the fingerprint, right or wrong") {
  for (const bool right : {true, false}) {
    End client(0, Role::kActive, identity(1)->fingerprint(Hash::kSha256));
    End server(1, Role::kPassive, std::nullopt);
    CHECK(server.session.start(now_micros()) && client.session.start(now_micros()));
    CHECK(run(client, server, [&] {
      return server.session.status() == SessionStatus::kUnverified && !client.keys.empty();
    }));
    CHECK(server.keys.empty());
    server.session.set_fingerprint(identity(right ? 0 : 2)->fingerprint(Hash::kSha512));
    CHECK(server.keys.size() == (right ? 1U : 0U));
    CHECK(server.session.status() == (right ? SessionStatus::kKeyed : SessionStatus::kRefused));
  }
}

TEST("DTLS: lost packets are sent again, also the last flight") {
  for (unsigned which = 0; which < 7; ++which) {
    Pair pair;
    CHECK(start(pair));
    unsigned count = 0;
    CHECK(run(
        pair.client, pair.server, [&pair] { return agree(pair); },
        [&count, which](const Bytes&) { return count++ == which; }));
  }
  for (unsigned seed = 1; seed <= 3; ++seed) {
    Pair pair;
    CHECK(start(pair));
    std::mt19937 random(seed);
    CHECK(run(
        pair.client, pair.server, [&pair] { return agree(pair); },
        [&random](const Bytes&) { return random() % 5 == 0; }));
  }
}

TEST("DTLS: a ClientHello in fragments is put together") {
  Pair pair;
  CHECK(start(pair));
  CHECK(pair.client.sent.size() == 1);
  const std::vector<Bytes> parts = split_hello(pair.client.sent.front());
  pair.client.sent.clear();
  pair.server.session.on_packet(parts[1], now_micros());
  CHECK(pair.server.sent.empty());
  pair.server.session.on_packet(parts[0], now_micros());
  CHECK(!pair.server.sent.empty());
  CHECK(run(pair.client, pair.server, [&pair] { return agree(pair); }));
}

TEST("DTLS: flights fit into a small MTU") {
  End client(2, Role::kActive, identity(2)->fingerprint(Hash::kSha256), 576);
  End server(2, Role::kPassive, identity(2)->fingerprint(Hash::kSha256), 576);
  CHECK(server.session.start(now_micros()) && client.session.start(now_micros()));
  CHECK(run(client, server, [&] { return client.keys.size() == 1 && server.keys.size() == 1; }));
  CHECK(client.largest <= 576 && server.largest <= 576);
}

TEST("DTLS: a session that ends says nothing, and another's ClientHello changes nothing") {
  Pair pair;
  CHECK(start(pair));
  CHECK(run(pair.client, pair.server, [&pair] { return agree(pair); }));
  {
    End other(0, Role::kActive, std::nullopt);
    CHECK(other.session.start(now_micros()));
    pair.server.session.on_packet(other.sent.front(), now_micros());
    CHECK(pair.server.sent.empty() && pair.server.session.status() == SessionStatus::kKeyed);
    // An alert in the clear: close_notify, as anybody could send it.
    const Bytes alert = {21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0};
    pair.server.session.on_packet(alert, now_micros());
    CHECK(pair.server.session.status() == SessionStatus::kKeyed);
  }
  std::size_t said = 0;
  {
    struct Counting : Outlet {
      explicit Counting(std::size_t& target) : count(target) {}
      void transmit(std::span<const std::uint8_t>) override { ++count; }
      void keyed(const SrtpKeys&) override {}
      void status_changed(SessionStatus) override {}
      std::size_t& count;
    } outlet(said);
    Session session(identity(0), {Role::kActive, std::nullopt, kDefaultMtu}, outlet);
    CHECK(session.start(now_micros()));
    said = 0;
  }
  CHECK(said == 0);
}

TEST("DTLS: certificates survive as PEM, and what is none is refused") {
  const auto& first = identity(0);
  const auto again = Identity::from_pem(first->certificate_pem(), first->key_pem());
  CHECK(again != nullptr);
  if (again)
    CHECK(again->fingerprint(Hash::kSha256) == first->fingerprint(Hash::kSha256));
  CHECK(Identity::from_pem(first->certificate_pem(), identity(1)->key_pem()) == nullptr);
  CHECK(Identity::from_pem("", "") == nullptr);
}

TEST("DTLS: openssl s_server and we derive the same keys, with each profile") {
  struct Profile {
    const char* name;
    srtp::Suite suite;
    std::size_t key, salt;
  };
  const Profile profiles[] = {
      {"SRTP_AES128_CM_SHA1_80", srtp::Suite::kAes128CmSha1_80, 16, 14},
      {"SRTP_AES128_CM_SHA1_32", srtp::Suite::kAes128CmSha1_32, 16, 14},
      {"SRTP_AEAD_AES_128_GCM", srtp::Suite::kAeadAes128Gcm, 16, 12},
      {"SRTP_AEAD_AES_256_GCM", srtp::Suite::kAeadAes256Gcm, 32, 12},
  };
  if (!has_openssl())
    return;
  for (const Profile& profile : profiles) {
    const Directory directory;
    Socket taken;
    const std::uint16_t port = taken.port;
    close(taken.fd);
    taken.fd = -1;
    const Peer peer(directory.path,
                    {"openssl", "s_server", "-dtls1_2", "-accept",
                     "127.0.0.1:" + std::to_string(port), "-cert", directory.path + "/cert.pem",
                     "-key", directory.path + "/key.pem", "-verify", "1", "-use_srtp", profile.name,
                     "-keymatexport", kLabel, "-keymatexportlen",
                     std::to_string(2 * (profile.key + profile.salt))});
    const Socket socket;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    End end(0, Role::kActive, identity(1)->fingerprint(Hash::kSha256));
    CHECK(end.session.start(now_micros()));
    converse(end, socket, to, peer, "Keying material: ");
    CHECK(end.keys.size() == 1);
    if (end.keys.empty())
      continue;
    CHECK(end.keys[0].suite == profile.suite);
    CHECK(peer.said().find(material_of(end, true, profile.key, profile.salt)) != std::string::npos);
  }
}

TEST("DTLS: openssl s_client in small datagrams and we derive the same keys") {
  if (!has_openssl())
    return;
  const Directory directory;
  const Socket socket;
  const Peer peer(directory.path,
                  {"openssl", "s_client", "-dtls1_2", "-connect",
                   "127.0.0.1:" + std::to_string(socket.port), "-cert",
                   directory.path + "/cert.pem", "-key", directory.path + "/key.pem", "-use_srtp",
                   "SRTP_AES128_CM_SHA1_80", "-keymatexport", kLabel, "-keymatexportlen", "60"});
  End end(2, Role::kPassive, identity(1)->fingerprint(Hash::kSha1));
  CHECK(end.session.start(now_micros()));
  converse(end, socket, {}, peer, "Keying material: ");
  CHECK(end.keys.size() == 1);
  if (end.keys.empty())
    return;
  CHECK(peer.said().find(material_of(end, false, 16, 14)) != std::string::npos);
}

TEST("DTLS: a peer without a profile of ours gets no keys") {
  if (!has_openssl())
    return;
  const Directory directory;
  const Socket socket;
  const Peer peer(directory.path,
                  {"openssl", "s_client", "-dtls1_2", "-connect",
                   "127.0.0.1:" + std::to_string(socket.port), "-cert",
                   directory.path + "/cert.pem", "-key", directory.path + "/key.pem"});
  End end(0, Role::kPassive, identity(1)->fingerprint(Hash::kSha256));
  CHECK(end.session.start(now_micros()));
  const Micros limit = now_micros() + 60'000'000;
  sockaddr_in from{};
  while (now_micros() < limit && end.session.status() == SessionStatus::kHandshaking) {
    pollfd ready{socket.fd, POLLIN, 0};
    if (poll(&ready, 1, 20) == 1) {
      Bytes packet(4096);
      socklen_t size = sizeof from;
      const ssize_t count = recvfrom(socket.fd, packet.data(), packet.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &size);
      end.session.on_packet(std::span(packet).first(static_cast<std::size_t>(count)), now_micros());
    }
    end.session.advance(now_micros());
    for (const Bytes& packet : end.sent)
      (void)sendto(socket.fd, packet.data(), packet.size(), 0,
                   reinterpret_cast<const sockaddr*>(&from), sizeof from);
    end.sent.clear();
  }
  CHECK(end.session.status() == SessionStatus::kFailed && end.keys.empty());
}
