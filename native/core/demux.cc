#include "demux.h"

#include <algorithm>

#include "packet.h"
#include "rtcp.h"

namespace rtprelay {

namespace {

constexpr std::uint16_t kAmbiguous = 0xffff;

using Bytes = std::span<const std::uint8_t>;

/// Calls `visit(part)` for each packet of a compound one that is whole and has an SSRC.
template <typename Visit> void each_part(Bytes packet, Visit visit) {
  while (packet.size() >= kRtcpHeaderSize && packet[0] >> 6 == 2) {
    const std::size_t length = (std::size_t{read_u16(packet, 2)} + 1) * kWordSize;
    if (length > packet.size())
      return;
    if (length >= kRtcpHeaderSize)
      visit(packet.first(length));
    packet = packet.subspan(length);
  }
}

/// Calls `visit(ssrc, item type, value)` for each item of an SDES packet.
template <typename Visit> void each_item(Bytes packet, Visit visit) {
  std::size_t at = kWordSize;
  for (std::size_t i = 0; i < (packet[0] & 0x1fU) && at + kWordSize < packet.size(); ++i) {
    const std::uint32_t ssrc = read_u32(packet, at);
    at += kWordSize;
    while (at < packet.size() && packet[at] != 0) {
      if (at + 2 > packet.size() || at + 2 + packet[at + 1] > packet.size())
        return;
      visit(ssrc, packet[at], packet.subspan(at + 2, packet[at + 1]));
      at += std::size_t{2} + packet[at + 1];
    }
    at += kWordSize - at % kWordSize;
  }
}

/// What one stream gets of a compound packet. Its parts are no longer than those that they are made
/// of.
class Share {
public:
  Share(const DemuxState& state, std::uint32_t stream, std::uint32_t first,
        std::span<std::uint8_t> out)
      : state_(state), stream_(stream), first_(first), out_(out) {}

