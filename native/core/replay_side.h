// What a worker has to do with the replay at takeover: it tells what it has sent, and relays what
// was heard in another node's place.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "counter.h"
#include "held_packets.h"
#include "mailbox.h"
#include "packet_io.h"
#include "port_table.h"
#include "sent_packets.h"
#include "slot.h"
#include "spsc_ring.h"

namespace rtprelay {

/// Packets to be relayed as if they had just come. Their ports are found by the worker.
struct ReplayBatch : MailboxLink {
  std::vector<LeftPacket> packets;
};

/// Packets of a worker within one heartbeat, at a million a second.
constexpr std::size_t kSentRing = 4096;

class ReplaySide {
public:
  ~ReplaySide();

  // Thread: worker.
  /// Has it counted what of each packet is sent.
  void begin(std::span<InPacket> packets);
  /// Of a packet that could not be sent.
  void note_failure(const std::atomic<std::uint32_t>* begun);
  /// All of them were relayed, and what was made of them is sent.
  void end(std::span<const InPacket> packets);
  ReplayBatch* take_batches() { return batches_.take_all(); }
  [[nodiscard]] bool has_batches() const { return !batches_.empty(); }
  void give_back(ReplayBatch& batch) { done_.push(&batch); }
  /// What came by `ReplayBatch` is being relayed.
  bool replaying = false;
  PortTable ports;
  /// Packets that were not relayed because their SRTP would have to be made a second time.
  Counter secret;

  // Thread: one other.
  bool take_sent(SentPacket& out) { return sent_.pop(out); }
  /// true: the worker has to be woken.
  bool post(std::unique_ptr<ReplayBatch> batch) { return batches_.push(batch.release()); }
  /// Frees what the worker has done.
  void free_done();

  // Thread: any.
  /// What was sent and not told, because nobody took it.
  [[nodiscard]] std::uint64_t untold() const { return untold_.get(); }

private:
  SpscRing<SentPacket, kSentRing> sent_;
  Mailbox<ReplayBatch> batches_;
  Mailbox<ReplayBatch> done_;
  Counter untold_;
  /// As `InPacket::begun`, for those that have none.
  std::array<std::atomic<std::uint32_t>, kBatchSize> begun_{};
  std::array<const std::atomic<std::uint32_t>*, kBatchSize> failed_{};
  std::size_t failures_ = 0;
};

} // namespace rtprelay
