#include "relay.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <span>
#include <thread>
#include <unordered_set>

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>

#include "by_id.h"
#include "relay_parts.h"

namespace rtprelay {

namespace {

/// How long a new port may wait for its predecessor to be given back by a worker, milliseconds.
constexpr int kRetireWaitMs = 50;

/// Ports a worker gets before the next one is used: about 512 calls, a third of a core. A thread
/// that has more to do is woken less often for each packet, so few busy threads cost less than many
/// idle ones.
constexpr std::size_t kComfortablePorts = 2048;

/// Threads of handshakes: one for every so many workers.
constexpr std::size_t kWorkersPerHandshakes = 2;

/// Plans with fewer streams come whole: that is as fast.
constexpr std::size_t kManyStreams = 32;

/// SRTCP of a session that is replaced may have come so far meanwhile.
constexpr std::uint32_t kRtcpJump = 0x10000;

/// Where SRTCP of a source begins of which nothing is known in a call that another process had: so
/// far ahead that nothing that one has sent is met, and each of several that follow elsewhere.
std::uint32_t random_rtcp_index() {
  std::uint32_t bits = 0;
  while (getrandom(&bits, sizeof bits, 0) != sizeof bits) {
  }
  return kRtcpJump + bits % (0xf * kRtcpJump);
}

/// Where the session of a plan goes on from: ahead of one that it replaces, which packets may have
/// used, and may be using still.
std::vector<srtp::SourceIndexes> resumed_indexes(const SrtpSpec& spec,
                                                 const SrtpSession* replaced) {
  std::vector<srtp::SourceIndexes> list = spec.indexes;
  if (replaced == nullptr || spec.purpose != srtp::Purpose::kProtect)
    return list;
  for (srtp::SourceIndexes& each : list) {
    const auto before =
        std::ranges::find(replaced->resumed_from, each.ssrc, &srtp::SourceIndexes::ssrc);
    const std::uint64_t used =
        before == replaced->resumed_from.end() ? replaced->first_rtcp : before->rtcp;
    each.rtcp = static_cast<std::uint32_t>(
        std::min(std::max<std::uint64_t>(each.rtcp, used + kRtcpJump), srtp::kMaxRtcpIndex));
  }
  return list;
}

TransportEventRecord about(const Transport& transport, std::uint32_t events) {
  TransportEventRecord record;
  record.call_id = *transport.call_id;
  record.transport_id = transport.id;
  record.events = events;
  return record;
}

template <typename Entries> void sort_by_id(Entries& entries) {
  if (!std::ranges::is_sorted(entries, {}, id_of))
    std::ranges::sort(entries, {}, id_of);
}

/// Moves those of `from` for which `leaves` holds to `to`.
template <typename Entry, typename Predicate>
void move_out(std::vector<std::unique_ptr<Entry>>& from, std::vector<std::unique_ptr<Entry>>& to,
              Predicate leaves) {
  if (std::ranges::none_of(from, [&](const auto& entry) { return leaves(*entry); }))
    return;
  const auto stay = [&](const auto& entry) { return !leaves(*entry); };
  const auto gone = std::stable_partition(from.begin(), from.end(), stay);
  to.insert(to.end(), std::make_move_iterator(gone), std::make_move_iterator(from.end()));
  from.erase(gone, from.end());
}

/// Adds what `make` makes of each spec that has no entry yet.
template <typename Entry, typename Spec, typename Make>
void add_missing(std::vector<std::unique_ptr<Entry>>& entries, const std::vector<Spec>& specs,
                 Make make) {
  entries.reserve(specs.size());
  std::vector<std::unique_ptr<Entry>> added;
  for (const Spec& spec : specs)
    if (find(entries, spec.id) == nullptr)
      added.push_back(make(spec));
  entries.insert(entries.end(), std::make_move_iterator(added.begin()),
                 std::make_move_iterator(added.end()));
  sort_by_id(entries);
}

} // namespace

Relay::Relay(RelayOptions options, Notifier notifier)
    : options_(std::move(options)), dormant_(options_.dormant), notifier_(notifier),
      sockets_(options_.sockets), identities_(options_.dtls) {}

Relay::~Relay() { close(); }

std::unique_ptr<PacketIo> Relay::make_io(std::size_t worker, int& error) {
  if (steering_ != nullptr)
    return make_steered_io(
        {options_.free_bind, static_cast<std::uint32_t>(worker), steering_.get(), sockets_}, error);
  auto io = make_epoll_io(options_.free_bind);
  if (io == nullptr)
    error = errno;
  return io;
}

bool Relay::start(int& error) {
  error = EAGAIN;
  if (options_.steering.ports >= 0) {
    steering_ = PortSteering::make(options_.steering, dormant_, error);
    if (steering_ == nullptr)
      return false;
  }
  if (dormant_ && steering_ == nullptr)
    gate_ = std::make_shared<Gate>();
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.workers, 1); ++i) {
    auto io = make_io(i, error);
    if (io == nullptr)
      return false;
    ThreadScheduling scheduling = options_.media_scheduling;
    if (!options_.media_cpus.empty())
      scheduling.cpu = options_.media_cpus[i % options_.media_cpus.size()];
    workers_.push_back(std::make_unique<Worker>(std::move(io), notifier_, options_.epoch,
                                                options_.pace, scheduling, gate_));
    loads_.push_back(0);
    if (options_.replays)
      workers_.back()->take_part_in_replay();
  }
  for (std::size_t i = 0; i < workers_.size(); i += kWorkersPerHandshakes)
    handshakes_.push_back(std::make_unique<Handshakes>(notifier_, options_.idle_scheduling));
  if (gate_ != nullptr)
    return start_workers();
  return dormant_ || start_threads();
}

