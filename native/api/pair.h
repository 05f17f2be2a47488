// A process of a pair: what its parent sends it, and the journal that it reads or writes.
#pragma once

#include <memory>

#include <napi.h>
#include <uv.h>

#include "../core/held_packets.h"
#include "../core/journal.h"
#include "../core/life.h"
#include "../core/socket.h"
#include "../core/socket_store.h"

namespace rtprelay::api {

// Thread: JavaScript thread.
class PairMember : public Napi::ObjectWrap<PairMember> {
public:
  static Napi::Function define(Napi::Env env);
  explicit PairMember(const Napi::CallbackInfo& info);
  ~PairMember() override;

private:
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value append(const Napi::CallbackInfo& info);
  Napi::Value size(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  void receive();
  void take(FileDescriptor fd);
  void tell(const char* what);
  void show_life();
  void shut_down();
  static void on_poll(uv_poll_t* poll, int status, int events);
  static void on_cleanup(void* self);

  napi_env environment_;
  SocketStore& sockets_;
  HeldPacketsOptions& held_packets_;
  Journal journal_;
  JournalRecord record_;
  FileDescriptor channel_;
  /// Of an active process, for the one that stands by.
  std::unique_ptr<Life> life_;
  bool life_kept_ = false;
  uv_poll_t* poll_ = nullptr;
  Napi::FunctionReference listener_;
};

/// executeProgram(path, words): the process becomes another program; an errno when it cannot.
Napi::Value execute_program(const Napi::CallbackInfo& info);

} // namespace rtprelay::api
