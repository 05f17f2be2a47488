// What the relay counts of one stream.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "active_streams.h"
#include "address.h"
#include "counter.h"
#include "digits.h"
#include "loop_check.h"
#include "own_rtcp_state.h"
#include "plan.h"
#include "reception.h"

namespace rtprelay {

/// Order of DropReason in src/media/relay.ts, see plan-codec.ts.
enum class DropReason : std::uint8_t {
  kStrictSource,
  kNoSink,
  kNoEndpoint,
  kBlocked,
  kNatWait,
  kMalformed,
  kTruncated,
  kSendFailed,
  kUnknownProtocol,
  kFeedback,
  kNotAuthentic,
  kRepeated,
  kNoKey,
  kHandshakeFlood,
  kLoop,
  kUnknownStream,
  kStale,
};
constexpr std::size_t kDropReasons = 17;

/// Sources that a stream remembers beside the one that has sent last.
constexpr std::size_t kEarlierSources = 3;

struct StreamCounters {
  Counter packets;
  Counter bytes;
  Counter errors;
  Counter packets_out;
  Counter bytes_out;
  /// Moment of the last packet that was admitted (RelayOptions::epoch), µs, 0 none.
  Counter last_packet;
  /// SSRC and payload type of the last packet, see kSsrcKnown.
  Counter ssrc;
  /// How often it was another one than before, and when it last was (as `last_packet`).
  Counter ssrc_changes;
  Counter ssrc_changed;
  /// Moment of the first packet that was admitted, as `last_packet`.
  Counter first_packet;
  /// Payload bytes of the last RTP packet, 0 where its header is more than the fixed one, above its
  /// payload type in the lowest 7 bits.
  Counter last_rtp;
  /// Payload types that have come, a bit each.
  std::array<Counter, 2> payload_types;
  /// RTP on the port of RTCP.
  Counter stray_rtp;
  /// The same of sources that came before, latest first.
  std::array<Counter, kEarlierSources> earlier;
  std::array<Counter, kDropReasons> drops;
};

struct StreamConfig;

/// What has been counted of all streams of a worker whose packets come to one local address, those
/// that are gone included: reading thousands of streams one by one takes milliseconds.
// Thread: written by the worker, read by any. Nothing lies beside it that other threads write.
struct alignas(64) AddressSums {
  explicit AddressSums(const SocketAddress& local) : address(local) {}

  /// Its port says nothing.
  const SocketAddress address;
  Counter packets;
  Counter bytes;
  Counter errors;
  Counter packets_out;
  Counter bytes_out;
};

/// The same of all drops of a worker.
using DropSums = std::array<Counter, kDropReasons>;

/// Restored counts, to be added to the counters.
struct StreamBase {
  StreamBase() = default;
  explicit StreamBase(const StreamSpec& spec)
      : packets(spec.packets), bytes(spec.bytes), errors(spec.errors),
        last_packet(spec.last_packet_micros) {}

  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  std::uint64_t last_packet = 0;
};

/// Lives from the reconcile that brings the stream until the worker has dropped it.
struct Stream {
  Stream(const StreamSpec& spec) : id(spec.id), base(spec) {}

  const std::uint32_t id;
  /// With its last packet. Thread: worker only.
  ActiveStreams::Slice heard_in = 0;
  /// What was ordered last. Thread: control only.
  const StreamConfig* config = nullptr;

  // Thread: written by the worker, read by any.
  StreamCounters counters;
  /// Where all that is counted together. Thread: written by control before the worker knows the
  /// stream, and when its packets come to another address.
  std::atomic<AddressSums*> sums{nullptr};

  // Made by control when a plan first asks for it, and there as long as the stream; the worker
  // finds it through its snapshot.
  std::unique_ptr<LoopCheck> loop;
  std::unique_ptr<Receptions> receptions;
  std::unique_ptr<OwnRtcp> own_rtcp;

  /// What is dialled in its sender's place; null: nothing was yet. Thread: worker only.
  std::unique_ptr<DigitQueue> dialled;

  /// SSRC and timestamp of the digit that control was told of last. Thread: worker only.
  std::uint64_t last_digit = 0;
  bool digit_told = false;

  // Thread: control only.
  StreamBase base;
};

} // namespace rtprelay
