// The media plan of one call as the control plane hands it over: one binary buffer.
//
// Layout, little endian, written by src/media/plan-codec.ts; test/golden/media-plan.txt holds both
// sides to this table:
//   u32 magic "RPL3" | u16 call-id length | call-id bytes | i16 tos
//             | u16 ports | u16 transports | u16 streams | u16 routes
//             | u16 SRTP sessions | u16 identities
//             | sessions, then identities, before everything else
// A change of a plan without sessions and identities, which the reader still has:
//   u32 magic "RPD4" | u16 call-id length | call-id bytes | i16 tos
//             | u16 n | n * u32 port that is closed | u16 n | n * new port
//             | u16 n | n * (u16 position | transport, of its ports the new ones | stream
//             | u8 1: the routes come to those before, 0: they are all | u16 n | n * route of that
//             stream), new ones behind the others
// Both consist of:
//   session:  u8 purpose (0 protect, 1 unprotect) | u8 suite | u8 flags | u8 n | n bytes of MKI
//             | master key | master salt (their sizes are the suite's)
//             | u8 1: it continues one that has ended | u16 n
//             | n * (u32 SSRC | f64 RTP index, -1: none | f64 RTCP index, -1: none
//             | u16 offset of its sequence numbers)
//   identity: text certificate (PEM) | text private key (PEM)
//   port:      u32 id | u8 mode (0 bound) | address
//   transport: u32 id | u8 learning | u8 demux (0 by component, 1 rtcp-mux, 2 table) | u8 flags
//              | u32 generation | u32 egress port (ffffffff: none)
//              | address endpoint | address signalled
//              | u16 session that unprotects | u16 session that protects (ffff: none)
//              | u16 n | n * u32 ports | sections
//   stream:    u32 id | u32 transport | u8 kind (0 RTP, 1 RTCP, 2 opaque)
//              | u8 flags (1 blocked, 2 counters follow, 4 payload rules follow, 8 loop check,
//              16 measured, 32 sections follow, 64 what is blocked is not counted, 128 announced
//              types follow) | u32 clock rate
//              | counters: f64 packets | f64 bytes | f64 errors | f64 last packet (µs)
//              | payloads: u8 action of other types | u8 n | n * (u8 payload type | u8 action)
//              | announced: 4 * u32, a bit for each payload type from 0 on
//              | sections
//   route:     u32 from stream | u32 to stream | u8 kind (0 RTP, 1 RTCP)
//              | u8 flags (1 without feedback) | sections
//   sections:  u8 n | n * (u8 tag | u16 length | bytes); what is not known is refused. Here come
//              what goes beyond plain relaying: of a transport ICE (tag 1), DTLS (tag 2) and the
//              demultiplexer's table (tag 3) and what it was secured by before (tag 6), of a route
//              its rewrite (tag 4), of a stream RTCP of our own (tag 5).
//   ICE:       u8 flags (1 lite, 2 controlling, 4 the peer's credentials follow, 8 resumed,
//              16 standby, 32 a route follows) | u8 component | u64 tie-breaker | u32 takeovers
//              | credentials of ours | of the peer | resumed: u32 priority
//              | route: u32 port, address | u16 n | n * (address | u32 priority)
//   DTLS:      u8 flags (1 active, 2 established, 4 a fingerprint follows, 8 open)
//              | u32 generation | u16 identity | fingerprint: u8 hash (0 SHA-1, then SHA-224 to
//              SHA-512) | digest
//   former:    u16 session that unprotected, and does until the present one has
//              (0xffff: none)
//              | u16 session that protected, and does while packets come by the former (0xffff:
//              none) | u8 `Passing` | u8 flags (1 it was in the clear, 2 it is now)
//   table:     u8 id of the MID extension (0 none) | u16 n | n * (u32 stream | text mid
//              | u16 n | n * u32 SSRC | u8 n | n * u8 payload type)
//   rewrite:   u8 flags (1 extensions follow, 2 about follows) | u8 n | n * (u8 type | u8 type)
//              | SSRCs | u16 sequence offset | u32 timestamp offset
//              | extensions: u8 1: others are kept | u8 n | n * (u8 id | u8 id, 0: taken out)
//              | u8 id of the mid (0 none) | text mid
//              | about: SSRCs | u16 sequence offset
//   own RTCP:  u32 stream by which it leaves | u32 interval of reports in ms (0: none) | text CNAME
//              | u8 asks for key frames (1 PLI, 2 FIR) | u8 n | n * u8 payload type of video
//   SSRCs:     u16 n | n * (u32 SSRC that comes | u32 SSRC that goes)
//   credentials: text ufrag | text password
//   text:      u16 length | bytes
//   address:   u8 text length (0: none, nothing follows) | text | u16 port
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../dtls/fingerprint.h"
#include "../ice/agent.h"
#include "../srtp/session.h"
#include "address.h"
#include "boxed.h"
#include "rewrite.h"

