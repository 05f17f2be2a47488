#include "network_watch.h"

#include <cerrno>
#include <cstring>
#include <string>

namespace rtprelay::api {

namespace {

Napi::Object device_object(Napi::Env env, const NetworkDevice& device) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", Napi::Number::New(env, device.index));
  object.Set("name", Napi::String::New(env, device.name));
  object.Set("kind", Napi::String::New(env, device.kind));
  object.Set("parent", Napi::Number::New(env, device.parent));
  object.Set("vlanId", Napi::Number::New(env, device.vlan_id));
  object.Set("loopback", Napi::Boolean::New(env, device.loopback));
  object.Set("mac", Napi::String::New(env, device.mac));
  Napi::Array addresses = Napi::Array::New(env, device.addresses.size());
  for (std::uint32_t i = 0; i < device.addresses.size(); ++i)
    addresses[i] = Napi::String::New(env, device.addresses[i]);
  object.Set("addresses", addresses);
  return object;
}

} // namespace

Napi::Value network_devices(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::vector<NetworkDevice> devices;
  if (!list_devices(devices))
    return env.Null();
  Napi::Array array = Napi::Array::New(env, devices.size());
  for (std::uint32_t i = 0; i < devices.size(); ++i)
    array[i] = device_object(env, devices[i]);
  return array;
}

Napi::Value held_addresses(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsArray()) {
    Napi::TypeError::New(env, "heldAddresses(addresses: string[])").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto texts = info[0].As<Napi::Array>();
  std::vector<SocketAddress> wanted(texts.Length());
  for (std::uint32_t i = 0; i < texts.Length(); ++i)
    parse_address(texts.Get(i).ToString().Utf8Value(), 0, wanted[i]);
  std::vector<bool> held;
  if (!rtprelay::held_addresses(wanted, held))
    return env.Null();
  Napi::Array result = Napi::Array::New(env, held.size());
  for (std::uint32_t i = 0; i < held.size(); ++i)
    result[i] = Napi::Boolean::New(env, held[i]);
  return result;
}

Napi::Function NetworkWatch::define(Napi::Env env) {
  return DefineClass(env, "NetworkWatch", {InstanceMethod<&NetworkWatch::close>("close")});
}

NetworkWatch::NetworkWatch(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<NetworkWatch>(info), environment_(info.Env()) {
  if (info.Length() < 2 || !info[0].IsFunction() || !info[1].IsNumber()) {
    Napi::TypeError::New(info.Env(), "NetworkWatch(onChange, wanted)").ThrowAsJavaScriptException();
    return;
  }
  fd_ = open_network_events(info[1].As<Napi::Number>().Uint32Value());
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(environment_, &loop);
  auto* poll = new uv_poll_t{};
  if (!fd_.valid() || uv_poll_init(loop, poll, fd_.get()) != 0) {
    const std::string reason = std::strerror(errno);
    delete poll;
    Napi::Error::New(info.Env(), "netlink: " + reason).ThrowAsJavaScriptException();
    return;
  }
  listener_ = Napi::Persistent(info[0].As<Napi::Function>());
  poll_ = poll;
  poll_->data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(poll_));
  uv_poll_start(poll_, UV_READABLE, on_poll);
  napi_add_env_cleanup_hook(environment_, on_cleanup, this);
}

NetworkWatch::~NetworkWatch() { shut_down(); }

void NetworkWatch::on_poll(uv_poll_t* poll, int /*status*/, int /*events*/) {
  auto* self = static_cast<NetworkWatch*>(poll->data);
  if (self == nullptr)
    return;
  const unsigned changes = read_network_events(self->fd_.get());
  if (changes == 0)
    return;
  Napi::Env env(self->environment_);
  Napi::HandleScope scope(env);
  self->listener_.MakeCallback(self->Value(), {Napi::Number::New(env, changes)});
}

Napi::Value NetworkWatch::close(const Napi::CallbackInfo& info) {
  shut_down();
  return info.Env().Undefined();
}

void NetworkWatch::on_cleanup(void* self) { static_cast<NetworkWatch*>(self)->shut_down(); }

void NetworkWatch::shut_down() {
  if (poll_ == nullptr)
    return;
  napi_remove_env_cleanup_hook(environment_, on_cleanup, this);
  poll_->data = nullptr;
  uv_poll_stop(poll_);
  uv_close(reinterpret_cast<uv_handle_t*>(poll_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
  poll_ = nullptr;
  fd_ = FileDescriptor();
}

} // namespace rtprelay::api
