// Packets that the relay itself makes: reports, requests for key frames, what opens a NAT. They
// leave by a transport as relayed ones do, protected by its keys.
#include <algorithm>
#include <utility>

#include "worker.h"

namespace rtprelay {

namespace {

/// What rtpengine sends to open a NAT: an RTP header of payload type 127, sequence number 65535.
constexpr std::array<std::uint8_t, kRtpHeaderSize> kPiercePacket{0x80, 0x7f, 0xff, 0xff};
/// RFC 3550 §6.2: a source that has sent in the last two intervals is a sender.
constexpr int kSenderIntervals = 2;
/// A request is sent so often.
constexpr std::uint8_t kRequests = 2;

template <typename Visit> void each_stream(const TransportConfig& transport, Visit visit) {
  if (transport.bundle == nullptr)
    return visit(*transport.stream);
  for (const StreamConfig* stream : transport.bundle->streams)
    visit(*stream);
}

} // namespace

void VideoSources::hear(std::uint32_t ssrc, Micros now) {
  auto found = std::ranges::find_if(
      list_, [ssrc](const Heard& heard) { return heard.at != 0 && heard.ssrc == ssrc; });
  if (found == list_.end())
    found = std::ranges::min_element(list_, {}, &Heard::at);
  *found = {ssrc, now};
}

std::size_t VideoSources::active(std::array<std::uint32_t, kVideoSources>& out) const {
  const Micros last = std::ranges::max_element(list_, {}, &Heard::at)->at;
  std::size_t size = 0;
  for (const Heard& heard : list_)
    if (heard.at != 0 && last - heard.at < kVideoSilentMicros)
      out[size++] = heard.ssrc;
  return size;
}

std::span<std::uint8_t> Worker::take_room() {
  // Here, not in `queue`: the slot that is taken must not count as free again.
  if (slots_used_ == slots_.size() || out_size_ == out_.size())
    flush();
  return slots_[slots_used_].room();
}

void Worker::send_own(const TransportConfig& by, Stream* counted, bool rtcp,
                      std::span<std::uint8_t> room, std::size_t size) {
  Transport& to = *by.state;
  const SocketAddress& destination = to.latch.endpoint();
  const Port* const egress = to.egress == nullptr ? by.egress : to.egress;
  if (egress == nullptr || !destination.valid() || destination.port == 0)
    return;
  DropReason refused = DropReason::kNoKey;
  if (by.has(kSecret) && !protect(by.sender, to, rtcp, room, size, refused))
    return;
  ++slots_used_;
  queue({egress, destination, room.first(size), nullptr, counted, &to});
}

void Worker::pierce(Transport& transport) {
  if (transport.received)
    return;
  timers_.set(transport.pierce, now_ + kPierceIntervalMicros);
  const std::span<std::uint8_t> room = take_room();
  std::ranges::copy(kPiercePacket, room.begin());
  // No index of a key is used twice.
  if (transport.config->has(kSecret))
    write_number(room.subspan(2), static_cast<std::uint16_t>(0xffff + transport.pierced++));
  send_own(*transport.config, nullptr, false, room, kPiercePacket.size());
}

bool Worker::look(const StreamConfig& stream, const InPacket& packet, PacketKind kind) {
  if (stream.loop != nullptr && !stream.loop->passes(packet.bytes, now_)) {
    drop(*stream.state, DropReason::kLoop);
    return false;
  }
  if (kind != PacketKind::kRtp || stream.kind != StreamKind::kRtp)
    return true;
  const RtpHeader header = rtp_header(packet.bytes);
  if (stream.receptions != nullptr)
    stream.receptions->on_packet(header, packet.bytes.size(), stream.clock_rate, now_);
  if (stream.own == nullptr || !stream.own->asks_for_key_frames() ||
      !stream.own->video_types[header.payload_type])
    return true;
  OwnRtcp& own = *stream.own->state;
  own.video.hear(header.ssrc, now_);
  if (own.waits_for_source)
    request_key_frame(stream);
  return true;
}

void Worker::note_sent(const RouteConfig& route, const StreamConfig& from,
                       std::span<const std::uint8_t> packet, std::size_t octets) {
  if (packet.size() < kRtpHeaderSize || packet[0] >> 6 != 2)
    return;
  const RtpHeader header = rtp_header(packet);
  if (route.reported != nullptr)
    route.reported->sendings.on_packet(header, octets, from.clock_rate, now_);
  if (route.bundle != nullptr && route.bundle->sent.find(header.ssrc) != route.counted->id)
    route.bundle->sent.learn(header.ssrc, route.counted->id);
}

void Worker::dial(DigitOrder& order) {
  std::unique_ptr<DigitQueue>& queue = order.stream->dialled;
  if (queue == nullptr)
    queue = std::move(order.queue);
  // With as many waiting the sender is silent, or somebody dials faster than anybody listens.
  (void)queue->push(order.digit);
}

void Worker::replace_by_digit(const StreamConfig& stream, InPacket& packet) {
  const std::size_t size = stream.state->dialled->replace(packet.bytes);
  if (size == 0)
    return;
  packet.bytes = packet.bytes.first(size);
  if (stream.payloads == nullptr || !stream.state->dialled->told())
    return;
  const PayloadAction action = stream.payloads->types[packet.bytes[1] & 0x7f];
  if (action == PayloadAction::kDigit || action == PayloadAction::kDigitDrop)
    note_digit(stream, packet);
}

void Worker::request_key_frames(const CallSnapshot& call) {
  for (const StreamConfig& stream : call.streams) {
    if (stream.own == nullptr || !stream.own->asks_for_key_frames())
      continue;
    OwnRtcp& own = *stream.own->state;
    own.requests = kRequests;
    ++own.request_number;
    request_key_frame(stream);
  }
}

void Worker::request_key_frame(const StreamConfig& stream) {
  const OwnRtcpConfig& config = *stream.own;
  OwnRtcp& own = *config.state;
  std::array<std::uint32_t, kVideoSources> sources{};
  const std::size_t count = own.video.active(sources);
  own.waits_for_source = own.requests > 0 && count == 0;
  if (own.requests == 0 || count == 0)
    return;
  --own.requests;
  if (own.requests > 0)
    timers_.set(stream.transport->state->key_frames, now_ + kKeyFrameRepeatMicros);
  const std::span<std::uint8_t> room = take_room();
  const auto kind = config.pli ? KeyFrameRequest::kPli : KeyFrameRequest::kFir;
  const std::size_t size =
      write_key_frame_requests(config.author(), kind, std::span(sources).first(count),
                               own.request_number, room.first(kMaxPacketBytes));
  if (size > 0)
    send_own(*config.by->transport, config.by->state, true, room, size);
}

void Worker::repeat_key_frame_requests(Transport& transport) {
  each_stream(*transport.config, [this](const StreamConfig& stream) {
    if (stream.own != nullptr && stream.own->state->requests > 0)
      request_key_frame(stream);
  });
}

void Worker::plan_reports(Transport& transport) {
  Micros interval = kNever;
  each_stream(*transport.config, [&interval](const StreamConfig& stream) {
    if (stream.own != nullptr && stream.own->interval > 0)
      interval = std::min(interval, stream.own->interval);
  });
  if (interval == kNever)
    return timers_.cancel(transport.reports);
  if (transport.reports.is_set())
    return;
  // RFC 3550 §6.3.1: between half of the interval and one and a half, so that they do not gather.
  random_ = random_ * 1'103'515'245 + 12'345;
  timers_.set(transport.reports, now_ + interval / 2 + (random_ >> 16) * interval / 65'536);
}

void Worker::send_reports(Transport& transport) {
  each_stream(*transport.config, [this](const StreamConfig& stream) {
    if (stream.own == nullptr || stream.own->interval == 0)
      return;
    const OwnRtcpConfig& config = *stream.own;
    const TransportConfig& by = *config.by->transport;
    if (by.has(kNatWait) && !by.state->received)
      return;
    const ReportInput input{config.author(), now_, epoch_ + now_,
                            now_ - kSenderIntervals * config.interval};
    const std::span<std::uint8_t> room = take_room();
    const std::span<Reception> receptions =
        stream.receptions == nullptr ? std::span<Reception>() : stream.receptions->all();
    const std::size_t size =
        write_reports(input, config.state->sendings.all(), receptions, room.first(kMaxPacketBytes));
    if (size > 0)
      send_own(by, config.by->state, true, room, size);
  });
  plan_reports(transport);
}

void Worker::tell_learned(const TransportConfig& transport) {
  DemuxState& state = *transport.bundle->state;
  for (const SsrcStream& each : std::span(state.news).first(std::exchange(state.news_size, 0)))
    if (state.tells.take(now_))
      tell(LearnedSsrc{transport.state, each});
}

void Worker::process_bundled(const TransportConfig& transport, const InPacket& packet,
                             std::size_t wire_size, PacketKind kind) {
  const BundleConfig& bundle = *transport.bundle;
  if (kind == PacketKind::kRtp) {
    const auto id = bundle.table.stream_of_rtp(*bundle.state, packet.bytes);
    if (bundle.state->news_size > 0)
      tell_learned(transport);
    const StreamConfig* stream = id ? bundle.find(*id) : nullptr;
    if (stream == nullptr)
      return refuse(*transport.stream, wire_size, DropReason::kUnknownStream);
    return relay_packet(*stream, packet, wire_size, kind);
  }
  if (kind != PacketKind::kRtcp)
    return relay_packet(*transport.stream, packet, wire_size, kind);
  bundle.table.learn_from_rtcp(*bundle.state, packet.bytes);
  if (bundle.state->news_size > 0)
    tell_learned(transport);
  bool found = false;
  for (const StreamConfig* stream : bundle.streams) {
    const std::span<std::uint8_t> room = part_.room();
    const std::size_t size =
        bundle.table.rtcp_of(*bundle.state, stream->state->id, packet.bytes, room);
    if (size == 0)
      continue;
    found = true;
    InPacket part = packet;
    part.bytes = room.first(size);
    relay_packet(*stream, part, size, kind);
    // The next part takes its place.
    flush();
  }
  if (!found)
    refuse(*transport.stream, wire_size, DropReason::kMalformed);
}

} // namespace rtprelay
