// What a route changes in the headers of RTP and RTCP on their way to its recipient. Pure: packet
// in, packet out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace rtprelay {

/// RFC 8285 §4.3: one octet of length would allow more, no mid has more (RFC 9143 §15.1).
constexpr std::size_t kMaxMidSize = 32;
/// Header extension elements of one packet that are looked at; what comes after them is left out.
constexpr std::size_t kMaxExtensionElements = 32;

/// What becomes of header extension elements (RFC 8285).
struct ExtensionRules {
  /// By the id that comes: the id that goes, 0: it is taken out.
  std::array<std::uint8_t, 256> ids{};
  /// An extension that is not of RFC 8285 goes on.
  bool keeps_unknown = true;
  /// 0: none. Else each packet says this mid with this id (RFC 9143 §15), whatever it said before.
  std::uint8_t mid_id = 0;
  std::uint8_t mid_size = 0;
  std::array<std::uint8_t, kMaxMidSize> mid{};

  [[nodiscard]] std::span<const std::uint8_t> mid_value() const {
    return std::span(mid).first(mid_size);
  }
  bool operator==(const ExtensionRules&) const = default;
};

struct SsrcPair {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  bool operator==(const SsrcPair&) const = default;
};

/// Sorted by `from`; what it does not name stays as it is.
using SsrcMap = std::vector<SsrcPair>;

struct Rewrite {
  Rewrite();
  bool operator==(const Rewrite&) const = default;

  /// By the payload type that comes.
  std::array<std::uint8_t, 128> payload_types;
  /// The sender's own.
  SsrcMap ssrcs;
  /// Added modulo 2^16 and 2^32.
  std::uint16_t sequence_offset = 0;
  std::uint32_t timestamp_offset = 0;
  std::optional<ExtensionRules> extensions;
  /// RTCP: what it says about others, which reach its sender by a route with a rewrite of its own,
  /// is translated back to how they know themselves.
  SsrcMap about;
  /// What that route adds; taken off again.
  std::uint16_t about_sequence_offset = 0;
};

/// Writes an RTP packet as `rewrite` wants it into `out`, which may not overlap it. Returns its
/// size; 0: the packet is malformed, or does not fit.
std::size_t rewrite_rtp(const Rewrite& rewrite, std::span<const std::uint8_t> packet,
                        std::span<std::uint8_t> out);

/// The same for a compound RTCP packet (or one of reduced size, RFC 5506): SR, RR, SDES, BYE, APP
/// (RFC 3550 §6), feedback (RFC 4585, 5104, REMB), XR (RFC 3611). What is malformed is left out
/// with all that follows.
std::size_t rewrite_rtcp(const Rewrite& rewrite, std::span<const std::uint8_t> packet,
                         std::span<std::uint8_t> out);

/// One element of a header extension.
struct ExtensionElement {
  std::uint8_t id = 0;
  std::span<const std::uint8_t> data;
};

struct ExtensionElements {
  std::array<ExtensionElement, kMaxExtensionElements> list;
  std::size_t size = 0;
  bool two_byte = false;

  /// false: there is no more room.
  bool add(std::uint8_t id, std::span<const std::uint8_t> data);
};

/// Reads the elements of an RTP packet's header extension; false: it has none of RFC 8285. What is
/// malformed ends it.
bool read_extensions(std::span<const std::uint8_t> packet, ExtensionElements& out);

} // namespace rtprelay
