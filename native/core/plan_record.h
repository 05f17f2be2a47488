// What a killed daemon relayed, in a file that outlives it: the plans of its plain calls, and which
// endpoints they had learned. The next one relays them again before it knows the calls themselves
// (Relay::resume). Nothing secret is ever in it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "socket.h"
#include "transport.h"

namespace rtprelay {

/// No place in the record.
constexpr std::uint32_t kNotRecorded = 0xffffffff;

/// What packets have taught of one transport.
struct LearnedLatch {
  std::uint32_t transport = 0;
  LatchView latch;
};

// Thread: control only, of one process.
class PlanRecord {
public:
  /// Of which a place consists, bytes, and how many of these a plan may take.
  static constexpr std::size_t kUnit = 1024;
  static constexpr std::uint32_t kMostUnits = 4;
  /// 64 MB.
  static constexpr std::uint32_t kUnits = 65'536;

  using Reader = std::function<void(std::uint32_t place, std::span<const std::uint8_t> plan,
                                    std::span<const LearnedLatch> learned)>;

  /// Opens the file, or makes it; a process that lives has it alone. false: errno says why not.
  bool open(const char* path);
  /// All that is written whole. The reader may take any of it out.
  void read(const Reader& reader);
  /// Writes a plan in the place of an earlier one (or kNotRecorded), with room for what its
  /// transports learn. Returns its place; kNotRecorded: it is too large, or there is no room.
  std::uint32_t write(std::uint32_t place, std::span<const std::uint8_t> plan,
                      std::size_t transports);
  /// Replaces what was learned with the plan that is there.
  void learn(std::uint32_t place, std::span<const LearnedLatch> learned);
  void erase(std::uint32_t place);

private:
  struct Header {
    std::uint64_t form = 0;
    std::uint64_t check = 0;
    std::uint32_t plan = 0;
    std::uint16_t learned = 0;
    std::uint16_t units = 0;
  };
  using Room = std::array<std::uint8_t, kMostUnits * kUnit>;

  static std::uint32_t units_for(std::size_t plan, std::size_t learned);
  /// What is at a place, whole; empty header: nothing is.
  Header load(std::uint32_t place, Room& room) const;
  /// The same of what has been read from there.
  static Header header_of(std::span<const std::uint8_t> room);
  bool store(std::uint32_t place, Header header, Room& room) const;
  std::uint32_t allot(std::uint32_t units);

  FileDescriptor file_;
  /// By place; 0: free, or not the first of a plan.
  std::vector<std::uint8_t> units_;
  /// By how many units they have, less one.
  std::array<std::vector<std::uint32_t>, kMostUnits> free_;
};

} // namespace rtprelay
