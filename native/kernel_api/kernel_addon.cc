// Kernel forwarding as an addon of its own: it is linked against libbpf, which a machine that
// relays in userspace only need not have.
#include <memory>
#include <string>
#include <vector>

#include <napi.h>

#include "../kernel/kernel_forwarder.h"
#include "steering_object.h"

namespace rtprelay::kernel {

namespace {

/// Numbers of one flow, in the order of `countersAt` in src/kernel-forward/bpf-forwarder.ts.
constexpr std::size_t kCounters = 8;

Napi::Value outcome(Napi::Env env, const Status& status) {
  if (status.ok())
    return env.Null();
  return Napi::String::New(env, status.message.empty() ? "error" : status.message);
}

Napi::Array strings(Napi::Env env, const std::vector<std::string>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (std::uint32_t i = 0; i < values.size(); ++i)
    array[i] = Napi::String::New(env, values[i]);
  return array;
}

/// `{ address, port }`, or kNone for null and what is no address.
SocketAddress endpoint(const Napi::Value& value) {
  SocketAddress out;
  if (!value.IsObject())
    return out;
  const auto object = value.As<Napi::Object>();
  const std::string host = object.Get("address").ToString().Utf8Value();
  const std::uint32_t port = object.Get("port").ToNumber().Uint32Value();
  if (port > 65'535 || !parse_address(host, static_cast<std::uint16_t>(port), out))
    return {};
  return out;
}

Napi::Value endpoint_object(Napi::Env env, const SocketAddress& address) {
  if (!address.valid())
    return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("address", Napi::String::New(env, format_host(address)));
  object.Set("port", Napi::Number::New(env, address.port));
  return object;
}

/// All but those of the list; none when it is empty: nothing is looked at.
std::optional<PayloadTypes> payload_types(const Napi::Value& excluded) {
  if (!excluded.IsArray() || excluded.As<Napi::Array>().Length() == 0)
    return std::nullopt;
  const auto list = excluded.As<Napi::Array>();
  PayloadTypes types;
  types.allowed.set();
  for (std::uint32_t i = 0; i < list.Length(); ++i) {
    const std::uint32_t type = list.Get(i).ToNumber().Uint32Value();
    if (type < types.allowed.size())
      types.allowed.reset(type);
  }
  return types;
}

Napi::Array excluded_payload_types(Napi::Env env, const std::optional<PayloadTypes>& types) {
  Napi::Array list = Napi::Array::New(env);
  if (!types)
    return list;
  for (std::uint32_t type = 0; type < types->allowed.size(); ++type)
    if (!types->allowed[type])
      list.Set(list.Length(), Napi::Number::New(env, type));
  return list;
}

FlowSpec flow_of(const Napi::Object& object) {
  FlowSpec flow;
  flow.local = endpoint(object.Get("local"));
  flow.source = endpoint(object.Get("source"));
  flow.destination = endpoint(object.Get("destination"));
  flow.expected = endpoint(object.Get("expected"));
  const Napi::Value rtcp = object.Get("rtcp");
  flow.rtcp_without_reader = true;
  if (object.Get("rtcpOnly").ToBoolean().Value()) {
    flow.rtcp = Rtcp::kForward;
  } else if (rtcp.IsObject()) {
    flow.rtcp = Rtcp::kSecond;
    flow.rtcp_source = endpoint(rtcp.As<Napi::Object>().Get("source"));
    flow.rtcp_destination = endpoint(rtcp.As<Napi::Object>().Get("destination"));
  } else {
    flow.rtcp = Rtcp::kUp;
    flow.rtcp_without_reader = false;
  }
  flow.tos = object.Get("tos").ToNumber().Int32Value();
  flow.opaque = object.Get("opaque").ToBoolean().Value();
  if (flow.rtcp == Rtcp::kForward)
    flow.payload_types = PayloadTypes{}; // none
  else
    flow.payload_types = payload_types(object.Get("excludedPayloadTypes"));
  flow.clock_rate = object.Get("clockRate").ToNumber().Uint32Value();
  return flow;
}

Napi::Object flow_object(Napi::Env env, const FlowSpec& flow) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("local", endpoint_object(env, flow.local));
  object.Set("source", endpoint_object(env, flow.source));
  object.Set("destination", endpoint_object(env, flow.destination));
  object.Set("expected", endpoint_object(env, flow.expected));
  object.Set("tos", Napi::Number::New(env, flow.tos));
  object.Set("opaque", Napi::Boolean::New(env, flow.opaque));
  const bool rtcp_only = flow.rtcp == Rtcp::kForward;
  object.Set("rtcpOnly", Napi::Boolean::New(env, rtcp_only));
  object.Set("excludedPayloadTypes",
             excluded_payload_types(env, rtcp_only ? std::nullopt : flow.payload_types));
  object.Set("rtcp", env.Null());
  if (flow.rtcp == Rtcp::kSecond) {
    Napi::Object rtcp = Napi::Object::New(env);
    rtcp.Set("source", endpoint_object(env, flow.rtcp_source));
    rtcp.Set("destination", endpoint_object(env, flow.rtcp_destination));
    object.Set("rtcp", rtcp);
  }
  object.Set("clockRate", Napi::Number::New(env, flow.clock_rate));
  return object;
}

void write_counters(const std::optional<FlowCounters>& counters, double* out) {
  const FlowCounters none;
  const FlowCounters& c = counters ? *counters : none;
  *out++ = static_cast<double>(c.packets);
  *out++ = static_cast<double>(c.bytes);
  *out++ = static_cast<double>(c.last_packet_ns) / 1000;
  *out++ = c.ssrc ? static_cast<double>(*c.ssrc) : -1;
  *out++ = static_cast<double>(c.dropped);
  *out++ = static_cast<double>(c.passed_up);
  *out++ = static_cast<double>(c.lost);
  *out++ = static_cast<double>(c.jitter);
}

} // namespace

// Thread: JavaScript thread.
class ForwarderObject : public Napi::ObjectWrap<ForwarderObject> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "KernelForwarder",
                       {
                           InstanceMethod<&ForwarderObject::open>("open"),
                           InstanceMethod<&ForwarderObject::notes>("notes"),
                           InstanceMethod<&ForwarderObject::adopted>("adopted"),
                           InstanceMethod<&ForwarderObject::replaces>("replaces"),
                           InstanceMethod<&ForwarderObject::attach>("attach"),
                           InstanceMethod<&ForwarderObject::detach>("detach"),
                           InstanceMethod<&ForwarderObject::set_vlans>("setVlans"),
                           InstanceMethod<&ForwarderObject::routes_changed>("routesChanged"),
                           InstanceMethod<&ForwarderObject::devices>("devices"),
                           InstanceMethod<&ForwarderObject::set_flows>("setFlows"),
                           InstanceMethod<&ForwarderObject::remove_flows>("removeFlows"),
                           InstanceMethod<&ForwarderObject::read>("read"),
                           InstanceMethod<&ForwarderObject::size>("size"),
                           InstanceMethod<&ForwarderObject::flows>("flows"),
                           InstanceMethod<&ForwarderObject::totals>("totals"),
                           InstanceMethod<&ForwarderObject::close>("close"),
                           InstanceMethod<&ForwarderObject::remove>("remove"),
                       });
  }

  explicit ForwarderObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ForwarderObject>(info) {}

