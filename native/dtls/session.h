// One DTLS association that keys SRTP (RFC 5763, RFC 5764, DTLS 1.2): packets and time in, packets,
// keys and the next deadline out. No socket. A handshake costs some hundred microseconds of
// computing (a signature and a key exchange): it does not belong on the thread that forwards media.
//
// OpenSSL reads the clock itself for its retransmissions; `Micros` only says when to come back.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "../srtp/key_derivation.h"
#include "../srtp/suite.h"
#include "identity.h"

namespace rtprelay::dtls {

/// Monotonic time in microseconds.
using Micros = std::int64_t;
constexpr Micros kNever = std::numeric_limits<Micros>::max();

/// Flights are repeated after 50 ms, doubling, as browsers do it: a phone that has not got its
/// answer yet ignores the first ones. Not more rarely than every 3 s.
constexpr unsigned kFirstRepeatMicros = 50'000;
constexpr unsigned kLastRepeatMicros = 3'000'000;
/// A handshake that failed begins anew after that, and so often.
constexpr Micros kAgainMicros = 1'000'000;
constexpr unsigned kMaxFailures = 20;

enum class Role : std::uint8_t { kActive, kPassive };

enum class SessionStatus : std::uint8_t {
  kHandshaking,
  /// The handshake is done; the peer's fingerprint is not known yet.
  kUnverified,
  kKeyed,
  /// The certificate is not the one of the SDP: there will be no media.
  kRefused,
  /// No profile in common, or too many attempts.
  kFailed,
  /// The peer has ended it.
  kClosed,
};

struct SrtpKeys {
  srtp::Suite suite = srtp::Suite::kAes128CmSha1_80;
  /// What we send with, and what the peer sends with.
  srtp::MasterKey local;
  srtp::MasterKey remote;
};

/// What a session gives out. It must not call the session.
class Outlet {
public:
  virtual ~Outlet() = default;
  virtual void transmit(std::span<const std::uint8_t> packet) = 0;
  /// The peer is who the SDP says it is, and media may flow.
  virtual void keyed(const SrtpKeys& keys) = 0;
  virtual void status_changed(SessionStatus status) = 0;
};

struct SessionOptions {
  Role role = Role::kPassive;
  /// None before the peer's SDP is known.
  std::optional<Fingerprint> fingerprint;
  long mtu = kDefaultMtu;
  /// Another certificate than that of the fingerprint waits for its own fingerprint.
  bool waits = false;
};

/// Whether a packet is DTLS by its first byte (RFC 7983 §7).
constexpr bool looks_like_dtls(std::span<const std::uint8_t> packet) {
  return packet.size() >= 13 && packet[0] >= 20 && packet[0] <= 63;
}

/// Says nothing to the peer when it is destroyed: a call may go on elsewhere.
// Thread: one owner.
class Session {
public:
  Session(std::shared_ptr<const Identity> identity, const SessionOptions& options, Outlet& outlet)
      : identity_(std::move(identity)), options_(options), outlet_(outlet) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// An active session sends its first flight. false: no memory, or OpenSSL refused.
  bool start(Micros now);
  /// The peer's SDP came after its packets. What has been verified once is not verified anew.
  void set_fingerprint(const Fingerprint& fingerprint);
  /// A packet for which `looks_like_dtls` holds.
  void on_packet(std::span<const std::uint8_t> packet, Micros now);
  void advance(Micros now);
  [[nodiscard]] Micros deadline() const { return deadline_; }
  [[nodiscard]] SessionStatus status() const { return status_; }
  /// The peer's certificate (DER) once the handshake is done. The outlet may ask for it, too.
  [[nodiscard]] std::vector<std::uint8_t> certificate() const;

  /// For OpenSSL's callbacks alone.
  bool accepts(const X509* certificate);
  int take_packet(std::span<std::uint8_t> out);
  void give_packet(std::span<const std::uint8_t> packet);

private:
  bool create();
  void proceed(Micros now);
  void on_handshake_done();
  void on_handshake_failed(Micros now);
  void read();
  void verify();
  void release_buffers();
  bool export_keys(SrtpKeys& out) const;
  void set_deadline(Micros now);
  void set_status(SessionStatus status);
  [[nodiscard]] bool ended() const;

  std::shared_ptr<const Identity> identity_;
  SessionOptions options_;
  Outlet& outlet_;
  Ssl ssl_;
  std::span<const std::uint8_t> arrived_;
  SessionStatus status_ = SessionStatus::kHandshaking;
  Micros deadline_ = kNever;
  /// Not before that another attempt.
  Micros again_at_ = 0;
  unsigned failures_ = 0;
  bool started_ = false;
  bool mismatch_ = false;
};

} // namespace rtprelay::dtls
