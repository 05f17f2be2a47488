// Network devices of the machine, and a call when they or routes change.
#pragma once

#include <napi.h>
#include <uv.h>

#include "../core/netlink.h"

namespace rtprelay::api {

/// networkDevices(): the devices with their addresses, or null when the kernel does not say.
Napi::Value network_devices(const Napi::CallbackInfo& info);

/// heldAddresses(addresses): for each whether this machine has it, or null when the kernel does not
/// say. What is no address is not held.
Napi::Value held_addresses(const Napi::CallbackInfo& info);

// NetworkWatch(onChange(changes), wanted), both bits of NetworkChange; throws where netlink is not
// to be had. Does not keep the process alive. Thread: JavaScript thread.
class NetworkWatch : public Napi::ObjectWrap<NetworkWatch> {
public:
  static Napi::Function define(Napi::Env env);
  explicit NetworkWatch(const Napi::CallbackInfo& info);
  ~NetworkWatch() override;

private:
  Napi::Value close(const Napi::CallbackInfo& info);
  void shut_down();
  static void on_poll(uv_poll_t* poll, int status, int events);
  static void on_cleanup(void* self);

  napi_env environment_;
  FileDescriptor fd_;
  /// Freed when libuv has closed it.
  uv_poll_t* poll_ = nullptr;
  Napi::FunctionReference listener_;
};

} // namespace rtprelay::api
