#include "parked_packets.h"

#include <algorithm>

namespace rtprelay {

bool ParkedPackets::park(const InPacket& packet) {
  if (packet.unreachable != 0 || packet.truncated || packet.bytes.size() > kLongest ||
      size_ == kMost)
    return false;
  // Only while calls are restored: no packet of a call that is known comes this way.
  if (size_ == places_.size())
    places_.push_back(std::make_unique<Place>());
  Place& place = *places_[size_++];
  std::ranges::copy(packet.bytes, place.memory.begin() + kHeadRoom);
  place.size = packet.bytes.size();
  place.local = packet.local;
  place.source = packet.source;
  return true;
}

std::size_t ParkedPackets::take(const PortTable& ports, std::span<InPacket> out) {
  std::size_t count = 0;
  std::size_t kept = 0;
  may_have_ = false;
  for (std::size_t i = 0; i < size_; ++i) {
    Place& place = *places_[i];
    Port* const port = ports.find(place.local);
    if (port == nullptr || count == out.size()) {
      may_have_ |= port != nullptr;
      // What is taken moves behind those that stay, where it lies until it is overwritten.
      std::swap(places_[kept++], places_[i]);
      continue;
    }
    InPacket& packet = out[count++];
    packet = {};
    packet.port = port;
    packet.local = place.local;
    packet.source = place.source;
    packet.bytes = std::span(place.memory).subspan(kHeadRoom, place.size);
  }
  size_ = kept;
  return count;
}

void ParkedPackets::clear() {
  places_.clear();
  size_ = 0;
  may_have_ = false;
}

} // namespace rtprelay
