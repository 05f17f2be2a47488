#include "replay_side.h"

#include <algorithm>

#include "packet.h"

namespace rtprelay {

namespace {

void free_all(ReplayBatch* batch) {
  while (batch != nullptr) {
    const std::unique_ptr<ReplayBatch> owned(batch);
    batch = Mailbox<ReplayBatch>::next(batch);
  }
}

} // namespace

ReplaySide::~ReplaySide() {
  free_all(batches_.take_all());
  free_done();
}

void ReplaySide::free_done() { free_all(done_.take_all()); }

void ReplaySide::begin(std::span<InPacket> packets) {
  failures_ = 0;
  for (std::size_t i = 0; i < packets.size() && i < begun_.size(); ++i) {
    if (packets[i].begun != nullptr)
      continue;
    begun_[i].store(0, std::memory_order_relaxed);
    packets[i].begun = &begun_[i];
  }
}

void ReplaySide::note_failure(const std::atomic<std::uint32_t>* begun) {
  if (begun != nullptr && failures_ < failed_.size())
    failed_[failures_++] = begun;
}

void ReplaySide::end(std::span<const InPacket> packets) {
  for (const InPacket& packet : packets) {
    if (packet.port == nullptr || packet.unreachable != 0 || packet.begun == nullptr ||
        classify(packet.bytes) != PacketKind::kRtp)
      continue;
    const auto failed = std::ranges::count(std::span(failed_).first(failures_), packet.begun);
    // It counts as sent if anybody got it.
    if (packet.begun->load(std::memory_order_relaxed) <= static_cast<std::uint32_t>(failed))
      continue;
    if (!sent_.push({packet.port->local, read_u32(packet.bytes, 8), read_u16(packet.bytes, 2)}))
      untold_.add(1);
  }
}

} // namespace rtprelay
