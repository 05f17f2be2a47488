#include "relay.h"

#include <algorithm>
#include <cerrno>

#include <poll.h>

namespace rtprelay {

namespace {

/// How long a new port may wait for its predecessor to be given back by a worker, milliseconds.
constexpr int kRetireWaitMs = 50;

/// Ports a worker gets before the next one is used: about 256 calls, a third of a core. A thread
/// that has more to do is woken less often for each packet, so few busy threads cost less than many
/// idle ones.
constexpr std::size_t kComfortablePorts = 1024;

/// The specs of a plan by id. A call may have hundreds of branches, so nothing is searched one by
/// one.
template <typename Spec> class SpecIndex {
public:
  explicit SpecIndex(const std::vector<Spec>& specs) {
    sorted_.reserve(specs.size());
    for (const Spec& spec : specs)
      sorted_.push_back(&spec);
    std::ranges::sort(sorted_, {}, &Spec::id);
  }
  [[nodiscard]] const Spec* find(std::uint32_t id) const {
    const auto found = std::ranges::lower_bound(sorted_, id, {}, &Spec::id);
    return found == sorted_.end() || (*found)->id != id ? nullptr : *found;
  }

private:
  std::vector<const Spec*> sorted_;
};

} // namespace

Relay::Relay(RelayOptions options, Notifier notifier)
    : options_(options), notifier_(notifier), sockets_(options.sockets) {}

Relay::~Relay() { close(); }

bool Relay::start() {
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.workers, 1); ++i) {
    auto io = make_epoll_io();
    if (io == nullptr)
      return false;
    workers_.push_back(std::make_unique<Worker>(std::move(io), notifier_, options_.epoch));
    loads_.push_back(0);
    if (!workers_.back()->start())
      return false;
  }
  return true;
}

std::size_t Relay::next_worker() const {
  for (std::size_t i = 0; i < loads_.size(); ++i)
    if (loads_[i] < kComfortablePorts)
      return i;
  return static_cast<std::size_t>(
      std::distance(loads_.begin(), std::min_element(loads_.begin(), loads_.end())));
}

PlanError Relay::reconcile(std::span<const std::uint8_t> bytes,
                           std::vector<PortFailure>& failures) {
  PlanSpec plan;
  const PlanError error = decode_plan(bytes, plan);
  if (error != PlanError::kNone)
    return error;
  const auto found = calls_.find(plan.call_id);
  if (found != calls_.end() && std::ranges::equal(found->second.plan, bytes))
    return PlanError::kNone;
  if (plan.sockets.empty() && plan.streams.empty()) {
    remove(plan.call_id);
    return PlanError::kNone;
  }
  NewPorts opened;
  if (!open_ports(plan, found == calls_.end() ? nullptr : &found->second, opened, failures)) {
    forget(opened);
    return PlanError::kNone;
  }
  auto [entry, fresh] = calls_.try_emplace(plan.call_id);
  Call& call = entry->second;
  if (fresh) {
    call.worker = next_worker();
    call.tos = plan.tos;
    call.quality = std::make_unique<QualityTable>(options_.mos);
  }
  if (!watch_ports(call, opened, failures)) {
    if (fresh)
      calls_.erase(entry);
    return PlanError::kNone;
  }
  if (!adopt_sessions(plan, call)) {
    give_up(call, std::move(opened));
    if (fresh)
      calls_.erase(entry);
    return PlanError::kNoCrypto;
  }
  apply(plan, call, std::move(opened));
  call.plan.assign(bytes.begin(), bytes.end());
  return PlanError::kNone;
}

bool Relay::open_ports(const PlanSpec& plan, const Call* call, NewPorts& opened,
                       std::vector<PortFailure>& failures) {
  for (const SocketSpec& spec : plan.sockets) {
    if (call != nullptr) {
      const auto kept = call->ports.find(spec.id);
      if (kept != call->ports.end() && kept->second->local == spec.local)
        continue;
    }
    int error = 0;
    auto port = open_port(spec, plan.tos, error);
    if (port == nullptr) {
      failures.push_back({spec.id, spec.local, error});
    } else {
      opened.push_back(std::move(port));
    }
  }
  return failures.empty();
}

