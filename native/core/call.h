// Immutable configuration of one call as its worker uses it: ports lead to a transport, that to its
// stream, that to its routes, and each of those to whatever sending needs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "held_packets.h"
#include "latch.h"
#include "mailbox.h"
#include "plan.h"
#include "port.h"
#include "stream.h"
#include "transport.h"

namespace rtprelay {

struct StreamConfig;
struct CallSnapshot;
class QualityTable;

/// One direction of SRTP of a call. Kept from snapshot to snapshot while its keys stay, so that no
/// index is ever used twice with them.
// Thread: worker only, once it is in a snapshot; made and freed by control.
struct SrtpSession {
  std::unique_ptr<srtp::Sender> sender;
  std::unique_ptr<srtp::Receiver> receiver;
  /// Of a receiver, where something came after it.
  FormerUse former_use;
  /// What it went on from. Thread: control only.
  std::vector<srtp::SourceIndexes> resumed_from;
  /// Where SRTCP of other sources begins. Thread: control only.
  std::uint32_t first_rtcp = 0;
};

/// The streams of a transport that carries several.
struct BundleConfig {
  explicit BundleConfig(const DemuxSpec& spec) : table(spec) {}

  Demultiplexer table;
  /// In the order of the table.
  std::vector<const StreamConfig*> streams;
  DemuxState* state = nullptr;

  /// null: it has no such stream.
  [[nodiscard]] const StreamConfig* find(std::uint32_t id) const;
};

struct TransportConfig {
  Transport* state = nullptr;
  /// null: its packets are passed on, whatever they are.
  std::unique_ptr<const ChecksConfig> checks;
  const Port* egress = nullptr;
  /// null: what comes (goes) is not secured.
  srtp::Receiver* receiver = nullptr;
  srtp::Sender* sender = nullptr;
  /// What came by before `receiver`, and is taken until something has come by that; null: nothing.
  srtp::Receiver* former = nullptr;
  /// What went by before `sender`, and does while packets come by `former`; null: as now.
  srtp::Sender* former_sender = nullptr;
  /// It came and went in the clear before: what comes so from its endpoint is taken, and goes so
  /// while it does.
  bool former_plain = false;
  /// It comes and goes in the clear, but for what is authentic by `former`.
  bool present_plain = false;
  /// There with `former` or `former_plain`.
  FormerUse* former_use = nullptr;
  /// What came by `receiver`, or by `former`, goes to the other side of the call as it came: those
  /// keys are that side's own. There is no sender for it.
  Passing passing = Passing::kNone;
  /// What arrives belongs to it; the first one of a bundle.
  const StreamConfig* stream = nullptr;
  /// null: it has one stream.
  std::unique_ptr<const BundleConfig> bundle;
  LatchPolicy policy;
  SocketAddress endpoint;
  std::uint32_t generation = 0;
  Demux demux = Demux::kComponent;
  std::uint8_t flags = 0;

  [[nodiscard]] bool has(TransportFlag flag) const { return (flags & flag) != 0; }
  /// What comes shows whether its peer goes on as before.
  [[nodiscard]] bool tells_keys() const {
    return former_plain || (former != nullptr && former != receiver);
  }
};

/// One way of a stream's packets, with everything that sending them needs in reach.
struct RouteConfig {
  /// It leaves by this transport, from whose port it goes to whose endpoint, ...
  Transport* to = nullptr;
  /// ... and is counted here.
  Stream* counted = nullptr;
  /// What protects it; null with `secret`: it goes nowhere.
  srtp::Sender* sender = nullptr;
  bool secret = false;
  bool without_feedback = false;
  /// null: nothing in the headers changes. Routes that change the same have the same one.
  const Rewrite* rewrite = nullptr;
  /// What is sent is counted for reports; null: it is not.
  OwnRtcp* reported = nullptr;
  /// Whose table learns what is sent; null: it leads to no bundle.
  DemuxState* bundle = nullptr;

