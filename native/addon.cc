// The addon's exports: the relay, control sockets, and what Node lacks (syslog, sd_notify,
// netlink).
#include <string>

#include <napi.h>
#include <syslog.h>

#include "api/addon_state.h"
#include "api/datagram_socket.h"
#include "api/network_watch.h"
#include "api/relay_object.h"
#include "api/service_manager.h"

namespace {

using rtprelay::api::AddonState;

Napi::Value open_syslog(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsNumber()) {
    Napi::TypeError::New(env, "openSyslog(ident: string, facility: number)")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto* state = env.GetInstanceData<AddonState>();
  state->syslog_ident = info[0].As<Napi::String>().Utf8Value();
  // Facility numbers as in RFC 5424 (0 kern ... 23 local7); the C API has them shifted.
  const int facility = info[1].As<Napi::Number>().Int32Value() << 3;
  openlog(state->syslog_ident.c_str(), LOG_PID | LOG_NDELAY, facility);
  return env.Undefined();
}

Napi::Value write_syslog(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsNumber() || !info[1].IsString()) {
    Napi::TypeError::New(env, "syslog(priority: number, message: string)")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const std::string message = info[1].As<Napi::String>().Utf8Value();
  syslog(info[0].As<Napi::Number>().Int32Value(), "%s", message.c_str());
  return env.Undefined();
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new AddonState);
  // The C library must not keep a pointer into an environment that is gone.
  env.AddCleanupHook([] { closelog(); });
  exports.Set("DatagramSocket", rtprelay::api::DatagramSocket::define(env));
  exports.Set("Relay", rtprelay::api::RelayObject::define(env));
  exports.Set("NetworkWatch", rtprelay::api::NetworkWatch::define(env));
  exports.Set("networkDevices", Napi::Function::New(env, rtprelay::api::network_devices));
  exports.Set("serviceManager", rtprelay::api::service_manager(env));
  exports.Set("openSyslog", Napi::Function::New(env, open_syslog));
  exports.Set("syslog", Napi::Function::New(env, write_syslog));
  return exports;
}

} // namespace

NODE_API_MODULE(rtprelay, initialise)
