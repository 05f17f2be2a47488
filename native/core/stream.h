// What the relay knows of one stream beyond its plan: counters, learned endpoint, last SSRC.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "address.h"
#include "latch.h"
#include "mailbox.h"

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
};
constexpr std::size_t kDropReasons = 13;

/// A number with one writer: no atomic read-modify-write on the packet path.
// Thread: add/set worker only; get any.
class Counter {
public:
  void add(std::uint64_t amount) { set(get() + amount); }
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::uint64_t> value_{0};
};

struct StreamCounters {
  Counter packets;
  Counter bytes;
  Counter errors;
  Counter packets_out;
  Counter bytes_out;
  /// Moment of the last packet that was admitted (RelayOptions::epoch), µs, 0 none.
  Counter last_packet;
  /// SSRC in the low half; bit 32 set once there is one.
  Counter ssrc;
  /// Packets that could not be sent to this stream's endpoint, and the last errno.
  Counter send_failures;
  Counter send_error;
  std::array<Counter, kDropReasons> drops;
};

constexpr std::uint64_t kSsrcKnown = std::uint64_t{1} << 32;

/// The learned endpoint as other threads see it.
struct LatchView {
  SocketAddress endpoint;
  bool confirmed = false;
  std::uint32_t epoch = 0;
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

enum StreamEvent : std::uint32_t {
  kFirstPacket = 1,
  kEndpointLearned = 2,
  kSendFailed = 4,
  /// Something is in the worker's ring of SRTP indexes.
  kSrtpIndex = 8,
};

/// Lives from the reconcile that brings the stream until the worker has dropped it.
struct Stream : MailboxLink {
  Stream(std::string call, std::uint32_t stream_id) : call_id(std::move(call)), id(stream_id) {}

  const std::string call_id;
  const std::uint32_t id;

  // Thread: written by the worker, read by any.
  StreamCounters counters;
  PublishedLatch published;
  /// StreamEvent bits that the control thread has not seen; non-zero while in the event mailbox.
  std::atomic<std::uint32_t> events{0};

  // Thread: control only.
  /// Of `send_failures`: reported already.
  std::uint64_t send_failures_told = 0;

  // Thread: worker only.
  Latch latch;
  std::uint32_t epoch = 0;
  bool installed = false;
  bool received = false;
  /// When a failure to send was last reported; 0 never.
  Micros send_failure_told = 0;
};

} // namespace rtprelay