std::unique_ptr<LocalPort> Relay::open_port(const SocketSpec& spec, int tos, int& error) {
  FileDescriptor fd = sockets_ == nullptr ? FileDescriptor() : sockets_->take(spec.local);
  const bool inherited = fd.valid();
  if (inherited)
    set_tos(fd.get(), spec.local.family, tos);
  else
    fd = open_media_socket(spec.local, tos, options_.free_bind, error);
  if (!fd.valid() && (error == EADDRINUSE || error == EMFILE) && outstanding_ > 0) {
    // The port (or descriptor) may be one of ours that a worker is about to give back.
    nudge();
    free_returned(true);
    fd = open_media_socket(spec.local, tos, options_.free_bind, error);
  }
  if (!fd.valid())
    return nullptr;
  auto port = std::make_unique<LocalPort>();
  port->fd = std::move(fd);
  port->local = spec.local;
  port->id = spec.id;
  port->inherited = inherited;
  return port;
}

void Relay::forget(const NewPorts& opened) {
  for (const auto& port : opened)
    if (port->inherited)
      sockets_->forget(port->local);
}

bool Relay::watch_ports(const Call& call, NewPorts& opened, std::vector<PortFailure>& failures) {
  Worker& worker = *workers_[call.worker];
  for (const auto& port : opened)
    if (!worker.watch(*port))
      failures.push_back({port->id, port->local, errno});
  if (failures.empty())
    return true;
  give_up(call, std::move(opened));
  return false;
}

void Relay::give_up(const Call& call, NewPorts opened) {
  forget(opened);
  // The worker may just be reading from one of them: it has to let go of them first.
  auto order = std::make_unique<Exchange>();
  order->retired_ports = std::move(opened);
  outstanding_ += 1;
  workers_[call.worker]->post(std::move(order));
}

void Relay::nudge() {
  for (const auto& worker : workers_)
    worker->nudge();
}

void Relay::retire_missing(const PlanSpec& plan, Call& call, Exchange& order) {
  const SpecIndex sockets(plan.sockets);
  for (auto entry = call.ports.begin(); entry != call.ports.end();) {
    const SocketSpec* spec = sockets.find(entry->first);
    if (spec != nullptr && spec->local == entry->second->local) {
      ++entry;
      continue;
    }
    loads_[call.worker] -= 1;
    if (sockets_ != nullptr)
      sockets_->forget(entry->second->local);
    order.retired_ports.push_back(std::move(entry->second));
    entry = call.ports.erase(entry);
  }
  order.retired_sessions = std::move(call.replaced_sessions);
  call.replaced_sessions.clear();
  for (auto entry = call.sessions.begin(); entry != call.sessions.end();) {
    const auto same = [&entry](const SrtpSpec& spec) { return spec.identity == entry->first; };
    if (std::ranges::any_of(plan.sessions, same)) {
      ++entry;
      continue;
    }
    order.retired_sessions.push_back(std::move(entry->second));
    entry = call.sessions.erase(entry);
  }
  const SpecIndex streams(plan.streams);
  for (auto entry = call.streams.begin(); entry != call.streams.end();) {
    if (streams.find(entry->first) != nullptr) {
      ++entry;
      continue;
    }
    retiring_.insert(entry->second.state.get());
    order.retired_streams.push_back(std::move(entry->second.state));
    entry = call.streams.erase(entry);
  }
}

void Relay::adopt_streams(const PlanSpec& plan, Call& call) {
  for (const StreamSpec& spec : plan.streams) {
    auto [entry, fresh] = call.streams.try_emplace(spec.id);
    if (!fresh)
      continue;
    StreamEntry& stream = entry->second;
    stream.state = std::make_unique<Stream>(plan.call_id, spec.id);
    stream.packets = spec.packets;
    stream.bytes = spec.bytes;
    stream.errors = spec.errors;
    stream.last_packet = spec.last_packet_micros;
    // A stream that was heard before the restore is not heard for the first time.
    stream.state->received = spec.packets > 0;
    stream.state->published.write(
        {spec.endpoint, spec.has(kConfirmed) && spec.endpoint.valid(), spec.latch_epoch});
  }
}

bool Relay::adopt_sessions(const PlanSpec& plan, Call& call) {
  for (const SrtpSpec& spec : plan.sessions) {
    auto [entry, fresh] = call.sessions.try_emplace(spec.identity);
    if (!fresh) {
      if (!spec.resumed || entry->second->resumed_from == spec.indexes)
        continue;
      // Another process carries the call, and has come further.
      call.replaced_sessions.push_back(std::move(entry->second));
    }
    entry->second = std::make_unique<SrtpSession>();
    SrtpSession& made = *entry->second;
    made.resumed_from = spec.indexes;
    srtp::Session* session = nullptr;
    if (spec.purpose == srtp::Purpose::kProtect)
      session = (made.sender = srtp::Sender::create(spec.parameters)).get();
    else
      session = (made.receiver = srtp::Receiver::create(spec.parameters)).get();
    if (session == nullptr) {
      call.sessions.erase(entry);
      return false;
    }
    if (spec.resumed)
      session->resume();
    for (const srtp::SourceIndexes& indexes : spec.indexes)
      if (!session->resume(indexes))
        break;
  }
  return true;
}

