// libFuzzer: what a stranger sends to a port of SRTP is never believed, changes nothing of a
// session that has a sender, and is left as it came; what is protected comes back as it was.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "../../../native/srtp/session.h"

using namespace rtprelay::srtp;

namespace {

/// Packets of a pair before it is made anew: some more than it may have sources.
constexpr std::size_t kLife = kMaxSources + kMaxSources / 4;

struct Ends {
  std::unique_ptr<Sender> sender;
  std::unique_ptr<Receiver> receiver;
  std::size_t left = 0;
};

/// One pair for each suite, with and without MKI.
Ends& ends(std::size_t number) {
  static std::array<Ends, 2 * kSuites> all;
  const std::size_t at = number % all.size();
  Ends& pair = all[at];
  if (pair.left-- == 0) {
    Parameters parameters;
    parameters.suite = static_cast<Suite>(at % kSuites);
    parameters.master.key[0] = 7;
    parameters.mki_size = at < kSuites ? 0 : 4;
    pair = {Sender::create(parameters), Receiver::create(parameters), kLife};
  }
  return pair;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  Ends& pair = ends(data[0]);
  const std::span<const std::uint8_t> rest(data + 1, size - 1);
  std::vector<std::uint8_t> packet(rest.begin(), rest.end());
  if (pair.receiver->unprotect_rtp(packet).status == Status::kDone ||
      pair.receiver->unprotect_rtcp(packet).status == Status::kDone)
    std::abort();
  if (!std::equal(packet.begin(), packet.end(), rest.begin()))
    std::abort();
  packet.resize(rest.size() + kMaxGrowth);
  const Outcome sent = pair.sender->protect_rtp(packet, rest.size());
  if (sent.status != Status::kDone)
    return 0;
  packet.resize(sent.size);
  const Outcome got = pair.receiver->unprotect_rtp(packet);
  // A restarted source has other sequence numbers.
  if (got.status != Status::kDone || !std::equal(rest.begin() + 4, rest.end(), packet.begin() + 4))
    std::abort();
  return 0;
}
