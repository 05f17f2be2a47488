// What the addon keeps once for each environment.
#pragma once

#include "../core/socket_store.h"

namespace rtprelay::api {

struct AddonState {
  SocketStore sockets;
};

} // namespace rtprelay::api
