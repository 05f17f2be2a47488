// Starting the daemon, and what the parent says to others: the log and the service manager above
// it.
#pragma once

#include <array>
#include <cstddef>
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
  /// What it wants to hear from us that often, ms; 0: nothing.
  [[nodiscard]] int watchdog_ms() const { return watchdog_ms_; }

private:
  static constexpr std::size_t kMaxVariables = 2048;

  char** command_;
  std::array<char*, kMaxVariables> environment_{};
  std::size_t variables_ = 0;
  std::array<char, 128> notify_{};
  std::array<char, 64> store_{};
  std::array<char, 64> watchdog_{};
  std::array<char, 64> role_{};
  sockaddr_un manager_{};
  socklen_t manager_length_ = 0;
  int manager_socket_ = -1;
  int watchdog_ms_ = 0;
};

/// One line on stderr, without ever waiting for its reader; as printf.
[[gnu::format(printf, 1, 2)]] void say(const char* format, ...);

} // namespace rtprelay::pair
