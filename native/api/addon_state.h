// What the addon keeps once for each environment.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "../core/held_packets.h"
#include "../core/socket_store.h"
#include "early_relay.h"

namespace rtprelay::api {

struct AddonState {
  SocketStore sockets;
  /// null: there is none. Its relay ends before the sockets.
  std::unique_ptr<EarlyRelay> early;
  HeldPacketsOptions held_packets;
  /// Packets wait for the JavaScript thread until this is called; empty: for nothing.
  std::function<void()> on_activated;
  /// There is a relay that stands by.
  std::atomic<bool> stands_by = false;
};

} // namespace rtprelay::api
