// A process of a pair: what its parent sends it, and the journal that it reads or writes.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <napi.h>
#include <uv.h>

#include "../core/held_packets.h"
#include "../core/journal.h"
#include "../core/life.h"
#include "../core/scheduling.h"
#include "../core/socket.h"
#include "../core/socket_store.h"
#include "addon_state.h"

namespace rtprelay::api {

// A thread of its own listens to the parent, and has the JavaScript thread get a processor when
// packets wait for it.
// Thread: JavaScript thread, except where said otherwise.
class PairMember : public Napi::ObjectWrap<PairMember> {
public:
  static Napi::Function define(Napi::Env env);
  explicit PairMember(const Napi::CallbackInfo& info);
  ~PairMember() override;

private:
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value append(const Napi::CallbackInfo& info);
  Napi::Value takes_edits(const Napi::CallbackInfo& info);
  Napi::Value append_edit(const Napi::CallbackInfo& info);
  Napi::Value size(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  /// What the parent has sent.
  struct Letter {
    /// '\0': there is no parent any more.
    char kind = '\0';
    /// Of what an R is about.
    std::string name;
    std::vector<FileDescriptor> fds;
  };

  // Thread: its own.
  void listen();
  /// false: nobody is at the other end any more.
  [[nodiscard]] bool read_letter(Letter& out) const;
  void hurry_javascript();
  // Thread: JavaScript.
  void receive();
  void obey(Letter letter);
  void calm_javascript();
  void take(FileDescriptor fd);
  void tell(const char* what);
  void show_life();
  void shut_down();
  static void on_letters(uv_async_t* async);
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
  AddonState& addon_;
  pid_t javascript_thread_;
  /// What it had before it was made urgent; read behind the letter that says so. Nothing: it was
  /// not.
  std::optional<ThreadScheduling> usual_;
  std::thread listener_thread_;
  std::mutex letters_held_;
  std::deque<Letter> letters_;
  uv_async_t* async_ = nullptr;
  Napi::FunctionReference listener_;
};

/// executeProgram(path, words): the process becomes another program; an errno when it cannot.
Napi::Value execute_program(const Napi::CallbackInfo& info);

} // namespace rtprelay::api
