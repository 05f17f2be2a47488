#include "worker.h"

#include <algorithm>
#include <system_error>

#include <ctime>
#include <pthread.h>
#include <signal.h>

#include "packet.h"

namespace rtprelay {

namespace {

Micros monotonic_micros() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Micros>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

/// What rtpengine sends to open a NAT: an RTP header of payload type 127, sequence number 65535.
constexpr std::array<std::uint8_t, kRtpHeaderSize> kPiercePacket{0x80, 0x7f, 0xff, 0xff};

} // namespace

Worker::Worker(std::unique_ptr<PacketIo> io, Notifier notifier, Micros epoch)
    : io_(std::move(io)), notifier_(notifier), epoch_(epoch), in_(kBatchSize), out_(kBatchSize),
      protected_(kBatchSize) {}

Worker::~Worker() {
  stop();
  finish();
}

bool Worker::start() {
  // The process' signals are for its main thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread_.joinable();
}

void Worker::stop() {
  if (!thread_.joinable())
    return;
  stopping_.store(true, std::memory_order_release);
  io_->wake();
  thread_.join();
}

void Worker::finish() { give_back(execute_orders()); }

void Worker::post(std::unique_ptr<Exchange> order) { orders_.push(order.release()); }

void Worker::nudge() {
  if (!orders_.empty())
    io_->wake();
}

void Worker::run() {
  pthread_setname_np(pthread_self(), "rtprelay-media");
  while (!stopping_.load(std::memory_order_acquire)) {
    const Received received = io_->receive(in_, timeout_ms());
    now_ = monotonic_micros();
    // Orders first: whoever reads a reply and then sends must meet the state that the reply speaks
    // of. What they retire is given back only after the packets, which may refer to it.
    Exchange* done = orders_.empty() ? nullptr : execute_orders();
    process({in_.data(), received.packets});
    give_back(done);
    if (!piercing_.empty() && now_ >= next_pierce_)
      pierce();
  }
}

int Worker::timeout_ms() const {
  if (piercing_.empty())
    return -1;
  return static_cast<int>(std::clamp<Micros>((next_pierce_ - now_) / 1000 + 1, 0, 1000));
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
  // Closed here, not where the order comes back: the control thread has enough to do.
  for (const auto& port : order.retired_ports) {
    io_->remove(*port);
    port->fd = FileDescriptor();
    port->stream = nullptr;
  }
  if (order.previous != nullptr)
    std::erase(piercing_, order.previous.get());
  // The new snapshot stays here; control keeps only its address, to name it as the next `previous`.
  CallSnapshot* snapshot = order.next.release();
  if (snapshot != nullptr)
    install(*snapshot);
}

void Worker::install(CallSnapshot& snapshot) {
  for (const StreamConfig& stream : snapshot.streams)
    install_stream(stream);
  for (const PortBinding& binding : snapshot.ports)
    binding.port->stream = binding.stream;
  if (snapshot.pierces) {
    if (piercing_.empty())
      next_pierce_ = now_;
    piercing_.push_back(&snapshot);
  }
}

void Worker::install_stream(const StreamConfig& stream) {
  Stream& state = *stream.state;
  const bool confirmed = stream.has(kConfirmed);
  if (!state.installed || state.epoch != stream.latch_epoch) {
    state.installed = true;
    state.epoch = stream.latch_epoch;
    state.latch.restart(stream.endpoint, confirmed, now_);
  } else {
    state.latch.refresh(stream.endpoint, confirmed);
  }
  publish(stream);
}

void Worker::publish(const StreamConfig& stream) {
  Stream& state = *stream.state;
  state.published.write({state.latch.endpoint(), state.latch.confirmed(), state.epoch});
}

void Worker::raise(Stream& stream, std::uint32_t event) {
  // Only on events, not per packet: a stream is in the mailbox once, however much happens to it.
  if (stream.events.fetch_or(event, std::memory_order_acq_rel) != 0)
    return;
  if (events_.push(&stream))
    notifier_.notify(notifier_.context);
}

void Worker::drop(Stream& stream, DropReason reason) {
  stream.counters.drops[static_cast<std::size_t>(reason)].add(1);
}

void Worker::process(std::span<const InPacket> packets) {
  for (const InPacket& packet : packets)
    process_packet(packet);
  // The bytes sent are those received; they stay valid until the next receive.
  flush();
}

void Worker::process_packet(InPacket packet) {
  const StreamConfig* stream = packet.port->stream;
  if (stream == nullptr)
    return;
  const PacketKind kind = kind_of(*stream, packet.bytes);
  account(*stream, packet);
  // Before its source may teach: only who has the key says where media goes.
  if (stream->has(kSecret) && !unprotect(*stream, packet, kind))
    return;
  if (!admit(*stream, packet, kind))
    return;
  if (stream->payloads != nullptr && !treat_payload(*stream, packet, kind))
    return;
  if (stream->has(kTransparent)) {
    forward(*stream, packet, false);
    return;
  }
  if (stream->component == 2) {
    // rtpengine relays whatever arrives on an RTCP port, except STUN.
    if (kind == PacketKind::kStun) {
      stream->state->counters.errors.add(1);
      drop(*stream->state, DropReason::kUnknownProtocol);
      return;
    }
    if (kind == PacketKind::kRtcp)
      analyse_rtcp(*stream, packet.bytes);
    forward(*stream, packet, true);
    return;
  }
  const bool rtcp = kind == PacketKind::kRtcp;
  if (rtcp)
    analyse_rtcp(*stream, packet.bytes);
  else if (kind == PacketKind::kRtp)
    stream->state->counters.ssrc.set(kSsrcKnown | read_u32(packet.bytes, 8));
  forward(*stream, packet, rtcp);
}

bool Worker::unprotect(const StreamConfig& stream, InPacket& packet, PacketKind kind) {
  Stream& state = *stream.state;
  const auto refuse = [&state](DropReason reason) {
    state.counters.errors.add(1);
    drop(state, reason);
    return false;
  };
  if (packet.truncated)
    return refuse(DropReason::kTruncated);
  const bool rtcp = kind == PacketKind::kRtcp;
  if (!rtcp && kind != PacketKind::kRtp)
    return refuse(DropReason::kUnknownProtocol);
  if (stream.receiver == nullptr)
    return refuse(DropReason::kNoKey);
  const srtp::Outcome outcome = rtcp ? stream.receiver->unprotect_rtcp(packet.bytes)
                                     : stream.receiver->unprotect_rtp(packet.bytes);
  switch (outcome.status) {
  case srtp::Status::kDone:
    break;
  case srtp::Status::kRepeated:
  case srtp::Status::kTooOld:
    return refuse(DropReason::kRepeated);
  case srtp::Status::kMalformed:
    return refuse(DropReason::kMalformed);
  default:
    return refuse(DropReason::kNotAuthentic);
  }
  packet.bytes = packet.bytes.first(outcome.size);
  if (outcome.progressed)
    note_progress(state, *stream.receiver, srtp::Purpose::kUnprotect,
                  read_u32(packet.bytes, rtcp ? 4 : 8));
  return true;
}

void Worker::note_progress(Stream& stream, srtp::Session& session, srtp::Purpose purpose,
                           std::uint32_t ssrc) {
  SrtpProgress progress{&stream, purpose, {}};
  // A full ring loses a report; the next one is not far.
  if (session.indexes_of(ssrc, progress.indexes) && progress_.push(progress))
    raise(stream, kSrtpIndex);
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
  }
  return true;
}

