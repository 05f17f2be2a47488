#include "steering_object.h"

#include "../kernel/steering.h"

namespace rtprelay::kernel {

namespace {

Napi::Value outcome(Napi::Env env, const Status& status) {
  if (status.ok())
    return env.Null();
  return Napi::String::New(env, status.message.empty() ? "error" : status.message);
}

// Thread: JavaScript thread.
class SteeringObject : public Napi::ObjectWrap<SteeringObject> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Steering",
                       {
                           InstanceMethod<&SteeringObject::open>("open"),
                           InstanceMethod<&SteeringObject::look>("look"),
                           InstanceMethod<&SteeringObject::state>("state"),
                           InstanceMethod<&SteeringObject::check>("check"),
                           InstanceMethod<&SteeringObject::close>("close"),
                           InstanceMethod<&SteeringObject::remove>("remove"),
                       });
  }

  explicit SteeringObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SteeringObject>(info) {}

private:
  // look(pinDirectory): null, or why not.
  Napi::Value look(const Napi::CallbackInfo& info) {
    SteeringOptions options;
    options.pin_directory = info[0].ToString().Utf8Value();
    return outcome(info.Env(), steering_.look(options));
  }

  // open(pinDirectory, objectPath, maxPorts, onlyAdopt): null, or why not.
  Napi::Value open(const Napi::CallbackInfo& info) {
    SteeringOptions options;
    options.pin_directory = info[0].ToString().Utf8Value();
    options.object_path = info[1].ToString().Utf8Value();
    options.max_ports = info[2].ToNumber().Uint32Value();
    options.only_adopt = info[3].ToBoolean();
    return outcome(info.Env(), steering_.open(options));
  }

  // state(): { adopted, note, ports, sockets, blocks }
  Napi::Value state(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Napi::Object object = Napi::Object::New(env);
    object.Set("adopted", Napi::Boolean::New(env, steering_.adopted()));
    object.Set("note", Napi::String::New(env, steering_.note()));
    object.Set("ports", Napi::Number::New(env, steering_.ports()));
    object.Set("sockets", Napi::Number::New(env, steering_.sockets()));
    object.Set("blocks", Napi::Number::New(env, steering_.blocks()));
    return object;
  }

  // check(): true: all is well, false: it had to be attached again, a string: it could not be.
  Napi::Value check(const Napi::CallbackInfo& info) {
    bool mended = false;
    const Status status = steering_.check(mended);
    if (!status.ok())
      return outcome(info.Env(), status);
    return Napi::Boolean::New(info.Env(), !mended);
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    steering_.close();
    return info.Env().Undefined();
  }

  Napi::Value remove(const Napi::CallbackInfo& info) {
    return outcome(info.Env(), steering_.remove());
  }

  Steering steering_;
};

// removeLeftSteering(pinDirectory): null, or why it may go on.
Napi::Value remove_left(const Napi::CallbackInfo& info) {
  return outcome(info.Env(), Steering::remove_left(info[0].ToString().Utf8Value()));
}

// removeAbandonedSteering(pinDirectory): true when there was something.
Napi::Value remove_abandoned(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Steering::remove_abandoned(info[0].ToString().Utf8Value()));
}

} // namespace

void define_steering(Napi::Env env, Napi::Object exports) {
  exports.Set("Steering", SteeringObject::define(env));
  exports.Set("removeLeftSteering", Napi::Function::New(env, remove_left));
  exports.Set("removeAbandonedSteering", Napi::Function::New(env, remove_abandoned));
}

} // namespace rtprelay::kernel