  void take(Bytes part) {
    switch (part[1]) {
    case kRtcpSenderReport:
    case kRtcpReceiverReport:
      return take_report(part);
    case kRtcpSourceDescription:
      return take_description(part);
    case kRtcpBye:
      return take_bye(part);
    default:
      if (belongs(part))
        append(part);
    }
  }
  [[nodiscard]] std::size_t size() const { return size_; }

private:
  /// It is sent as this stream; what is unknown counts as the first one's.
  [[nodiscard]] bool sends(std::uint32_t ssrc) const {
    return state_.arriving.find(ssrc).value_or(first_) == stream_;
  }
  /// It is about what this stream's remote gets; what is unknown goes with its sender.
  [[nodiscard]] bool hears(std::uint32_t about, std::uint32_t sender) const {
    const auto owner = state_.sent.find(about);
    return owner ? *owner == stream_ : sends(sender);
  }
  void append(Bytes bytes) {
    std::ranges::copy(bytes, out_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += bytes.size();
  }
  /// Gives the part that begins at `begin` its header, or takes it back if there is nothing in it.
  void finish(std::size_t begin, std::uint8_t count, std::uint8_t type, bool empty) {
    if (empty) {
      size_ = begin;
      return;
    }
    const std::span<std::uint8_t> header = out_.subspan(begin);
    header[0] = static_cast<std::uint8_t>(0x80 | count);
    header[1] = type;
    write_number(header.subspan(2), static_cast<std::uint16_t>((size_ - begin) / kWordSize - 1));
  }

  /// Of another stream's report the blocks alone: it becomes a receiver report.
  void take_report(Bytes part) {
    const bool is_sender = part[1] == kRtcpSenderReport;
    const std::size_t fixed = kRtcpHeaderSize + (is_sender ? kRtcpSenderInfoSize : 0);
    if (part.size() < fixed)
      return;
    const std::uint32_t sender = read_u32(part, 4);
    const bool own = sends(sender);
    const std::size_t begin = size_;
    append(part.first(own ? fixed : kRtcpHeaderSize));
    std::uint8_t count = 0;
    const std::size_t end = std::min(part.size(), fixed + kRtcpReportBlockSize * (part[0] & 0x1fU));
    for (std::size_t at = fixed; at + kRtcpReportBlockSize <= end; at += kRtcpReportBlockSize) {
      if (!hears(read_u32(part, at), sender))
        continue;
      append(part.subspan(at, kRtcpReportBlockSize));
      ++count;
    }
    finish(begin, count, own ? part[1] : kRtcpReceiverReport, !own && count == 0);
  }

  /// All of it goes with each report; alone to whom it is about.
  void take_description(Bytes part) {
    bool about = size_ > 0;
    each_item(part, [&](std::uint32_t ssrc, std::uint8_t, Bytes) { about |= sends(ssrc); });
    if (about)
      append(part);
  }

  void take_bye(Bytes part) {
    const std::size_t begin = size_;
    append(part.first(kWordSize));
    std::uint8_t count = 0;
    const std::size_t end = std::min(part.size(), kWordSize * (1 + (part[0] & 0x1fU)));
    for (std::size_t at = kWordSize; at + kWordSize <= end; at += kWordSize) {
      if (!sends(read_u32(part, at)))
        continue;
      append(part.subspan(at, kWordSize));
      ++count;
    }
    finish(begin, count, kRtcpBye, count == 0);
  }

  /// Feedback, extended reports, and whatever else has a sender.
  [[nodiscard]] bool belongs(Bytes part) const {
    const std::uint32_t sender = read_u32(part, 4);
    const auto about = [&](std::size_t at) {
      return part.size() >= at + kWordSize ? read_u32(part, at) : 0;
    };
    if (part[1] == kRtcpExtendedReport)
      return hears(about(kRtcpHeaderSize + kWordSize), sender);
    if (part[1] != kRtcpTransportFeedback && part[1] != kRtcpPayloadFeedback)
      return sends(sender);
    if (about(8) != 0)
      return hears(about(8), sender);
    // FIR and its like name the source in their entries (RFC 5104 §4), REMB after a count.
    const bool remb = part[1] == kRtcpPayloadFeedback && (part[0] & 0x1f) == 15;
    return hears(about(remb ? 20 : 12), sender);
  }

  const DemuxState& state_;
  const std::uint32_t stream_;
  const std::uint32_t first_;
  std::span<std::uint8_t> out_;
  std::size_t size_ = 0;
};

} // namespace

std::size_t SsrcStreams::place_of(std::uint32_t ssrc) const {
  // Fibonacci hashing: SSRCs may be chosen by whoever sends.
  std::size_t at = (ssrc * 2654435769U) >> 25;
  static_assert(kLearnedSsrcs == 128);
  while (entries_[at].used && entries_[at].ssrc != ssrc)
    at = (at + 1) % kLearnedSsrcs;
  return at;
}

std::optional<std::uint32_t> SsrcStreams::find(std::uint32_t ssrc) const {
  const Entry& entry = entries_[place_of(ssrc)];
  return entry.used ? std::optional(entry.stream) : std::nullopt;
}

void SsrcStreams::learn(std::uint32_t ssrc, std::uint32_t stream) {
  std::size_t at = place_of(ssrc);
  if (!entries_[at].used) {
    if (full()) {
      entries_.fill({});
      size_ = 0;
      at = place_of(ssrc);
    }
    ++size_;
  }
  entries_[at] = {ssrc, stream, true};
}

Demultiplexer::Demultiplexer(const DemuxSpec& spec) : mid_extension_(spec.mid_extension) {
  for (const DemuxEntry& entry : spec.entries) {
    for (const std::uint8_t type : entry.payload_types) {
      std::uint16_t& known = types_[type];
      known = known == 0 || known == streams_.size() + 1
                  ? static_cast<std::uint16_t>(streams_.size() + 1)
                  : kAmbiguous;
    }
    for (const std::uint32_t ssrc : entry.ssrcs)
      ssrcs_.emplace_back(ssrc, entry.stream);
    streams_.push_back(entry.stream);
    mids_.push_back(entry.mid);
  }
}

void Demultiplexer::prepare(DemuxState& state) const {
  for (const auto& [ssrc, stream] : ssrcs_)
    state.arriving.learn(ssrc, stream);
}

std::optional<std::uint32_t> Demultiplexer::stream_of_mid(Bytes mid) const {
  for (std::size_t i = 0; i < mids_.size(); ++i)
    if (!mid.empty() && std::ranges::equal(mids_[i], mid))
      return streams_[i];
  return std::nullopt;
}

void Demultiplexer::learn(DemuxState& state, std::uint32_t ssrc, std::uint32_t stream) const {
  const auto known = state.arriving.find(ssrc);
  if (known == stream)
    return;
  const bool anew = !known && state.arriving.full();
  state.arriving.learn(ssrc, stream);
  // What the SDP has said is not forgotten for it.
  if (anew)
    prepare(state);
  if (state.news_size < state.news.size())
    state.news[state.news_size++] = {ssrc, stream};
}

std::optional<std::uint32_t> Demultiplexer::stream_of_rtp(DemuxState& state, Bytes packet) const {
  const std::uint32_t ssrc = read_u32(packet, 8);
  ExtensionElements elements;
  if (mid_extension_ != 0 && (packet[0] & 0x10) != 0 && read_extensions(packet, elements)) {
    for (std::size_t i = 0; i < elements.size; ++i) {
      if (elements.list[i].id != mid_extension_)
        continue;
      const auto stream = stream_of_mid(elements.list[i].data);
      if (stream)
        learn(state, ssrc, *stream);
      return stream;
    }
  }
  const auto known = state.arriving.find(ssrc);
  if (known && std::ranges::find(streams_, *known) != streams_.end())
    return known;
  const std::uint16_t position = types_[packet[1] & 0x7f];
  if (position == 0 || position == kAmbiguous)
    return std::nullopt;
  learn(state, ssrc, streams_[position - 1U]);
  return streams_[position - 1U];
}

void Demultiplexer::learn_from_rtcp(DemuxState& state, Bytes packet) const {
  each_part(packet, [&](Bytes part) {
    if (part[1] != kRtcpSourceDescription)
      return;
    each_item(part, [&](std::uint32_t ssrc, std::uint8_t type, Bytes value) {
      if (type != kRtcpMidItem)
        return;
      if (const auto stream = stream_of_mid(value))
        learn(state, ssrc, *stream);
    });
  });
}

std::size_t Demultiplexer::rtcp_of(const DemuxState& state, std::uint32_t stream, Bytes packet,
                                   std::span<std::uint8_t> out) const {
  Share share(state, stream, first(), out);
  each_part(packet, [&share](Bytes part) { share.take(part); });
  return share.size();
}

} // namespace rtprelay