bool Worker::silence(const StreamConfig& stream, const InPacket& packet, std::uint8_t octet) {
  if (overwrite_payload(packet.bytes, octet))
    return true;
  // Where its payload begins is unknown: better nothing than what must not be heard.
  stream.state->counters.errors.add(1);
  drop(*stream.state, DropReason::kMalformed);
  return false;
}

void Worker::account(const StreamConfig& stream, const InPacket& packet) {
  Stream& state = *stream.state;
  state.counters.packets.add(1);
  state.counters.bytes.add(packet.bytes.size());
}

PacketKind Worker::kind_of(const StreamConfig& stream, std::span<const std::uint8_t> bytes) {
  const PacketKind kind = classify(bytes);
  // Without rtcp-mux the payload types of RTCP may be those of RTP, too.
  const bool doubtful = kind == PacketKind::kRtcp && stream.component == 1 &&
                        !stream.has(kRtcpMux) && !starts_with_rtcp(bytes);
  if (!doubtful)
    return kind;
  return bytes.size() >= kRtpHeaderSize ? PacketKind::kRtp : PacketKind::kOther;
}

LatchPacket Worker::latch_packet(const StreamConfig& stream, const InPacket& packet,
                                 PacketKind kind) {
  LatchPacket result{packet.source};
  if (stream.component == 2)
    result.teaches = kind == PacketKind::kRtcp;
  else if (stream.has(kTransparent))
    // Media may come only after DTLS or STUN, or not be RTP at all.
    result.teaches = kind != PacketKind::kRtcp;
  else
    result.teaches = kind == PacketKind::kRtp;
  if (kind == PacketKind::kRtp)
    result.ssrc = kSsrcKnown | read_u32(packet.bytes, 8);
  else if (kind == PacketKind::kRtcp)
    result.ssrc = kSsrcKnown | read_u32(packet.bytes, 4);
  return result;
}