  /// Each packet is sent as it came in, out of the memory that it came in.
  [[nodiscard]] bool unchanged() const {
    return !without_feedback && !secret && rewrite == nullptr;
  }
  /// It makes of each packet what `other` makes.
  [[nodiscard]] bool changes_like(const RouteConfig& other) const {
    return secret == other.secret && sender == other.sender && rewrite == other.rewrite &&
           without_feedback == other.without_feedback;
  }
};

struct StreamConfig {
  Stream* state = nullptr;
  const TransportConfig* transport = nullptr;
  const CallSnapshot* call = nullptr;
  std::span<const RouteConfig> rtp_routes;
  std::span<const RouteConfig> rtcp_routes;
  /// null, each of these: nothing of the kind is wanted.
  LoopCheck* loop = nullptr;
  Receptions* receptions = nullptr;
  std::unique_ptr<const OwnRtcpConfig> own;
  /// RTCP that arrives here is of this stream's senders; null: no reports of ours tell them
  /// anything.
  const StreamConfig* reports_about = nullptr;
  /// null: whatever the payload type, it is forwarded.
  std::unique_ptr<const PayloadRules> payloads;
  PayloadTypes announced = kEveryType;
  std::uint32_t clock_rate = 0;
  StreamKind kind = StreamKind::kRtp;
  bool blocked = false;
  /// What is dropped does not count as received.
  bool uncounted = false;
  /// One of loop, receptions, own is there.
  bool looks = false;
};

inline const StreamConfig* BundleConfig::find(std::uint32_t id) const {
  for (const StreamConfig* stream : streams)
    if (stream->state->id == id)
      return stream;
  return nullptr;
}

struct DigitOrder {
  Stream* stream = nullptr;
  Digit digit;
  /// For a stream that has none.
  std::unique_ptr<DigitQueue> queue;
};

struct PortBinding {
  Port* port = nullptr;
  Transport* transport = nullptr;
};

// Thread: built by control, read by the worker, freed by control once the worker returned it.
struct CallSnapshot {
  std::vector<TransportConfig> transports;
  std::vector<StreamConfig> streams;
  std::vector<RouteConfig> routes;
  std::vector<std::unique_ptr<const Rewrite>> rewrites;
  std::vector<PortBinding> ports;
  /// Where RTCP reports of this call are evaluated (on the control thread).
  QualityTable* quality = nullptr;
};

/// Routes of one kind of a stream. More may come behind those that a worker has a span of, as long
/// as there is room; those do not change.
// Thread: control, and the worker what it has a span of.
struct RouteList {
  std::vector<RouteConfig> routes;
  std::vector<std::shared_ptr<const Rewrite>> rewrites;
};

/// A transport with its one stream, in the place of what a snapshot has of them. It goes when
/// another one takes its place, or with the snapshot.
// Thread: as the snapshot.
struct PartConfig {
  TransportConfig transport;
  StreamConfig stream;
  /// null: the snapshot has them.
  std::shared_ptr<RouteList> rtp_routes;
  std::shared_ptr<RouteList> rtcp_routes;
};

/// One order to a worker: exchange a snapshot, or parts of one. Comes back when nothing of the old
/// one is in use.
struct Exchange : MailboxLink {
  std::unique_ptr<CallSnapshot> next;
  std::unique_ptr<CallSnapshot> previous;
  /// Of the snapshot that stays. Control owns them.
  std::vector<const PartConfig*> parts;
  std::vector<PortBinding> bindings;
  /// Other ones took their places.
  std::vector<std::unique_ptr<PartConfig>> retired_parts;
  std::vector<std::unique_ptr<Port>> retired_ports;
  std::vector<std::unique_ptr<Transport>> retired_transports;
  std::vector<std::unique_ptr<Stream>> retired_streams;
  std::vector<std::unique_ptr<SrtpSession>> retired_sessions;
  std::vector<std::shared_ptr<Association>> retired_associations;
  std::unique_ptr<QualityTable> retired_quality;
  /// Steered ports get sockets of their own.
  bool binds_ports = false;
  /// All calls of an earlier process are known.
  bool ends_waiting = false;
  /// A snapshot that stays: its senders of video are asked for key frames.
  const CallSnapshot* key_frames_of = nullptr;
  std::unique_ptr<DigitOrder> digit;
  /// What another process has left, for ports that the worker knows.
  std::vector<LeftPacket> left;
  /// Where packets lie from now on; without packets: where they lay.
  HeldByWorker held_packets;
};

} // namespace rtprelay