namespace rtprelay {

constexpr std::uint32_t kPlanMagic = 0x334c5052;       // "RPL3"
constexpr std::uint32_t kPlanChangeMagic = 0x34445052; // "RPD4"
constexpr std::uint32_t kNoPort = 0xffffffff;
constexpr std::uint16_t kNoSession = 0xffff;
/// More ports, transports or streams than any SDP needs; bounds what one plan may make us allocate.
constexpr std::size_t kMaxPlanEntries = 4096;
/// Routes: many hear one another in a conference.
constexpr std::size_t kMaxPlanRoutes = 65535;

enum class Learning : std::uint8_t { kOff = 0, kImmediate = 1, kDelayed = 2, kHeuristic = 3 };

/// Bits of TransportSpec::flags.
enum TransportFlag : std::uint8_t {
  kConfirmed = 1,
  kStrictSource = 2,
  kMediaHandover = 4,
  kPierceNat = 8,
  kNatWait = 16,
  /// Nothing is believed, and nothing sent, in the clear: without a session there is no media.
  kSecret = 32,
  kAllTransportFlags = 63,
};

/// How what arrives on a transport is told apart: `Demux` in src/media/relay.ts.
enum class Demux : std::uint8_t { kComponent = 0, kRtcpMux = 1, kTable = 2 };

/// What of a transport with former keys is sent to the other side of its call as it came,
/// encrypted.
enum class Passing : std::uint8_t { kNone = 0, kPresent = 1, kFormer = 2 };

enum class StreamKind : std::uint8_t { kRtp = 0, kRtcp = 1, kOpaque = 2 };
enum class RouteKind : std::uint8_t { kRtp = 0, kRtcp = 1 };

/// What is done with an RTP packet because of its payload type. Order of `PayloadAction` in
/// src/media/relay.ts, see plan-codec.ts.
enum class PayloadAction : std::uint8_t {
  kForward,
  kDrop,
  kSilencePcma,
  kSilencePcmu,
  kSilenceG722,
  /// Digits (RFC 4733): forwarded or not, control is told of each when it has ended.
  kDigit,
  kDigitDrop,
};
constexpr std::uint8_t kPayloadActions = 7;

/// A bit for each payload type.
using PayloadTypes = std::array<std::uint64_t, 2>;
constexpr PayloadTypes kEveryType = {~std::uint64_t{0}, ~std::uint64_t{0}};

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

/// A certificate with its key, PEM.
struct IdentitySpec {
  std::string certificate;
  std::string key;
  bool operator==(const IdentitySpec&) const = default;
};

/// `IcePlan` of src/media/relay.ts. `settings.paths` is of the transport's ports.
struct IceSpec {
  ice::AgentSettings settings;
  std::vector<ice::RemoteCandidate> candidates;
  bool resumed = false;
  std::uint32_t route_priority = 0;
  std::uint32_t route_port = kNoPort;
  /// Not valid: media went nowhere yet.
  SocketAddress route_endpoint;
};

/// `DtlsPlan` of src/media/relay.ts.
struct DtlsSpec {
  bool active = false;
  /// Its role is not settled: active when the peer does not begin.
  bool open = false;
  bool established = false;
  std::uint32_t generation = 0;
  /// Position in the plan's identities.
  std::uint16_t identity = 0;
  std::optional<dtls::Fingerprint> fingerprint;
};

/// One stream of a transport that carries several.
struct DemuxEntry {
  std::uint32_t stream = 0;
  /// Empty: none.
  std::string mid;
  std::vector<std::uint32_t> ssrcs;
  std::vector<std::uint8_t> payload_types;
};

/// `DemuxTable` of src/media/relay.ts.
struct DemuxSpec {
  /// 0: no MID in packets.
  std::uint8_t mid_extension = 0;
  std::vector<DemuxEntry> entries;
};

/// `OwnRtcpPlan` of src/media/relay.ts.
struct OwnRtcpSpec {
  std::uint32_t by = 0;
  /// 0: no reports.
  std::uint32_t interval_ms = 0;
  std::string cname;
  bool pli = false;
  bool fir = false;
  std::vector<std::uint8_t> video_types;
};

struct PortSpec {
  std::uint32_t id = 0;
  SocketAddress local;
};

struct TransportSpec {
  std::uint32_t id = 0;
  Learning learning = Learning::kOff;
  Demux demux = Demux::kComponent;
  std::uint8_t flags = 0;
  std::uint32_t generation = 0;
  std::uint32_t egress_port = kNoPort;
  SocketAddress endpoint;
  SocketAddress signalled;
  /// Positions in the plan's sessions.
  std::uint16_t unprotect = kNoSession;
  /// What did before; see `TransportConfig::former`.
  std::uint16_t former = kNoSession;
  std::uint16_t former_protect = kNoSession;
  Passing passing = Passing::kNone;
  bool former_plain = false;
  bool present_plain = false;
  std::uint16_t protect = kNoSession;
  std::vector<std::uint32_t> ports;
  Boxed<IceSpec> ice;
  Boxed<DtlsSpec> dtls;
  /// With Demux::kTable.
  Boxed<DemuxSpec> table;