bool Worker::admit(const StreamConfig& stream, const InPacket& packet, PacketKind kind) {
  Stream& state = *stream.state;
  if (packet.truncated) {
    state.counters.errors.add(1);
    drop(state, DropReason::kTruncated);
    return false;
  }
  const LatchOutcome outcome =
      state.latch.on_packet(stream.policy, latch_packet(stream, packet, kind), now_);
  if (outcome.changed) {
    publish(stream);
    raise(state, kEndpointLearned);
  }
  if (outcome.verdict == LatchVerdict::kReject) {
    state.counters.errors.add(1);
    drop(state, DropReason::kStrictSource);
    return false;
  }
  // Only now is it a sign of life: what a stranger sends must not keep a dead call.
  state.counters.last_packet.set(static_cast<std::uint64_t>(epoch_ + now_));
  if (!state.received) {
    state.received = true;
    raise(state, kFirstPacket);
  }
  if (stream.has(kBlocked)) {
    drop(state, DropReason::kBlocked);
    return false;
  }
  return true;
}

void Worker::forward(const StreamConfig& stream, const InPacket& packet, bool rtcp) {
  const auto& sinks = rtcp ? stream.rtcp_sinks : stream.rtp_sinks;
  if (sinks.empty())
    drop(*stream.state, DropReason::kNoSink);
  const srtp::Sender* last_sender = nullptr;
  std::span<const std::uint8_t> last_protected;
  for (const StreamConfig* sink : sinks) {
    const SocketAddress& destination = sink->state->latch.endpoint();
    // Port 0 is an SDP's way to say that nothing is wanted.
    if (!destination.valid() || destination.port == 0 || sink->egress == nullptr) {
      drop(*stream.state, DropReason::kNoEndpoint);
      continue;
    }
    if (sink->has(kNatWait) && !sink->state->received) {
      drop(*stream.state, DropReason::kNatWait);
      continue;
    }
    OutPacket out{sink->egress, destination, packet.bytes, stream.state, sink->state};
    const bool strips =
        rtcp && stream.has(kFeedback) && !sink->has(kFeedback) && !stream.has(kTransparent);
    if (strips)
      out.bytes = without_feedback(packet.bytes);
    if (out.bytes.empty()) {
      drop(*stream.state, DropReason::kFeedback);
    } else if (sink->has(kSecret)) {
      const bool again = sink->sender != nullptr && sink->sender == last_sender && !strips;
      last_protected = queue_protected(*sink, out, rtcp,
                                       again ? last_protected : std::span<const std::uint8_t>{});
      last_sender = strips ? nullptr : sink->sender;
    } else {
      queue(out);
    }
    // The copy's room is needed for the next one.
    if (strips) {
      flush();
      last_sender = nullptr;
    }
  }
}

void Worker::queue(const OutPacket& packet) {
  if (out_size_ == out_.size())
    flush();
  out_[out_size_++] = packet;
}

std::span<const std::uint8_t> Worker::without_feedback(std::span<const std::uint8_t> bytes) {
  return {stripped_.data(), copy_without_feedback(bytes, stripped_)};
}

