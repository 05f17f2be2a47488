#include "process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../core/program_pages.h"
#include "../core/socket.h"

namespace rtprelay::api {

namespace {

/// What a pipe takes at once when poll(2) says that it can be written to (PIPE_BUF, pipe(7)).
constexpr std::size_t kPipeRoom = 4096;

Napi::Value refuse(Napi::Env env, const char* signature) {
  Napi::TypeError::New(env, signature).ThrowAsJavaScriptException();
  return env.Undefined();
}

/// Signals that end or stop a program by default and mean nothing to this one. Those that are left
/// alone: what Node and the daemon handle (INT, TERM, HUP, USR1, USR2, CHLD), and QUIT, ABRT and
/// SEGV, by which an operator gets a core dump. A fault of the program itself ends it in any case.
constexpr std::array kIgnored{SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF, SIGIO,  SIGXCPU,
                              SIGXFSZ, SIGTSTP, SIGTTIN,   SIGTTOU, SIGPWR, SIGSTKFLT,
                              SIGSYS,  SIGILL,  SIGTRAP,   SIGBUS,  SIGFPE};

Napi::Value ignore_signals(const Napi::CallbackInfo& info) {
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  for (const int signal : kIgnored)
    (void)sigaction(signal, &action, nullptr);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal)
    (void)sigaction(signal, &action, nullptr);
  return info.Env().Undefined();
}

/// openOutput(fd): a descriptor of the same file that never makes the writer wait, where the kind
/// of file needs one; else `fd`. O_NONBLOCK on `fd` itself would concern the programs that share
/// it, e.g. the shell on a terminal.
Napi::Value open_output(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsNumber())
    return refuse(info.Env(), "openOutput(fd: number)");
  const int fd = info[0].As<Napi::Number>().Int32Value();
  struct stat status {};
  if (fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const int own = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own >= 0)
      return Napi::Number::New(info.Env(), own);
  }
  return Napi::Number::New(info.Env(), fd);
}

bool blocks(int fd) { return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; }

/// Bytes taken, 0 when it would have to wait, -errno.
ssize_t write_now(int fd, const char* bytes, std::size_t length) {
  struct stat status {};
  if (fstat(fd, &status) != 0)
    return -errno;
  ssize_t taken = 0;
  if (S_ISSOCK(status.st_mode)) {
    taken = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  } else if (!S_ISREG(status.st_mode) && blocks(fd)) {
    pollfd room{fd, POLLOUT, 0};
    if (poll(&room, 1, 0) == 0)
      return 0;
    taken = write(fd, bytes, std::min(length, kPipeRoom));
  } else {
    taken = write(fd, bytes, length);
  }
  if (taken >= 0)
    return taken;
  const bool busy = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == EINTR;
  return busy ? 0 : -errno;
}

Napi::Value write_output(const Napi::CallbackInfo& info) {
  if (info.Length() < 2 || !info[0].IsNumber() || !info[1].IsBuffer())
    return refuse(info.Env(), "writeOutput(fd: number, bytes: Buffer)");
  const auto bytes = info[1].As<Napi::Buffer<char>>();
  const int fd = info[0].As<Napi::Number>().Int32Value();
  return Napi::Number::New(info.Env(),
                           static_cast<double>(write_now(fd, bytes.Data(), bytes.Length())));
}

/// connectOutput(path): a Unix socket, of datagrams or, where the other side wants that, a stream:
/// [fd, is a stream]; a number: errno.
Napi::Value connect_output(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsString())
    return refuse(env, "connectOutput(path: string)");
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  sockaddr_un address{};
  if (path.size() >= sizeof(address.sun_path))
    return Napi::Number::New(env, ENAMETOOLONG);
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  int error = 0;
  for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
    FileDescriptor fd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd.valid() &&
        connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      Napi::Array result = Napi::Array::New(env, 2);
      result.Set(0U, Napi::Number::New(env, fd.release()));
      result.Set(1U, Napi::Boolean::New(env, type == SOCK_STREAM));
      return result;
    }
    error = errno;
    if (error != EPROTOTYPE)
      break;
  }
  return Napi::Number::New(env, error);
}

/// [soft limit, hard limit]; Infinity: none.
Napi::Value open_files(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  rlimit limit{};
  (void)getrlimit(RLIMIT_NOFILE, &limit);
  const auto number = [env](rlim_t value) {
    return Napi::Number::New(env, value == RLIM_INFINITY ? std::numeric_limits<double>::infinity()
                                                         : static_cast<double>(value));
  };
  Napi::Array result = Napi::Array::New(env, 2);
  result.Set(0U, number(limit.rlim_cur));
  result.Set(1U, number(limit.rlim_max));
  return result;
}

