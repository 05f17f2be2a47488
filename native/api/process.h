// What Node lacks of the process itself: writing without ever waiting, signals, limits.
#pragma once

#include <napi.h>

namespace rtprelay::api {

/// `ignoreSignals`, `openOutput`, `connectOutput`, `writeOutput`, `openFiles`, `setOpenFiles`,
/// `keepAlive`, `releaseMemory`, `boundFreeMemory`, `releaseProgram`.
Napi::Object process_functions(Napi::Env env);

} // namespace rtprelay::api
