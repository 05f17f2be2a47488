// Immutable configuration of one call as its worker uses it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "latch.h"
#include "mailbox.h"
#include "plan.h"
#include "socket.h"
#include "stream.h"

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
  /// What it went on from. Thread: control only.
  std::vector<srtp::SourceIndexes> resumed_from;
};

/// An open local port. Kept from snapshot to snapshot while its id and address stay.
struct LocalPort {
  FileDescriptor fd;
  SocketAddress local;
  std::uint32_t id = 0;
  /// Opened by an earlier process: its packets wait until the port's call is known to the worker.
  // Thread: control only.
  bool inherited = false;
  /// Where packets that arrive here belong. Thread: worker only.
  const StreamConfig* stream = nullptr;
};

/// One stream of a snapshot, with everything a packet needs in reach.
struct StreamConfig {
  Stream* state = nullptr;
  const CallSnapshot* call = nullptr;
  LocalPort* egress = nullptr;
  /// null: what comes (goes) is not secured.
  srtp::Receiver* receiver = nullptr;
  srtp::Sender* sender = nullptr;
  std::vector<const StreamConfig*> rtp_sinks;
  std::vector<const StreamConfig*> rtcp_sinks;
  /// null: whatever the payload type, it is forwarded.
  std::unique_ptr<const PayloadRules> payloads;
  LatchPolicy policy;
  SocketAddress endpoint;
  std::uint32_t latch_epoch = 0;
  std::uint32_t clock_rate = 0;
  std::uint16_t flags = 0;
  std::uint8_t component = 1;

  [[nodiscard]] bool has(StreamFlag flag) const { return (flags & flag) != 0; }
};

struct PortBinding {
  LocalPort* port = nullptr;
  const StreamConfig* stream = nullptr;
};

// Thread: built by control, read by the worker, freed by control once the worker returned it.
struct CallSnapshot {
  std::vector<StreamConfig> streams;
  std::vector<PortBinding> ports;
  /// Where RTCP reports of this call are evaluated (on the control thread).
  QualityTable* quality = nullptr;
  /// A stream of the call wants pierce-NAT packets.
  bool pierces = false;
};

/// One order to a worker: exchange a snapshot. Comes back when nothing of the old one is in use.
struct Exchange : MailboxLink {
  std::unique_ptr<CallSnapshot> next;
  std::unique_ptr<CallSnapshot> previous;
  std::vector<std::unique_ptr<LocalPort>> retired_ports;
  std::vector<std::unique_ptr<Stream>> retired_streams;
  std::vector<std::unique_ptr<SrtpSession>> retired_sessions;
  std::unique_ptr<QualityTable> retired_quality;
};

} // namespace rtprelay