private:
  // open(pinDirectory, objectPath, mode, maxFlows): null, or why not.
  Napi::Value open(const Napi::CallbackInfo& info) {
    Options options;
    options.pin_directory = info[0].ToString().Utf8Value();
    options.object_path = info[1].ToString().Utf8Value();
    const std::string mode = info[2].ToString().Utf8Value();
    options.mode = mode == "xdp"           ? Mode::kXdp
                   : mode == "xdp-generic" ? Mode::kXdpGeneric
                                           : Mode::kTc;
    options.max_flows = info[3].ToNumber().Uint32Value();
    return outcome(info.Env(), forwarder_.open(options));
  }

  Napi::Value notes(const Napi::CallbackInfo& info) {
    return strings(info.Env(), forwarder_.notes());
  }

  Napi::Value adopted(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), forwarder_.adopted());
  }

  Napi::Value replaces(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), forwarder_.replaces());
  }

  Napi::Value attach(const Napi::CallbackInfo& info) {
    return outcome(info.Env(), forwarder_.attach(info[0].ToString().Utf8Value()));
  }

  Napi::Value detach(const Napi::CallbackInfo& info) {
    return outcome(info.Env(), forwarder_.detach(info[0].ToString().Utf8Value()));
  }

  // setVlans([{ name, parent, id }])
  Napi::Value set_vlans(const Napi::CallbackInfo& info) {
    const auto array = info[0].As<Napi::Array>();
    std::vector<VlanDevice> vlans;
    for (std::uint32_t i = 0; i < array.Length(); ++i) {
      const auto object = Napi::Value(array[i]).As<Napi::Object>();
      vlans.push_back({object.Get("name").ToString().Utf8Value(),
                       object.Get("parent").ToString().Utf8Value(),
                       static_cast<std::uint16_t>(object.Get("id").ToNumber().Uint32Value())});
    }
    return outcome(info.Env(), forwarder_.set_vlans(vlans));
  }

  Napi::Value routes_changed(const Napi::CallbackInfo& info) {
    return outcome(info.Env(), forwarder_.routes_changed());
  }

  Napi::Value devices(const Napi::CallbackInfo& info) {
    return strings(info.Env(), forwarder_.devices());
  }

  // setFlows(flows): null, or why not all of them are there.
  Napi::Value set_flows(const Napi::CallbackInfo& info) {
    const auto array = info[0].As<Napi::Array>();
    std::vector<FlowSpec> flows;
    for (std::uint32_t i = 0; i < array.Length(); ++i)
      flows.push_back(flow_of(Napi::Value(array[i]).As<Napi::Object>()));
    return outcome(info.Env(), forwarder_.set_flows(flows));
  }

  // removeFlows(locals, numbers): the last numbers of each.
  Napi::Value remove_flows(const Napi::CallbackInfo& info) {
    const std::vector<SocketAddress> locals = locals_of(info[0].As<Napi::Array>());
    std::vector<std::optional<FlowCounters>> last;
    const Status status = forwarder_.remove_flows(locals, &last);
    auto numbers = info[1].As<Napi::Float64Array>();
    last.resize(locals.size());
    for (std::size_t i = 0; i < last.size() && (i + 1) * kCounters <= numbers.ElementLength(); ++i)
      write_counters(last[i], numbers.Data() + i * kCounters);
    return outcome(info.Env(), status);
  }

  // read(locals, numbers)
  Napi::Value read(const Napi::CallbackInfo& info) {
    const std::vector<SocketAddress> locals = locals_of(info[0].As<Napi::Array>());
    auto numbers = info[1].As<Napi::Float64Array>();
    for (std::size_t i = 0; i < locals.size() && (i + 1) * kCounters <= numbers.ElementLength();
         ++i)
      write_counters(forwarder_.counters(locals[i]), numbers.Data() + i * kCounters);
    return info.Env().Undefined();
  }

  Napi::Value size(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(forwarder_.size()));
  }

  // flows(from): { flows, next }, next 0 after the last ones.
  Napi::Value flows(const Napi::CallbackInfo& info) {
    std::size_t next = info[0].ToNumber().Uint32Value();
    const std::vector<FlowSpec> some = forwarder_.flows(next);
    Napi::Array array = Napi::Array::New(info.Env(), some.size());
    for (std::uint32_t i = 0; i < some.size(); ++i)
      array[i] = flow_object(info.Env(), some[i]);
    Napi::Object page = Napi::Object::New(info.Env());
    page.Set("flows", array);
    page.Set("next", Napi::Number::New(info.Env(), static_cast<double>(next)));
    return page;
  }

  // totals(): { reason: packets }
  Napi::Value totals(const Napi::CallbackInfo& info) {
    Napi::Object object = Napi::Object::New(info.Env());
    for (const ReasonCount& count : forwarder_.totals())
      object.Set(count.reason, Napi::Number::New(info.Env(), static_cast<double>(count.packets)));
    return object;
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    forwarder_.close();
    return info.Env().Undefined();
  }

  Napi::Value remove(const Napi::CallbackInfo& info) {
    return outcome(info.Env(), forwarder_.remove());
  }

  static std::vector<SocketAddress> locals_of(const Napi::Array& array) {
    std::vector<SocketAddress> locals;
    for (std::uint32_t i = 0; i < array.Length(); ++i)
      locals.push_back(endpoint(Napi::Value(array[i])));
    return locals;
  }

  KernelForwarder forwarder_;
};

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("KernelForwarder", ForwarderObject::define(env));
  define_steering(env, exports);
  return exports;
}

} // namespace

} // namespace rtprelay::kernel

using rtprelay::kernel::initialise;
NODE_API_MODULE(rtprelay_kernel, initialise)
