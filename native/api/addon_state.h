// What the addon keeps once for each environment.
#pragma once

#include <string>

#include "../core/socket_store.h"

namespace rtprelay::api {

struct AddonState {
  /// openlog keeps the pointer it is given.
  std::string syslog_ident;
  SocketStore sockets;
};

} // namespace rtprelay::api
