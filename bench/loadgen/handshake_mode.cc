// Calls of phones with DTLS-SRTP (no ICE) and plain ones: offer, answer, handshake, delete.
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "../../native/core/clock.h"
#include "../../native/dtls/session.h"
#include "modes.h"
#include "ng.h"
#include "statistics.h"

namespace loadgen {

namespace {

using namespace rtprelay;

constexpr Micros kPatience = 5'000'000;

struct Totals {
  std::mutex guard;
  Histogram handshake;
  Histogram call;
  std::uint64_t failed = 0;
};

/// What one handshake sends goes to the relay at once.
struct Wire final : dtls::Outlet {
  int fd = -1;
  void transmit(std::span<const std::uint8_t> packet) override {
    (void)!send(fd, packet.data(), packet.size(), 0);
  }
  void keyed(const dtls::SrtpKeys&) override {}
  void status_changed(dtls::SessionStatus) override {}
};

std::string fingerprint_line(const dtls::Identity& identity) {
  const dtls::Fingerprint fingerprint = identity.fingerprint(dtls::Hash::kSha256);
  std::string line = "a=fingerprint:sha-256";
  for (std::size_t i = 0; i < fingerprint.size; ++i) {
    std::array<char, 4> text{};
    (void)std::snprintf(text.data(), text.size(), "%c%02X", i == 0 ? ' ' : ':',
                        static_cast<unsigned>(fingerprint.digest[i]));
    line += text.data();
  }
  return line + "\r\n";
}

std::optional<dtls::Fingerprint> fingerprint_in(std::string_view reply) {
  constexpr std::string_view kName = "a=fingerprint:sha-256 ";
  const auto at = reply.find(kName);
  dtls::Fingerprint fingerprint;
  fingerprint.size = 32;
  if (at == std::string_view::npos || reply.size() < at + kName.size() + 95)
    return {};
  const char* text = reply.data() + at + kName.size();
  for (std::size_t i = 0; i < fingerprint.size; ++i, text += 3)
    (void)std::from_chars(text, text + 2, fingerprint.digest[i], 16);
  return fingerprint;
}

/// false: there are no keys in time.
bool shake_hands(int fd, const std::shared_ptr<const dtls::Identity>& identity,
                 const dtls::Fingerprint& theirs) {
  Wire wire;
  wire.fd = fd;
  dtls::Session session(identity, {dtls::Role::kActive, theirs}, wire);
  const Micros until = monotonic_micros() + kPatience;
  bool good = session.start(monotonic_micros());
  std::array<std::uint8_t, 2048> buffer;
  while (good && session.status() == dtls::SessionStatus::kHandshaking) {
    const Micros now = monotonic_micros();
    if (now >= until)
      return false;
    const Micros wait = std::clamp<Micros>(std::min(session.deadline(), until) - now, 0, kPatience);
    pollfd ready{fd, POLLIN, 0};
    (void)poll(&ready, 1, static_cast<int>(wait / 1000 + 1));
    const ssize_t size = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    const auto packet =
        std::span(buffer).first(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    if (dtls::looks_like_dtls(packet))
      session.on_packet(packet, monotonic_micros());
    session.advance(monotonic_micros());
  }
  return good && session.status() == dtls::SessionStatus::kKeyed;
}

/// One call; false: it was refused, or has no keys.
bool call_once(const Options& options, NgClient& ng, const std::string& id, std::uint16_t port,
               const std::shared_ptr<const dtls::Identity>& identity, Totals& totals) {
  const auto local = parse_host(options.bind_a, port);
  const int fd = socket(local->family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (bind(fd, local->get(), local->size) != 0) {
    close(fd);
    return false;
  }
  Wishes wishes;
  wishes.protocol = "RTP/AVP";
  wishes.demux = true;
  const Micros begun = monotonic_micros();
  const std::string lines = "a=rtcp-mux\r\na=setup:active\r\n" + fingerprint_line(*identity);
  const std::string body = secured_sdp(audio_sdp(options.bind_a, port), "UDP/TLS/RTP/SAVP", lines);
  (void)ng.ask(offer(id, body, options.through, wishes));
  const std::string answered =
      ng.ask(answer(id, audio_sdp(options.bind_b, static_cast<std::uint16_t>(port + 1))));
  const auto target = media_endpoint(answered);
  const auto theirs = fingerprint_in(answered);
  bool good = target && theirs && connect(fd, target->get(), target->size) == 0;
  const Micros asked = monotonic_micros();
  good = good && shake_hands(fd, identity, *theirs);
  const Micros done = monotonic_micros();
  (void)ng.ask(remove(id));
  close(fd);
  const std::scoped_lock lock(totals.guard);
  if (good) {
    totals.handshake.add(static_cast<std::uint64_t>(done - asked));
    totals.call.add(static_cast<std::uint64_t>(done - begun));
  } else {
    totals.failed += 1;
  }
  return good;
}

void sleep_until(Micros due) {
  for (Micros now = monotonic_micros(); now < due; now = monotonic_micros()) {
    const timespec rest{(due - now) / 1'000'000, (due - now) % 1'000'000 * 1000};
    nanosleep(&rest, nullptr);
  }
}

} // namespace

int handshake_mode(const Options& options) {
  const auto identity = dtls::Identity::generate({});
  if (identity == nullptr)
    return 1;
  Totals totals;
  std::atomic<std::uint64_t> next{0};
  const Micros start = monotonic_micros();
  const Micros end = start + static_cast<Micros>(options.seconds * 1e6);
  std::vector<std::thread> threads;
  for (std::uint32_t number = 0; number < options.concurrency; ++number)
    threads.emplace_back([&, number] {
      NgClient ng;
      if (!ng.open(options.ng))
        return;
      const auto port = static_cast<std::uint16_t>(options.port_base + 2 * number);
      while (monotonic_micros() < end) {
        const std::uint64_t call = next.fetch_add(1);
        if (options.rate > 0)
          sleep_until(std::min(
              end, start + static_cast<Micros>(1e6 * static_cast<double>(call) / options.rate)));
        // A refused call must not become a busy loop.
        if (!call_once(options, ng, options.call_prefix + '-' + std::to_string(call), port,
                       identity, totals))
          sleep_until(monotonic_micros() + 10'000);
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  const double seconds = static_cast<double>(monotonic_micros() - start) / 1e6;
  std::printf("{\"handshakes\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"perSecond\":%g,"
              "\"handshakeMicros\":{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64
              "},\"callMicros\":{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 "}}\n",
              totals.handshake.total(), totals.failed,
              static_cast<double>(totals.handshake.total()) / seconds,
              totals.handshake.percentile(0.5), totals.handshake.percentile(0.99),
              totals.call.percentile(0.5), totals.call.percentile(0.99));
  return totals.handshake.total() > 0 ? 0 : 1;
}

} // namespace loadgen
