// Starting the daemon, and what the parent says to others: the log and the service manager above
// it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

namespace rtprelay::pair {

class Launcher {
public:
  /// `command` ends with null, as argv does.
  explicit Launcher(char** command) : command_(command) {}

  /// Reads the environment; children are told to notify `socket` (an abstract name), every
  /// `watchdog_ms` at least. false: it is too large.
  bool prepare(std::string_view socket, unsigned capacity, int watchdog_ms);
  /// Starts the daemon with its end of a channel; 0: it cannot be started, errno says why.
  pid_t start(bool active, int channel);
  /// Tells the service manager that has started us, if there is one.
  void tell(std::string_view text) const;

private:
  static constexpr std::size_t kMaxVariables = 2048;
  /// Sockets that are open already are for the first process that is started.
  void give_away_sockets();

  char** command_;
  std::array<char*, kMaxVariables> environment_{};
  std::size_t variables_ = 0;
  std::array<char, 128> notify_{};
  std::array<char, 64> store_{};
  std::array<char, 64> watchdog_{};
  std::array<char, 64> role_{};
  std::array<char, 64> early_{};
  unsigned first_socket_ = 0;
  unsigned sockets_ = 0;
  sockaddr_un manager_{};
  socklen_t manager_length_ = 0;
  int manager_socket_ = -1;
};

/// What the main thread of a process has had of the processors, milliseconds; all 0 if the kernel
/// does not tell.
struct Share {
  std::int64_t ran = 0;
  std::int64_t waited = 0;
  /// It runs, or would if it had one.
  bool wants = false;
};
Share share_of(pid_t pid);

/// One line on stderr, without ever waiting for its reader; as printf.
[[gnu::format(printf, 1, 2)]] void say(const char* format, ...);

} // namespace rtprelay::pair