bool Relay::start_workers() {
  return std::ranges::all_of(workers_, [](const auto& worker) { return worker->start(); });
}

bool Relay::start_threads() {
  return start_workers() &&
         std::ranges::all_of(handshakes_, [](const auto& each) { return each->start(); });
}

bool Relay::activate() {
  if (!dormant_)
    return true;
  dormant_ = false;
  if (!take_ports())
    return false;
  for (auto& [id, call] : calls_) {
    for (const auto& [transport, association] : call.associations)
      association->handshakes->adopt(association, association->told_fingerprint);
    // Its handshakes begin with the next plan, even if that is the same.
    if (!call.associations.empty())
      call.plan = {};
  }
  replay_left(false);
  if (gate_ != nullptr)
    gate_->open();
  return start_threads();
}

bool Relay::take_ports() {
  if (steering_ == nullptr)
    return true;
  steering_->activate();
  int error = 0;
  return std::ranges::all_of(
      workers_, [&](const auto& worker) { return worker->io().activate(sockets_, error); });
}

std::size_t Relay::replay_left(bool all) {
  if (options_.held_packets == nullptr)
    return 0;
  if (options_.held_packets->left.valid()) {
    left_ = HeldPackets::read(options_.held_packets->left.get(), monotonic_micros());
    options_.held_packets->left = FileDescriptor();
  }
  const std::size_t before = left_.size();
  std::unordered_set<std::uint16_t> wanted;
  for (const LeftPacket& left : left_)
    wanted.insert(left.local.port);
  if (!wanted.empty())
    for (auto& [id, call] : calls_)
      for (const auto& port : call.ports)
        if (wanted.contains(port->local.port))
          give_left(*port, call.worker);
  replayed_ += before - left_.size();
  if (all)
    left_.clear();
  hold_packets();
  wake_workers_for_orders();
  return replayed_;
}

void Relay::give_left(Port& port, std::size_t worker) {
  auto order = std::make_unique<Exchange>();
  std::erase_if(left_, [&](LeftPacket& left) {
    if (left.local != port.local)
      return false;
    left.port = &port;
    order->left.push_back(std::move(left));
    return true;
  });
  if (!order->left.empty())
    post(worker, std::move(order));
}

void Relay::hold_packets() {
  if (held_packets_ == nullptr) {
    held_packets_ = HeldPackets::make(workers_.size());
    if (held_packets_ == nullptr)
      return;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      auto order = std::make_unique<Exchange>();
      order->held_packets = held_packets_->of(i);
      post(i, std::move(order));
    }
    wake_workers_for_orders();
  }
  if (held_packets_ != nullptr && !held_packets_kept_ && sockets_ != nullptr)
    held_packets_kept_ = sockets_->keep_file("held-packets", held_packets_->fd());
}

bool Relay::start_replay(ReplayLinkOptions options, std::string& fault) {
  if (!options_.replays || replay_link_ != nullptr) {
    fault = "the workers take no part in it, or it has begun";
    return false;
  }
  while (options.replay.epoch == 0)
    (void)!getrandom(&options.replay.epoch, sizeof(options.replay.epoch), 0);
  std::vector<Worker*> workers;
  for (const auto& worker : workers_)
    workers.push_back(worker.get());
  replay_link_ = ReplayLink::open(std::move(options), std::move(workers), fault);
  return replay_link_ != nullptr;
}

void Relay::pause() {
  // All at once: packets wait for the last one.
  for (const auto& worker : workers_)
    worker->hurry_to_stop();
  for (const auto& handshakes : handshakes_)
    handshakes->tell_to_stop();
  for (const auto& handshakes : handshakes_)
    handshakes->stop();
  for (const auto& worker : workers_)
    worker->stop();
  replay_link_.reset();
}

void Relay::post(std::size_t worker, std::unique_ptr<Exchange> order) {
  outstanding_ += 1;
  workers_[worker]->post(std::move(order));
  if (!dormant_)
    return;
  // No thread has it: it is obeyed here and now.
  workers_[worker]->obey_dormant();
  free_returned(false);
}

void Relay::rebase(const std::string& call_id, std::uint32_t stream_id, const StreamBase& base) {
  const auto found = calls_.find(call_id);
  Stream* stream = found == calls_.end() ? nullptr : find(found->second.streams, stream_id);
  if (stream != nullptr)
    stream->base = base;
}

void Relay::bind_ports() {
  if (steering_ == nullptr || !steering_->on())
    return;
  steering_->turn_off();
  order_all(&Exchange::binds_ports);
}

void Relay::order_all(bool Exchange::*what) {
  for (const auto& worker : workers_) {
    auto order = std::make_unique<Exchange>();
    (*order).*what = true;
    outstanding_ += 1;
    worker->post(std::move(order));
  }
  wake_workers_for_orders();
}

