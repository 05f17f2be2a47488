#include "rewrite.h"

#include <algorithm>
#include <numeric>

#include "packet.h"
#include "rtcp.h"

namespace rtprelay {

namespace {

/// RFC 8285 §4.2, §4.3: what the profile field says of the form of the elements.
constexpr std::uint16_t kOneByteProfile = 0xbede;
constexpr std::uint16_t kTwoByteProfile = 0x1000;
/// RFC 8285 §4.2: the id after which nothing is to be read.
constexpr std::uint8_t kLastOneByteId = 14;
constexpr std::size_t kMaxOneByteData = 16;
constexpr std::uint8_t kHasExtension = 0x10;

std::uint32_t mapped(const SsrcMap& map, std::uint32_t ssrc) {
  const auto found = std::ranges::lower_bound(map, ssrc, {}, &SsrcPair::from);
  return found == map.end() || found->from != ssrc ? ssrc : found->to;
}

void map_at(const SsrcMap& map, std::span<std::uint8_t> bytes, std::size_t at) {
  if (!map.empty())
    write_number(bytes.subspan(at), mapped(map, read_u32(bytes, at)));
}

bool is_two_byte(std::uint16_t profile) { return (profile & 0xfff0) == kTwoByteProfile; }

/// Where header and CSRCs end; 0: they do not fit.
std::size_t fixed_header_size(std::span<const std::uint8_t> packet) {
  if (packet.size() < kRtpHeaderSize || packet[0] >> 6 != 2)
    return 0;
  const std::size_t size = kRtpHeaderSize + kWordSize * (packet[0] & 0x0fU);
  return size <= packet.size() ? size : 0;
}

/// The header extension with its own header; empty: there is none. false: it does not fit.
bool extension_of(std::span<const std::uint8_t> packet, std::size_t begin,
                  std::span<const std::uint8_t>& out) {
  out = {};
  if ((packet[0] & kHasExtension) == 0)
    return true;
  if (packet.size() < begin + kWordSize)
    return false;
  const std::size_t size = kWordSize + kWordSize * read_u16(packet, begin + 2);
  if (packet.size() < begin + size)
    return false;
  out = packet.subspan(begin, size);
  return true;
}

/// `extension` with its own header. false: it is not of RFC 8285.
bool read_elements(std::span<const std::uint8_t> extension, ExtensionElements& out) {
  const std::uint16_t profile = read_u16(extension);
  out.two_byte = is_two_byte(profile);
  if (!out.two_byte && profile != kOneByteProfile)
    return false;
  std::span<const std::uint8_t> rest = extension.subspan(kWordSize);
  while (!rest.empty()) {
    if (rest[0] == 0) { // padding
      rest = rest.subspan(1);
      continue;
    }
    const std::size_t head = out.two_byte ? 2 : 1;
    if (rest.size() < head)
      break;
    const std::uint8_t id = out.two_byte ? rest[0] : static_cast<std::uint8_t>(rest[0] >> 4);
    const std::size_t size = out.two_byte ? rest[1] : (rest[0] & 0x0fU) + 1;
    // One-byte form: id 0 with a length is padding that is none, id 15 the end (RFC 8285 §4.2).
    if (rest.size() < head + size || (!out.two_byte && (id == 0 || id > kLastOneByteId)))
      break;
    if (!out.add(id, rest.subspan(head, size)))
      break;
    rest = rest.subspan(head + size);
  }
  return true;
}

ExtensionElements apply(const ExtensionRules& rules, const ExtensionElements& came) {
  ExtensionElements result;
  result.two_byte = came.two_byte;
  for (std::size_t i = 0; i < came.size; ++i) {
    const std::uint8_t id = rules.ids[came.list[i].id];
    if (id != 0 && id != rules.mid_id)
      result.add(id, came.list[i].data);
  }
  if (rules.mid_id != 0) {
    if (result.size == result.list.size())
      --result.size;
    result.add(rules.mid_id, rules.mid_value());
  }
  for (std::size_t i = 0; i < result.size; ++i) {
    const ExtensionElement& element = result.list[i];
    result.two_byte |= element.id > kLastOneByteId || element.data.empty() ||
                       element.data.size() > kMaxOneByteData;
  }
  return result;
}

/// With its own header, padded; 0: it does not fit.
std::size_t write_elements(const ExtensionElements& elements, std::span<std::uint8_t> out) {
  std::size_t size = kWordSize;
  for (std::size_t i = 0; i < elements.size; ++i) {
    const ExtensionElement& element = elements.list[i];
    const std::size_t head = elements.two_byte ? 2 : 1;
    if (out.size() < size + head + element.data.size() + kWordSize)
      return 0;
    if (elements.two_byte) {
      out[size] = element.id;
      out[size + 1] = static_cast<std::uint8_t>(element.data.size());
    } else {
      out[size] =
          static_cast<std::uint8_t>((std::size_t{element.id} << 4) | (element.data.size() - 1));
    }
    std::ranges::copy(element.data, out.begin() + static_cast<std::ptrdiff_t>(size + head));
    size += head + element.data.size();
  }
  while (size % kWordSize != 0)
    out[size++] = 0;
  write_number(out, elements.two_byte ? kTwoByteProfile : kOneByteProfile);
  write_number(out.subspan(2), static_cast<std::uint16_t>(size / kWordSize - 1));
  return size;
}

/// What goes in place of `extension` (empty: there was none), into `out`. `left`: its size, 0:
/// none. false: it does not fit.
bool rewrite_extension(const ExtensionRules& rules, std::span<const std::uint8_t> extension,
                       std::span<std::uint8_t> out, std::size_t& left) {
  ExtensionElements came;
  left = 0;
  if (!extension.empty() && !read_elements(extension, came)) {
    if (!rules.keeps_unknown)
      return true;
    if (out.size() < extension.size())
      return false;
    std::ranges::copy(extension, out.begin());
    left = extension.size();
    return true;
  }
  const ExtensionElements goes = apply(rules, came);
  if (goes.size == 0)
    return true;
  left = out.size() < kWordSize ? 0 : write_elements(goes, out);
  return left != 0;
}

/// Appends to `out` and stays within it.
class Writer {
public:
  explicit Writer(std::span<std::uint8_t> out) : out_(out) {}
  /// Where the bytes have come to lie; empty: they do not fit.
  std::span<std::uint8_t> append(std::span<const std::uint8_t> bytes) {
    if (out_.size() - size_ < bytes.size())
      return {};
    const std::span<std::uint8_t> place = out_.subspan(size_, bytes.size());
    std::ranges::copy(bytes, place.begin());
    size_ += bytes.size();
    return place;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  void cut(std::size_t size) { size_ = size; }

private:
  std::span<std::uint8_t> out_;
  std::size_t size_ = 0;
};

void rewrite_blocks(const Rewrite& rewrite, std::span<std::uint8_t> blocks, std::size_t count) {
  for (std::size_t i = 0; i < count && blocks.size() >= kRtcpReportBlockSize; ++i) {
    map_at(rewrite.about, blocks, 0);
    write_number(blocks.subspan(8), read_u32(blocks, 8) - rewrite.about_sequence_offset);
    blocks = blocks.subspan(kRtcpReportBlockSize);
  }
}

void take_off_sequence(const Rewrite& rewrite, std::span<std::uint8_t> bytes, std::size_t at) {
  const auto came = read_u16(bytes, at);
  write_number(bytes.subspan(at), static_cast<std::uint16_t>(came - rewrite.about_sequence_offset));
}

/// RFC 4585 §6.1, RFC 5104 §4, REMB: what follows the two SSRCs.
void rewrite_feedback(const Rewrite& rewrite, std::span<std::uint8_t> packet) {
  constexpr std::size_t kFeedbackHeader = 12;
  constexpr std::size_t kEntry = 8;
  constexpr std::uint32_t kRemb = 0x52454d42;
  if (packet.size() < kFeedbackHeader)
    return;
  map_at(rewrite.about, packet, 8);
  const std::uint8_t format = packet[0] & 0x1f;
  const bool transport = packet[1] == kRtcpTransportFeedback;
  const std::span<std::uint8_t> control = packet.subspan(kFeedbackHeader);
  if (transport && format == 1) { // NACK
    for (std::size_t at = 0; at + kWordSize <= control.size(); at += kWordSize)
      take_off_sequence(rewrite, control, at);
  } else if ((transport && (format == 3 || format == 4)) ||
             (!transport && format >= 4 && format <= 7)) { // TMMBR, TMMBN; FIR, TSTR, TSTN, VBCM
    for (std::size_t at = 0; at + kEntry <= control.size(); at += kEntry)
      map_at(rewrite.about, control, at);
  } else if (!transport && format == 15 && control.size() >= kEntry && read_u32(control) == kRemb) {
    for (std::size_t at = kEntry; at + kWordSize <= control.size(); at += kWordSize)
      map_at(rewrite.about, control, at);
  }
}

/// RFC 3611 §4.
void rewrite_extended(const Rewrite& rewrite, std::span<std::uint8_t> blocks) {
  while (blocks.size() >= kWordSize) {
    const std::size_t size = kWordSize + kWordSize * read_u16(blocks, 2);
    if (size > blocks.size())
      return;
    const std::span<std::uint8_t> block = blocks.first(size);
    switch (block[0]) {
    case 1:
    case 2:
    case 3:
    case 6: // loss and duplicate RLE, receipt times, statistics summary
      if (size < 12)
        break;
      map_at(rewrite.about, block, 4);
      take_off_sequence(rewrite, block, 8);
      take_off_sequence(rewrite, block, 10);
      break;
    case 5: // DLRR
      for (std::size_t at = kWordSize; at + 12 <= size; at += 12)
        map_at(rewrite.about, block, at);
      break;
    case 7: // VoIP metrics
      if (size >= 8)
        map_at(rewrite.about, block, 4);
      break;
    default:
      break;
    }
    blocks = blocks.subspan(size);
  }
}

/// One chunk of an SDES packet, without its mid where the recipient has another. false: malformed.
bool rewrite_chunk(const Rewrite& rewrite, std::span<const std::uint8_t>& chunks, Writer& out) {
  if (chunks.size() < 2 * kWordSize)
    return false;
  const std::span<std::uint8_t> ssrc = out.append(chunks.first(kWordSize));
  if (ssrc.empty())
    return false;
  map_at(rewrite.ssrcs, ssrc, 0);
  const bool own_mid = rewrite.extensions && rewrite.extensions->mid_id != 0;
  std::size_t at = kWordSize;
  std::size_t written = kWordSize;
  while (at < chunks.size() && chunks[at] != 0) {
    if (at + 2 > chunks.size() || at + 2 + chunks[at + 1] > chunks.size())
      return false;
    const std::size_t size = std::size_t{2} + chunks[at + 1];
    if (!(own_mid && chunks[at] == kRtcpMidItem)) {
      if (out.append(chunks.subspan(at, size)).empty())
        return false;
      written += size;
    }
    at += size;
  }
  if (at >= chunks.size())
    return false;
  // One zero at least, up to the next word.
  constexpr std::array<std::uint8_t, kWordSize> kZeros{};
  if (out.append(std::span(kZeros).first(kWordSize - written % kWordSize)).empty())
    return false;
  chunks = chunks.subspan(std::min(chunks.size(), at + kWordSize - at % kWordSize));
  return true;
}

bool rewrite_description(const Rewrite& rewrite, std::span<const std::uint8_t> packet,
                         Writer& out) {
  const std::size_t begin = out.size();
  const std::span<std::uint8_t> header = out.append(packet.first(kWordSize));
  if (header.empty())
    return false;
  std::span<const std::uint8_t> chunks = packet.subspan(kWordSize);
  for (std::size_t i = 0; i < (packet[0] & 0x1fU); ++i)
    if (!rewrite_chunk(rewrite, chunks, out))
      return false;
  write_number(header.subspan(2), static_cast<std::uint16_t>((out.size() - begin) / kWordSize - 1));
  // Padding (RFC 3550 §6.4.1) is not copied.
  header[0] &= 0xdf;
  return true;
}

/// One packet of a compound one. false: malformed, or no room.
bool rewrite_part(const Rewrite& rewrite, std::span<const std::uint8_t> packet, Writer& out) {
  const std::uint8_t type = packet[1];
  if (type == kRtcpSourceDescription)
    return rewrite_description(rewrite, packet, out);
  const std::span<std::uint8_t> written = out.append(packet);
  if (written.size() != packet.size())
    return false;
  const std::size_t count = packet[0] & 0x1f;
  if (type == kRtcpBye) {
    for (std::size_t i = 0; i < count && kWordSize * (i + 2) <= written.size(); ++i)
      map_at(rewrite.ssrcs, written, kWordSize * (i + 1));
    return true;
  }
  if (type < kRtcpSenderReport || type > kRtcpExtendedReport)
    return true;
  if (written.size() < kRtcpHeaderSize)
    return false;
  map_at(rewrite.ssrcs, written, 4);
  switch (type) {
  case kRtcpSenderReport:
    if (written.size() < kRtcpHeaderSize + kRtcpSenderInfoSize)
      return false;
    write_number(written.subspan(16), read_u32(written, 16) + rewrite.timestamp_offset);
    rewrite_blocks(rewrite, written.subspan(kRtcpHeaderSize + kRtcpSenderInfoSize), count);
    break;
  case kRtcpReceiverReport:
    rewrite_blocks(rewrite, written.subspan(kRtcpHeaderSize), count);
    break;
  case kRtcpTransportFeedback:
  case kRtcpPayloadFeedback:
    rewrite_feedback(rewrite, written);
    break;
  case kRtcpExtendedReport:
    rewrite_extended(rewrite, written.subspan(kRtcpHeaderSize));
    break;
  default: // APP
    static_assert(kRtcpApplication < kRtcpTransportFeedback);
    break;
  }
  return true;
}

} // namespace

Rewrite::Rewrite() { std::iota(payload_types.begin(), payload_types.end(), std::uint8_t{0}); }

bool ExtensionElements::add(std::uint8_t id, std::span<const std::uint8_t> data) {
  if (size == list.size())
    return false;
  list[size++] = {id, data};
  return true;
}

bool read_extensions(std::span<const std::uint8_t> packet, ExtensionElements& out) {
  out.size = 0;
  const std::size_t fixed = fixed_header_size(packet);
  std::span<const std::uint8_t> extension;
  return fixed != 0 && extension_of(packet, fixed, extension) && !extension.empty() &&
         read_elements(extension, out);
}

std::size_t rewrite_rtp(const Rewrite& rewrite, std::span<const std::uint8_t> packet,
                        std::span<std::uint8_t> out) {
  const std::size_t fixed = fixed_header_size(packet);
  std::span<const std::uint8_t> extension;
  if (fixed == 0 || out.size() < packet.size() || !extension_of(packet, fixed, extension))
    return 0;
  std::ranges::copy(packet.first(fixed), out.begin());
  out[1] = static_cast<std::uint8_t>((packet[1] & 0x80) | rewrite.payload_types[packet[1] & 0x7f]);
  write_number(out.subspan(2),
               static_cast<std::uint16_t>(read_u16(packet, 2) + rewrite.sequence_offset));
  write_number(out.subspan(4), read_u32(packet, 4) + rewrite.timestamp_offset);
  for (std::size_t at = 8; at < fixed; at += kWordSize)
    map_at(rewrite.ssrcs, out, at);
  std::size_t size = fixed;
  if (rewrite.extensions) {
    std::size_t left = 0;
    if (!rewrite_extension(*rewrite.extensions, extension, out.subspan(size), left))
      return 0;
    out[0] =
        static_cast<std::uint8_t>(left == 0 ? out[0] & ~kHasExtension : out[0] | kHasExtension);
    size += left;
  } else {
    std::ranges::copy(extension, out.begin() + static_cast<std::ptrdiff_t>(size));
    size += extension.size();
  }
  const std::span<const std::uint8_t> payload = packet.subspan(fixed + extension.size());
  if (out.size() - size < payload.size())
    return 0;
  std::ranges::copy(payload, out.begin() + static_cast<std::ptrdiff_t>(size));
  return size + payload.size();
}

std::size_t rewrite_rtcp(const Rewrite& rewrite, std::span<const std::uint8_t> packet,
                         std::span<std::uint8_t> out) {
  Writer writer(out);
  while (packet.size() >= kWordSize && packet[0] >> 6 == 2) {
    const std::size_t length = (std::size_t{read_u16(packet, 2)} + 1) * kWordSize;
    const std::size_t before = writer.size();
    if (length > packet.size())
      break;
    if (!rewrite_part(rewrite, packet.first(length), writer)) {
      writer.cut(before);
      break;
    }
    packet = packet.subspan(length);
  }
  return writer.size();
}

} // namespace rtprelay
