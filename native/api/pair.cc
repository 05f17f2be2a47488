#include "pair.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../core/scheduling.h"
#include "../core/thread.h"
#include "addon_state.h"
#include "byte_string.h"

namespace rtprelay::api {

namespace {

/// More than the parent sends at once.
constexpr std::size_t kMostFds = 253;
constexpr std::size_t kMostBytes = 128;

/// The parent hardly ever runs, and packets wait for it then. Its children run as they would.
void hurry_parent(int channel) {
  ucred maker{};
  socklen_t length = sizeof(maker);
  // Whoever has a nice value of its own passes it on, which it would not from then on.
  if (getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &maker, &length) == 0 && maker.pid > 0 &&
      scheduling_of(maker.pid).priority == 0)
    (void)make_realtime(maker.pid);
}

Napi::Value refuse(Napi::Env env, const char* signature) {
  Napi::TypeError::New(env, signature).ThrowAsJavaScriptException();
  return env.Undefined();
}

} // namespace

Napi::Function PairMember::define(Napi::Env env) {
  return DefineClass(env, "PairMember",
                     {
                         InstanceMethod<&PairMember::read>("read"),
                         InstanceMethod<&PairMember::append>("append"),
                         InstanceMethod<&PairMember::takes_edits>("takesEdits"),
                         InstanceMethod<&PairMember::append_edit>("appendEdit"),
                         InstanceMethod<&PairMember::size>("size"),
                         InstanceMethod<&PairMember::close>("close"),
                     });
}

// PairMember(channel: number, listener: (what: string) => void)
PairMember::PairMember(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<PairMember>(info), environment_(info.Env()),
      sockets_(info.Env().GetInstanceData<AddonState>()->sockets),
      held_packets_(info.Env().GetInstanceData<AddonState>()->held_packets),
      journal_({[this](const std::string& name, int fd) { return sockets_.keep_file(name, fd); },
                [this](const std::string& name) { sockets_.forget_file(name); }}),
      addon_(*info.Env().GetInstanceData<AddonState>()),
      javascript_thread_(static_cast<pid_t>(syscall(SYS_gettid))) {
  if (info.Length() < 2 || !info[0].IsNumber() || !info[1].IsFunction()) {
    refuse(info.Env(), "PairMember(channel: number, listener: function)");
    return;
  }
  channel_ = FileDescriptor(info[0].As<Napi::Number>().Int32Value());
  (void)fcntl(channel_.get(), F_SETFD, FD_CLOEXEC);
  hurry_parent(channel_.get());
  held_packets_.wanted = true;
  sockets_.keep_listeners();
  listener_ = Napi::Persistent(info[1].As<Napi::Function>());
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(environment_, &loop);
  async_ = new uv_async_t; // freed by libuv's close callback
  async_->data = this;
  uv_async_init(loop, async_, on_letters);
  napi_add_env_cleanup_hook(environment_, on_cleanup, this);
  listener_thread_ = start_thread([this] { listen(); });
}

PairMember::~PairMember() { shut_down(); }

void PairMember::shut_down() {
  if (async_ == nullptr)
    return;
  napi_remove_env_cleanup_hook(environment_, on_cleanup, this);
  // That ends its wait.
  (void)shutdown(channel_.get(), SHUT_RDWR);
  listener_thread_.join();
  addon_.on_activated = nullptr;
  channel_ = FileDescriptor();
  async_->data = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(async_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_async_t*>(handle); });
  async_ = nullptr;
}

void PairMember::on_cleanup(void* self) { static_cast<PairMember*>(self)->shut_down(); }

void PairMember::on_letters(uv_async_t* async) {
  auto* self = static_cast<PairMember*>(async->data);
  if (self != nullptr)
    self->receive();
}

void PairMember::take(FileDescriptor fd) {
  if (sockets_.inherit(fd))
    return;
  if (HeldPackets::is_one(fd.get()))
    held_packets_.left = std::move(fd);
  else if (Life::is_one(fd.get()))
    watch_life(std::move(fd), [notify = sockets_.notify_from_thread()](pid_t pid, int status) {
      notify("X_ENDED=" + std::to_string(pid) + " " + std::to_string(status));
    });
  else
    (void)journal_.adopt(std::move(fd));
}

void PairMember::tell(const char* what) {
  Napi::Env env(environment_);
  Napi::HandleScope scope(env);
  listener_.MakeCallback(Value(), {Napi::String::New(env, what)});
}

void PairMember::show_life() {
  if (life_ == nullptr)
    life_ = Life::begin();
  life_kept_ = life_ != nullptr && sockets_.keep_file("life", life_->fd());
}

void PairMember::listen() {
  pthread_setname_np(pthread_self(), "rtprelay-pair");
  make_urgent();
  for (bool goes_on = true; goes_on;) {
    Letter letter;
    goes_on = read_letter(letter);
    if (letter.kind == 'A')
      hurry_javascript();
    const std::scoped_lock lock(letters_held_);
    letters_.push_back(std::move(letter));
    uv_async_send(async_);
  }
}

