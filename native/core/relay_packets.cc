// The parts of a snapshot that plain calls do not have: bundles, RTCP of our own, what is counted
// packet by packet.
#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include <sys/random.h>

#include "relay.h"

namespace rtprelay {

namespace {

std::uint32_t random_ssrc() {
  std::uint32_t ssrc = 0;
  while (getrandom(&ssrc, sizeof(ssrc), 0) != sizeof(ssrc) && errno == EINTR) {
  }
  return ssrc;
}

/// What the worker finds through its snapshot is made here, once.
template <typename State, typename... Arguments>
State* made(std::unique_ptr<State>& state, Arguments... arguments) {
  if (state == nullptr)
    state = std::make_unique<State>(arguments...);
  return state.get();
}

std::unique_ptr<const OwnRtcpConfig> own_rtcp_of(const OwnRtcpSpec& spec, Stream& stream,
                                                 const StreamConfig& by) {
  auto own = std::make_unique<OwnRtcpConfig>();
  own->state =
      stream.own_rtcp == nullptr ? made(stream.own_rtcp, random_ssrc()) : stream.own_rtcp.get();
  own->by = &by;
  own->interval = Micros{spec.interval_ms} * 1000;
  own->cname = spec.cname;
  own->pli = spec.pli;
  own->fir = spec.fir;
  for (const std::uint8_t type : spec.video_types)
    own->video_types.set(type);
  if (spec.video_types.empty())
    own->video_types.set();
  return own;
}

/// The streams of a snapshot by id.
class StreamIndex {
public:
  explicit StreamIndex(CallSnapshot& snapshot) {
    for (StreamConfig& config : snapshot.streams)
      by_id_.emplace(config.state->id, &config);
  }
  /// The plan was checked: it is there.
  [[nodiscard]] StreamConfig& at(std::uint32_t id) const { return *by_id_.at(id); }

private:
  std::unordered_map<std::uint32_t, StreamConfig*> by_id_;
};

bool has_more_than_plain(const PlanSpec& plan) {
  const auto counts = [](const StreamSpec& stream) { return stream.own_rtcp.has_value(); };
  const auto table = [](const TransportSpec& transport) { return transport.table.has_value(); };
  return std::ranges::any_of(plan.streams, counts) || std::ranges::any_of(plan.transports, table);
}

void configure_own_rtcp(const StreamSpec& spec, StreamConfig& config, const StreamIndex& streams) {
  Stream& state = *config.state;
  if (spec.own_rtcp) {
    StreamConfig& by = streams.at(spec.own_rtcp->by);
    config.own = own_rtcp_of(*spec.own_rtcp, state, by);
    if (config.own->interval > 0)
      by.reports_about = &config;
  }
  config.looks |= config.own != nullptr;
}

} // namespace

void Relay::configure_counts(const StreamSpec& spec, StreamConfig& config) {
  if (spec.loop_checked)
    config.loop = made(config.state->loop);
  if (spec.measured || (spec.own_rtcp && spec.own_rtcp->interval_ms > 0))
    config.receptions = made(config.state->receptions);
  config.looks = config.loop != nullptr || config.receptions != nullptr;
}

void Relay::configure_packets(const PlanSpec& plan, CallSnapshot& snapshot) {
  if (!has_more_than_plain(plan))
    return;
  const StreamIndex streams(snapshot);
  for (std::size_t i = 0; i < plan.streams.size(); ++i)
    configure_own_rtcp(plan.streams[i], snapshot.streams[i], streams);
  for (std::size_t i = 0; i < plan.transports.size(); ++i) {
    if (!plan.transports[i].table)
      continue;
    TransportConfig& transport = snapshot.transports[i];
    auto bundle = std::make_unique<BundleConfig>(*plan.transports[i].table);
    bundle->state = made(transport.state->demux);
    for (const std::uint32_t id : bundle->table.streams())
      bundle->streams.push_back(&streams.at(id));
    transport.stream = bundle->streams.front();
    transport.bundle = std::move(bundle);
  }
}

bool Relay::dial(const std::string& call_id, std::uint32_t stream_id, const Digit& digit) {
  const auto found = calls_.find(call_id);
  if (found == calls_.end())
    return false;
  const Call& call = found->second;
  const auto stream = std::ranges::find(call.streams, stream_id, &Stream::id);
  if (stream == call.streams.end())
    return false;
  auto order = std::make_unique<Exchange>();
  order->digit = std::make_unique<DigitOrder>(
      DigitOrder{stream->get(), digit, std::make_unique<DigitQueue>()});
  post(call.worker, std::move(order));
  workers_[call.worker]->wake_for_orders();
  return true;
}

bool Relay::request_key_frames(const std::string& call_id) {
  const auto found = calls_.find(call_id);
  if (found == calls_.end())
    return false;
  const Call& call = found->second;
  auto order = std::make_unique<Exchange>();
  order->key_frames_of = call.snapshot;
  post(call.worker, std::move(order));
  workers_[call.worker]->wake_for_orders();
  return true;
}

} // namespace rtprelay