void Relay::expect_ports(std::span<const SocketAddress> locals) {
  if (steering_ == nullptr || !steering_->on())
    return;
  // Those of calls that go on already are no one else's.
  std::vector<SocketAddress> others;
  if (!resumed_ports_.empty()) {
    std::ranges::copy_if(locals, std::back_inserter(others), [this](const SocketAddress& local) {
      return !resumed_ports_.contains(local);
    });
    locals = others;
  }
  // As many to each as it would get one after the other; those of a call stand side by side.
  for (std::size_t at = 0; at < locals.size(); at += kComfortablePorts) {
    const std::size_t count = std::min(kComfortablePorts, locals.size() - at);
    const std::size_t worker = at / kComfortablePorts % workers_.size();
    steering_->expect(locals.subspan(at, count), static_cast<std::uint32_t>(worker));
  }
}

std::size_t Relay::release_left_ports() {
  if (steering_ == nullptr)
    return 0;
  order_all(&Exchange::ends_waiting);
  return steering_->release_left();
}

std::size_t Relay::worker_for(const PlanSpec& plan) const {
  if (steering_ == nullptr)
    return next_worker();
  for (const PortSpec& spec : plan.ports) {
    const auto slot = steering_->left_slot(spec.local);
    if (slot && *slot / 2 < workers_.size())
      return *slot / 2;
  }
  return next_worker();
}

std::size_t Relay::next_worker() const {
  // More threads than processors would only wake up more often, each for fewer packets.
  static const std::size_t processors = std::max(1U, std::thread::hardware_concurrency());
  const auto loads = std::span(loads_).first(std::min(loads_.size(), processors));
  for (std::size_t i = 0; i < loads.size(); ++i)
    if (loads[i] < kComfortablePorts)
      return i;
  return static_cast<std::size_t>(std::distance(loads.begin(), std::ranges::min_element(loads)));
}

PlanError Relay::reconcile(std::span<const std::uint8_t> bytes,
                           std::vector<PortFailure>& failures) {
  // The keeper may have been too busy for it.
  if (held_packets_ != nullptr && !held_packets_kept_)
    hold_packets();
  if (is_plan_change(bytes))
    return change(bytes, failures);
  const auto known = calls_.find(std::string(call_id_of(bytes)));
  const PlanMark mark = mark_of(bytes, plan_seed_);
  if (known != calls_.end() && known->second.plan == mark)
    return PlanError::kNone;
  PlanSpec plan;
  const PlanError error = decode_plan(bytes, plan);
  if (error != PlanError::kNone)
    return error;
  const PlanError outcome = obey(plan, mark, failures);
  const bool failed = outcome != PlanError::kNone || !failures.empty();
  if (const auto call = calls_.find(plan.call_id); !failed && call != calls_.end())
    record(plan, bytes, call->second);
  return outcome;
}

PlanError Relay::obey(const PlanSpec& plan, const PlanMark& mark,
                      std::vector<PortFailure>& failures) {
  if (plan.empty()) {
    remove(plan.call_id);
    return PlanError::kNone;
  }
  const auto known = calls_.find(plan.call_id);
  const bool fresh = known == calls_.end();
  const std::size_t worker = fresh ? worker_for(plan) : known->second.worker;
  Identities identities;
  if (!load_identities(plan, identities))
    return PlanError::kBadIdentity;
  NewPorts opened;
  FormerPorts former;
  // Where a call comes from a store, its ports are numbered anew each time.
  if (!fresh)
    for (const auto& port : known->second.ports)
      former.push_back(port.get());
  if (!open_ports(plan.ports, plan.tos, fresh ? nullptr : &known->second, worker, former, opened,
                  failures)) {
    give_back(opened);
    return PlanError::kNone;
  }
  if (!watch_ports(worker, opened, failures))
    return PlanError::kNone;
  Call& call = fresh ? calls_[plan.call_id] : known->second;
  if (fresh) {
    call.worker = worker;
    call.tos = plan.tos;
    call.quality = std::make_unique<QualityTable>(options_.mos);
  }
  if (!adopt_sessions(plan, call)) {
    give_up(worker, std::move(opened));
    if (fresh)
      calls_.erase(plan.call_id);
    return PlanError::kNoCrypto;
  }
  apply(plan, call, identities, std::move(opened));
  call.plan = mark;
  if (std::exchange(call.resumed, false))
    tell_learned(plan, call);
  return PlanError::kNone;
}

bool Relay::open_ports(std::span<const PortSpec> ports, int tos, const Call* call,
                       std::size_t worker, const FormerPorts& former, NewPorts& opened,
                       std::vector<PortFailure>& failures) {
  for (const PortSpec& spec : ports) {
    const Port* kept = call == nullptr ? nullptr : find(call->ports, spec.id);
    if (kept != nullptr && kept->local == spec.local)
      continue;
    int error = 0;
    auto port = open_port(spec, former, tos, worker, error);
    if (port == nullptr) {
      failures.push_back({spec.id, spec.local, error});
    } else {
      opened.push_back(std::move(port));
    }
  }
  return failures.empty();
}

