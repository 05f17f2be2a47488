// The addon's exports: the relay, control sockets, SRTP of captures, and what Node lacks (output
// that never waits, signals, sd_notify, netlink).
#include <napi.h>

#include "api/addon_state.h"
#include "api/datagram_socket.h"
#include "api/dtls_identity.h"
#include "api/exchange.h"
#include "api/network_watch.h"
#include "api/pair.h"
#include "api/process.h"
#include "api/relay_object.h"
#include "api/service_manager.h"
#include "api/srtp_receiver.h"

namespace {

using rtprelay::api::AddonState;

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  std::unique_ptr<AddonState> begun = rtprelay::api::EarlyRelay::take_state();
  env.SetInstanceData(begun != nullptr ? begun.release() : new AddonState);
  exports.Set("DatagramSocket", rtprelay::api::DatagramSocket::define(env));
  exports.Set("Relay", rtprelay::api::RelayObject::define(env));
  exports.Set("trySchedulingOfThread", Napi::Function::New(env, rtprelay::api::try_scheduling));
  exports.Set("NetworkWatch", rtprelay::api::NetworkWatch::define(env));
  exports.Set("PairMember", rtprelay::api::PairMember::define(env));
  exports.Set("SrtpReceiver", rtprelay::api::SrtpReceiver::define(env));
  exports.Set("exchange", Napi::Function::New(env, rtprelay::api::exchange));
  exports.Set("executeProgram", Napi::Function::New(env, rtprelay::api::execute_program));
  exports.Set("createDtlsIdentity", Napi::Function::New(env, rtprelay::api::create_dtls_identity));
  exports.Set("networkDevices", Napi::Function::New(env, rtprelay::api::network_devices));
  exports.Set("heldAddresses", Napi::Function::New(env, rtprelay::api::held_addresses));
  exports.Set("serviceManager", rtprelay::api::service_manager(env));
  exports.Set("process", rtprelay::api::process_functions(env));
  return exports;
}

} // namespace

NODE_API_MODULE(rtprelay, initialise)
