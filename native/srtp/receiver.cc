#include <algorithm>
#include <new>

#include "bytes.h"
#include "session.h"

namespace rtprelay::srtp {

namespace {

constexpr std::uint64_t kRollover = 0x10000;

Status refusal(IndexState state) {
  return state == IndexState::kUsed ? Status::kRepeated : Status::kTooOld;
}

} // namespace

std::unique_ptr<Receiver> Receiver::create(const Parameters& parameters) {
  std::unique_ptr<Receiver> receiver(new (std::nothrow) Receiver);
  if (receiver == nullptr || !receiver->init(parameters, Purpose::kUnprotect))
    return nullptr;
  return receiver;
}

bool Receiver::has_mki(std::span<const std::uint8_t> at) const {
  const std::size_t size = parameters_.mki_size;
  return std::equal(at.begin(), at.begin() + static_cast<std::ptrdiff_t>(size),
                    parameters_.mki.begin());
}

Outcome Receiver::unprotect_rtp(std::span<std::uint8_t> packet) {
  RtpPacket parsed;
  const std::size_t tag = authenticates_rtp() ? suite_->rtp_tag_size : 0;
  const std::size_t tail = tag + parameters_.mki_size;
  if (!parse_rtp(packet, parsed) || packet.size() < parsed.header + tail)
    return {Status::kMalformed, packet.size()};
  const std::size_t body = packet.size() - tail;
  const bool is_gcm = suite_->cipher == CipherKind::kGcm;
  if (!has_mki(packet.subspan(is_gcm ? body + tag : body)))
    return {Status::kRefused, packet.size()};
  Source* source = table_.find(parsed.ssrc);
  const bool known = source != nullptr && source->rtp.started();
  std::uint64_t index = parsed.sequence;
  if (known && !guess_index(source->rtp.newest(), parsed.sequence, index))
    return {Status::kTooOld, packet.size()};
  if (authenticates_rtp()) {
    const IndexState state = known ? source->rtp.state_of(index) : IndexState::kNew;
    bool authentic = state == IndexState::kNew && read_rtp(packet, parsed, body, index);
    // A sender that we have missed the first rollover of: a late start, or a restored call.
    if (!authentic && (!known || source->resumed)) {
      index += kRollover;
      authentic = index <= kMaxRtpIndex && read_rtp(packet, parsed, body, index);
    }
    if (!authentic)
      return {state == IndexState::kNew ? Status::kRefused : refusal(state), packet.size()};
  } else if (!read_rtp(packet, parsed, body, index)) {
    return {Status::kFailed, packet.size()};
  }
  if (source == nullptr && (source = table_.add(parsed.ssrc)) == nullptr)
    return {Status::kTooManySources, packet.size()};
  source->resumed = false;
  source->rtp.mark(index);
  return {Status::kDone, body, note_progress(*source)};
}

/// Checks the tag, then decrypts. `body`: where header and payload end.
bool Receiver::read_rtp(std::span<std::uint8_t> packet, const RtpPacket& parsed, std::size_t body,
                        std::uint64_t index) {
  const PacketPosition position{packet.first(12), parsed.ssrc, index};
  const std::size_t plain = encrypts_rtp() ? parsed.header : body;
  const std::span<std::uint8_t> data = packet.subspan(plain, body - plain);
  if (suite_->cipher == CipherKind::kGcm)
    return rtp_.open(position, packet.first(plain), {}, data,
                     packet.subspan(body).first<kGcmTagSize>());
  if (authenticates_rtp()) {
    std::array<std::uint8_t, 4> rollover{};
    write_number(rollover, static_cast<std::uint32_t>(index >> 16));
    Sha1Digest digest;
    if (!rtp_.authenticate(packet.first(body), rollover, digest) ||
        CRYPTO_memcmp(digest.data(), packet.data() + body + parameters_.mki_size,
                      suite_->rtp_tag_size) != 0)
      return false;
  }
  return data.empty() || rtp_.crypt(position, data);
}

Outcome Receiver::unprotect_rtcp(std::span<std::uint8_t> packet) {
  const std::size_t tail = kIndexSize + suite_->rtcp_tag_size + parameters_.mki_size;
  if (packet.size() < kRtcpHeader + tail || packet[0] >> 6 != 2)
    return {Status::kMalformed, packet.size()};
  const std::size_t body = packet.size() - tail;
  const bool is_gcm = suite_->cipher == CipherKind::kGcm;
  // GCM: tag, index, MKI; else: index, MKI, tag.
  const std::size_t word_at = is_gcm ? body + kGcmTagSize : body;
  if (!has_mki(packet.subspan(word_at + kIndexSize)))
    return {Status::kRefused, packet.size()};
  const std::uint32_t word = read_u32(packet, word_at);
  const std::uint32_t ssrc = read_u32(packet, 4);
  const std::uint64_t index = word & ~kEncrypted;
  Source* source = table_.find(ssrc);
  if (source != nullptr) {
    const IndexState state = source->rtcp.state_of(index);
    if (state != IndexState::kNew)
      return {refusal(state), packet.size()};
  }
  if (!read_rtcp(packet, body, word))
    return {Status::kRefused, packet.size()};
  if (source == nullptr && (source = table_.add(ssrc)) == nullptr)
    return {Status::kTooManySources, packet.size()};
  source->rtcp.mark(index);
  return {Status::kDone, body, note_progress(*source)};
}

/// Checks the tag, then decrypts. `word`: E bit and index.
bool Receiver::read_rtcp(std::span<std::uint8_t> packet, std::size_t body, std::uint32_t word) {
  const PacketPosition position{packet.first(kRtcpHeader), read_u32(packet, 4), word & ~kEncrypted};
  const std::size_t plain = (word & kEncrypted) != 0 ? kRtcpHeader : body;
  const std::span<std::uint8_t> data = packet.subspan(plain, body - plain);
  if (suite_->cipher == CipherKind::kGcm)
    return rtcp_.open(position, packet.first(plain), packet.subspan(body + kGcmTagSize, kIndexSize),
                      data, packet.subspan(body).first<kGcmTagSize>());
  Sha1Digest digest;
  if (!rtcp_.authenticate(packet.first(body + kIndexSize), {}, digest) ||
      CRYPTO_memcmp(digest.data(), packet.data() + body + kIndexSize + parameters_.mki_size,
                    suite_->rtcp_tag_size) != 0)
    return false;
  return data.empty() || rtcp_.crypt(position, data);
}

} // namespace rtprelay::srtp
