// What happens in a worker, on its way to the control thread: one ring for all kinds. How a
// transport is by now (its endpoint, ICE, failures) is no event of these: `Transport::changes`
// cannot overflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "../srtp/session_cipher.h"
#include "../srtp/ssrc_table.h"
#include "address.h"
#include "demux.h"
#include "rtcp.h"
#include "spsc_ring.h"

namespace rtprelay {

struct Transport;

/// An RTCP item on its way to the call's quality table.
struct QualitySample {
  QualityTable* table = nullptr;
  RtcpItem item;
  /// Where it came to.
  SocketAddress local;
  std::uint32_t stream_id = 0;
  std::uint32_t clock_rate = 0;
  Micros arrived = 0;
  std::int64_t epoch_seconds = 0;
};

/// How far a source of an SRTP session has come.
struct SrtpProgress {
  Transport* transport = nullptr;
  srtp::Purpose purpose = srtp::Purpose::kProtect;
  /// The session is `TransportConfig::former`, or `former_sender`.
  bool former = false;
  srtp::SourceIndexes indexes;
};

/// Whose an SSRC is, on a transport of several streams.
struct LearnedSsrc {
  Transport* transport = nullptr;
  SsrcStream what;
};

/// A digit that has ended (RFC 4733 §2.3).
struct DigitEnd {
  Transport* transport = nullptr;
  std::uint32_t stream_id = 0;
  std::uint32_t ssrc = 0;
  std::uint8_t event = 0;
  /// dBm0 without its sign.
  std::uint8_t volume = 0;
  /// In units of the RTP clock.
  std::uint16_t duration = 0;
};

using WorkerEvent = std::variant<QualitySample, SrtpProgress, DigitEnd, LearnedSsrc>;

constexpr std::size_t kWorkerEvents = 2048;

/// So many events may wait when one of this kind comes: who floods the relay with reports, digits
/// or sources leaves room for the indexes that a restart needs.
template <typename Event> constexpr std::size_t kRoomFor = kWorkerEvents / 4 * 3;
template <> constexpr std::size_t kRoomFor<QualitySample> = kWorkerEvents / 2;
template <> constexpr std::size_t kRoomFor<SrtpProgress> = kWorkerEvents;

class WorkerEvents {
public:
  /// false: there is no room for it. Thread: worker only.
  template <typename Event> bool push(const Event& event) {
    return ring_.size() < kRoomFor<Event> && ring_.push(event);
  }
  /// false: there is none. Thread: control only.
  bool pop(WorkerEvent& out) { return ring_.pop(out); }
  [[nodiscard]] std::size_t size() const { return ring_.size(); }

private:
  SpscRing<WorkerEvent, kWorkerEvents> ring_;
};

} // namespace rtprelay