  [[nodiscard]] bool has(TransportFlag flag) const { return (flags & flag) != 0; }
};

struct StreamSpec {
  std::uint32_t id = 0;
  std::uint32_t transport = 0;
  StreamKind kind = StreamKind::kRtp;
  bool blocked = false;
  bool uncounted = false;
  std::uint32_t clock_rate = 0;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  std::uint64_t last_packet_micros = 0;
  Boxed<PayloadRules> payloads;
  /// RTP of other types counts as an error, and goes on.
  PayloadTypes announced = kEveryType;
  bool loop_checked = false;
  bool measured = false;
  Boxed<OwnRtcpSpec> own_rtcp;
};

struct RouteSpec {
  std::uint32_t from_stream = 0;
  std::uint32_t to_stream = 0;
  RouteKind kind = RouteKind::kRtp;
  bool without_feedback = false;
  Boxed<Rewrite> rewrite;
};

struct PlanSpec {
  std::string call_id;
  int tos = -1;
  std::vector<SrtpSpec> sessions;
  std::vector<IdentitySpec> identities;
  std::vector<PortSpec> ports;
  std::vector<TransportSpec> transports;
  std::vector<StreamSpec> streams;
  std::vector<RouteSpec> routes;

  /// Closes the call.
  [[nodiscard]] bool empty() const { return ports.empty() && transports.empty(); }
};

/// A transport with its one stream and that one's routes, new or in the place of what it was.
struct PartSpec {
  /// Among the transports and among the streams of the plan.
  std::size_t position = 0;
  /// `ports`: those that come to the ones before.
  TransportSpec transport;
  StreamSpec stream;
  /// `routes` come to those before.
  bool adds_routes = false;
  std::vector<RouteSpec> routes;
};

/// What a plan has beyond an earlier one of its call, and no longer.
struct PlanChangeSpec {
  std::string call_id;
  int tos = -1;
  /// Ports.
  std::vector<std::uint32_t> closed;
  /// New ones.
  std::vector<PortSpec> ports;
  /// In the order of their positions.
  std::vector<PartSpec> parts;
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
  /// A certificate or private key that is none, or they do not belong together.
  kBadIdentity,
  /// A change, and the plan before is not at hand, or is none that can be changed so.
  kUnknownPlan,
};

/// The call-id of a plan, without a look at the rest; empty: the beginning is not that of a plan.
std::string_view call_id_of(std::span<const std::uint8_t> bytes);

/// Decodes and validates: ids unique, every id that is referred to exists, ranges hold, a port
/// belongs to one transport, a transport has one stream or those of its table.
PlanError decode_plan(std::span<const std::uint8_t> bytes, PlanSpec& out);

[[nodiscard]] bool is_plan_change(std::span<const std::uint8_t> bytes);

/// Whether changes of the plan can be obeyed: nothing in it is secured, each stream has a transport
/// of its own and none depends on another one, and all are in the order of their ids.
[[nodiscard]] bool can_change(const PlanSpec& plan);

/// Decodes a change and validates it as far as it can be without the plan before. kUnknownPlan: it
/// is none of a plan for which `can_change` holds.
PlanError decode_change(std::span<const std::uint8_t> bytes, PlanChangeSpec& out);

/// Whether an agent can go on where its plan says, which depends on the ports of its transport.
PlanError check_ice(const IceSpec& ice, std::span<const std::uint32_t> ports);

/// One sentence for an error message.
const char* describe(PlanError error);

} // namespace rtprelay
