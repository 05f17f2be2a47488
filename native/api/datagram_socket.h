// A UDP socket for control messages, read and written in batches.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include <napi.h>
#include <sys/socket.h>
#include <uv.h>

#include "../core/address.h"
#include "../core/attention.h"
#include "../core/intake.h"
#include "../core/socket.h"

namespace rtprelay::api {

/// Messages worked on and answered at a time: enough to share the system calls and the waking of
/// the other side, and that code that one command has brought into the caches is there for the
/// next; few enough that the other side works on the first answers while we work on the next
/// requests.
constexpr std::size_t kDatagramBatch = 16;
/// Messages read at a time. All that has come is read before any is worked on, so that a flood does
/// not push proxies' commands out of the socket's buffer.
constexpr std::size_t kReadBatch = 16;
/// Room for each, bytes: the largest UDP message there is.
constexpr std::size_t kDatagramBytes = 65'536;

// Thread: JavaScript thread.
class DatagramSocket : public Napi::ObjectWrap<DatagramSocket> {
public:
  static Napi::Function define(Napi::Env env);
  explicit DatagramSocket(const Napi::CallbackInfo& info);
  ~DatagramSocket() override;

private:
  struct Outgoing {
    SocketAddress destination;
    std::vector<std::uint8_t> bytes;
  };
  struct LoopHandles {
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_idle_t idle;
    /// Handles that libuv has not closed yet.
    int open = 3;
  };

  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value send(const Napi::CallbackInfo& info);
  Napi::Value refused(const Napi::CallbackInfo& info);
  Napi::Value address(const Napi::CallbackInfo& info);
  Napi::Value mark(const Napi::CallbackInfo& info);
  Napi::Value discover_path_mtu(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  bool bind(const SocketAddress& local, int receive_buffer, int tos, bool free_bind, int& error);
  void receive();
  void work();
  void read_all();
  bool hand_over();
  bool is_crowded();
  void attend();
  void look();
  bool looks(Micros now);
  void flush();
  void wait_until_writable(bool wanted);
  void shut_down();
  static void on_poll(uv_poll_t* poll, int status, int events);
  static void on_prepare(uv_prepare_t* prepare);
  static void on_idle(uv_idle_t* idle);
  static void on_cleanup(void* self);

  napi_env environment_;
  FileDescriptor fd_;
  Family family_ = Family::kIpv4;
  LoopHandles* handles_ = nullptr;
  Napi::FunctionReference listener_;
  Napi::FunctionReference error_listener_;
  Napi::Reference<Napi::Buffer<std::uint8_t>> buffer_;
  std::uint8_t* memory_ = nullptr;
  /// Only the pages that messages fill are ever touched.
  std::unique_ptr<std::uint8_t[]> read_memory_;
  Intake intake_;
  /// The next command.
  Attention commands_{150, 250};
  /// What answers wait for, Redis for example; the work on it is in the time.
  Attention answers_{200, 1000};
  /// Of the messages handed over in this turn one was a command.
  bool commanded_ = false;
  /// The loop has turned since something came.
  bool turned_ = false;
  /// How often this thread has lost its processor.
  long preempted_ = 0;
  std::vector<Outgoing> queue_;
  bool blocked_ = false;
};

} // namespace rtprelay::api
