// What the addon keeps once for each environment.
#pragma once

#include "../core/held_packets.h"
#include "../core/socket_store.h"

namespace rtprelay::api {

struct AddonState {
  SocketStore sockets;
  HeldPacketsOptions held_packets;
};

} // namespace rtprelay::api
