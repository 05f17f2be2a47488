// What JavaScript sees of steering.
#pragma once

#include <napi.h>

namespace rtprelay::kernel {

/// `{ Steering, removeLeftSteering, removeAbandonedSteering }`
void define_steering(Napi::Env env, Napi::Object exports);

} // namespace rtprelay::kernel