bool PairMember::read_letter(Letter& out) const {
  // A letter, and behind an R a name.
  std::array<char, kMostBytes> text{};
  iovec vector{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control;
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = -1;
  do {
    size = recvmsg(channel_.get(), &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size <= 0)
    return false;
  out.kind = text[0];
  out.name.assign(&text[1], static_cast<std::size_t>(size) - 1);
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
       each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS)
      continue;
    const std::size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::array<int, kMostFds> fds;
    std::memcpy(fds.data(), CMSG_DATA(each), std::min(count, kMostFds) * sizeof(int));
    for (std::size_t i = 0; i < std::min(count, kMostFds); ++i)
      out.fds.emplace_back(fds[i]);
  }
  return true;
}

void PairMember::hurry_javascript() {
  // Otherwise it is in the middle of its start.
  if (!addon_.stands_by)
    return;
  usual_ = scheduling_of(javascript_thread_);
  (void)make_realtime(javascript_thread_);
}

void PairMember::calm_javascript() {
  if (usual_)
    make_usual(*usual_);
  usual_.reset();
}

void PairMember::receive() {
  std::deque<Letter> letters;
  {
    const std::scoped_lock lock(letters_held_);
    letters.swap(letters_);
  }
  bool came = false;
  bool went = false;
  for (Letter& letter : letters) {
    came |= !letter.fds.empty();
    went |= letter.kind == 'R';
    obey(std::move(letter));
  }
  if (came)
    tell("sockets");
  if (went)
    tell("removed");
}

void PairMember::obey(Letter letter) {
  if (letter.kind == 'R')
    sockets_.drop(letter.name);
  for (FileDescriptor& fd : letter.fds)
    take(std::move(fd));
  if (letter.kind == 'A') {
    addon_.on_activated = [this] { calm_javascript(); };
    tell("active");
    calm_javascript();
    show_life();
  } else if (letter.kind == 'S')
    tell("synced");
  else if (letter.kind == 'H')
    tell("hand-over");
  else if (letter.kind == '\0') {
    // Nothing more comes that the process could stay for.
    if (async_ != nullptr)
      uv_unref(reinterpret_cast<uv_handle_t*>(async_));
    tell("alone");
  }
}

/// [kind, key, value, moment in µs of CLOCK_MONOTONIC]; null: nothing new.
Napi::Value PairMember::read(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!journal_.read(record_))
    return env.Null();
  Napi::Array result = Napi::Array::New(env, 4);
  result.Set(0U, Napi::Number::New(env, static_cast<double>(record_.kind)));
  napi_value key = nullptr;
  napi_create_string_latin1(env, record_.key.data(), record_.key.size(), &key);
  result.Set(1U, Napi::Value(env, key));
  result.Set(2U, Napi::Buffer<std::uint8_t>::Copy(env, record_.value.data(), record_.value.size()));
  result.Set(3U, Napi::Number::New(env, static_cast<double>(record_.moment)));
  return result;
}

// append(kind: number, key: string, value: Buffer): boolean
Napi::Value PairMember::append(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 3 || !info[0].IsNumber() || !info[1].IsString() || !info[2].IsBuffer())
    return refuse(env, "append(kind: number, key: string, value: Buffer)");
  const std::uint32_t kind = info[0].As<Napi::Number>().Uint32Value();
  if (kind < 1 || kind > kLastJournalKind)
    return refuse(env, "no such kind of record");
  // The keeper may have been too busy for it.
  if (life_ != nullptr && !life_kept_)
    show_life();
  const auto value = info[2].As<Napi::Buffer<std::uint8_t>>();
  const bool done = journal_.append(static_cast<JournalKind>(kind), byte_string(info[1]),
                                    std::span(value.Data(), value.Length()), monotonic_micros());
  return Napi::Boolean::New(env, done);
}

Napi::Value PairMember::takes_edits(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), journal_.takes_edits());
}

// appendEdit(callId: string, bytes: Buffer): boolean
Napi::Value PairMember::append_edit(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsBuffer())
    return refuse(env, "appendEdit(callId: string, bytes: Buffer)");
  const auto bytes = info[1].As<Napi::Buffer<std::uint8_t>>();
  const bool done = journal_.append_edit(
      byte_string(info[0]), std::span(bytes.Data(), bytes.Length()), monotonic_micros());
  return Napi::Boolean::New(env, done);
}

/// [bytes written, bytes that hold]
Napi::Value PairMember::size(const Napi::CallbackInfo& info) {
  Napi::Array result = Napi::Array::New(info.Env(), 2);
  result.Set(0U, Napi::Number::New(info.Env(), static_cast<double>(journal_.size())));
  result.Set(1U, Napi::Number::New(info.Env(), static_cast<double>(journal_.live())));
  return result;
}

Napi::Value PairMember::close(const Napi::CallbackInfo& info) {
  shut_down();
  return info.Env().Undefined();
}

Napi::Value execute_program(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsArray())
    return refuse(env, "executeProgram(path: string, words: string[])");
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  const auto list = info[1].As<Napi::Array>();
  std::vector<std::string> words;
  for (std::uint32_t i = 0; i < list.Length(); ++i)
    words.push_back(Napi::Value(list[i]).ToString().Utf8Value());
  std::vector<char*> pointers;
  for (std::string& word : words)
    pointers.push_back(word.data());
  pointers.push_back(nullptr);
  // Node would have its standard descriptors closed.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    (void)fcntl(fd, F_SETFD, 0);
  execv(path.c_str(), pointers.data());
  return Napi::Number::New(env, errno);
}

} // namespace rtprelay::api