std::unique_ptr<CallSnapshot> Relay::build_snapshot(const PlanSpec& plan, Call& call) {
  auto snapshot = std::make_unique<CallSnapshot>();
  snapshot->quality = call.quality.get();
  snapshot->streams.resize(plan.streams.size());
  for (std::size_t i = 0; i < plan.streams.size(); ++i)
    call.streams.at(plan.streams[i].id).position = i;
  const auto config_of = [&](std::uint32_t id) -> const StreamConfig* {
    return &snapshot->streams[call.streams.at(id).position];
  };
  for (std::size_t i = 0; i < plan.streams.size(); ++i) {
    const StreamSpec& spec = plan.streams[i];
    StreamConfig& config = snapshot->streams[i];
    config.state = call.streams.at(spec.id).state.get();
    config.call = snapshot.get();
    config.component = spec.component;
    config.flags = spec.flags;
    config.endpoint = spec.endpoint;
    config.latch_epoch = spec.latch_epoch;
    config.clock_rate = spec.clock_rate;
    config.policy = {spec.learning, spec.has(kStrictSource), spec.has(kMediaHandover),
                     spec.signalled};
    if (spec.unprotect != kNoSession)
      config.receiver = call.sessions.at(plan.sessions[spec.unprotect].identity)->receiver.get();
    if (spec.protect != kNoSession)
      config.sender = call.sessions.at(plan.sessions[spec.protect].identity)->sender.get();
    if (spec.payloads)
      config.payloads = std::make_unique<const PayloadRules>(*spec.payloads);
    if (spec.egress_socket != kNoSocket)
      config.egress = call.ports.at(spec.egress_socket).get();
    for (const std::uint32_t id : spec.rtp_sinks)
      config.rtp_sinks.push_back(config_of(id));
    for (const std::uint32_t id : spec.rtcp_sinks)
      config.rtcp_sinks.push_back(config_of(id));
    snapshot->pierces |= spec.has(kPierceNat);
  }
  for (const SocketSpec& spec : plan.sockets)
    snapshot->ports.push_back({call.ports.at(spec.id).get(), config_of(spec.stream_id)});
  return snapshot;
}

void Relay::apply(const PlanSpec& plan, Call& call, NewPorts opened) {
  auto order = std::make_unique<Exchange>();
  retire_missing(plan, call, *order);
  if (call.tos != plan.tos) {
    for (const auto& [id, port] : call.ports)
      set_tos(port->fd.get(), port->local.family, plan.tos);
    call.tos = plan.tos;
  }
  std::vector<LocalPort*> fresh;
  for (auto& port : opened) {
    loads_[call.worker] += 1;
    fresh.push_back(port.get());
    call.ports[port->id] = std::move(port);
  }
  adopt_streams(plan, call);
  order->previous.reset(call.snapshot);
  order->next = build_snapshot(plan, call);
  call.snapshot = order->next.get();
  outstanding_ += 1;
  workers_[call.worker]->post(std::move(order));
  if (sockets_ == nullptr)
    return;
  for (LocalPort* port : fresh) {
    sockets_->keep(port->local, port->fd.get());
    // Only now does the worker know where the packets belong that have waited.
    if (port->inherited)
      workers_[call.worker]->resume(*port);
  }
}

void Relay::remove(const std::string& call_id) {
  const auto found = calls_.find(call_id);
  if (found == calls_.end())
    return;
  Call& call = found->second;
  auto order = std::make_unique<Exchange>();
  retire_missing({}, call, *order);
  order->previous.reset(call.snapshot);
  order->retired_quality = std::move(call.quality);
  outstanding_ += 1;
  workers_[call.worker]->post(std::move(order));
  calls_.erase(found);
}

