#include <algorithm>
#include <new>

#include "bytes.h"
#include "session.h"

namespace rtprelay::srtp {

namespace {

/// So many packets in order whose indexes were used are a source that has started anew, not packets
/// that came twice: a phone plays its next file, a gateway its next announcement.
constexpr std::uint8_t kRestartRun = 4;
/// More than a sender may have come further since it was told to the store, and less than a
/// receiver takes for another rollover.
constexpr std::uint64_t kUntold = 2 * kTellRtp;

} // namespace

std::unique_ptr<Sender> Sender::create(const Parameters& parameters) {
  std::unique_ptr<Sender> sender(new (std::nothrow) Sender);
  if (sender == nullptr || !sender->init(parameters, Purpose::kProtect))
    return nullptr;
  return sender;
}

/// The index of a packet, which is used from now on whether or not it is sent. `sequence` becomes
/// the number that goes with it.
Status Sender::take_index(std::uint32_t ssrc, std::uint16_t& sequence, Source*& source,
                          std::uint64_t& index) {
  source = table_.find(ssrc);
  if (source == nullptr && (source = table_.add(ssrc)) == nullptr)
    return Status::kTooManySources;
  const std::uint16_t received = sequence;
  sequence = static_cast<std::uint16_t>(sequence + source->offset);
  index = sequence;
  IndexWindow<kRtpWindow>& used = source->rtp;
  IndexState state = IndexState::kNew;
  if (used.started() && !guess_index(used.newest(), sequence, index))
    state = IndexState::kTooOld;
  else
    state = used.state_of(index);
  if (state == IndexState::kNew) {
    source->refused_run = 0;
  } else {
    const bool in_order = source->refused_run > 0 && received == source->refused_next;
    source->refused_run = static_cast<std::uint8_t>(in_order ? source->refused_run + 1 : 1);
    source->refused_next = static_cast<std::uint16_t>(received + 1);
    if (source->refused_run < kRestartRun)
      return state == IndexState::kUsed ? Status::kRepeated : Status::kTooOld;
    source->refused_run = 0;
    index = used.newest() + 1 + (source->resumed ? kUntold : 0);
    sequence = static_cast<std::uint16_t>(index);
    source->offset = static_cast<std::uint16_t>(sequence - received);
    source->told = false;
  }
  if (index > kMaxRtpIndex)
    return Status::kKeyUsedUp;
  // What the other process may have used is behind the first packet that comes here.
  if ((source->resumed || (resumed_ && !used.started())) && index > 0)
    used.start_after(index - 1);
  source->resumed = false;
  used.mark(index);
  return Status::kDone;
}

Outcome Sender::protect_rtp(std::span<std::uint8_t> buffer, std::size_t size) {
  RtpPacket packet;
  if (size > buffer.size() || !parse_rtp(buffer.first(size), packet))
    return {Status::kMalformed, size};
  const std::size_t tag = authenticates_rtp() ? suite_->rtp_tag_size : 0;
  if (buffer.size() - size < tag + parameters_.mki_size)
    return {Status::kNoRoom, size};
  Source* source = nullptr;
  std::uint64_t index = 0;
  const Status status = take_index(packet.ssrc, packet.sequence, source, index);
  if (status != Status::kDone)
    return {status, size};
  buffer[2] = static_cast<std::uint8_t>(packet.sequence >> 8);
  buffer[3] = static_cast<std::uint8_t>(packet.sequence);
  Outcome outcome = write_rtp(buffer, size, packet, index);
  outcome.progressed = note_progress(*source);
  return outcome;
}

Outcome Sender::write_rtp(std::span<std::uint8_t> buffer, std::size_t size, const RtpPacket& packet,
                          std::uint64_t index) {
  const PacketPosition position{buffer.first(12), packet.ssrc, index};
  const std::size_t plain = encrypts_rtp() ? packet.header : size;
  const std::span<std::uint8_t> body = buffer.subspan(plain, size - plain);
  const std::span<const std::uint8_t> mki = std::span(parameters_.mki).first(parameters_.mki_size);
  if (suite_->cipher == CipherKind::kGcm) {
    if (!rtp_.seal(position, buffer.first(plain), {}, body,
                   buffer.subspan(size).first<kGcmTagSize>()))
      return {Status::kFailed, size};
    std::ranges::copy(mki, buffer.begin() + static_cast<std::ptrdiff_t>(size + kGcmTagSize));
    return {Status::kDone, size + kGcmTagSize + mki.size()};
  }
  if (!body.empty() && !rtp_.crypt(position, body))
    return {Status::kFailed, size};
  std::ranges::copy(mki, buffer.begin() + static_cast<std::ptrdiff_t>(size));
  if (!authenticates_rtp())
    return {Status::kDone, size + mki.size()};
  std::array<std::uint8_t, 4> rollover{};
  write_number(rollover, static_cast<std::uint32_t>(index >> 16));
  Sha1Digest digest;
  if (!rtp_.authenticate(buffer.first(size), rollover, digest))
    return {Status::kFailed, size};
  const std::size_t tag = suite_->rtp_tag_size;
  std::copy_n(digest.begin(), tag, buffer.begin() + static_cast<std::ptrdiff_t>(size + mki.size()));
  return {Status::kDone, size + mki.size() + tag};
}

Outcome Sender::protect_rtcp(std::span<std::uint8_t> buffer, std::size_t size) {
  if (size > buffer.size() || size < kRtcpHeader || buffer[0] >> 6 != 2)
    return {Status::kMalformed, size};
  const std::size_t tag = suite_->rtcp_tag_size;
  if (buffer.size() - size < kIndexSize + tag + parameters_.mki_size)
    return {Status::kNoRoom, size};
  const std::uint32_t ssrc = read_u32(buffer, 4);
  Source* source = table_.find(ssrc);
  if (source == nullptr && (source = table_.add(ssrc)) == nullptr)
    return {Status::kTooManySources, size};
  const std::uint64_t index = source->rtcp.started() ? source->rtcp.newest() + 1 : first_rtcp_;
  if (index > kMaxRtcpIndex)
    return {Status::kKeyUsedUp, size};
  source->rtcp.mark(index);
  Outcome outcome = write_rtcp(buffer, size, ssrc, static_cast<std::uint32_t>(index));
  outcome.progressed = note_progress(*source);
  return outcome;
}

Outcome Sender::write_rtcp(std::span<std::uint8_t> buffer, std::size_t size, std::uint32_t ssrc,
                           std::uint32_t index) {
  const PacketPosition position{buffer.first(kRtcpHeader), ssrc, index};
  const bool encrypted = encrypts_rtcp();
  const std::size_t plain = encrypted ? kRtcpHeader : size;
  const std::span<std::uint8_t> body = buffer.subspan(plain, size - plain);
  std::array<std::uint8_t, kIndexSize> word{};
  write_number(word, index | (encrypted ? kEncrypted : 0));
  const std::span<const std::uint8_t> mki = std::span(parameters_.mki).first(parameters_.mki_size);
  std::size_t at = size;
  const auto append = [&buffer, &at](std::span<const std::uint8_t> bytes) {
    std::ranges::copy(bytes, buffer.begin() + static_cast<std::ptrdiff_t>(at));
    at += bytes.size();
  };
  if (suite_->cipher == CipherKind::kGcm) {
    if (!rtcp_.seal(position, buffer.first(plain), word, body,
                    buffer.subspan(size).first<kGcmTagSize>()))
      return {Status::kFailed, size};
    at += kGcmTagSize;
    append(word);
    append(mki);
    return {Status::kDone, at};
  }
  if (!body.empty() && !rtcp_.crypt(position, body))
    return {Status::kFailed, size};
  append(word);
  Sha1Digest digest;
  if (!rtcp_.authenticate(buffer.first(at), {}, digest))
    return {Status::kFailed, size};
  append(mki);
  append(std::span(digest).first(suite_->rtcp_tag_size));
  return {Status::kDone, at};
}

} // namespace rtprelay::srtp
