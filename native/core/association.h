// A DTLS association of a transport: what the worker, the thread of handshakes and the control side
// hold of it together.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "../dtls/session.h"
#include "address.h"
#include "allowance.h"
#include "clock.h"
#include "mailbox.h"
#include "transport.h"

namespace rtprelay {

class Attempt;
class Handshakes;
class Worker;

/// Where a packet came from, and by which port.
struct Origin {
  std::uint32_t port_id = kNoPort;
  SocketAddress source;
};

/// Datagrams of one association on their way to its handshake: as many as a peer with a chain of
/// RSA certificates and OpenSSL's smallest datagrams sends in one flight, of strangers half as
/// many.
constexpr std::uint32_t kMaxWaitingPerAssociation = 64;
constexpr std::uint32_t kMaxWaitingOfStrangers = 32;
/// Handshakes that are tried at the same time: strangers must not keep the peer out.
constexpr std::size_t kMaxAttempts = 4;

/// Held by the control side until no worker has it, and by the thread of handshakes until it is
/// told so.
struct Association : MailboxLink, std::enable_shared_from_this<Association> {
  CallId call_id;
  std::uint32_t transport_id = 0;
  std::uint32_t generation = 0;
  dtls::Role role = dtls::Role::kPassive;
  /// Keyed by an earlier process.
  bool established = false;
  /// Its packets come over paths that ICE has checked: then there is one peer, wherever it is.
  bool checked = false;
  std::shared_ptr<const dtls::Identity> identity;
  Worker* worker = nullptr;
  Handshakes* handshakes = nullptr;

  // Thread: any.
  std::atomic<std::uint32_t> waiting{0};
  /// In the mailbox of those to begin.
  std::atomic<bool> beginning{false};

  // Thread: control only. What the thread of handshakes has been told.
  std::optional<dtls::Fingerprint> told_fingerprint;

  // Thread: worker only.
  /// Whose it is; null once it has another, or none.
  Transport* transport = nullptr;
  bool begun = false;
  /// Of what comes from where the peer is expected, and from elsewhere.
  std::array<Allowance, 2> datagrams{Allowance{20'000, kMaxWaitingPerAssociation},
                                     Allowance{20'000, kMaxWaitingPerAssociation}};

  // Set before the thread of handshakes is told of it, which takes it.
  /// That of the same transport before it.
  std::shared_ptr<Association> predecessor;

  // Thread: handshakes only.
  /// What comes for this one is for that one.
  std::weak_ptr<Association> successor;
  std::optional<dtls::Fingerprint> fingerprint;
  std::vector<std::unique_ptr<Attempt>> attempts;
  std::array<Allowance, 2> beginnings{Allowance{500'000, 8}, Allowance{500'000, 8}};
  /// The last that was told of it.
  dtls::SessionStatus told = dtls::SessionStatus::kHandshaking;
};

/// What a handshake sends, or has found out, for the worker.
struct Flight : MailboxLink {
  std::shared_ptr<Association> association;
  /// Whom it answers; not valid: it goes where the transport's packets go.
  Origin origin;
  /// The peer has proven at `origin` who it is; nothing is sent.
  bool proven = false;
  std::vector<std::uint8_t> bytes;
};

} // namespace rtprelay
