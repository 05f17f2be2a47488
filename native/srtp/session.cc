#include "session.h"

#include "bytes.h"

namespace rtprelay::srtp {

namespace {

constexpr std::size_t kRtpHeader = 12;

} // namespace

bool Session::init(const Parameters& parameters, Purpose purpose) {
  parameters_ = parameters;
  suite_ = &traits_of(parameters.suite);
  SessionKeys keys;
  const bool done = derive_session_keys(*suite_, parameters.master, Protocol::kSrtp, keys) &&
                    rtp_.init(*suite_, keys, Protocol::kSrtp, purpose) &&
                    derive_session_keys(*suite_, parameters.master, Protocol::kSrtcp, keys) &&
                    rtcp_.init(*suite_, keys, Protocol::kSrtcp, purpose);
  // Only the session keys are needed from here on.
  OPENSSL_cleanse(&parameters_.master, sizeof parameters_.master);
  return done;
}

bool Session::parse_rtp(std::span<const std::uint8_t> packet, RtpPacket& out) {
  if (packet.size() < kRtpHeader || packet[0] >> 6 != 2)
    return false;
  out.sequence = read_u16(packet, 2);
  out.ssrc = read_u32(packet, 8);
  out.header = kRtpHeader + std::size_t{4} * (packet[0] & 0x0f);
  if ((packet[0] & 0x10) == 0)
    return out.header <= packet.size();
  if (packet.size() < out.header + 4)
    return false;
  out.header += 4 + std::size_t{4} * read_u16(packet, out.header + 2);
  return out.header <= packet.size();
}

bool Session::encrypts_rtp() const {
  return suite_->cipher != CipherKind::kNull && !parameters_.unencrypted_srtp;
}

bool Session::encrypts_rtcp() const {
  return suite_->cipher != CipherKind::kNull && !parameters_.unencrypted_srtcp;
}

bool Session::authenticates_rtp() const {
  return suite_->cipher == CipherKind::kGcm || !parameters_.unauthenticated_srtp;
}

bool Session::note_progress(Source& source) {
  const std::uint64_t rtp = source.rtp.newest();
  const std::uint64_t rtcp = source.rtcp.newest();
  if (source.told && rtp - source.told_rtp < kTellRtp && rtcp - source.told_rtcp < kTellRtcp)
    return false;
  source.told = true;
  source.told_rtp = rtp;
  source.told_rtcp = rtcp;
  return true;
}

SourceIndexes Session::indexes_of(std::uint32_t ssrc, const Source& source) {
  return {ssrc,
          source.rtp.started(),
          source.rtcp.started(),
          source.rtp.newest(),
          static_cast<std::uint32_t>(source.rtcp.newest()),
          source.offset};
}

SourceIndexes Session::indexes_at(std::size_t at) const {
  return indexes_of(table_.ssrc_at(at), table_.source_at(at));
}

bool Session::indexes_of(std::uint32_t ssrc, SourceIndexes& out) {
  const Source* const source = table_.find(ssrc);
  if (source == nullptr)
    return false;
  out = indexes_of(ssrc, *source);
  return true;
}

bool Session::resume(const SourceIndexes& indexes) {
  resumed_ = true;
  Source* source = table_.find(indexes.ssrc);
  if (source == nullptr)
    source = table_.add(indexes.ssrc);
  if (source == nullptr)
    return false;
  source->resumed = true;
  source->offset = indexes.offset;
  if (indexes.has_rtp)
    source->rtp.start_after(indexes.rtp & kMaxRtpIndex);
  if (indexes.has_rtcp)
    source->rtcp.start_after(indexes.rtcp & kMaxRtcpIndex);
  // Its first packet is told: whoever continues this one must not start from the same place.
  source->told = false;
  return true;
}

} // namespace rtprelay::srtp
