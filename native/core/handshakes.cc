#include "handshakes.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../bytes.h"
#include "thread.h"

namespace rtprelay {

namespace {

/// Of a record's header, and of a handshake message's (RFC 6347 §4.1, §4.2.2).
constexpr std::size_t kRecordHeader = 13;
constexpr std::size_t kMessageHeader = 12;
constexpr std::uint8_t kAlertRecord = 21;
constexpr std::uint8_t kHandshakeRecord = 22;

/// Whether the first fragment of a ClientHello outside of any association begins the datagram; its
/// random number.
bool reads_client_hello(std::span<const std::uint8_t> packet, Attempt::Random& random) {
  constexpr std::size_t kRandomAt = kRecordHeader + kMessageHeader + 2;
  constexpr std::uint8_t kClientHello = 1;
  if (packet.size() < kRandomAt + random.size() || packet[0] != kHandshakeRecord ||
      read_u16(packet, 3) != 0 || packet[kRecordHeader] != kClientHello)
    return false;
  const auto fragment_at = read_u32(packet, kRecordHeader + 5) & 0x00ffffff;
  if (fragment_at != 0)
    return false;
  std::ranges::copy(packet.subspan(kRandomAt, random.size()), random.begin());
  return true;
}

/// Whether a flight begins that only a server sends: ServerHello or HelloVerifyRequest.
bool is_server_flight(std::span<const std::uint8_t> packet) {
  constexpr std::uint8_t kServerHello = 2;
  constexpr std::uint8_t kHelloVerifyRequest = 3;
  return packet.size() > kRecordHeader && packet[0] == kHandshakeRecord &&
         read_u16(packet, 3) == 0 &&
         (packet[kRecordHeader] == kServerHello || packet[kRecordHeader] == kHelloVerifyRequest);
}

/// It has keys, of this process or of an earlier one.
bool is_keyed(const Association& association) {
  return association.established ||
         std::ranges::any_of(association.attempts,
                             [](const auto& attempt) { return attempt->has_keyed; });
}

Attempt* active_of(const Association& association) {
  const auto found = std::ranges::find(association.attempts, dtls::Role::kActive,
                                       [](const auto& attempt) { return attempt->role; });
  return found == association.attempts.end() ? nullptr : found->get();
}

bool has_ended(dtls::SessionStatus status) {
  return status == dtls::SessionStatus::kRefused || status == dtls::SessionStatus::kFailed ||
         status == dtls::SessionStatus::kClosed;
}

template <typename Entry> void free_all(Entry* first) {
  while (first != nullptr) {
    const std::unique_ptr<Entry> entry(first);
    first = Mailbox<Entry>::next(first);
  }
}

} // namespace

HandshakeEvent::~HandshakeEvent() { OPENSSL_cleanse(&keys, sizeof keys); }

Attempt::Attempt(Association& of, dtls::Role as, const Origin& from, bool is_expected, bool waits)
    : association(&of), role(as), origin(from), expected(is_expected),
      session(of.identity, {as, of.fingerprint, of.identity->mtu(), waits}, *this) {}

void Attempt::transmit(std::span<const std::uint8_t> packet) {
  auto flight = std::make_unique<Flight>();
  flight->association = association->shared_from_this();
  if (role == dtls::Role::kPassive)
    flight->origin = origin;
  flight->bytes.assign(packet.begin(), packet.end());
  association->worker->send_flight(std::move(flight));
}

void Attempt::keyed(const dtls::SrtpKeys& keys) {
  has_keyed = true;
  auto event = std::make_unique<HandshakeEvent>();
  event->keys = keys;
  event->certificate = session.certificate();
  event->status = dtls::SessionStatus::kKeyed;
  event->call_id = association->call_id;
  event->transport_id = association->transport_id;
  event->generation = association->generation;
  association->handshakes->push_event(std::move(event));
  if (!origin.source.valid())
    return;
  auto flight = std::make_unique<Flight>();
  flight->association = association->shared_from_this();
  flight->origin = origin;
  flight->proven = true;
  association->worker->send_flight(std::move(flight));
}

void Attempt::status_changed(dtls::SessionStatus /*status*/) {}

Handshakes::~Handshakes() {
  stop();
  free_all(late_drops_);
  free_all(orders_.take_all());
  free_all(datagrams_.take_all());
  free_all(events_.take_all());
  for (auto& [key, association] : associations_)
    association->attempts.clear();
}

bool Handshakes::start() {
  wake_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid())
    return false;
  thread_ = start_thread([this] { run(); });
  return thread_.joinable();
}

void Handshakes::stop() {
  if (!thread_.joinable())
    return;
  tell_to_stop();
  thread_.join();
}

