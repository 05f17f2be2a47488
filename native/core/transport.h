// What the relay knows of one transport beyond its plan: whom it follows, and what it has to tell.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "address.h"
#include "checks.h"
#include "demux.h"
#include "latch.h"
#include "mailbox.h"
#include "plan.h"
#include "stream.h"
#include "timer_heap.h"

namespace rtprelay {

/// A peer that was last heard by its former keys so long ago may have the present ones by now, and
/// be silent.
constexpr Micros kFormerKeysMicros = 1'000'000;

/// A peer whose handshake went on so recently sends nothing in the clear.
constexpr Micros kHandshakeMicros = 2'000'000;

/// Whether a peer goes on with the keys of before. Its transports that had the same have one: what
/// comes to one of them counts for all.
// Thread: worker only.
struct FormerUse {
  /// Something has been authentic by what came after them.
  bool rekeyed = false;
  /// It goes on with them, last heard then: so do we.
  bool kept = false;
  Micros heard = 0;

  void go_on(Micros now) {
    kept = true;
    heard = now;
  }
  void end() {
    rekeyed = true;
    kept = false;
  }
};

struct Association;
struct TransportConfig;

/// The learned endpoint as other threads see it.
struct LatchView {
  SocketAddress endpoint;
  bool confirmed = false;
  std::uint32_t generation = 0;
};

/// Sequence lock with one writer. Release stores of the words make a reader that sees a new word
/// see the odd sequence number as well, so no fence is needed.
// Thread: write worker only; read any.
class PublishedLatch {
public:
  void write(const LatchView& view);
  [[nodiscard]] LatchView read() const;

private:
  std::atomic<std::uint32_t> sequence_{0};
  std::array<std::atomic<std::uint64_t>, 4> words_{};
};

/// What a record of an event is about. Bits of `Transport::changes`, but for those that say where
/// else they come from.
enum TransportEvent : std::uint32_t {
  kFirstPacket = 1,
  kEndpointLearned = 2,
  kSendFailed = 4,
  /// `SrtpProgress` in the worker's events.
  kSrtpIndex = 8,
  kIceSelected = 16,
  kIceStatus = 32,
  /// In the events of the thread of handshakes.
  kDtlsStatus = 64,
  /// `DigitEnd` in the worker's events.
  kDigitEnded = 128,
  /// `LearnedSsrc` in the worker's events.
  kSsrcLearned = 256,
  /// What was secured before comes in the clear, as it is to.
  kPlainHeard = 512,
};

/// What ICE has found beyond the endpoint, which is published as a learned one is.
// Thread: written by the worker, read by any; events say when to look.
struct IceView {
  std::atomic<std::uint32_t> port{kNoPort};
  std::atomic<std::uint32_t> priority{0};
  /// ice::AgentStatus.
  std::atomic<std::uint8_t> status{0};
  std::atomic<bool> controlling{false};
};

/// The name of a call, one for all that belongs to it and outlives it in a worker's hands.
using CallId = std::shared_ptr<const std::string>;

/// Lives from the reconcile that brings the transport until the worker has dropped it.
struct Transport : MailboxLink {
  Transport(CallId call, std::uint32_t transport_id) : call_id(std::move(call)), id(transport_id) {}

  const CallId call_id;
  const std::uint32_t id;

  // Thread: written by the worker, read by any.
  PublishedLatch published;
  IceView ice_view;
  /// Packets that could not be sent to this transport's endpoint, and the last errno.
  Counter send_failures;
  Counter send_error;
  /// Moment when the endpoint was last learned or confirmed (as `StreamCounters::last_packet`).
  Counter learned;
  /// The last source whose packets were rejected, and when.
  PublishedLatch stranger;
  Counter stranger_heard;
  /// What ICMP errors said: whom they were about, how many, when, and the last errno.
  PublishedLatch unreachable;
  Counter unreachable_count;
  Counter unreachable_heard;
  Counter unreachable_error;
  /// TransportEvent bits that the control thread has not seen; non-zero while in the worker's
  /// mailbox of changed transports.
  std::atomic<std::uint32_t> changes{0};

  // Thread: control only.
  /// In the transports of the call's snapshot.
  std::uint32_t position = 0;
  /// Of `send_failures`: reported already.
  std::uint64_t send_failures_told = 0;
  /// Of a call whose plan can be changed: its ports.
  std::vector<Port*> ports;

  // Thread: worker only.
  /// Of the snapshot that the worker has.
  const TransportConfig* config = nullptr;
  Latch latch;
  std::uint32_t generation = 0;
  bool installed = false;
  bool received = false;
  /// Whose `FormerUse` the snapshot's transport has; null: nobody's.
  const FormerUse* former = nullptr;
  /// Where it came in the clear before.
  FormerUse plain_use;
  /// When a record of DTLS came last; 0 never.
  Micros dtls_heard = 0;
  /// When a failure to send was last reported; 0 never.
  Micros send_failure_told = 0;
  /// Where packets leave since ICE has chosen; null: where the plan says.
  const Port* egress = nullptr;
  /// Where the plan says; null: nowhere.
  const Port* planned_egress = nullptr;
  /// Nothing is sent before it has received (NAT-wait).
  bool nat_wait = false;
  /// null: the plan has no ICE for it.
  std::unique_ptr<IceEnd> ice;
  /// Its DTLS; null: it ends none.
  Association* association = nullptr;
  Timer pierce{TimerKind::kPierce, *this};
  /// Pierce-NAT packets that were sent with keys.
  std::uint32_t pierced = 0;
  Timer reports{TimerKind::kReports, *this};
  Timer key_frames{TimerKind::kKeyFrames, *this};
  /// Made by control when a plan first has a table for it, and there as long as the transport.
  std::unique_ptr<DemuxState> demux;
};

} // namespace rtprelay
