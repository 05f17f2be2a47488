// A relay that runs before Node does: rtprelay-start (native/start/) has the addon loaded with the
// program, and what a killed daemon has noted is relayed from then on. The JavaScript side takes
// the relay when it opens one like it.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include <uv.h>

#include "../core/relay.h"
#include "../core/relay_record.h"

namespace rtprelay::api {

struct AddonState;

/// The way of the workers to the JavaScript thread, where there is one.
struct Wake {
  std::atomic<uv_async_t*> async = nullptr;

  /// Of a `Wake`.
  static void notify(void* context);
};

/// What of the options holds for the next process as well; false: such a relay cannot be noted.
bool describe(const RelayOptions& options, RelayRecord& out);
/// Has the next process of this addon begin with such a relay, from the plans at `plans`. `pins`:
/// directory of the maps of steered ports, or empty.
void note_relay(const RelayOptions& options, const std::string& plans, const std::string& pins);

class EarlyRelay {
public:
  /// The state that the addon begins with; null: there is no early relay, or it was taken.
  static std::unique_ptr<AddonState> take_state();

  /// The relay, which runs, and its way to `async`; null: it is not what is wanted, and has ended.
  std::unique_ptr<Relay> take(const RelayOptions& wanted, std::unique_ptr<Wake>& wake);
  /// Sockets that it began with.
  [[nodiscard]] std::size_t sockets() const { return sockets_; }

private:
  friend struct EarlyStart;

  void run(AddonState& state);
  [[nodiscard]] bool is_like(const RelayOptions& wanted) const;
  bool open_maps();

  RelayRecord record_;
  std::string ports_;
  int first_socket_ = 0;
  std::size_t socket_count_ = 0;
  std::size_t sockets_ = 0;
  std::array<FileDescriptor, 3> maps_;
  Micros epoch_ = 0;
  std::unique_ptr<Wake> wake_;
  std::unique_ptr<Relay> relay_;
  std::thread thread_;
};

} // namespace rtprelay::api