void Handshakes::tell_to_stop() {
  if (!thread_.joinable())
    return;
  stopping_.store(true, std::memory_order_release);
  wake();
}

void Handshakes::wake() {
  const std::uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof one);
}

void Handshakes::post(OrderKind kind, std::shared_ptr<Association> association,
                      std::optional<dtls::Fingerprint> fingerprint) {
  auto order = std::make_unique<Order>();
  order->kind = kind;
  order->association = std::move(association);
  order->fingerprint = fingerprint;
  if (orders_.push(order.release()))
    wake();
}

void Handshakes::adopt(std::shared_ptr<Association> association,
                       std::optional<dtls::Fingerprint> peer) {
  post(OrderKind::kAdopt, std::move(association), peer);
}

void Handshakes::inform(std::shared_ptr<Association> association, const dtls::Fingerprint& peer) {
  post(OrderKind::kInform, std::move(association), peer);
}

void Handshakes::drop(std::shared_ptr<Association> association) {
  post(OrderKind::kDrop, std::move(association), std::nullopt);
}

bool Handshakes::offer(Association& association, const Origin& origin, bool expected,
                       std::span<const std::uint8_t> packet) {
  // Strangers at many ports leave room for the peers of other calls.
  const std::uint32_t room = expected ? kMaxWaitingDatagrams : kMaxWaitingDatagrams / 2;
  const std::uint32_t own = expected ? kMaxWaitingPerAssociation : kMaxWaitingOfStrangers;
  if (association.waiting.load(std::memory_order_relaxed) >= own ||
      waiting_.load(std::memory_order_relaxed) >= room)
    return false;
  association.waiting.fetch_add(1, std::memory_order_relaxed);
  waiting_.fetch_add(1, std::memory_order_relaxed);
  auto datagram = std::make_unique<Datagram>();
  datagram->association = &association;
  datagram->origin = origin;
  datagram->expected = expected;
  datagram->bytes.assign(packet.begin(), packet.end());
  if (datagrams_.push(datagram.release()))
    wake();
  return true;
}

void Handshakes::begin(Association& association) {
  // Once in the mailbox, however often it is asked for.
  if (association.beginning.exchange(true, std::memory_order_acq_rel))
    return;
  if (beginners_.push(&association))
    wake();
}

void Handshakes::run() {
  pthread_setname_np(pthread_self(), "rtprelay-dtls");
  (void)apply_scheduling(scheduling_);
  while (!stopping_.load(std::memory_order_acquire)) {
    wait();
    now_ = monotonic_micros();
    // What a worker pushed before it let go of an association is in the mailboxes when its drop is
    // among the orders: so first the orders are taken, and drops come last. What it pushed for one
    // that was adopted since may be there too: so the orders are taken again, without their drops.
    Order* const drops = execute_orders(std::exchange(late_drops_, nullptr));
    Datagram* const datagrams = datagrams_.take_all();
    Association* const beginners = beginners_.take_all();
    late_drops_ = execute_orders(nullptr);
    if (late_drops_ != nullptr)
      wake();
    deliver_all(datagrams);
    begin_all(beginners);
    fire();
    execute_drops(drops);
  }
}