/// setOpenFiles(count): both limits; 0, or errno.
Napi::Value set_open_files(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsNumber())
    return refuse(info.Env(), "setOpenFiles(count: number)");
  const auto count = static_cast<rlim_t>(info[0].As<Napi::Number>().Int64Value());
  rlimit limit{};
  (void)getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = count;
  limit.rlim_max = std::max(limit.rlim_max, count);
  const int error = setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : errno;
  return Napi::Number::New(info.Env(), error);
}

/// keepAlive(fd, idle, interval, probes): TCP keepalives, after and every so many seconds; 0, or
/// errno.
Napi::Value keep_alive(const Napi::CallbackInfo& info) {
  constexpr std::array kOptions{TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};
  for (std::size_t at = 0; at <= kOptions.size(); ++at) {
    if (at >= info.Length() || !info[at].IsNumber())
      return refuse(info.Env(), "keepAlive(fd, idle, interval, probes: number)");
  }
  const int fd = info[0].As<Napi::Number>().Int32Value();
  const int on = 1;
  int error = setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0 ? 0 : errno;
  for (std::size_t at = 0; at < kOptions.size(); ++at) {
    const int value = info[at + 1].As<Napi::Number>().Int32Value();
    if (setsockopt(fd, IPPROTO_TCP, kOptions[at], &value, sizeof(value)) != 0 && error == 0)
      error = errno;
  }
  return Napi::Number::New(info.Env(), error);
}

/// Pages of the heap that nothing lies on go back to the system.
Napi::Value release_memory(const Napi::CallbackInfo& info) {
  (void)malloc_trim(0);
  return info.Env().Undefined();
}

/// How large memory has to be to come from the system alone, and to go back to it at once; and how
/// much may be free at the end of the heap. glibc raises both to what was freed once, by which
/// chunks of 256 KiB come to lie between small ones, and their pages stay: 50 MiB. What the
/// environment says counts.
Napi::Value bound_free_memory(const Napi::CallbackInfo& info) {
  constexpr int kOwnMapping = 128 * 1024;
  constexpr int kFreeAtEnd = 1024 * 1024;
  if (getenv("MALLOC_MMAP_THRESHOLD_") == nullptr && getenv("GLIBC_TUNABLES") == nullptr)
    (void)mallopt(M_MMAP_THRESHOLD, kOwnMapping);
  if (getenv("MALLOC_TRIM_THRESHOLD_") == nullptr && getenv("GLIBC_TUNABLES") == nullptr)
    (void)mallopt(M_TRIM_THRESHOLD, kFreeAtEnd);
  return info.Env().Undefined();
}

/// beginCollection(): V8 begins to collect its whole heap as it does when the system is short of
/// memory: marking beside the program and in small steps, and compacting, with a pause of some
/// milliseconds in the end. Neither JavaScript nor N-API can ask for it; looked up by its name,
/// which all versions of V8 have, so that the addon goes with each of them. false: this one has
/// not.
Napi::Value begin_collection(const Napi::CallbackInfo& info) {
  enum class Pressure : int { kNone, kModerate };
  using CurrentIsolate = void* (*)();
  using Notify = void (*)(void* isolate, Pressure pressure);
  const auto current =
      reinterpret_cast<CurrentIsolate>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate10GetCurrentEv"));
  const auto notify = reinterpret_cast<Notify>(
      dlsym(RTLD_DEFAULT, "_ZN2v87Isolate26MemoryPressureNotificationENS_19MemoryPressureLevelE"));
  if (current == nullptr || notify == nullptr)
    return Napi::Boolean::New(info.Env(), false);
  void* isolate = current();
  notify(isolate, Pressure::kModerate);
  // What counts is that it rises: the next time it does again.
  notify(isolate, Pressure::kNone);
  return Napi::Boolean::New(info.Env(), true);
}

/// releaseProgram(): pages of the files with Node's code that nothing has changed; how many bytes
/// of addresses. This addon's, which packets need, stay.
Napi::Value release_program(const Napi::CallbackInfo& info) {
  const auto here = reinterpret_cast<const void*>(&release_program);
  return Napi::Number::New(info.Env(), static_cast<double>(release_file_pages(here)));
}

} // namespace

Napi::Object process_functions(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("ignoreSignals", Napi::Function::New(env, ignore_signals));
  object.Set("openOutput", Napi::Function::New(env, open_output));
  object.Set("connectOutput", Napi::Function::New(env, connect_output));
  object.Set("writeOutput", Napi::Function::New(env, write_output));
  object.Set("openFiles", Napi::Function::New(env, open_files));
  object.Set("setOpenFiles", Napi::Function::New(env, set_open_files));
  object.Set("keepAlive", Napi::Function::New(env, keep_alive));
  object.Set("releaseMemory", Napi::Function::New(env, release_memory));
  object.Set("boundFreeMemory", Napi::Function::New(env, bound_free_memory));
  object.Set("beginCollection", Napi::Function::New(env, begin_collection));
  object.Set("releaseProgram", Napi::Function::New(env, release_program));
  return object;
}

} // namespace rtprelay::api