std::span<const std::uint8_t> Worker::queue_protected(const StreamConfig& sink,
                                                      const OutPacket& packet, bool rtcp,
                                                      std::span<const std::uint8_t> earlier) {
  if (sink.sender == nullptr) {
    drop(*packet.ingress, DropReason::kNoKey);
    return {};
  }
  OutPacket out = packet;
  if (out_size_ == out_.size())
    flush();
  const std::span<std::uint8_t> room(protected_[out_size_]);
  if (!earlier.empty()) {
    // Each place has its own copy: it may be sent later than the first one.
    std::ranges::copy(earlier, room.begin());
    out.bytes = room.first(earlier.size());
    queue(out);
    return out.bytes;
  }
  std::ranges::copy(packet.bytes, room.begin());
  const srtp::Outcome outcome = rtcp ? sink.sender->protect_rtcp(room, packet.bytes.size())
                                     : sink.sender->protect_rtp(room, packet.bytes.size());
  switch (outcome.status) {
  case srtp::Status::kDone:
    break;
  case srtp::Status::kRepeated:
  case srtp::Status::kTooOld:
    drop(*packet.ingress, DropReason::kRepeated);
    return {};
  case srtp::Status::kMalformed:
    drop(*packet.ingress, DropReason::kMalformed);
    return {};
  default:
    drop(*packet.ingress, DropReason::kNoKey);
    return {};
  }
  out.bytes = room.first(outcome.size);
  if (outcome.progressed)
    note_progress(*sink.state, *sink.sender, srtp::Purpose::kProtect,
                  read_u32(out.bytes, rtcp ? 4 : 8));
  queue(out);
  return out.bytes;
}

void Worker::flush() {
  const std::span<OutPacket> batch(out_.data(), out_size_);
  out_size_ = 0;
  if (batch.empty())
    return;
  io_->send(batch);
  for (const OutPacket& packet : batch) {
    if (packet.sent) {
      packet.egress->counters.packets_out.add(1);
      packet.egress->counters.bytes_out.add(packet.bytes.size());
      continue;
    }
    note_send_failure(*packet.egress, packet.error);
    if (packet.ingress != nullptr) {
      packet.ingress->counters.errors.add(1);
      drop(*packet.ingress, DropReason::kSendFailed);
    }
  }
}

void Worker::note_send_failure(Stream& stream, int error) {
  stream.counters.send_failures.add(1);
  stream.counters.send_error.set(static_cast<std::uint64_t>(error));
  if (stream.send_failure_told != 0 && now_ - stream.send_failure_told < kSendFailureMicros)
    return;
  stream.send_failure_told = now_;
  raise(stream, kSendFailed);
}

void Worker::analyse_rtcp(const StreamConfig& stream, std::span<const std::uint8_t> bytes) {
  RtcpItems items;
  if (!parse_rtcp(bytes, items) && items.size == 0)
    return;
  if (stream.component == 2)
    stream.state->counters.ssrc.set(kSsrcKnown | read_u32(bytes, 4));
  for (std::size_t i = 0; i < items.size; ++i) {
    // A full ring loses a sample; the tables are statistics, and the control thread is behind
    // anyway.
    (void)samples_.push({stream.call->quality, items.items[i], stream.state->id, stream.clock_rate,
                         now_, (epoch_ + now_) / 1'000'000});
  }
  if (samples_.size() > kQualitySamples / 2)
    notifier_.notify(notifier_.context);
}

void Worker::pierce() {
  next_pierce_ = now_ + kPierceIntervalMicros;
  for (CallSnapshot* call : piercing_) {
    bool waiting = false;
    for (const StreamConfig& stream : call->streams) {
      if (!stream.has(kPierceNat) || stream.state->received)
        continue;
      waiting = true;
      const SocketAddress& destination = stream.state->latch.endpoint();
      if (stream.egress == nullptr || !destination.valid() || destination.port == 0)
        continue;
      OutPacket packet{stream.egress, destination, kPiercePacket, nullptr, stream.state};
      io_->send({&packet, 1});
      if (!packet.sent)
        note_send_failure(*stream.state, packet.error);
    }
    call->pierces = waiting;
  }
  std::erase_if(piercing_, [](const CallSnapshot* call) { return !call->pierces; });
}

} // namespace rtprelay