void Handshakes::wait() {
  int timeout_ms = -1;
  if (!deadlines_.empty()) {
    const Micros left = deadlines_.begin()->first - monotonic_micros();
    timeout_ms = static_cast<int>(std::clamp<Micros>(left / 1000 + 1, 0, 60'000));
  }
  pollfd ready{wake_.get(), POLLIN, 0};
  (void)poll(&ready, 1, timeout_ms);
  std::uint64_t count = 0;
  (void)!read(wake_.get(), &count, sizeof count);
}

Handshakes::Order* Handshakes::execute_orders(Order* drops) {
  for (Order* order = orders_.take_all(); order != nullptr;) {
    Order* const following = Mailbox<Order>::next(order);
    Association& association = *order->association;
    switch (order->kind) {
    case OrderKind::kDrop:
      order->MailboxLink::next = drops;
      drops = order;
      order = following;
      continue;
    case OrderKind::kAdopt:
      association.fingerprint = order->fingerprint;
      associations_.emplace(&association, order->association);
      inherit(association);
      break;
    case OrderKind::kInform:
      association.fingerprint = order->fingerprint;
      // One that is keyed closes the others.
      for (std::size_t i = 0; i < association.attempts.size(); ++i) {
        Attempt& attempt = *association.attempts[i];
        attempt.session.set_fingerprint(*order->fingerprint);
        const bool keyed = attempt.session.status() == dtls::SessionStatus::kKeyed;
        settle(attempt);
        if (keyed)
          break;
      }
      break;
    }
    delete order;
    order = following;
  }
  return drops;
}

/// The first packets of a handshake may be faster than the body that asks for another association:
/// what the peer has begun goes on there.
void Handshakes::inherit(Association& association) {
  const std::shared_ptr<Association> before = std::move(association.predecessor);
  association.predecessor = nullptr;
  if (before == nullptr || !associations_.contains(before.get()) ||
      before->identity != association.identity || !association.fingerprint)
    return;
  before->successor = association.weak_from_this();
  for (auto& attempt : before->attempts) {
    if (attempt->role == dtls::Role::kActive || attempt->has_keyed ||
        has_ended(attempt->session.status()))
      continue;
    attempt->association = &association;
    association.attempts.push_back(std::move(attempt));
  }
  std::erase(before->attempts, nullptr);
  for (std::size_t i = 0; i < association.attempts.size(); ++i) {
    Attempt& attempt = *association.attempts[i];
    attempt.session.set_fingerprint(*association.fingerprint);
    const bool keyed = attempt.session.status() == dtls::SessionStatus::kKeyed;
    settle(attempt);
    if (keyed)
      break;
  }
}

void Handshakes::execute_drops(Order* drops) {
  while (drops != nullptr) {
    const std::unique_ptr<Order> order(drops);
    drops = Mailbox<Order>::next(drops);
    Association& association = *order->association;
    while (!association.attempts.empty())
      close(*association.attempts.back());
    associations_.erase(&association);
  }
}

void Handshakes::deliver_all(Datagram* next) {
  while (next != nullptr) {
    const std::unique_ptr<Datagram> datagram(next);
    next = Mailbox<Datagram>::next(next);
    Association& association = *datagram->association;
    association.waiting.fetch_sub(1, std::memory_order_relaxed);
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    const std::shared_ptr<Association> next_one = association.successor.lock();
    Association& meant = next_one == nullptr ? association : *next_one;
    if (associations_.contains(&meant))
      deliver(meant, *datagram);
  }
}

void Handshakes::begin_all(Association* association) {
  while (association != nullptr) {
    Association* const following = Mailbox<Association>::next(association);
    association->beginning.store(false, std::memory_order_release);
    if (associations_.contains(association) && active_of(*association) == nullptr &&
        !is_keyed(*association)) {
      if (association->role == dtls::Role::kPassive)
        open_later(*association);
      else if (Attempt* attempt = open(*association, dtls::Role::kActive, nullptr))
        settle(*attempt);
    }
    association = following;
  }
}

void Handshakes::fire() {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_) {
    Attempt& attempt = *deadlines_.begin()->second;
    set_deadline(attempt, kNever);
    if (attempt.starts_at == kNever)
      attempt.session.advance(now_);
    else if (!start_late(attempt)) {
      close(attempt);
      continue;
    }
    settle(attempt);
  }
}

void Handshakes::deliver(Association& association, const Datagram& datagram) {
  // The end of an association is told to whichever it is meant for.
  if (datagram.bytes[0] == kAlertRecord && association.attempts.size() > 1) {
    std::vector<Attempt*> all;
    for (const auto& attempt : association.attempts)
      if (association.checked || attempt->origin.source == datagram.origin.source)
        all.push_back(attempt.get());
    for (Attempt* attempt : all) {
      attempt->session.on_packet(datagram.bytes, now_);
      settle(*attempt);
    }
    return;
  }
  Attempt* const attempt = attempt_for(association, datagram);
  if (attempt == nullptr)
    return;
  attempt->origin = datagram.origin;
  attempt->session.on_packet(datagram.bytes, now_);
  settle(*attempt);
}

/// A ClientHello with another random number begins another association (RFC 6347 §4.2.8); the one
/// before stays in use until the new one has proven whose it is.
Attempt* Handshakes::attempt_for(Association& association, const Datagram& datagram) {
  const auto comes_from_there = [&](const Attempt& attempt) {
    if (association.checked)
      return true;
    return attempt.role == dtls::Role::kActive ? datagram.expected
                                               : attempt.origin.source == datagram.origin.source;
  };
  Attempt* const active = active_of(association);
  const bool waits_for_server =
      active != nullptr && !active->has_keyed && comes_from_there(*active);
  Attempt::Random random{};
  if (!reads_client_hello(datagram.bytes, random)) {
    if (waits_for_server && is_server_flight(datagram.bytes))
      active->answered = true;
    if (waits_for_server && active->answered)
      return active;
    const auto& attempts = association.attempts;
    const auto newest = std::find_if(attempts.rbegin(), attempts.rend(), [&](const auto& attempt) {
      return comes_from_there(*attempt);
    });
    return newest == attempts.rend() ? nullptr : newest->get();
  }
  for (const auto& attempt : association.attempts)
    if (attempt->role == dtls::Role::kPassive && attempt->random == random &&
        comes_from_there(*attempt))
      return attempt.get();
  // Where it was to wait for ours, and does not, the peer itself alone is heard; unless it has
  // answered ours.
  const bool keyed = is_keyed(association);
  if (association.role == dtls::Role::kActive && !keyed &&
      (!datagram.expected || (active != nullptr && active->answered)))
    return nullptr;
  if (!association.beginnings[datagram.expected ? 1 : 0].take(now_))
    return nullptr;
  Attempt* const attempt = open(association, dtls::Role::kPassive, &datagram);
  if (attempt != nullptr)
    attempt->random = random;
  return attempt;
}

Attempt* Handshakes::oldest_stranger(Association& association, bool expected) {
  for (const auto& attempt : association.attempts)
    if (attempt->role == dtls::Role::kPassive && !attempt->has_keyed &&
        (expected || !attempt->expected))
      return attempt.get();
  return nullptr;
}

Attempt* Handshakes::open(Association& association, dtls::Role role, const Datagram* datagram) {
  const bool expected = datagram == nullptr || datagram->expected;
  if (association.attempts.size() >= kMaxAttempts) {
    Attempt* const stranger = oldest_stranger(association, expected);
    if (stranger == nullptr)
      return nullptr;
    close(*stranger);
  }
  const Origin origin = datagram == nullptr ? Origin{} : datagram->origin;
  // There are keys meanwhile; whose handshake it is may show later.
  const bool waits = role == dtls::Role::kPassive && is_keyed(association);
  association.attempts.push_back(
      std::make_unique<Attempt>(association, role, origin, expected, waits));
  Attempt& attempt = *association.attempts.back();
  if (attempt.session.start(now_))
    return &attempt;
  close(attempt);
  return nullptr;
}

void Handshakes::open_later(Association& association) {
  if (association.attempts.size() >= kMaxAttempts)
    return;
  association.attempts.push_back(
      std::make_unique<Attempt>(association, dtls::Role::kActive, Origin{}, true, false));
  Attempt& attempt = *association.attempts.back();
  attempt.starts_at = now_ + kOpenWaitMicros;
  set_deadline(attempt, attempt.starts_at);
}

bool Handshakes::start_late(Attempt& attempt) {
  attempt.starts_at = kNever;
  const bool begun = std::ranges::any_of(attempt.association->attempts, [](const auto& other) {
    return other->role == dtls::Role::kPassive && other->expected;
  });
  return !begun && attempt.session.start(now_);
}

void Handshakes::set_deadline(Attempt& attempt, Micros due) {
  if (attempt.due == due)
    return;
  if (attempt.due != kNever)
    deadlines_.erase({attempt.due, &attempt});
  attempt.due = due;
  if (due != kNever)
    deadlines_.emplace(due, &attempt);
}

void Handshakes::close(Attempt& attempt) {
  set_deadline(attempt, kNever);
  std::erase_if(attempt.association->attempts,
                [&attempt](const auto& entry) { return entry.get() == &attempt; });
}

void Handshakes::settle(Attempt& attempt) {
  Association& association = *attempt.association;
  const dtls::SessionStatus status = attempt.session.status();
  set_deadline(attempt, has_ended(status) ? kNever : attempt.session.deadline());
  tell(attempt);
  if (status == dtls::SessionStatus::kClosed)
    return close(attempt);
  if (status != dtls::SessionStatus::kKeyed)
    return;
  // This is the peer: nobody else is waited for.
  while (association.attempts.size() > 1)
    close(association.attempts.front().get() == &attempt ? *association.attempts.back()
                                                         : *association.attempts.front());
}

void Handshakes::tell(Attempt& attempt) {
  Association& association = *attempt.association;
  const dtls::SessionStatus status = attempt.session.status();
  if (status == dtls::SessionStatus::kKeyed) {
    association.told = status;
    return;
  }
  // What comes of another handshake is of no interest as long as there are keys.
  if (status == dtls::SessionStatus::kHandshaking || status == association.told ||
      (is_keyed(association) && !attempt.has_keyed))
    return;
  association.told = status;
  auto event = std::make_unique<HandshakeEvent>();
  event->status = status;
  event->call_id = association.call_id;
  event->transport_id = association.transport_id;
  event->generation = association.generation;
  push_event(std::move(event));
}

void Handshakes::push_event(std::unique_ptr<HandshakeEvent> event) {
  if (events_.push(event.release()))
    notifier_.notify(notifier_.context);
}

} // namespace rtprelay
