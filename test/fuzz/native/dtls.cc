// libFuzzer: DTLS sessions of both roles that get what the input makes of records. The keys are
// made once; OpenSSL itself is not what is looked for, our use of it is.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "../../../native/dtls/session.h"

using namespace rtprelay;
using namespace rtprelay::dtls;

namespace {

struct Silent : Outlet {
  void transmit(std::span<const std::uint8_t> packet) override {
    if (packet.empty() || packet.size() > kDefaultMtu)
      std::abort();
  }
  // Nobody can know keys without a handshake.
  void keyed(const SrtpKeys&) override { std::abort(); }
  void status_changed(SessionStatus) override {}
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::shared_ptr<const Identity> identity = Identity::generate({});
  if (size < 1)
    return 0;
  Silent outlet;
  Session session(identity,
                  {data[0] % 2 == 0 ? Role::kPassive : Role::kActive,
                   identity->fingerprint(Hash::kSha256), kDefaultMtu},
                  outlet);
  if (!session.start(0))
    std::abort();
  std::span<const std::uint8_t> rest(data + 1, size - 1);
  Micros now = 0;
  while (rest.size() > 2) {
    const std::size_t length =
        std::min<std::size_t>(static_cast<std::size_t>((rest[0] << 8) | rest[1]), rest.size() - 2);
    if (looks_like_dtls(rest.subspan(2, length)))
      session.on_packet(rest.subspan(2, length), now);
    now += 400'000;
    session.advance(now);
    rest = rest.subspan(2 + length);
  }
  return 0;
}
