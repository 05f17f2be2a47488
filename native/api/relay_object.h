// The JavaScript-visible relay: converts values, owns the core relay and the way back to JS.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <napi.h>
#include <uv.h>

#include "../core/relay.h"
#include "../core/scheduling.h"
#include "early_relay.h"

namespace rtprelay::api {

// Thread: JavaScript thread, except notify.
class RelayObject : public Napi::ObjectWrap<RelayObject> {
public:
  static Napi::Function define(Napi::Env env);
  explicit RelayObject(const Napi::CallbackInfo& info);
  ~RelayObject() override;

private:
  Napi::Value activate(const Napi::CallbackInfo& info);
  Napi::Value replay_left(const Napi::CallbackInfo& info);
  Napi::Value start_replay(const Napi::CallbackInfo& info);
  Napi::Value replay_status(const Napi::CallbackInfo& info);
  Napi::Value pause(const Napi::CallbackInfo& info);
  Napi::Value paused(const Napi::CallbackInfo& info);
  Napi::Value rebase(const Napi::CallbackInfo& info);
  Napi::Value resume(const Napi::CallbackInfo& info);
  Napi::Value release_resumed(const Napi::CallbackInfo& info);
  Napi::Value reconcile(const Napi::CallbackInfo& info);
  Napi::Value glance(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  Napi::Value statistics(const Napi::CallbackInfo& info);
  Napi::Value keep_ports(const Napi::CallbackInfo& info);
  Napi::Value request_key_frames(const Napi::CallbackInfo& info);
  Napi::Value by_address(const Napi::CallbackInfo& info);
  Napi::Value dial(const Napi::CallbackInfo& info);
  Napi::Value last_packet(const Napi::CallbackInfo& info);
  Napi::Value active_streams(const Napi::CallbackInfo& info);
  Napi::Value totals(const Napi::CallbackInfo& info);
  Napi::Value drops(const Napi::CallbackInfo& info);
  Napi::Value traces(const Napi::CallbackInfo& info);
  Napi::Value on_events(const Napi::CallbackInfo& info);
  Napi::Value on_rtcp(const Napi::CallbackInfo& info);
  Napi::Value bind_ports(const Napi::CallbackInfo& info);
  Napi::Value expect_ports(const Napi::CallbackInfo& info);
  Napi::Value release_left_ports(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  /// Frees the threads; called by JS, by the collector, and before the environment ends, because a
  /// joinable thread at exit aborts the process.
  void shut_down();
  void deliver_events();
  void deliver_rtcp(Napi::Env env);
  bool is_open(Napi::Env env);
  /// The early relay, if it is as this one is to be, or a new one. 0, or an errno.
  int open(std::unique_ptr<EarlyRelay>& early);
  static void on_async(uv_async_t* async);
  static void on_orders_due(uv_timer_t* timer);
  void wake_workers_soon();
  static void on_cleanup(void* self);

  napi_env environment_;
  RelayOptions options_;
  std::unique_ptr<Wake> wake_;
  std::unique_ptr<Relay> relay_;
  /// Of the thread that has called `pause`, until `paused`.
  std::optional<ThreadScheduling> usual_;
  SocketStore* sockets_ = nullptr;
  uv_async_t* async_ = nullptr;
  uv_timer_t* orders_due_ = nullptr;
  Napi::FunctionReference listener_;
  Napi::FunctionReference rtcp_listener_;
  std::vector<TransportEventRecord> events_;
};

/// `trySchedulingOfThread(policy: number, priority?: number): string | null`: why a thread cannot
/// have it.
Napi::Value try_scheduling(const Napi::CallbackInfo& info);

} // namespace rtprelay::api
