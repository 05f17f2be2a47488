// The phones' side of SRTP, with keys by SDES (RFC 4568).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "../../native/srtp/session.h"

namespace loadgen {

/// What a packet may grow by.
constexpr std::size_t kSrtpRoom = rtprelay::srtp::kMaxGrowth;

/// By its name in a=crypto.
std::optional<rtprelay::srtp::Suite> suite_named(std::string_view name);

/// Both directions of one phone. Without keys all passes as it is.
// Thread: `protect` one, `unprotect` another one.
class SrtpEnd {
public:
  /// Makes the key that it sends with; its line.
  std::string choose(rtprelay::srtp::Suite suite, unsigned tag);
  /// Takes the key of `suite` in a reply: what comes is encrypted with it. Its tag; 0: there is
  /// none.
  unsigned hear(std::string_view reply, rtprelay::srtp::Suite suite);
  [[nodiscard]] bool ready() const { return sender_ != nullptr && receiver_ != nullptr; }
  /// `buffer` begins with a packet of `size` bytes; the size of what is to be sent.
  std::size_t protect(std::span<std::uint8_t> buffer, std::size_t size);
  /// The size of the packet that comes of it; empty: it is not authentic.
  std::optional<std::size_t> unprotect(std::span<std::uint8_t> packet);

private:
  std::unique_ptr<rtprelay::srtp::Sender> sender_;
  std::unique_ptr<rtprelay::srtp::Receiver> receiver_;
};

} // namespace loadgen
