// The thread of DTLS handshakes: they cost some hundred microseconds of computing each, which no
// media waits for.
//
// What they send goes through the worker: it knows where the transport's packets go just then, and
// owns the ports. A sleeping worker is woken for it, which is cheap beside a handshake.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <span>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "association.h"
#include "mailbox.h"
#include "socket.h"
#include "worker.h"

namespace rtprelay {

/// Datagrams that wait for one thread of handshakes: bounds its memory, and how long a handshake
/// may wait for all others.
constexpr std::uint32_t kMaxWaitingDatagrams = 1024;

/// Who may take itself for active is waited for as long: a first flight that is lost is repeated
/// after 1 s by most, and a client that meets another one gives up.
constexpr Micros kOpenWaitMicros = 1'200'000;

/// What has become of an association. Keys only with kKeyed.
struct HandshakeEvent : MailboxLink {
  HandshakeEvent() = default;
  HandshakeEvent(const HandshakeEvent&) = delete;
  HandshakeEvent& operator=(const HandshakeEvent&) = delete;
  ~HandshakeEvent();

  CallId call_id;
  std::uint32_t transport_id = 0;
  std::uint32_t generation = 0;
  dtls::SessionStatus status = dtls::SessionStatus::kHandshaking;
  dtls::SrtpKeys keys;
  /// The peer's, DER.
  std::vector<std::uint8_t> certificate;
};

/// One handshake of an association. Without ICE there may be several, by where they come from: the
/// first that proves to be the peer's counts.
// Thread: handshakes only.
class Attempt final : public dtls::Outlet {
public:
  using Random = std::array<std::uint8_t, 32>;

  /// @param waits a certificate that is unknown waits for its fingerprint.
  Attempt(Association& association, dtls::Role role, const Origin& origin, bool expected,
          bool waits);

  void transmit(std::span<const std::uint8_t> packet) override;
  void keyed(const dtls::SrtpKeys& keys) override;
  void status_changed(dtls::SessionStatus status) override;

  Association* association;
  const dtls::Role role;
  /// Where the peer's last packet came from; not valid: none has come.
  Origin origin;
  /// It comes from where the peer is expected.
  const bool expected;
  /// Of the peer's ClientHello, which tells one association from another.
  Random random{};
  dtls::Session session;
  /// In the thread's deadlines.
  Micros due = kNever;
  bool has_keyed = false;
  /// Active: a server has answered.
  bool answered = false;
  /// Active: it starts unless the peer begins until then; kNever: it has started.
  Micros starts_at = kNever;
};

class Handshakes {
public:
  explicit Handshakes(Notifier notifier, ThreadScheduling scheduling)
      : notifier_(notifier), scheduling_(scheduling) {}
  ~Handshakes();
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;

  // Thread: control.
  /// false: no thread or descriptor can be had.
  bool start();
  /// Ends and joins the thread. Nothing is said to any peer.
  void stop();
  /// The first half of it: the thread is told.
  void tell_to_stop();
  void adopt(std::shared_ptr<Association> association, std::optional<dtls::Fingerprint> peer);
  /// The peer's fingerprint is known now.
  void inform(std::shared_ptr<Association> association, const dtls::Fingerprint& peer);
  /// No worker has it any more.
  void drop(std::shared_ptr<Association> association);
  /// What has happened, oldest first, linked; the caller owns it.
  HandshakeEvent* take_events() { return events_.take_all(); }

  // Thread: worker.
  /// A datagram of DTLS. false: too much waits already.
  bool offer(Association& association, const Origin& origin, bool expected,
             std::span<const std::uint8_t> packet);
  /// Packets have a way to the peer now: an active association may begin.
  void begin(Association& association);

private:
  enum class OrderKind : std::uint8_t { kAdopt, kInform, kDrop };
  struct Order : MailboxLink {
    OrderKind kind = OrderKind::kAdopt;
    std::shared_ptr<Association> association;
    std::optional<dtls::Fingerprint> fingerprint;
  };
  struct Datagram : MailboxLink {
    Association* association = nullptr;
    Origin origin;
    bool expected = false;
    std::vector<std::uint8_t> bytes;
  };

  void post(OrderKind kind, std::shared_ptr<Association> association,
            std::optional<dtls::Fingerprint> fingerprint);
  void wake();
  void run();
  void wait();
  /// Executes all but the drops, which it returns, before `drops`.
  Order* execute_orders(Order* drops);
  void execute_drops(Order* drops);
  void deliver_all(Datagram* next);
  void begin_all(Association* association);
  void fire();
  void deliver(Association& association, const Datagram& datagram);
  void inherit(Association& association);
  Attempt* attempt_for(Association& association, const Datagram& datagram);
  Attempt* open(Association& association, dtls::Role role, const Datagram* datagram);
  /// Its peer may begin itself: see `kOpenWaitMicros`.
  void open_later(Association& association);
  /// false: the peer has begun meanwhile.
  bool start_late(Attempt& attempt);
  static Attempt* oldest_stranger(Association& association, bool expected);
  /// After each input of an attempt: its deadline, and what has become of it.
  void settle(Attempt& attempt);
  void close(Attempt& attempt);
  void set_deadline(Attempt& attempt, Micros due);
  void tell(Attempt& attempt);
  void push_event(std::unique_ptr<HandshakeEvent> event);

  friend class Attempt;

  const Notifier notifier_;
  const ThreadScheduling scheduling_;
  FileDescriptor wake_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> waiting_{0};
  Mailbox<Order> orders_;
  Mailbox<Datagram> datagrams_;
  Mailbox<Association> beginners_;
  Mailbox<HandshakeEvent> events_;

  // Thread: handshakes only.
  std::unordered_map<const Association*, std::shared_ptr<Association>> associations_;
  std::set<std::pair<Micros, Attempt*>> deadlines_;
  /// Of orders that came after the mailboxes were emptied: for the next round.
  Order* late_drops_ = nullptr;
  Micros now_ = 0;
};

} // namespace rtprelay