void Relay::free_returned(bool wait) {
  for (int waited = 0;; ++waited) {
    // First what refers to streams and tables that are about to be freed. A worker hands an order
    // back after its last event of that call, hence: take the orders, then the events.
    std::vector<std::unique_ptr<Exchange>> done;
    for (const auto& worker : workers_) {
      Exchange* order = worker->take_returned();
      while (order != nullptr) {
        Exchange* following = Mailbox<Exchange>::next(order);
        done.emplace_back(order);
        order = following;
      }
    }
    drain_samples();
    drain_progress();
    drain_events();
    for (const auto& order : done) {
      for (const auto& stream : order->retired_streams) {
        ended_.add(stream->counters);
        retiring_.erase(stream.get());
      }
    }
    outstanding_ -= done.size();
    if (!wait || outstanding_ == 0 || waited >= kRetireWaitMs)
      return;
    (void)poll(nullptr, 0, 1);
  }
}

void Relay::drain_samples() {
  for (const auto& worker : workers_) {
    QualitySample sample;
    while (worker->take_sample(sample))
      sample.table->add(sample.item, sample.stream_id, sample.clock_rate, sample.arrived,
                        sample.epoch_seconds);
  }
}

void Relay::drain_progress() {
  for (const auto& worker : workers_) {
    SrtpProgress progress;
    while (worker->take_progress(progress)) {
      StreamEventRecord record;
      record.call_id = progress.stream->call_id;
      record.stream_id = progress.stream->id;
      record.events = kSrtpIndex;
      record.purpose = progress.purpose;
      record.indexes = progress.indexes;
      events_.push_back(std::move(record));
    }
  }
}

void Relay::drain_events() {
  for (const auto& worker : workers_) {
    Stream* stream = worker->take_events();
    while (stream != nullptr) {
      // Clearing the bits allows the worker to link the stream anew.
      Stream* following = Mailbox<Stream>::next(stream);
      const std::uint32_t bits =
          stream->events.exchange(0, std::memory_order_acq_rel) & ~std::uint32_t{kSrtpIndex};
      StreamEventRecord record;
      record.call_id = stream->call_id;
      record.stream_id = stream->id;
      record.events = bits;
      record.latch = stream->published.read();
      if ((bits & kSendFailed) != 0) {
        const std::uint64_t failures = stream->counters.send_failures.get();
        record.send_failures = failures - stream->send_failures_told;
        record.send_error = static_cast<int>(stream->counters.send_error.get());
        stream->send_failures_told = failures;
      }
      events_.push_back(std::move(record));
      stream = following;
    }
  }
}

void Relay::collect(std::vector<StreamEventRecord>& out) {
  free_returned(false);
  out.insert(out.end(), std::make_move_iterator(events_.begin()),
             std::make_move_iterator(events_.end()));
  events_.clear();
}

bool Relay::read(const std::string& call_id, CallReading& out) {
  drain_samples();
  const auto found = calls_.find(call_id);
  if (found == calls_.end())
    return false;
  const Call& call = found->second;
  for (const auto& [id, stream] : call.streams) {
    LatchView latch = stream.state->published.read();
    // The worker may not have come to the latest plan yet: then the plan says what holds.
    const StreamConfig& config = call.snapshot->streams[stream.position];
    if (config.latch_epoch != latch.epoch)
      latch = {config.endpoint, config.has(kConfirmed), config.latch_epoch};
    out.streams.push_back({id, &stream.state->counters, latch, stream.packets, stream.bytes,
                           stream.errors, stream.last_packet});
  }
  std::ranges::sort(out.streams, {}, &StreamReading::id);
  out.quality = call.quality.get();
  return true;
}

std::uint64_t Relay::last_packet(const Call& call) {
  std::uint64_t last = 0;
  for (const auto& [id, stream] : call.streams)
    last = std::max({last, stream.last_packet, stream.state->counters.last_packet.get()});
  return last;
}

Totals Relay::totals() const {
  Totals totals = ended_;
  for (const auto& [id, call] : calls_) {
    for (const auto& [stream_id, stream] : call.streams)
      totals.add(stream.state->counters);
  }
  for (const Stream* stream : retiring_)
    totals.add(stream->counters);
  return totals;
}

void Relay::close() {
  sockets_ = nullptr;
  // First the threads: what they have received already must still find its call.
  for (const auto& worker : workers_)
    worker->stop();
  std::vector<std::string> ids;
  for (const auto& [id, call] : calls_)
    ids.push_back(id);
  for (const std::string& id : ids)
    remove(id);
  for (const auto& worker : workers_)
    worker->finish();
  free_returned(false);
  workers_.clear();
  loads_.clear();
  events_.clear();
}

} // namespace rtprelay
