// When each packet was sent and when it arrived, and what the first stream's receiver heard.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace loadgen {

/// One stream; indexed by the number of the packet, microseconds since the start of the run.
struct StreamTrace {
  std::vector<std::int32_t> sent;
  /// -1: did not arrive.
  std::vector<std::int32_t> arrived;
};

/// Little-endian int32 each: number of streams; then for each stream the number of its packets, and
/// for each packet when it was sent and when it arrived. false when the file cannot be written.
bool write_trace(const std::string& file, const std::vector<const StreamTrace*>& streams);

/// The first stream's payload: sent again and again from a file, and put together by its receiver.
class Audio {
public:
  /// false: no such file, or it is shorter than a packet.
  bool load(const std::string& file, std::size_t payload);
  [[nodiscard]] bool active() const { return !source_.empty(); }
  /// Payload of the packet with that number.
  void fill(std::uint64_t number, std::uint8_t* payload) const;
  void heard(std::uint64_t number, const std::uint8_t* payload);
  /// The first `packets` packets, A-law silence for those that did not come.
  [[nodiscard]] bool save(const std::string& file, std::uint64_t packets);

private:
  std::size_t payload_ = 0;
  std::vector<std::uint8_t> source_;
  std::vector<std::uint8_t> heard_;
};

} // namespace loadgen