void Relay::keep_ports(std::span<const std::string> call_ids) {
  kept_.clear();
  for (const std::string& id : call_ids) {
    const auto call = calls_.find(id);
    if (call == calls_.end())
      continue;
    for (const auto& port : call->second.ports)
      if (port->fd.valid())
        kept_.emplace_back(port->local, fcntl(port->fd.get(), F_DUPFD_CLOEXEC, 0));
  }
}

FileDescriptor Relay::inherited_for(const SocketAddress& local, const FormerPorts& former,
                                    bool& from_store) {
  FileDescriptor inherited = sockets_ == nullptr ? FileDescriptor() : sockets_->take(local);
  from_store = inherited.valid();
  if (from_store)
    return inherited;
  for (const Port* port : former)
    if (port->local == local)
      return FileDescriptor(fcntl(port->fd.get(), F_DUPFD_CLOEXEC, 0));
  for (const auto& [address, socket] : kept_)
    if (address == local)
      return FileDescriptor(fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
  return {};
}

std::unique_ptr<Port> Relay::open_port(const PortSpec& spec, const FormerPorts& former, int tos,
                                       std::size_t worker, int& error) {
  PacketIo& io = workers_[worker]->io();
  bool from_store = false;
  auto port = io.open(spec, tos, inherited_for(spec.local, former, from_store), error);
  if (port != nullptr)
    port->from_store = port->inherited && from_store;
  if (port == nullptr && (error == EADDRINUSE || error == EMFILE) && outstanding_ > 0) {
    // The port (or descriptor) may be one of ours that a worker is about to give back.
    wake_workers_for_orders();
    free_returned(true);
    if (steering_ != nullptr)
      steering_->look_again();
    port = io.open(spec, tos, FileDescriptor(), error);
  }
  return port;
}

void Relay::give_back(const NewPorts& opened) {
  for (const auto& port : opened)
    if (port->from_store && sockets_ != nullptr)
      sockets_->give_back(port->local, port->fd.get());
}

bool Relay::watch_ports(std::size_t worker, NewPorts& opened, std::vector<PortFailure>& failures) {
  PacketIo& io = workers_[worker]->io();
  const Port* const refused = io.watch(opened);
  if (refused == nullptr)
    return true;
  failures.push_back({refused->id, refused->local, errno});
  give_up(worker, std::move(opened));
  return false;
}

void Relay::give_up(std::size_t worker, NewPorts opened) {
  give_back(opened);
  workers_[worker]->io().retire(opened, {});
  // The worker may just be reading from one of them: it has to let go of them first.
  auto order = std::make_unique<Exchange>();
  order->retired_ports = std::move(opened);
  post(worker, std::move(order));
}

void Relay::wake_workers_for_orders() {
  for (const auto& worker : workers_)
    worker->wake_for_orders();
}

void Relay::retire_missing(const PlanSpec& plan, Call& call, Exchange& order) {
  const ById ports(plan.ports);
  move_out(call.ports, order.retired_ports, [&](const Port& port) {
    const PortSpec* spec = ports.find(port.id);
    return spec == nullptr || spec->local != port.local;
  });
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
  const ById transports(plan.transports);
  move_out(call.transports, order.retired_transports,
           [&](const Transport& transport) { return transports.find(transport.id) == nullptr; });
  const ById streams(plan.streams);
  move_out(call.streams, order.retired_streams,
           [&](const Stream& stream) { return streams.find(stream.id) == nullptr; });
}

void Relay::retire_ports(const Call& call, const Exchange& order) {
  loads_[call.worker] -= order.retired_ports.size();
  workers_[call.worker]->io().retire(order.retired_ports, call.ports);
  if (sockets_ == nullptr)
    return;
  for (const auto& port : order.retired_ports)
    if (!has_port_at(call.ports, port->local))
      sockets_->forget(port->local);
}

void Relay::adopt(const PlanSpec& plan, Call& call) const {
  add_missing(call.streams, plan.streams,
              [](const StreamSpec& spec) { return std::make_unique<Stream>(spec); });
  if (call.id == nullptr)
    call.id = std::make_shared<const std::string>(plan.call_id);
  // What was heard before a restore is not heard for the first time.
  std::unordered_set<std::uint32_t> heard;
  for (const StreamSpec& spec : plan.streams)
    if (spec.packets > 0)
      heard.insert(spec.transport);
  add_missing(call.transports, plan.transports, [&](const TransportSpec& spec) {
    auto transport = std::make_unique<Transport>(call.id, spec.id);
    transport->received = heard.contains(spec.id);
    transport->published.write(
        {spec.endpoint, spec.has(kConfirmed) && spec.endpoint.valid(), spec.generation});
    return transport;
  });
  // What is said of a call is more than what was known of it.
  if (!dormant_ && !call.resumed)
    return;
  for (const StreamSpec& spec : plan.streams)
    find(call.streams, spec.id)->base = StreamBase(spec);
  if (!dormant_)
    return;
  for (const auto& transport : call.transports)
    transport->received |= heard.contains(transport->id);
}

bool Relay::adopt_sessions(const PlanSpec& plan, Call& call) {
  for (const SrtpSpec& spec : plan.sessions) {
    const SrtpSession* replaced = nullptr;
    auto [entry, fresh] = call.sessions.try_emplace(spec.identity);
    if (!fresh) {
      if (!spec.resumed || entry->second->resumed_from == spec.indexes)
        continue;
      // Another process carries the call, and has come further.
      replaced = entry->second.get();
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
    if (spec.resumed) {
      made.first_rtcp =
          replaced == nullptr ? random_rtcp_index() : replaced->first_rtcp + kRtcpJump;
      session->resume(made.first_rtcp);
    }
    for (const srtp::SourceIndexes& indexes : resumed_indexes(spec, replaced))
      if (!session->resume(indexes))
        break;
  }
  return true;
}

void Relay::configure_transports(const PlanSpec& plan, const Call& call, CallSnapshot& snapshot) {
  snapshot.transports.resize(plan.transports.size());
  snapshot.ports.reserve(plan.ports.size());
  for (std::uint32_t i = 0; i < plan.transports.size(); ++i) {
    const TransportSpec& spec = plan.transports[i];
    TransportConfig& config = snapshot.transports[i];
    config.state = find(call.transports, spec.id);
    config.state->position = i;
    configure_transport(spec, call, config);
    if (spec.unprotect != kNoSession)
      config.receiver = call.sessions.at(plan.sessions[spec.unprotect].identity)->receiver.get();
    if (spec.former != kNoSession) {
      SrtpSession& former = *call.sessions.at(plan.sessions[spec.former].identity);
      config.former = former.receiver.get();
      config.former_use = &former.former_use;
    }
    if (spec.former_protect != kNoSession)
      config.former_sender =
          call.sessions.at(plan.sessions[spec.former_protect].identity)->sender.get();
    if (spec.former_plain)
      config.former_use = &config.state->plain_use;
    config.former_plain = spec.former_plain;
    config.present_plain = spec.present_plain;
    config.passing = spec.passing;
    if (spec.protect != kNoSession)
      config.sender = call.sessions.at(plan.sessions[spec.protect].identity)->sender.get();
    for (const std::uint32_t id : spec.ports)
      snapshot.ports.push_back({find(call.ports, id), config.state});
    // What ends DTLS lets nothing pass in the clear.
    if (spec.dtls)
      config.flags |= kSecret;
    if (spec.ice || spec.dtls)
      config.checks = checks_of(spec, call);
  }
}

void Relay::configure_transport(const TransportSpec& spec, const Call& call,
                                TransportConfig& config) {
  config.demux = spec.demux;
  config.flags = spec.flags;
  config.endpoint = spec.endpoint;
  config.generation = spec.generation;
  config.policy = {spec.learning, spec.has(kStrictSource), spec.has(kMediaHandover),
                   spec.signalled};
  if (spec.egress_port != kNoPort)
    config.egress = find(call.ports, spec.egress_port);
}

std::unique_ptr<const ChecksConfig> Relay::checks_of(const TransportSpec& spec, const Call& call) {
  auto checks = std::make_unique<ChecksConfig>();
  if (spec.ice)
    checks->ice = *spec.ice;
  checks->signalled = spec.signalled;
  if (checks->ice && checks->ice->candidates.size() > ice::kMaxPairs) {
    std::ranges::stable_sort(checks->ice->candidates, std::ranges::greater{},
                             &ice::RemoteCandidate::priority);
    checks->ice->candidates.resize(ice::kMaxPairs);
  }
  for (const std::uint32_t id : spec.ports)
    checks->ports.push_back(find(call.ports, id));
  if (spec.dtls) {
    checks->association = call.associations.at(spec.id).get();
    checks->begins = spec.dtls->active || spec.dtls->open;
  }
  return checks;
}

bool Relay::load_identities(const PlanSpec& plan, Identities& out) {
  for (const IdentitySpec& spec : plan.identities) {
    out.push_back(identities_.find(spec.certificate, spec.key));
    if (out.back() == nullptr)
      return false;
  }
  return true;
}

void Relay::adopt_associations(const PlanSpec& plan, const Identities& identities, Call& call,
                               Exchange& order) {
  const ById transports(plan.transports);
  for (auto entry = call.associations.begin(); entry != call.associations.end();) {
    const TransportSpec* spec = transports.find(entry->first);
    if (spec != nullptr && spec->dtls && spec->dtls->generation == entry->second->generation) {
      ++entry;
      continue;
    }
    order.retired_associations.push_back(std::move(entry->second));
    entry = call.associations.erase(entry);
  }
  for (const TransportSpec& spec : plan.transports) {
    if (!spec.dtls)
      continue;
    auto& known = call.associations[spec.id];
    if (known == nullptr) {
      const auto former = std::ranges::find(order.retired_associations, spec.id,
                                            [](const auto& each) { return each->transport_id; });
      known = make_association(spec, identities, call,
                               former == order.retired_associations.end() ? nullptr : *former);
    } else if (dormant_) {
      known->established = spec.dtls->established;
      known->told_fingerprint = spec.dtls->fingerprint;
    } else if (spec.dtls->fingerprint && known->told_fingerprint != spec.dtls->fingerprint) {
      known->told_fingerprint = spec.dtls->fingerprint;
      known->handshakes->inform(known, *spec.dtls->fingerprint);
    }
  }
}

std::shared_ptr<Association> Relay::make_association(const TransportSpec& spec,
                                                     const Identities& identities, const Call& call,
                                                     const std::shared_ptr<Association>& former) {
  auto association = std::make_shared<Association>();
  association->call_id = call.id;
  association->transport_id = spec.id;
  association->generation = spec.dtls->generation;
  association->role = spec.dtls->active ? dtls::Role::kActive : dtls::Role::kPassive;
  association->established = spec.dtls->established;
  association->checked = spec.ice.has_value();
  association->identity = identities[spec.dtls->identity];
  association->worker = workers_[call.worker].get();
  next_handshakes_ = (next_handshakes_ + 1) % handshakes_.size();
  // One thread has both: a handshake may go on in the next association.
  association->handshakes =
      former != nullptr ? former->handshakes : handshakes_[next_handshakes_].get();
  if (!dormant_)
    association->predecessor = former;
  association->told_fingerprint = spec.dtls->fingerprint;
  if (!dormant_)
    association->handshakes->adopt(association, spec.dtls->fingerprint);
  return association;
}

void Relay::configure_streams(const PlanSpec& plan, const Call& call, CallSnapshot& snapshot) {
  snapshot.streams.resize(plan.streams.size());
  for (std::uint32_t i = 0; i < plan.streams.size(); ++i) {
    const StreamSpec& spec = plan.streams[i];
    StreamConfig& config = snapshot.streams[i];
    config.state = find(call.streams, spec.id);
    config.state->config = &config;
    TransportConfig& transport =
        snapshot.transports[find(call.transports, spec.transport)->position];
    const std::vector<std::uint32_t>& ports = plan.transports[transport.state->position].ports;
    if (!ports.empty())
      place(*config.state, find(call.ports, ports.front())->local, call.worker);
    else if (config.state->sums.load(std::memory_order_relaxed) == nullptr)
      place(*config.state, {}, call.worker);
    config.transport = &transport;
    config.call = &snapshot;
    configure_stream(spec, config);
    transport.stream = &config;
  }
}

void Relay::configure_stream(const StreamSpec& spec, StreamConfig& config) {
  config.kind = spec.kind;
  config.blocked = spec.blocked;
  config.uncounted = spec.uncounted;
  config.clock_rate = spec.clock_rate;
  config.announced = spec.announced;
  if (spec.payloads)
    config.payloads = std::make_unique<const PayloadRules>(*spec.payloads);
  configure_counts(spec, config);
}

void Relay::place(Stream& stream, const SocketAddress& local, std::size_t worker) {
  const AddressSums* const sums = stream.sums.load(std::memory_order_relaxed);
  if (sums == nullptr || !sums->address.same_host(local))
    stream.sums.store(&workers_[worker]->sums_of(local), std::memory_order_release);
}

void Relay::configure_routes(const PlanSpec& plan, const Call& call, CallSnapshot& snapshot) {
  // Those of a stream lie together, RTP first.
  const auto order = [](const RouteSpec& route) {
    return std::pair(route.from_stream, route.kind);
  };
  std::vector<RouteSpec> in_order;
  if (!std::ranges::is_sorted(plan.routes, {}, order)) {
    in_order = plan.routes;
    std::ranges::stable_sort(in_order, {}, order);
  }
  const std::vector<RouteSpec>& routes = in_order.empty() ? plan.routes : in_order;
  snapshot.routes.reserve(routes.size());
  for (const RouteSpec& spec : routes)
    snapshot.routes.push_back(route_of(spec, call, share(spec.rewrite, snapshot.rewrites)));
  for (std::size_t first = 0; first < routes.size();) {
    const RouteSpec& spec = routes[first];
    std::size_t end = first + 1;
    while (end < routes.size() && order(routes[end]) == order(spec))
      ++end;
    const auto at = find(call.streams, spec.from_stream)->config - snapshot.streams.data();
    StreamConfig& from = snapshot.streams[static_cast<std::size_t>(at)];
    auto& own = spec.kind == RouteKind::kRtp ? from.rtp_routes : from.rtcp_routes;
    own = std::span<const RouteConfig>(snapshot.routes).subspan(first, end - first);
    first = end;
  }
}

std::unique_ptr<CallSnapshot> Relay::build_snapshot(const PlanSpec& plan, const Call& call) {
  auto snapshot = std::make_unique<CallSnapshot>();
  snapshot->quality = call.quality.get();
  configure_transports(plan, call, *snapshot);
  configure_streams(plan, call, *snapshot);
  configure_packets(plan, *snapshot);
  configure_routes(plan, call, *snapshot);
  return snapshot;
}

RouteConfig Relay::route_of(const RouteSpec& spec, const Call& call, const Rewrite* rewrite) {
  const StreamConfig& to = *find(call.streams, spec.to_stream)->config;
  const TransportConfig& transport = *to.transport;
  return {transport.state,
          to.state,
          transport.sender,
          transport.has(kSecret),
          spec.without_feedback,
          rewrite,
          to.own != nullptr && to.own->interval > 0 ? to.own->state : nullptr,
          transport.bundle == nullptr ? nullptr : transport.bundle->state};
}

void Relay::apply(const PlanSpec& plan, Call& call, const Identities& identities, NewPorts opened) {
  auto order = std::make_unique<Exchange>();
  retire_missing(plan, call, *order);
  PacketIo& io = workers_[call.worker]->io();
  if (call.tos != plan.tos) {
    for (const auto& port : call.ports)
      io.mark(*port, plan.tos);
    call.tos = plan.tos;
  }
  std::vector<Port*> inherited;
  take_in(std::move(opened), call, inherited);
  retire_ports(call, *order);
  adopt(plan, call);
  adopt_associations(plan, identities, call, *order);
  order->previous.reset(call.snapshot);
  order->retired_parts = std::exchange(call.parts, {});
  order->next = build_snapshot(plan, call);
  call.snapshot = order->next.get();
  call.can_change = plan.streams.size() >= kManyStreams && can_change(plan);
  if (call.can_change)
    prepare_changes(plan, call);
  post(call.worker, std::move(order));
  // Only now does the worker know where the packets belong that have waited.
  for (Port* port : inherited)
    io.resume(*port);
}

void Relay::take_in(NewPorts opened, Call& call, std::vector<Port*>& inherited) {
  for (auto& port : opened) {
    loads_[call.worker] += 1;
    if (sockets_ != nullptr && port->fd.valid())
      sockets_->keep(port->local, port->fd.get());
    if (port->inherited)
      inherited.push_back(port.get());
    // Nearly always the highest.
    const auto at = std::ranges::upper_bound(call.ports, port->id, {}, id_of);
    call.ports.insert(at, std::move(port));
  }
}

void Relay::remove(const std::string& call_id) {
  const auto found = calls_.find(call_id);
  if (found == calls_.end())
    return;
  Call& call = found->second;
  auto order = std::make_unique<Exchange>();
  retire_missing({}, call, *order);
  retire_ports(call, *order);
  if (record_ != nullptr)
    record_->erase(call.recorded);
  adopt_associations({}, {}, call, *order);
  order->previous.reset(call.snapshot);
  order->retired_parts = std::move(call.parts);
  order->retired_quality = std::move(call.quality);
  const std::size_t worker = call.worker;
  calls_.erase(found);
  post(worker, std::move(order));
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
    drain_events();
    drain_changed();
    drain_handshakes();
    for (const auto& order : done) {
      // What was dropped while they slept they have never had.
      for (const auto& association : order->retired_associations)
        if (!dormant_)
          association->handshakes->drop(association);
    }
    outstanding_ -= done.size();
    if (!wait || outstanding_ == 0 || waited >= kRetireWaitMs)
      return;
    (void)poll(nullptr, 0, 1);
  }
}

void Relay::drain_events() {
  for (const auto& worker : workers_) {
    WorkerEvent event;
    while (worker->take_event(event))
      std::visit([this](const auto& each) { take(each); }, event);
  }
}

void Relay::take(const QualitySample& sample) {
  const std::optional<QualityEntry> entry = sample.table->add(
      sample.item, sample.stream_id, sample.clock_rate, sample.arrived, sample.epoch_seconds);
  if (entry)
    of_address(reports_, sample.local).reports.add(*entry);
}

void Relay::take(const SrtpProgress& progress) {
  TransportEventRecord record = about(*progress.transport, kSrtpIndex);
  record.purpose = progress.purpose;
  record.former = progress.former;
  record.indexes = progress.indexes;
  events_.push_back(std::move(record));
}

void Relay::take(const DigitEnd& digit) {
  TransportEventRecord record = about(*digit.transport, kDigitEnded);
  record.stream_id = digit.stream_id;
  record.ssrc = digit.ssrc;
  record.digit = digit.event;
  record.volume = digit.volume;
  record.duration = digit.duration;
  events_.push_back(std::move(record));
}

void Relay::take(const LearnedSsrc& learned) {
  TransportEventRecord record = about(*learned.transport, kSsrcLearned);
  record.stream_id = learned.what.stream;
  record.ssrc = learned.what.ssrc;
  events_.push_back(std::move(record));
}

void Relay::drain_handshakes() {
  for (const auto& handshakes : handshakes_) {
    for (HandshakeEvent* next = handshakes->take_events(); next != nullptr;) {
      std::unique_ptr<const HandshakeEvent> event(next);
      next = Mailbox<HandshakeEvent>::next(next);
      TransportEventRecord record;
      record.call_id = *event->call_id;
      record.transport_id = event->transport_id;
      record.events = kDtlsStatus;
      record.handshake = std::move(event);
      events_.push_back(std::move(record));
    }
  }
}

void Relay::drain_changed() {
  for (const auto& worker : workers_) {
    Transport* transport = worker->take_changed();
    while (transport != nullptr) {
      // Clearing the bits allows the worker to link the transport anew.
      Transport* following = Mailbox<Transport>::next(transport);
      const std::uint32_t bits = transport->changes.exchange(0, std::memory_order_acq_rel);
      TransportEventRecord record = about(*transport, bits);
      record.latch = transport->published.read();
      record.ice_port = transport->ice_view.port.load(std::memory_order_relaxed);
      record.ice_priority = transport->ice_view.priority.load(std::memory_order_relaxed);
      record.ice_status =
          static_cast<ice::AgentStatus>(transport->ice_view.status.load(std::memory_order_relaxed));
      record.ice_controlling = transport->ice_view.controlling.load(std::memory_order_relaxed);
      if ((bits & kSendFailed) != 0) {
        const std::uint64_t failures = transport->send_failures.get();
        record.send_failures = failures - transport->send_failures_told;
        record.send_error = static_cast<int>(transport->send_error.get());
        transport->send_failures_told = failures;
      }
      if (record_ != nullptr && (bits & kEndpointLearned) != 0)
        record_learned(record.call_id);
      events_.push_back(std::move(record));
      transport = following;
    }
  }
}

void Relay::collect(std::vector<TransportEventRecord>& out) {
  free_returned(false);
  out.insert(out.end(), std::make_move_iterator(events_.begin()),
             std::make_move_iterator(events_.end()));
  events_.clear();
}

bool Relay::read(const std::string& call_id, CallReading& out) {
  drain_events();
  const auto found = calls_.find(call_id);
  if (found == calls_.end())
    return false;
  const Call& call = found->second;
  out.streams.reserve(call.streams.size());
  for (const auto& stream : call.streams) {
    const TransportConfig& config = *stream->config->transport;
    LatchView latch = config.state->published.read();
    // The worker may not have come to the latest plan yet: then the plan says what holds.
    if (config.generation != latch.generation)
      latch = {config.endpoint, config.has(kConfirmed), config.generation};
    out.streams.push_back({stream.get(), config.state, latch});
  }
  out.quality = call.quality.get();
  return true;
}

bool Relay::read(const std::string& call_id, CallCounters& out) {
  drain_events();
  const auto found = calls_.find(call_id);
  if (found == calls_.end())
    return false;
  out = {found->second.streams, found->second.quality.get()};
  return true;
}

std::size_t Relay::heard(const std::string& call_id, std::span<double> out) const {
  const auto found = calls_.find(call_id);
  if (found == calls_.end())
    return 0;
  std::size_t count = 0;
  const auto put = [&](auto value) {
    if (count < out.size())
      out[count] = static_cast<double>(value);
    count += 1;
  };
  for (const auto& stream : found->second.streams) {
    const StreamCounters& counters = stream->counters;
    const std::uint64_t packets = stream->base.packets + counters.packets.get();
    const std::uint64_t errors = stream->base.errors + counters.errors.get();
    const std::uint64_t last = counters.last_packet.get();
    if (packets == 0 && errors == 0 && last == 0 && stream->base.last_packet == 0)
      continue;
    put(stream->id);
    put(packets);
    put(stream->base.bytes + counters.bytes.get());
    put(errors);
    put(last != 0 ? last : stream->base.last_packet);
  }
  return count;
}

std::uint64_t Relay::last_packet(const std::string& call_id) const {
  const auto found = calls_.find(call_id);
  if (found == calls_.end())
    return 0;
  std::uint64_t last = 0;
  for (const auto& stream : found->second.streams)
    last = std::max({last, stream->base.last_packet, stream->counters.last_packet.get()});
  return last;
}

std::size_t Relay::active_streams() const {
  const Micros now = monotonic_micros();
  std::size_t count = 0;
  for (const auto& worker : workers_)
    count += worker->active_streams().count(now);
  return count;
}

Totals Relay::totals() const {
  Totals totals;
  for (const auto& worker : workers_)
    for (const auto& sums : worker->sums()) {
      totals.packets += sums->packets.get();
      totals.bytes += sums->bytes.get();
      totals.errors += sums->errors.get();
    }
  return totals;
}

AddressCounters& Relay::of_address(std::vector<AddressCounters>& list, const SocketAddress& local) {
  const auto found = std::ranges::find_if(
      list, [&local](const AddressCounters& each) { return each.address.same_host(local); });
  if (found != list.end())
    return *found;
  list.emplace_back().address = local;
  return list.back();
}

std::vector<AddressCounters> Relay::by_address() {
  drain_events();
  std::vector<AddressCounters> all = reports_;
  for (const auto& worker : workers_)
    for (const auto& sums : worker->sums())
      of_address(all, sums->address).add(*sums);
  return all;
}

DropTotals Relay::drops() const {
  DropTotals totals{};
  for (const auto& worker : workers_)
    for (std::size_t i = 0; i < kDropReasons; ++i)
      totals[i] += worker->drops()[i].get();
  return totals;
}

void Relay::copy_rtcp() {
  for (const auto& worker : workers_)
    worker->copy_rtcp();
}

bool Relay::take_rtcp(RtcpCopy& out) {
  return std::ranges::any_of(workers_, [&](const auto& worker) { return worker->take_rtcp(out); });
}

void Relay::close() {
  replay_link_.reset();
  // The next process may go on with it.
  record_.reset();
  sockets_ = nullptr;
  // What is steered stays so: it is the next process', as the sockets are.
  if (steering_ != nullptr)
    steering_->turn_off();
  for (const auto& handshakes : handshakes_)
    handshakes->stop();
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
  handshakes_.clear();
  workers_.clear();
  loads_.clear();
  events_.clear();
}

} // namespace rtprelay
