// What the addon keeps once for each environment.
#pragma once

#include <atomic>
#include <functional>

#include "../core/held_packets.h"
#include "../core/socket_store.h"

namespace rtprelay::api {

struct AddonState {
  SocketStore sockets;
  HeldPacketsOptions held_packets;
  /// Packets wait for the JavaScript thread until this is called; empty: for nothing.
  std::function<void()> on_activated;
  /// There is a relay that stands by.
  std::atomic<bool> stands_by = false;
};

} // namespace rtprelay::api
