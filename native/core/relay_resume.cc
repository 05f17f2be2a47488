// Plain calls of a killed process go on before anybody knows them: their plans lie in a file.
#include <algorithm>

#include "relay.h"
#include "relay_parts.h"

namespace rtprelay {

namespace {

/// Calls that are resumed before the workers are woken for them.
constexpr std::size_t kResumedAtOnce = 256;

/// Keys are in no file, and how far their indexes have come nobody knows: nor is any state of ICE.
bool is_plain(const PlanSpec& plan) {
  return plan.sessions.empty() && plan.identities.empty() &&
         std::ranges::none_of(plan.transports, [](const TransportSpec& spec) {
           return spec.has(kSecret) || spec.ice || spec.dtls;
         });
}

bool is_same(const LatchView& latch, const TransportSpec& spec) {
  return latch.endpoint == spec.endpoint && latch.confirmed == spec.has(kConfirmed);
}

} // namespace

void Relay::record(const PlanSpec& plan, std::span<const std::uint8_t> bytes, Call& call) {
  if (record_ == nullptr)
    return;
  if (!is_plain(plan)) {
    record_->erase(std::exchange(call.recorded, kNotRecorded));
    return;
  }
  call.recorded = record_->write(call.recorded, bytes, plan.transports.size());
  // Of the same generation as what was learned before.
  if (std::ranges::any_of(plan.transports, [&](const TransportSpec& spec) {
        const LatchView latch = find(call.transports, spec.id)->published.read();
        return latch.generation == spec.generation && !is_same(latch, spec);
      }))
    record_learned(plan.call_id);
}

void Relay::record_learned(const std::string& call_id) {
  const auto found = calls_.find(call_id);
  if (found == calls_.end() || found->second.recorded == kNotRecorded)
    return;
  std::vector<LearnedLatch> learned;
  for (const auto& transport : found->second.transports) {
    const LatchView latch = transport->published.read();
    if (latch.endpoint.valid())
      learned.push_back({transport->id, latch});
  }
  record_->learn(found->second.recorded, learned);
}

std::size_t Relay::resume(const char* path) {
  if (dormant_ || (record_ == nullptr && !resume_from(path)))
    return 0;
  return static_cast<std::size_t>(
      std::ranges::count_if(calls_, [](const auto& entry) { return entry.second.resumed; }));
}

bool Relay::resume_from(const char* path) {
  record_ = std::make_unique<PlanRecord>();
  if (!record_->open(path)) {
    record_.reset();
    return false;
  }
  record_->read([this](std::uint32_t place, std::span<const std::uint8_t> bytes,
                       std::span<const LearnedLatch> learned) { resume(place, bytes, learned); });
  wake_workers_for_orders();
  return true;
}

void Relay::resume(std::uint32_t place, std::span<const std::uint8_t> bytes,
                   std::span<const LearnedLatch> learned) {
  PlanSpec plan;
  const bool known = decode_plan(bytes, plan) == PlanError::kNone && is_plain(plan) &&
                     !plan.empty() && !calls_.contains(plan.call_id);
  if (!known) {
    record_->erase(place);
    return;
  }
  for (const auto& [id, latch] : learned)
    for (TransportSpec& spec : plan.transports)
      if (spec.id == id && spec.generation == latch.generation) {
        spec.endpoint = latch.endpoint;
        spec.flags = static_cast<std::uint8_t>((spec.flags & ~kConfirmed) |
                                               (latch.confirmed ? kConfirmed : 0));
      }
  std::vector<PortFailure> failures;
  // No plan that is told has this mark.
  if (obey(plan, {}, failures) != PlanError::kNone || !failures.empty()) {
    record_->erase(place);
    return;
  }
  Call& call = calls_.at(plan.call_id);
  call.recorded = place;
  call.resumed = true;
  for (const auto& port : call.ports)
    resumed_ports_.insert(port->local);
  if (calls_.size() % kResumedAtOnce == 0)
    wake_workers_for_orders();
}

std::size_t Relay::release_resumed() {
  std::vector<std::string> left;
  for (const auto& [id, call] : calls_)
    if (call.resumed)
      left.push_back(id);
  for (const std::string& id : left)
    remove(id);
  resumed_ports_.clear();
  if (!left.empty())
    wake_workers_for_orders();
  return left.size();
}

void Relay::tell_learned(const PlanSpec& plan, const Call& call) {
  // Until now nobody knew the call; what is still to be drained may name other transports.
  drain_events();
  std::erase_if(events_,
                [&](const TransportEventRecord& record) { return record.call_id == plan.call_id; });
  for (const TransportSpec& spec : plan.transports) {
    const Transport& transport = *find(call.transports, spec.id);
    const LatchView latch = transport.published.read();
    const bool heard = std::ranges::any_of(plan.streams, [&](const StreamSpec& stream) {
      return stream.transport == spec.id &&
             find(call.streams, stream.id)->counters.last_packet.get() != 0;
    });
    const bool learned =
        latch.endpoint.valid() && latch.generation == spec.generation && !is_same(latch, spec);
    if (!heard && !learned)
      continue;
    TransportEventRecord record;
    record.call_id = plan.call_id;
    record.transport_id = spec.id;
    record.events = (heard ? kFirstPacket : 0U) | (learned ? kEndpointLearned : 0U);
    record.latch = latch;
    events_.push_back(std::move(record));
  }
}

} // namespace rtprelay
