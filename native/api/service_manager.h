// The service manager's side of the process: notifications and stored sockets.
#pragma once

#include <napi.h>

namespace rtprelay::api {

/// `serviceManager` of the addon: `inherit(first, count)`, `inheritEarly(first, count)`,
/// `open(path, keepNew)`, `notify(text)`, `openEarly(hosts, ports, freeBind)`, `releaseRest()`.
Napi::Object service_manager(Napi::Env env);

} // namespace rtprelay::api
