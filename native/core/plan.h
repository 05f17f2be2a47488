// The media plan of one call as the control plane hands it over: one binary buffer.
//
// Layout, little endian, written by src/media/plan-codec.ts (the only other place that knows it):
//   u32 magic "RPL1" | u16 call-id length | call-id bytes | i16 tos | u16 sockets | u16 streams
//             | u16 SRTP sessions | sessions, before sockets and streams
//   session:  u8 purpose (0 protect, 1 unprotect) | u8 suite | u8 flags | u8 n | n bytes of MKI
//             | master key | master salt (their sizes are the suite's)
//             | u8 1: it continues one that has ended | u16 n
//             | n * (u32 SSRC | f64 RTP index, -1: none | f64 RTCP index, -1: none)
//   socket:   u32 id | u32 stream id | address
//   stream:   u32 id | u8 component | u8 learning | u16 flags | u32 latch epoch | u32 clock rate
//             | u32 egress socket (ffffffff: none) | address endpoint | address signalled
//             | u16 session that unprotects | u16 session that protects (ffff: none)
//             | f64 packets | f64 bytes | f64 errors | f64 last packet (µs)
//             | u16 n | n * u32 RTP sinks | u16 n | n * u32 RTCP sinks | payloads
//   payloads: u8 0: every packet is forwarded, nothing follows
//             | u8 1 | u8 action of other types | u8 n | n * (u8 payload type | u8 action)
//   address:  u8 text length (0: none, nothing follows) | text | u16 port
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../srtp/session.h"
#include "address.h"

namespace rtprelay {

constexpr std::uint32_t kPlanMagic = 0x314c5052; // "RPL1"
constexpr std::uint32_t kNoSocket = 0xffffffff;
constexpr std::uint16_t kNoSession = 0xffff;
/// More sockets or streams than any SDP needs; bounds what one plan may make us allocate.
constexpr std::size_t kMaxPlanEntries = 4096;

enum class Learning : std::uint8_t { kOff = 0, kImmediate = 1, kDelayed = 2, kHeuristic = 3 };

/// Bits of StreamSpec::flags.
enum StreamFlag : std::uint16_t {
  kConfirmed = 1,
  kStrictSource = 2,
  kMediaHandover = 4,
  kRtcpMux = 8,
  kTransparent = 16,
  kBlocked = 32,
  kPierceNat = 64,
  kNatWait = 128,
  /// Its side takes part in RTCP feedback (RFC 4585).
  kFeedback = 256,
  /// Nothing is believed, and nothing sent, in the clear: without a session there is no media.
  kSecret = 512,
  kAllStreamFlags = 1023,
};

/// What is done with an RTP packet because of its payload type. Order of `PayloadAction` in
/// src/media/relay.ts, see plan-codec.ts.
enum class PayloadAction : std::uint8_t {
  kForward,
  kDrop,
  kSilencePcma,
  kSilencePcmu,
  kSilenceG722,
};
constexpr std::uint8_t kPayloadActions = 5;

struct PayloadRules {
  /// For packets that are neither RTP nor RTCP, STUN or DTLS; forward or drop.
  PayloadAction otherwise = PayloadAction::kForward;
  /// By payload type (RFC 3550 §5.1).
  std::array<PayloadAction, 128> types{};
};

/// Keys of one direction of SRTP, and what is known of a session that this one continues.
struct SrtpSpec {
  srtp::Purpose purpose = srtp::Purpose::kProtect;
  srtp::Parameters parameters;
  bool resumed = false;
  std::vector<srtp::SourceIndexes> indexes;
  /// The bytes that say all but the indexes: sessions with the same are one.
  std::string identity;
};

struct SocketSpec {
  std::uint32_t id = 0;
  std::uint32_t stream_id = 0;
  SocketAddress local;
};

struct StreamSpec {
  std::uint32_t id = 0;
  std::uint8_t component = 1;
  Learning learning = Learning::kOff;
  std::uint16_t flags = 0;
  std::uint32_t latch_epoch = 0;
  std::uint32_t clock_rate = 0;
  std::uint32_t egress_socket = kNoSocket;
  SocketAddress endpoint;
  SocketAddress signalled;
  /// Positions in the plan's sessions.
  std::uint16_t unprotect = kNoSession;
  std::uint16_t protect = kNoSession;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  std::uint64_t last_packet_micros = 0;
  std::vector<std::uint32_t> rtp_sinks;
  std::vector<std::uint32_t> rtcp_sinks;
  std::optional<PayloadRules> payloads;

  [[nodiscard]] bool has(StreamFlag flag) const { return (flags & flag) != 0; }
};

struct PlanSpec {
  std::string call_id;
  int tos = -1;
  std::vector<SrtpSpec> sessions;
  std::vector<SocketSpec> sockets;
  std::vector<StreamSpec> streams;
};

enum class PlanError : std::uint8_t {
  kNone,
  kTooShort,
  kBadMagic,
  kTooMany,
  kBadAddress,
  kBadValue,
  kDuplicateId,
  kUnknownId,
  kTrailingBytes,
  /// OpenSSL or memory refuses.
  kNoCrypto,
};

/// Decodes and validates: ids unique, every id that is referred to exists, ranges hold.
PlanError decode_plan(std::span<const std::uint8_t> bytes, PlanSpec& out);

/// One sentence for an error message.
const char* describe(PlanError error);

} // namespace rtprelay
