#include "service_manager.h"

#include <algorithm>
#include <cerrno>

#include "addon_state.h"

namespace rtprelay::api {

namespace {

SocketStore& store_of(Napi::Env env) { return env.GetInstanceData<AddonState>()->sockets; }

Napi::Value refuse(Napi::Env env, const char* signature) {
  Napi::TypeError::New(env, signature).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value inherit(const Napi::CallbackInfo& info) {
  if (info.Length() < 2 || !info[0].IsNumber() || !info[1].IsNumber())
    return refuse(info.Env(), "inherit(first: number, count: number)");
  const int first = info[0].As<Napi::Number>().Int32Value();
  const std::uint32_t count = info[1].As<Napi::Number>().Uint32Value();
  const std::size_t kept = store_of(info.Env()).inherit(first, count);
  return Napi::Number::New(info.Env(), static_cast<double>(kept));
}

Napi::Value inherit_early(const Napi::CallbackInfo& info) {
  if (info.Length() < 2 || !info[0].IsNumber() || !info[1].IsNumber())
    return refuse(info.Env(), "inheritEarly(first: number, count: number)");
  const int first = info[0].As<Napi::Number>().Int32Value();
  const std::uint32_t count = info[1].As<Napi::Number>().Uint32Value();
  // An early relay has begun with them.
  const auto& early = info.Env().GetInstanceData<AddonState>()->early;
  const std::size_t taken =
      early != nullptr ? early->sockets() : store_of(info.Env()).inherit_early(first, count);
  return Napi::Number::New(info.Env(), static_cast<double>(taken));
}

Napi::Value record_ports(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsString())
    return refuse(info.Env(), "recordPorts(path: string)");
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  return Napi::Boolean::New(info.Env(), store_of(info.Env()).record_in(path.c_str()));
}

Napi::Value open(const Napi::CallbackInfo& info) {
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsBoolean())
    return refuse(info.Env(), "open(path: string, keepNew: boolean)");
  SocketStore& store = store_of(info.Env());
  store.keep_new(info[1].As<Napi::Boolean>().Value());
  return Napi::Boolean::New(info.Env(), store.open_channel(info[0].As<Napi::String>().Utf8Value()));
}

Napi::Value notify(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsString())
    return refuse(info.Env(), "notify(text: string)");
  const bool told = store_of(info.Env()).notify(info[0].As<Napi::String>().Utf8Value());
  return Napi::Boolean::New(info.Env(), told);
}

// openEarly(hosts, ports, freeBind)
Napi::Value open_early(const Napi::CallbackInfo& info) {
  if (info.Length() < 3 || !info[0].IsArray() || !info[1].IsArray() || !info[2].IsBoolean())
    return refuse(info.Env(), "openEarly(hosts: string[], ports: number[], freeBind: boolean)");
  const auto hosts = info[0].As<Napi::Array>();
  const auto ports = info[1].As<Napi::Array>();
  const FreeBind free_bind = info[2].As<Napi::Boolean>().Value() ? FreeBind::kYes : FreeBind::kNo;
  for (std::uint32_t i = 0; i < std::min(hosts.Length(), ports.Length()); ++i) {
    SocketAddress local;
    const std::uint32_t port = Napi::Value(ports[i]).ToNumber().Uint32Value();
    if (port > 0 && port <= 65'535 &&
        parse_address(Napi::Value(hosts[i]).ToString().Utf8Value(),
                      static_cast<std::uint16_t>(port), local))
      store_of(info.Env()).open_early(local, free_bind);
  }
  return info.Env().Undefined();
}

// listen(host, port): the descriptor, which is the caller's to close; a negative errno.
Napi::Value listen_at(const Napi::CallbackInfo& info) {
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsNumber())
    return refuse(info.Env(), "listen(host: string, port: number)");
  SocketAddress local;
  int error = EINVAL;
  FileDescriptor fd;
  const std::uint32_t port = info[1].As<Napi::Number>().Uint32Value();
  if (port <= 65'535 && parse_address(info[0].As<Napi::String>().Utf8Value(),
                                      static_cast<std::uint16_t>(port), local))
    fd = store_of(info.Env()).listen(local, error);
  return Napi::Number::New(info.Env(), fd.valid() ? fd.release() : -error);
}

// listenUnix(path): as `listen`; 0: listeners are not kept here.
Napi::Value listen_unix(const Napi::CallbackInfo& info) {
  int error = EINVAL;
  FileDescriptor fd;
  if (info.Length() > 0 && info[0].IsString())
    fd = store_of(info.Env()).listen(info[0].As<Napi::String>().Utf8Value(), error);
  return Napi::Number::New(info.Env(), fd.valid() ? fd.release() : -error);
}

Napi::Value release_rest(const Napi::CallbackInfo& info) {
  const std::size_t count = store_of(info.Env()).release_rest();
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

} // namespace

Napi::Object service_manager(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("inherit", Napi::Function::New(env, inherit));
  object.Set("inheritEarly", Napi::Function::New(env, inherit_early));
  object.Set("recordPorts", Napi::Function::New(env, record_ports));
  object.Set("open", Napi::Function::New(env, open));
  object.Set("notify", Napi::Function::New(env, notify));
  object.Set("openEarly", Napi::Function::New(env, open_early));
  object.Set("listen", Napi::Function::New(env, listen_at));
  object.Set("listenUnix", Napi::Function::New(env, listen_unix));
  object.Set("releaseRest", Napi::Function::New(env, release_rest));
  return object;
}

} // namespace rtprelay::api
