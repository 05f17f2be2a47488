// The two directions of an SRTP transport (RFC 3711, 7714): packets in, packets out; no socket, no
// clock, no exception, no allocation but for the first packets of a new source.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "session_cipher.h"
#include "ssrc_table.h"
#include "suite.h"

namespace rtprelay::srtp {

/// What has been negotiated for one direction.
struct Parameters {
  Suite suite = Suite::kAes128CmSha1_80;
  MasterKey master;
  /// RFC 4568 §6.3. GCM authenticates whatever is said here.
  bool unencrypted_srtp = false;
  bool unencrypted_srtcp = false;
  bool unauthenticated_srtp = false;
  std::uint8_t mki_size = 0;
  std::array<std::uint8_t, kMaxMkiSize> mki{};
};

enum class Status : std::uint8_t {
  kDone,
  /// Not a complete header, or no room for a tag.
  kMalformed,
  /// The buffer is too small for what protecting adds.
  kNoRoom,
  /// The tag or the MKI is wrong.
  kRefused,
  /// The index was used already.
  kRepeated,
  /// The index is too far behind to know.
  kTooOld,
  kTooManySources,
  /// RFC 3711 §9.2: the key has been used for as many packets as it may.
  kKeyUsedUp,
  /// OpenSSL failed.
  kFailed,
};

struct Outcome {
  Status status = Status::kFailed;
  /// Bytes of the packet as it is now.
  std::size_t size = 0;
  /// The indexes of its source have moved so far that the store should learn of it.
  bool progressed = false;
};

/// A source's indexes are told to the store when it is new and whenever they have moved so far. A
/// restored one finds its rollover counter while less than 32768 packets are missing.
constexpr std::uint64_t kTellRtp = 8192;
constexpr std::uint64_t kTellRtcp = 512;

/// What both directions have in common: keys and sources.
// Thread: one owner.
class Session {
public:
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] std::size_t sources() const { return table_.size(); }
  /// `at` < `sources()`.
  [[nodiscard]] SourceIndexes indexes_at(std::size_t at) const;
  /// false: the source is unknown.
  bool indexes_of(std::uint32_t ssrc, SourceIndexes& out);
  /// From here on the session continues one that has ended, perhaps after what is known of it: a
  /// source's first packet is the oldest that counts. For each source that the store knows.
  /// false: there are too many.
  bool resume(const SourceIndexes& indexes);
  /// The same for those of which nothing is known: their SRTCP begins at `rtcp`.
  void resume(std::uint32_t rtcp) {
    resumed_ = true;
    first_rtcp_ = rtcp & kMaxRtcpIndex;
  }

  /// false: whatever comes counts as sent by who has the key (UNAUTHENTICATED_SRTP).
  [[nodiscard]] bool authenticates_rtp() const;

protected:
  Session() = default;
  bool init(const Parameters& parameters, Purpose purpose);

  struct RtpPacket {
    std::uint32_t ssrc = 0;
    std::uint16_t sequence = 0;
    std::size_t header = 0;
  };
  static bool parse_rtp(std::span<const std::uint8_t> packet, RtpPacket& out);
  [[nodiscard]] bool encrypts_rtp() const;
  [[nodiscard]] bool encrypts_rtcp() const;
  bool note_progress(Source& source);
  [[nodiscard]] static SourceIndexes indexes_of(std::uint32_t ssrc, const Source& source);

  Parameters parameters_;
  const SuiteTraits* suite_ = nullptr;
  SessionCipher rtp_;
  SessionCipher rtcp_;
  SsrcTable table_;
  bool resumed_ = false;
  std::uint64_t first_rtcp_ = 0;
};

/// Makes SRTP of RTP. Never uses an index twice, whatever it is given: a packet whose index was
/// used is refused, and a source that starts its sequence numbers anew goes on with higher ones.
// Thread: one owner.
class Sender : public Session {
public:
  /// nullptr: no memory, or OpenSSL refused.
  static std::unique_ptr<Sender> create(const Parameters& parameters);
  /// `buffer` begins with a packet of `size` bytes; what remains is room to grow.
  Outcome protect_rtp(std::span<std::uint8_t> buffer, std::size_t size);
  Outcome protect_rtcp(std::span<std::uint8_t> buffer, std::size_t size);

private:
  Sender() = default;
  Status take_index(std::uint32_t ssrc, std::uint16_t& sequence, Source*& source,
                    std::uint64_t& index);
  Outcome write_rtp(std::span<std::uint8_t> buffer, std::size_t size, const RtpPacket& packet,
                    std::uint64_t index);
  Outcome write_rtcp(std::span<std::uint8_t> buffer, std::size_t size, std::uint32_t ssrc,
                     std::uint32_t index);
};

/// Makes RTP of SRTP: what is refused is left as it came.
// Thread: one owner.
class Receiver : public Session {
public:
  /// nullptr: no memory, or OpenSSL refused.
  static std::unique_ptr<Receiver> create(const Parameters& parameters);
  Outcome unprotect_rtp(std::span<std::uint8_t> packet);
  Outcome unprotect_rtcp(std::span<std::uint8_t> packet);

private:
  Receiver() = default;
  bool read_rtp(std::span<std::uint8_t> packet, const RtpPacket& parsed, std::size_t body,
                std::uint64_t index);
  bool read_rtcp(std::span<std::uint8_t> packet, std::size_t body, std::uint32_t word);
  [[nodiscard]] bool has_mki(std::span<const std::uint8_t> at) const;
};

} // namespace rtprelay::srtp
