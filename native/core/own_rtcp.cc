#include "own_rtcp.h"

#include <algorithm>

#include "packet.h"
#include "rtcp.h"

namespace rtprelay {

namespace {

constexpr std::uint8_t kVersion = 0x80;
constexpr std::uint8_t kCname = 1;
/// RFC 5905 §6: 1900 to 1970, seconds.
constexpr std::uint64_t kNtpOffset = 2'208'988'800;

/// Writes packets one after another; once something does not fit, nothing counts.
class RtcpWriter {
public:
  explicit RtcpWriter(std::span<std::uint8_t> out) : out_(out) {}

  void begin(std::uint8_t count, std::uint8_t type) {
    start_ = size_;
    u8(static_cast<std::uint8_t>(kVersion | count));
    u8(type);
    number(std::uint16_t{0});
  }
  /// Pads with zeros to a word.
  void end() {
    while (fits_ && (size_ - start_) % 4 != 0)
      u8(0);
    if (fits_)
      write_number(out_.subspan(start_ + 2), static_cast<std::uint16_t>((size_ - start_) / 4 - 1));
  }
  void u8(std::uint8_t value) { number(value); }
  template <typename Number> void number(Number value) {
    fits_ = fits_ && out_.size() - size_ >= sizeof(Number);
    if (!fits_)
      return;
    write_number(out_.subspan(size_), value);
    size_ += sizeof(Number);
  }
  void text(std::string_view value) {
    u8(static_cast<std::uint8_t>(value.size()));
    for (const char each : value)
      u8(static_cast<std::uint8_t>(each));
  }
  [[nodiscard]] std::size_t size() const { return fits_ ? size_ : 0; }

private:
  std::span<std::uint8_t> out_;
  std::size_t size_ = 0;
  std::size_t start_ = 0;
  bool fits_ = true;
};

void write_blocks(std::span<const ReportBlock> blocks, RtcpWriter& writer) {
  for (const ReportBlock& block : blocks) {
    writer.number(block.ssrc);
    writer.number((std::uint32_t{block.fraction_lost} << 24) |
                  (static_cast<std::uint32_t>(block.cumulative_loss) & 0xffffff));
    writer.number(block.highest_sequence);
    writer.number(block.jitter);
    writer.number(block.last_report);
    writer.number(block.delay);
  }
}

void write_description(std::uint32_t ssrc, std::string_view cname, RtcpWriter& writer) {
  writer.begin(1, kRtcpSourceDescription);
  writer.number(ssrc);
  writer.u8(kCname);
  writer.text(cname);
  writer.u8(0);
  writer.end();
}

/// RFC 3550 §6.4.1: the timestamp of the moment of the report, by the source's clock.
std::uint32_t timestamp_at(const Sending& sending, Micros now) {
  const auto since = static_cast<std::uint64_t>(now - sending.sent);
  return sending.timestamp + static_cast<std::uint32_t>(since * sending.clock_rate / 1'000'000);
}

void write_sender_info(const ReportInput& input, const Sending& sending, RtcpWriter& writer) {
  const auto wall = static_cast<std::uint64_t>(input.wall_clock);
  writer.number(static_cast<std::uint32_t>(wall / 1'000'000 + kNtpOffset));
  writer.number(static_cast<std::uint32_t>(((wall % 1'000'000) << 32) / 1'000'000));
  writer.number(timestamp_at(sending, input.now));
  writer.number(sending.packets);
  writer.number(sending.octets);
}

} // namespace

std::size_t write_reports(const ReportInput& input, std::span<const Sending> sendings,
                          std::span<Reception> receptions, std::span<std::uint8_t> out) {
  std::array<ReportBlock, kMaxReportBlocks> blocks;
  std::size_t count = 0;
  for (Reception& reception : receptions)
    if (count < blocks.size() && reception.report(input.now, blocks[count]))
      ++count;
  std::span<const ReportBlock> left(blocks.data(), count);
  RtcpWriter writer(out);
  std::size_t senders = 0;
  for (const Sending& sending : sendings) {
    if (sending.sent == 0 || sending.sent < input.senders_since)
      continue;
    writer.begin(static_cast<std::uint8_t>(left.size()), kRtcpSenderReport);
    writer.number(sending.ssrc);
    write_sender_info(input, sending, writer);
    write_blocks(left, writer);
    writer.end();
    // The first one says it all.
    left = {};
    ++senders;
  }
  if (senders == 0) {
    if (count == 0)
      return 0;
    writer.begin(static_cast<std::uint8_t>(count), kRtcpReceiverReport);
    writer.number(input.author.ssrc);
    write_blocks(left, writer);
    writer.end();
    write_description(input.author.ssrc, input.author.cname, writer);
  }
  for (const Sending& sending : sendings)
    if (sending.sent != 0 && sending.sent >= input.senders_since)
      write_description(sending.ssrc, input.author.cname, writer);
  return writer.size();
}

std::size_t write_key_frame_requests(const RtcpAuthor& author, KeyFrameRequest kind,
                                     std::span<const std::uint32_t> sources, std::uint8_t number,
                                     std::span<std::uint8_t> out) {
  constexpr std::uint8_t kPliFormat = 1;
  constexpr std::uint8_t kFirFormat = 4;
  RtcpWriter writer(out);
  // RFC 4585 §3.1: feedback goes with a report and a description where RFC 5506 was not negotiated.
  writer.begin(0, kRtcpReceiverReport);
  writer.number(author.ssrc);
  writer.end();
  write_description(author.ssrc, author.cname, writer);
  if (kind == KeyFrameRequest::kFir) {
    writer.begin(kFirFormat, kRtcpPayloadFeedback);
    writer.number(author.ssrc);
    writer.number(std::uint32_t{0});
    for (const std::uint32_t source : sources) {
      writer.number(source);
      writer.u8(number);
      writer.u8(0);
      writer.number(std::uint16_t{0});
    }
    writer.end();
    return writer.size();
  }
  for (const std::uint32_t source : sources) {
    writer.begin(kPliFormat, kRtcpPayloadFeedback);
    writer.number(author.ssrc);
    writer.number(source);
    writer.end();
  }
  return writer.size();
}

} // namespace rtprelay
