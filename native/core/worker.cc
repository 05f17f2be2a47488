// The life of a packet is `Worker::process_packet`, one stage after another. What checks a
// transport or makes its keys has its place there, beside SRTP (`unprotect`, `protect`):
// - ICE and DTLS: `check`, after `kind_of`. A STUN or DTLS packet of a transport that ends them is
//   handed to its agent or its handshake and goes no further; with ICE the agent's verdict stands
//   in for that of the latch.
// - Rewriting, a processor: in `change`, where a route gets its own copy with room to grow
// (`Slot`);
//   `RouteConfig::unchanged` says whether it needs one.
// Each is a pointer in `Transport` or `RouteConfig`, tested once, null in a plain call.
#include "worker.h"

#include <algorithm>
#include <cstring>
#include <system_error>

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "association.h"
#include "packet.h"
#include "thread.h"

namespace rtprelay {

namespace {

/// Fewer packets of a round are handled as fast without looking ahead.
constexpr std::size_t kLooksAhead = 3;

constexpr std::size_t kCacheLine = 64;

/// What has waited for a process that begins is relayed before anything else runs, for so long at
/// most.
constexpr Micros kUrgentMicros = 100'000;

/// The cache lines of an object from `member` on, if there is one.
template <typename Member> void prefetch(const Member* member, std::size_t lines) {
  if (member == nullptr)
    return;
  for (std::size_t line = 0; line < lines; ++line)
    __builtin_prefetch(reinterpret_cast<const std::uint8_t*>(member) + line * kCacheLine);
}

template <typename Object> void prefetch(const Object* object) {
  prefetch(object, (sizeof(Object) + kCacheLine - 1) / kCacheLine);
}

/// What a packet uses of a transport: what is its worker's alone.
void prefetch(const Transport* transport) {
  if (transport != nullptr)
    prefetch(&transport->config, 3);
}

void prefetch(const Stream* stream) {
  if (stream == nullptr)
    return;
  prefetch(&stream->counters, 2);
  prefetch(&stream->sums, 1);
}

} // namespace

Worker::Worker(std::unique_ptr<PacketIo> io, Notifier notifier, Micros epoch, Pace pace,
               ThreadScheduling scheduling, std::shared_ptr<Gate> gate)
    : io_(std::move(io)), notifier_(notifier), epoch_(epoch), scheduling_(scheduling),
      gate_(std::move(gate)), in_(kBatchSize), out_(kBatchSize), slots_(kBatchSize), pace_(pace),
      random_(static_cast<std::uint32_t>(monotonic_micros())) {}

Worker::~Worker() {
  stop();
  finish();
  for (Flight* next = flights_.take_all(); next != nullptr;) {
    const std::unique_ptr<Flight> flight(next);
    next = Mailbox<Flight>::next(next);
  }
}

bool Worker::start() {
  if (!thread_.joinable())
    thread_ = start_thread([this] { run(); });
  return thread_.joinable();
}

void Worker::stop() {
  if (!thread_.joinable())
    return;
  tell_to_stop();
  thread_.join();
}

void Worker::hurry_to_stop() {
  if (!thread_.joinable())
    return;
  if (const pid_t thread = thread_id_.load(std::memory_order_acquire); thread != 0)
    (void)make_realtime(thread);
  tell_to_stop();
}

void Worker::tell_to_stop() {
  stopping_.store(true, std::memory_order_release);
  if (gate_ != nullptr)
    gate_->wake();
  io_->wake();
}

void Worker::finish() { give_back(execute_orders()); }

void Worker::obey_dormant() {
  dormant_ = true;
  now_ = monotonic_micros();
  finish();
}

void Worker::post(std::unique_ptr<Exchange> order) { orders_.push(order.release()); }

void Worker::send_flight(std::unique_ptr<Flight> flight) {
  if (flights_.push(flight.release()))
    io_->wake();
}

void Worker::wake_for_orders() {
  if (!orders_.empty())
    io_->wake();
}

void Worker::replay(std::unique_ptr<ReplayBatch> batch) {
  if (replay_->post(std::move(batch)))
    io_->wake();
}

void Worker::run() {
  // The kernel may end a wait so much later, by default 50 µs: a tenth of half a millisecond.
  constexpr unsigned long kTimerSlackNanos = 10'000;
  thread_id_.store(static_cast<pid_t>(syscall(SYS_gettid)), std::memory_order_release);
  // What is refused the control thread has said.
  (void)apply_scheduling(scheduling_);
  (void)prctl(PR_SET_TIMERSLACK, kTimerSlackNanos);
  if (gate_ != nullptr) {
    pthread_setname_np(pthread_self(), "rtprelay-waits");
    usual_ = scheduling_of();
    make_urgent();
    gate_->pass(stopping_);
    urgent_until_ = monotonic_micros() + kUrgentMicros;
  }
  pthread_setname_np(pthread_self(), "rtprelay-media");
  dormant_ = false;
  while (!stopping_.load(std::memory_order_acquire)) {
    const Received received = io_->receive(in_, timeout_ms());
    now_ = monotonic_micros();
    // Orders first: whoever reads a reply and then sends must meet the state that the reply speaks
    // of. What they retire is given back only after the packets, which may refer to it.
    Exchange* done = orders_.empty() ? nullptr : execute_orders();
    const std::span<InPacket> packets(in_.data(), received.packets);
    io_->resolve(packets);
    process(packets);
    for (const StalePackets& stale : received.stale)
      drop_stale(stale);
    if (replay_ != nullptr && replay_->has_batches())
      process_replayed();
    give_back(done);
    if (!flights_.empty())
      send_flights();
    fire_timers();
    flush();
    if (urgent_until_ != 0 && (received.packets < in_.size() || now_ >= urgent_until_))
      calm_down();
    const Micros next = pace_.next_round(received.packets, now_);
    // A full round has left some behind.
    if (next > now_ && received.packets < in_.size())
      rest_until(next);
  }
}

void Worker::calm_down() {
  urgent_until_ = 0;
  make_usual(usual_);
}

void Worker::rest_until(Micros moment) {
  const timespec until{moment / 1'000'000, moment % 1'000'000 * 1000};
  (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

int Worker::timeout_ms() const {
  const Micros next = timers_.next();
  if (next == kNever)
    return -1;
  return next <= now_ ? 0 : static_cast<int>(std::min<Micros>((next - now_) / 1000 + 1, 60'000));
}

Exchange* Worker::execute_orders() {
  Exchange* first = orders_.take_all();
  for (Exchange* order = first; order != nullptr; order = Mailbox<Exchange>::next(order))
    execute(*order);
  return first;
}

void Worker::give_back(Exchange* order) {
  bool notify = false;
  while (order != nullptr) {
    Exchange* following = Mailbox<Exchange>::next(order);
    notify |= returned_.push(order);
    order = following;
  }
  if (notify)
    notifier_.notify(notifier_.context);
}

void Worker::execute(Exchange& order) {
  if (order.binds_ports)
    io_->bind_all();
  if (order.ends_waiting)
    io_->end_waiting();
  // Closed here, not where the order comes back: the control thread has enough to do.
  for (const auto& port : order.retired_ports) {
    io_->close(*port);
    if (replay_ != nullptr)
      replay_->ports.erase(*port);
  }
  for (const auto& transport : order.retired_transports)
    retire_transport(*transport);
  for (const auto& stream : order.retired_streams)
    active_.forget(stream->heard_in);
  for (const auto& association : order.retired_associations)
    association->transport = nullptr;
  // The new snapshot stays here; control keeps only its address, to name it as the next `previous`.
  CallSnapshot* snapshot = order.next.release();
  if (snapshot != nullptr)
    install(*snapshot);
  for (const PartConfig* part : order.parts)
    install_transport(part->transport);
  bind(order.bindings);
  if (order.key_frames_of != nullptr)
    request_key_frames(*order.key_frames_of);
  if (order.digit != nullptr)
    dial(*order.digit);
  for (LeftPacket& left : order.left)
    process_left(left);
  if (!order.held_packets.packets.empty())
    io_->hold_in(order.held_packets);
}

void Worker::retire_transport(Transport& transport) {
  for (Timer* timer : {&transport.pierce, &transport.reports, &transport.key_frames})
    timers_.cancel(*timer);
  drop_ice(transport);
  if (transport.association != nullptr)
    transport.association->transport = nullptr;
}

void Worker::install(CallSnapshot& snapshot) {
  for (const TransportConfig& transport : snapshot.transports)
    install_transport(transport);
  bind(snapshot.ports);
}

void Worker::bind(std::span<const PortBinding> bindings) {
  for (const PortBinding& binding : bindings) {
    binding.port->transport = binding.transport;
    io_->know(*binding.port);
    if (replay_ != nullptr)
      replay_->ports.insert(*binding.port);
  }
}

void Worker::install_transport(const TransportConfig& transport) {
  Transport& state = *transport.state;
  state.config = &transport;
  if (state.former != transport.former_use) {
    state.former = transport.former_use;
    if (transport.former_use != nullptr)
      *transport.former_use = {};
  }
  // What came in the clear under another plan does not open this one.
  if (transport.former_plain)
    state.plain_use.kept = false;
  state.planned_egress = transport.egress;
  state.nat_wait = transport.has(kNatWait);
  if (dormant_) {
    drop_ice(state);
    state.installed = false;
  }
  const bool confirmed = transport.has(kConfirmed);
  const bool ice_ended = install_ice(transport);
  const bool anew = !state.installed || state.generation != transport.generation || ice_ended;
  state.installed = true;
  state.generation = transport.generation;
  // With ICE the endpoint is where its agent found the peer.
  if (state.ice == nullptr) {
    if (anew)
      state.latch.restart(transport.endpoint, confirmed, now_);
    else
      state.latch.refresh(transport.endpoint, confirmed);
  }
  publish(state);
  install_association(transport);
  if (!transport.has(kPierceNat) || state.received)
    timers_.cancel(state.pierce);
  else if (!state.pierce.is_set())
    timers_.set(state.pierce, now_);
  if (transport.bundle != nullptr)
    transport.bundle->table.prepare(*transport.bundle->state);
  plan_reports(state);
}

void Worker::publish(Transport& transport) {
  transport.published.write(
      {transport.latch.endpoint(), transport.latch.confirmed(), transport.generation});
}

void Worker::raise(Transport& transport, std::uint32_t event) {
  // Only on events, not per packet: a transport is in the mailbox once, however much happens to it.
  if (transport.changes.fetch_or(event, std::memory_order_acq_rel) != 0)
    return;
  if (changed_.push(&transport))
    notifier_.notify(notifier_.context);
}

void Worker::drop(Stream& stream, DropReason reason) {
  stream.counters.drops[static_cast<std::size_t>(reason)].add(1);
  drops_[static_cast<std::size_t>(reason)].add(1);
}

void Worker::drop_stale(const StalePackets& stale) {
  const Transport* const transport = stale.port->transport;
  if (transport == nullptr)
    return;
  Stream& stream = *transport->config->stream->state;
  AddressSums& sums = *stream.sums.load(std::memory_order_acquire);
  for (Counter* packets : {&stream.counters.packets, &sums.packets, &stream.counters.errors,
                           &sums.errors, &drops_[static_cast<std::size_t>(DropReason::kStale)],
                           &stream.counters.drops[static_cast<std::size_t>(DropReason::kStale)]})
    packets->add(stale.packets);
  stream.counters.bytes.add(stale.bytes);
  sums.bytes.add(stale.bytes);
}

void Worker::process(std::span<const InPacket> packets) {
  look_ahead(packets);
  if (replay_ != nullptr)
    return process_and_tell(packets);
  for (const InPacket& packet : packets)
    process_packet(packet);
  // The bytes sent are those received; they stay valid until the next receive.
  flush();
  io_->let_go();
}

void Worker::process_and_tell(std::span<const InPacket> packets) {
  std::array<InPacket, kBatchSize> told;
  const auto batch = std::span(told).first(std::min(packets.size(), told.size()));
  std::copy_n(packets.begin(), batch.size(), batch.begin());
  replay_->begin(batch);
  for (const InPacket& packet : batch)
    process_packet(packet);
  flush();
  replay_->end(batch);
  io_->let_go();
}

void Worker::process_replayed() {
  replay_->replaying = true;
  ReplayBatch* next = replay_->take_batches();
  while (next != nullptr) {
    ReplayBatch& batch = *next;
    next = Mailbox<ReplayBatch>::next(next);
    for (LeftPacket& heard : batch.packets) {
      heard.port = replay_->ports.find(heard.local);
      process_left(heard);
    }
    replay_->give_back(batch);
  }
  replay_->replaying = false;
}

void Worker::look_ahead(std::span<const InPacket> packets) {
  if (packets.size() < kLooksAhead)
    return;
  std::array<const Transport*, kBatchSize> transports;
  std::size_t count = 0;
  for (const InPacket& packet : packets)
    if (packet.port != nullptr && packet.port->transport != nullptr && count < transports.size())
      transports[count++] = packet.port->transport;
  const auto each = std::span(transports).first(count);
  for (const Transport* transport : each)
    prefetch(transport);
  for (const Transport* transport : each)
    prefetch(transport->config);
  for (const Transport* transport : each)
    prefetch(transport->config->stream);
  for (const Transport* transport : each)
    if (const StreamConfig* const stream = transport->config->stream; stream != nullptr) {
      prefetch(stream->state);
      if (!stream->rtp_routes.empty())
        prefetch(stream->rtp_routes.data());
    }
  std::array<const Transport*, kBatchSize> targets;
  std::size_t target_count = 0;
  for (const Transport* transport : each)
    if (const StreamConfig* const stream = transport->config->stream;
        stream != nullptr && !stream->rtp_routes.empty()) {
      const RouteConfig& route = stream->rtp_routes.front();
      prefetch(route.to);
      prefetch(route.counted);
      targets[target_count++] = route.to;
    }
  const auto both = std::span(targets).first(target_count);
  for (const Transport* target : both)
    prefetch(target->config);
  for (const Transport* target : both)
    prefetch(target->config->egress);
}

void Worker::process_left(LeftPacket& left) {
  InPacket packet;
  packet.port = left.port;
  packet.source = left.source;
  packet.bytes = left.bytes();
  sent_before_ = left.begun;
  process_packet(packet);
  sent_before_ = 0;
  flush();
}

void Worker::process_packet(InPacket packet) {
  begun_ = packet.begun;
  if (packet.port == nullptr || packet.port->transport == nullptr)
    return;
  const TransportConfig* const transport = packet.port->transport->config;
  if (packet.unreachable != 0) {
    note_unreachable(*transport->state, packet);
    return;
  }
  const PacketKind kind = kind_of(*transport, packet.bytes);
  if (transport->checks != nullptr && !check(*transport, packet, kind))
    return;
  const std::size_t wire_size = packet.bytes.size();
  // Before its source may teach: only who has the key says where media goes.
  if (transport->has(kSecret) && !unprotect(*transport, packet, kind))
    return;
  if (!admit(*transport, packet, wire_size, kind))
    return;
  if (transport->bundle != nullptr)
    process_bundled(*transport, packet, wire_size, kind);
  else
    relay_packet(*transport->stream, packet, wire_size, kind);
}

bool Worker::is_announced(const StreamConfig& stream, std::uint8_t payload_type) {
  const std::uint64_t types = stream.announced[payload_type >> 6U];
  return stream.kind != StreamKind::kRtp || (types >> (payload_type & 63U) & 1U) != 0;
}

void Worker::relay_packet(const StreamConfig& stream, const InPacket& packet, std::size_t wire_size,
                          PacketKind kind) {
  if (!account(stream, wire_size, kind))
    return;
  if (kind == PacketKind::kRtp && !is_announced(stream, packet.bytes[1] & 0x7f))
    count_error(*stream.state);
  if (stream.looks && !look(stream, packet, kind))
    return;
  if (stream.payloads != nullptr && !treat_payload(stream, packet, kind))
    return;
  examine(stream, packet, kind);
  const bool rtcp = stream.kind == StreamKind::kRtcp ||
                    (stream.kind == StreamKind::kRtp && kind == PacketKind::kRtcp);
  if (stream.state->dialled != nullptr && kind == PacketKind::kRtp &&
      stream.kind == StreamKind::kRtp) {
    InPacket changed = packet;
    replace_by_digit(stream, changed);
    return send_by(stream.rtp_routes, stream, changed, false);
  }
  send_by(rtcp ? stream.rtcp_routes : stream.rtp_routes, stream, packet, rtcp);
}

AddressSums& Worker::sums_of(const SocketAddress& local) {
  const auto found = std::ranges::find_if(
      sums_, [&local](const auto& each) { return each->address.same_host(local); });
  return found != sums_.end() ? **found : *sums_.emplace_back(std::make_unique<AddressSums>(local));
}

void Worker::count_in(Stream& stream, std::size_t size) {
  stream.counters.packets.add(1);
  stream.counters.bytes.add(size);
  AddressSums& sums = *stream.sums.load(std::memory_order_acquire);
  sums.packets.add(1);
  sums.bytes.add(size);
}

void Worker::count_out(Stream& stream, std::size_t size) {
  stream.counters.packets_out.add(1);
  stream.counters.bytes_out.add(size);
  AddressSums& sums = *stream.sums.load(std::memory_order_acquire);
  sums.packets_out.add(1);
  sums.bytes_out.add(size);
}

void Worker::count_error(Stream& stream) {
  stream.counters.errors.add(1);
  stream.sums.load(std::memory_order_acquire)->errors.add(1);
}

void Worker::refuse(const StreamConfig& stream, std::size_t size, DropReason reason) {
  count_in(*stream.state, size);
  count_error(*stream.state);
  drop(*stream.state, reason);
}

bool Worker::unprotect(const TransportConfig& transport, InPacket& packet, PacketKind kind) {
  const auto refused = [&](DropReason reason) {
    refuse(*transport.stream, packet.bytes.size(), reason);
    return false;
  };
  if (packet.truncated)
    return refused(DropReason::kTruncated);
  const bool rtcp = kind == PacketKind::kRtcp;
  if (!rtcp && kind != PacketKind::kRtp)
    return refused(DropReason::kUnknownProtocol);
  FormerUse* const use =
      transport.tells_keys() && !transport.former_use->rekeyed ? transport.former_use : nullptr;
  if (use == nullptr && transport.present_plain)
    return true;
  if (use == nullptr && transport.receiver == nullptr)
    return refused(DropReason::kNoKey);
  // Another process would have to decrypt it again.
  if (!packet.scratch.empty()) {
    std::ranges::copy(packet.bytes, packet.scratch.begin());
    packet.bytes = packet.scratch.first(packet.bytes.size());
  }
  if (transport.passing != Passing::kNone) {
    passed_size_ = std::min(packet.bytes.size(), passed_.size());
    std::ranges::copy(packet.bytes.first(passed_size_), passed_.begin());
    passed_by_ = transport.receiver;
  }
  const auto read_by = [&](srtp::Receiver* receiver) {
    if (receiver == nullptr)
      return srtp::Outcome{.status = srtp::Status::kRefused};
    return rtcp ? receiver->unprotect_rtcp(packet.bytes) : receiver->unprotect_rtp(packet.bytes);
  };
  srtp::Receiver* by = transport.receiver;
  const auto read_by_former = [&] {
    const srtp::Outcome outcome = read_by(transport.former);
    if (outcome.status == srtp::Status::kDone) {
      by = transport.former;
      passed_by_ = by;
      use->go_on(now_);
    }
    return outcome;
  };
  // A key without authentication takes whatever comes.
  const bool asks_former = use != nullptr && transport.former != nullptr && by != nullptr &&
                           !rtcp && !by->authenticates_rtp();
  srtp::Outcome outcome = asks_former ? read_by_former() : srtp::Outcome{};
  if (outcome.status != srtp::Status::kDone) {
    outcome = read_by(transport.receiver);
    if (use != nullptr && outcome.status == srtp::Status::kDone) {
      use->end();
      // That the present ones are in use, too, though its sources may be known of old.
      outcome.progressed = true;
    } else if (use != nullptr) {
      const srtp::Outcome present = outcome;
      outcome = read_by_former();
      if (outcome.status != srtp::Status::kDone && outcome.status != srtp::Status::kRepeated &&
          is_plain(transport, packet)) {
        passed_by_ = nullptr;
        return true;
      }
      if (transport.former == nullptr) {
        if (transport.receiver == nullptr)
          return refused(DropReason::kNoKey);
        outcome = present;
      }
    }
  }
  switch (outcome.status) {
  case srtp::Status::kDone:
    break;
  case srtp::Status::kRepeated:
  case srtp::Status::kTooOld:
    return refused(DropReason::kRepeated);
  case srtp::Status::kMalformed:
    return refused(DropReason::kMalformed);
  default:
    return refused(DropReason::kNotAuthentic);
  }
  packet.bytes = packet.bytes.first(outcome.size);
  if (outcome.progressed)
    note_progress(*transport.state, *by, srtp::Purpose::kUnprotect, by != transport.receiver,
                  read_u32(packet.bytes, rtcp ? 4 : 8));
  return true;
}

bool Worker::is_plain(const TransportConfig& transport, const InPacket& packet) {
  if (!transport.former_plain && !transport.present_plain)
    return false;
  Transport& state = *transport.state;
  // Anybody can send in the clear.
  if (packet.source != state.latch.endpoint())
    return false;
  FormerUse& use = *transport.former_use;
  if (transport.present_plain) {
    use.end();
    raise(state, kPlainHeard);
    return true;
  }
  // Before the keys of a handshake are here, what it protects looks the same.
  if (transport.receiver == nullptr && state.dtls_heard != 0 &&
      now_ - state.dtls_heard < kHandshakeMicros)
    return false;
  use.go_on(now_);
  return true;
}

void Worker::note_progress(Transport& transport, srtp::Session& session, srtp::Purpose purpose,
                           bool former, std::uint32_t ssrc) {
  SrtpProgress progress{&transport, purpose, former, {}};
  // A full ring loses a report; the next one is not far.
  if (session.indexes_of(ssrc, progress.indexes))
    tell(progress);
}

bool Worker::treat_payload(const StreamConfig& stream, const InPacket& packet, PacketKind kind) {
  PayloadAction action = PayloadAction::kForward;
  switch (kind) {
  case PacketKind::kStun:
  case PacketKind::kDtls:
  case PacketKind::kRtcp:
    return true;
  case PacketKind::kRtp:
    action = stream.payloads->types[packet.bytes[1] & 0x7f];
    break;
  case PacketKind::kOther:
    action = stream.payloads->otherwise;
    break;
  }
  // ITU-T G.711 (A-law, mu-law): the octet next to zero; G.722: what rtpengine sends (seen).
  switch (action) {
  case PayloadAction::kForward:
    return true;
  case PayloadAction::kDrop:
    drop(*stream.state, DropReason::kBlocked);
    return false;
  case PayloadAction::kSilencePcma:
    return silence(stream, packet, 0xd5);
  case PayloadAction::kSilencePcmu:
    return silence(stream, packet, 0xff);
  case PayloadAction::kSilenceG722:
    return silence(stream, packet, 0xfa);
  case PayloadAction::kDigit:
    note_digit(stream, packet);
    return true;
  case PayloadAction::kDigitDrop:
    note_digit(stream, packet);
    drop(*stream.state, DropReason::kBlocked);
    return false;
  }
  return true;
}

// The last packet of a digit comes three times (RFC 4733 §2.5.1.4), each with its first timestamp.
void Worker::note_digit(const StreamConfig& stream, const InPacket& packet) {
  bool valid = false;
  const std::span<const std::uint8_t> payload = rtp_payload(packet.bytes, valid);
  if (payload.size() < kWordSize || (payload[1] & 0x80) == 0)
    return;
  const std::uint64_t mark =
      (static_cast<std::uint64_t>(read_u32(packet.bytes, 8)) << 32U) | read_u32(packet.bytes, 4);
  Stream& state = *stream.state;
  if (state.digit_told && state.last_digit == mark)
    return;
  state.digit_told = true;
  state.last_digit = mark;
  tell(DigitEnd{.transport = stream.transport->state,
                .stream_id = state.id,
                .ssrc = read_u32(packet.bytes, 8),
                .event = payload[0],
                .volume = static_cast<std::uint8_t>(payload[1] & 0x3fU),
                .duration = read_u16(payload, 2)});
}

bool Worker::silence(const StreamConfig& stream, const InPacket& packet, std::uint8_t octet) {
  if (overwrite_payload(packet.bytes, octet))
    return true;
  // Where its payload begins is unknown: better nothing than what must not be heard.
  count_error(*stream.state);
  drop(*stream.state, DropReason::kMalformed);
  return false;
}

PacketKind Worker::kind_of(const TransportConfig& transport, std::span<const std::uint8_t> bytes) {
  const PacketKind kind = classify(bytes);
  // Without rtcp-mux the payload types of RTCP may be those of RTP, too.
  const bool doubtful = kind == PacketKind::kRtcp && transport.demux == Demux::kComponent &&
                        transport.stream->kind != StreamKind::kRtcp && !starts_with_rtcp(bytes);
  if (!doubtful)
    return kind;
  return bytes.size() >= kRtpHeaderSize ? PacketKind::kRtp : PacketKind::kOther;
}

LatchPacket Worker::latch_packet(const StreamConfig& stream, const InPacket& packet,
                                 PacketKind kind) {
  LatchPacket result{packet.source};
  switch (stream.kind) {
  case StreamKind::kRtcp:
    result.teaches = kind == PacketKind::kRtcp;
    break;
  case StreamKind::kOpaque:
    // Media may come only after DTLS or STUN, or not be RTP at all.
    result.teaches = kind != PacketKind::kRtcp;
    break;
  case StreamKind::kRtp:
    result.teaches = kind == PacketKind::kRtp;
    break;
  }
  if (kind == PacketKind::kRtp)
    result.ssrc = kSsrcKnown | read_u32(packet.bytes, 8);
  else if (kind == PacketKind::kRtcp)
    result.ssrc = kSsrcKnown | read_u32(packet.bytes, 4);
  return result;
}

bool Worker::admit(const TransportConfig& transport, const InPacket& packet, std::size_t wire_size,
                   PacketKind kind) {
  Transport& state = *transport.state;
  const StreamConfig& stream = *transport.stream;
  if (packet.truncated) {
    refuse(stream, wire_size, DropReason::kTruncated);
    return false;
  }
  LatchOutcome outcome;
  // Else the agent has admitted it already.
  if (state.ice == nullptr)
    outcome = state.latch.on_packet(transport.policy, latch_packet(stream, packet, kind), now_);
  if (outcome.changed)
    note_learned(state);
  if (outcome.verdict == LatchVerdict::kReject) {
    state.stranger.write({packet.source});
    state.stranger_heard.set(moment());
    count_error(*stream.state);
    drop(*stream.state, DropReason::kStrictSource);
    return false;
  }
  if (!state.received) {
    state.received = true;
    raise(state, kFirstPacket);
  }
  return true;
}

bool Worker::account(const StreamConfig& stream, std::size_t wire_size, PacketKind kind) {
  StreamCounters& counters = stream.state->counters;
  if (!stream.uncounted)
    count_in(*stream.state, wire_size);
  // Only of what was admitted: what a stranger sends is no sign of life.
  counters.last_packet.set(moment());
  if (stream.kind != StreamKind::kRtcp)
    active_.heard(stream.state->heard_in, now_);
  if (counters.first_packet.get() == 0)
    counters.first_packet.set(moment());
  if (stream.blocked) {
    drop(*stream.state, DropReason::kBlocked);
    return false;
  }
  if (kind == PacketKind::kStun && stream.kind == StreamKind::kRtcp) {
    // rtpengine relays whatever arrives on an RTCP port, except STUN.
    count_error(*stream.state);
    drop(*stream.state, DropReason::kUnknownProtocol);
    return false;
  }
  return true;
}

void Worker::examine(const StreamConfig& stream, const InPacket& packet, PacketKind kind) {
  if (stream.kind == StreamKind::kOpaque)
    return;
  StreamCounters& counters = stream.state->counters;
  if (kind == PacketKind::kRtcp) {
    if (copies_rtcp_.load(std::memory_order_acquire))
      keep_copy(packet);
    analyse_rtcp(stream, packet);
  } else if (kind == PacketKind::kRtp && stream.kind == StreamKind::kRtp) {
    const std::uint64_t type = packet.bytes[1] & 0x7f;
    if (note_source(counters,
                    kSsrcKnown | kTypeKnown | type << kTypeShift | read_u32(packet.bytes, 8))) {
      counters.ssrc_changes.add(1);
      counters.ssrc_changed.set(moment());
    }
    const bool bare = (packet.bytes[0] & 0x3f) == 0;
    counters.last_rtp.set((bare ? packet.bytes.size() - kRtpHeaderSize : 0) << 7 | type);
    Counter& types = counters.payload_types[type >> 6];
    types.set(types.get() | std::uint64_t{1} << (type & 63));
  } else if (kind == PacketKind::kRtp) {
    counters.stray_rtp.add(1);
  }
}

bool Worker::note_source(StreamCounters& counters, std::uint64_t source) {
  const std::uint64_t last = counters.ssrc.get();
  counters.ssrc.set(source);
  if (last == 0 || ((last ^ source) & 0xffffffff) == 0)
    return false;
  // The others move up to the place that it leaves, or the last one goes.
  std::uint64_t moved = last;
  for (Counter& earlier : counters.earlier) {
    const std::uint64_t here = earlier.get();
    earlier.set(moved);
    moved = here;
    if (((here ^ source) & 0xffffffff) == 0)
      break;
  }
  return true;
}

void Worker::copy_rtcp() {
  if (rtcp_copies_ != nullptr)
    return;
  rtcp_copies_ = std::make_unique<SpscRing<RtcpCopy, kRtcpCopies>>();
  copies_rtcp_.store(true, std::memory_order_release);
}

void Worker::keep_copy(const InPacket& packet) {
  rtcp_copy_.call_id = packet.port->transport->call_id;
  rtcp_copy_.source = packet.source;
  rtcp_copy_.local = packet.port->local;
  rtcp_copy_.at = moment();
  rtcp_copy_.size = std::min(packet.bytes.size(), rtcp_copy_.bytes.size());
  std::ranges::copy(packet.bytes.first(rtcp_copy_.size), rtcp_copy_.bytes.begin());
  // A full ring loses one: who watches is behind anyway.
  if (rtcp_copies_->push(rtcp_copy_))
    notifier_.notify(notifier_.context);
  rtcp_copy_.call_id.reset();
}

void Worker::note_learned(Transport& transport) {
  transport.learned.set(moment());
  publish(transport);
  raise(transport, kEndpointLearned);
}

void Worker::note_unreachable(Transport& transport, const InPacket& error) {
  transport.unreachable.write({error.source});
  transport.unreachable_count.add(1);
  transport.unreachable_heard.set(moment());
  transport.unreachable_error.set(static_cast<std::uint64_t>(error.unreachable));
}

void Worker::send_by(std::span<const RouteConfig> routes, const StreamConfig& stream,
                     const InPacket& packet, bool rtcp) {
  Stream& from = *stream.state;
  // What we answer ourselves has come to its end.
  if (routes.empty() && (!rtcp || stream.reports_about == nullptr))
    drop(from, DropReason::kNoSink);
  const RouteConfig* earlier = nullptr;
  std::span<const std::uint8_t> made;
  for (const RouteConfig& route : routes) {
    Transport& to = *route.to;
    const SocketAddress& destination = to.latch.endpoint();
    // Port 0 is an SDP's way to say that nothing is wanted.
    const Port* const egress = to.egress == nullptr ? to.planned_egress : to.egress;
    if (!destination.valid() || destination.port == 0 || egress == nullptr) {
      drop(from, DropReason::kNoEndpoint);
      continue;
    }
    if (to.nat_wait && !to.received) {
      drop(from, DropReason::kNatWait);
      continue;
    }
    std::span<const std::uint8_t> bytes = packet.bytes;
    if (stream.transport->passing != Passing::kNone && passes(*stream.transport, *to.config)) {
      const std::span<std::uint8_t> room = take_room();
      std::ranges::copy(std::span(passed_).first(passed_size_), room.begin());
      ++slots_used_;
      bytes = room.first(passed_size_);
      earlier = nullptr;
    } else if (would_open(*stream.transport, *to.config)) {
      drop(from, DropReason::kNoKey);
      continue;
    } else if (!route.unchanged()) {
      // With the same keys for several the same packet is made once: its index is used up.
      const bool again =
          earlier != nullptr && route.changes_like(*earlier) &&
          protection(route.sender, *to.config) == protection(earlier->sender, *earlier->to->config);
      if (!change(route, from, rtcp, again ? made : std::span<const std::uint8_t>{}, bytes)) {
        earlier = nullptr;
        continue;
      }
      earlier = &route;
      made = bytes;
    }
    if (!rtcp && (route.reported != nullptr || route.bundle != nullptr))
      note_sent(route, stream, bytes, payload_size(packet.bytes));
    if (sent_before_ > 0)
      --sent_before_;
    else
      queue({.port = egress,
             .destination = destination,
             .bytes = bytes,
             .ingress = &from,
             .egress = route.counted,
             .transport = &to,
             .begun = begun_});
  }
}

bool Worker::change(const RouteConfig& route, Stream& stream, bool rtcp,
                    std::span<const std::uint8_t> earlier, std::span<const std::uint8_t>& bytes) {
  // What is in the receive slot may still be on its way to others; this may wait for longer.
  const std::span<std::uint8_t> room = take_room();
  std::size_t size = 0;
  if (!earlier.empty()) {
    // After a flush it may be the very same place.
    std::memmove(room.data(), earlier.data(), earlier.size());
    size = earlier.size();
  } else {
    const DropReason nothing = rewrite(route, rtcp, bytes, room.first(kMaxPacketBytes), size)
                                   ? DropReason::kFeedback
                                   : DropReason::kMalformed;
    if (size == 0) {
      drop(stream, nothing);
      return false;
    }
    DropReason refused = DropReason::kNoKey;
    if (route.secret && replay_ != nullptr && replay_->replaying) {
      // The other node may have sent it, and with another payload: its key stream is used up.
      replay_->secret.add(1);
      drop(stream, DropReason::kRepeated);
      return false;
    }
    if (route.secret && !protect(route.sender, *route.to, rtcp, room, size, refused)) {
      drop(stream, refused);
      return false;
    }
  }
  ++slots_used_;
  bytes = room.first(size);
  return true;
}

bool Worker::rewrite(const RouteConfig& route, bool rtcp, std::span<const std::uint8_t> bytes,
                     std::span<std::uint8_t> room, std::size_t& size) {
  const bool has_header = rtcp || (!bytes.empty() && bytes[0] >> 6 == 2);
  if (route.rewrite != nullptr && has_header) {
    size =
        rtcp ? rewrite_rtcp(*route.rewrite, bytes, room) : rewrite_rtp(*route.rewrite, bytes, room);
    if (size == 0)
      return false;
  } else if (!route.without_feedback) {
    std::ranges::copy(bytes, room.begin());
    size = bytes.size();
  }
  if (route.without_feedback)
    size = copy_without_feedback(size == 0 ? bytes : room.first(size), room);
  return true;
}

bool Worker::keeps_former(const TransportConfig& transport) const {
  if (transport.former_use == nullptr)
    return false;
  FormerUse& use = *transport.former_use;
  if (use.kept && now_ - use.heard > kFormerKeysMicros)
    use.kept = false;
  return use.kept;
}

Worker::Protection Worker::protection(srtp::Sender* present, const TransportConfig& to) const {
  const bool has_former = to.former_sender != nullptr || to.former_plain;
  if (has_former && to.former_use != nullptr) {
    // Nothing goes in the clear by itself.
    const bool has_none = present == nullptr && !to.present_plain && !to.former_plain;
    if (keeps_former(to) || (has_none && !to.former_use->rekeyed))
      return {.sender = to.former_sender, .former = true, .plain = to.former_plain};
  }
  return {.sender = present, .former = false, .plain = to.present_plain};
}

bool Worker::passes(const TransportConfig& from, const TransportConfig& to) const {
  // Whoever encrypts with the same key as before does as the other side does.
  const TransportConfig& teller = to.tells_keys() ? to : from;
  if (from.passing == Passing::kPresent)
    return !keeps_former(teller) && passed_by_ == from.receiver;
  return keeps_former(teller) && passed_by_ == from.former;
}

bool Worker::would_open(const TransportConfig& from, const TransportConfig& to) const {
  return from.passing == Passing::kFormer && passed_by_ == from.former && to.present_plain &&
         !keeps_former(to);
}

bool Worker::protect(srtp::Sender* sender, Transport& to, bool rtcp, std::span<std::uint8_t> room,
                     std::size_t& size, DropReason& refused) {
  refused = DropReason::kNoKey;
  const Protection by = protection(sender, *to.config);
  if (by.plain)
    return true;
  sender = by.sender;
  if (sender == nullptr)
    return false;
  const srtp::Outcome outcome =
      rtcp ? sender->protect_rtcp(room, size) : sender->protect_rtp(room, size);
  switch (outcome.status) {
  case srtp::Status::kDone:
    break;
  case srtp::Status::kRepeated:
  case srtp::Status::kTooOld:
    refused = DropReason::kRepeated;
    return false;
  case srtp::Status::kMalformed:
    refused = DropReason::kMalformed;
    return false;
  default:
    return false;
  }
  size = outcome.size;
  if (outcome.progressed)
    note_progress(to, *sender, srtp::Purpose::kProtect, by.former, read_u32(room, rtcp ? 4 : 8));
  return true;
}

void Worker::queue(const OutPacket& packet) {
  if (out_size_ == out_.size())
    flush();
  out_[out_size_++] = packet;
}

void Worker::flush() {
  const std::span<OutPacket> batch(out_.data(), out_size_);
  out_size_ = 0;
  slots_used_ = 0;
  if (batch.empty())
    return;
  io_->send(batch);
  for (const OutPacket& packet : batch) {
    if (packet.sent) {
      if (packet.egress != nullptr)
        count_out(*packet.egress, packet.bytes.size());
      continue;
    }
    note_send_failure(*packet.transport, packet.error);
    if (replay_ != nullptr)
      replay_->note_failure(packet.begun);
    if (packet.ingress != nullptr) {
      count_error(*packet.ingress);
      drop(*packet.ingress, DropReason::kSendFailed);
    }
  }
}

void Worker::note_send_failure(Transport& transport, int error) {
  transport.send_failures.add(1);
  transport.send_error.set(static_cast<std::uint64_t>(error));
  if (transport.send_failure_told != 0 && now_ - transport.send_failure_told < kSendFailureMicros)
    return;
  transport.send_failure_told = now_;
  raise(transport, kSendFailed);
}

void Worker::analyse_rtcp(const StreamConfig& stream, const InPacket& packet) {
  const std::span<const std::uint8_t> bytes = packet.bytes;
  RtcpItems items;
  if (!parse_rtcp(bytes, items) && items.size == 0)
    return;
  if (stream.kind == StreamKind::kRtcp)
    note_source(stream.state->counters, kSsrcKnown | read_u32(bytes, 4));
  for (std::size_t i = 0; i < items.size; ++i) {
    const StreamConfig* const about = items.items[i].is_sender ? stream.reports_about : nullptr;
    Reception* const reception = about == nullptr || about->receptions == nullptr
                                     ? nullptr
                                     : about->receptions->find(items.items[i].reporter);
    if (reception != nullptr)
      reception->on_report(items.items[i].ntp_middle, now_);
    // Without room for it a sample is lost; the tables are statistics, and the control thread is
    // behind anyway.
    (void)events_.push(QualitySample{stream.call->quality, items.items[i], packet.port->local,
                                     stream.state->id, stream.clock_rate, now_,
                                     (epoch_ + now_) / 1'000'000});
  }
  // Whoever asks for the tables takes the samples; nobody is woken for a few.
  if (events_.size() > kRoomFor<QualitySample> / 2)
    notifier_.notify(notifier_.context);
}

void Worker::fire_timers() {
  // What is left has its turn after the next packets.
  for (std::size_t i = 0; i < kTimersPerRound; ++i) {
    Timer* const timer = timers_.take_due(now_);
    if (timer == nullptr)
      return;
    switch (timer->kind()) {
    case TimerKind::kPierce:
      pierce(timer->owner());
      break;
    case TimerKind::kIce:
      run_ice(timer->owner());
      break;
    case TimerKind::kReports:
      send_reports(timer->owner());
      break;
    case TimerKind::kKeyFrames:
      repeat_key_frame_requests(timer->owner());
      break;
    }
  }
}

void Worker::send_now(const Port* egress, const SocketAddress& destination,
                      std::span<const std::uint8_t> bytes, Transport& transport) {
  OutPacket packet{egress, destination, bytes, nullptr, nullptr, &transport};
  io_->send({&packet, 1});
  if (!packet.sent)
    note_send_failure(transport, packet.error);
}

} // namespace rtprelay
