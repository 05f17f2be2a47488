#include "datagram_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <string>
#include <thread>

#include <poll.h>
#include <sys/resource.h>

#include "addon_state.h"

namespace rtprelay::api {

namespace {

/// Rounds of work before other events of the loop get their turn.
constexpr int kRounds = 4;
/// Batches read at most before work goes on.
constexpr int kReads = 64;
/// Replies that wait for a full socket buffer; more are dropped, and the sender asks again.
constexpr std::size_t kMaxQueue = 4096;

void fail(Napi::Env env, const std::string& message, int error) {
  Napi::Error thrown = Napi::Error::New(env, message);
  const char* name = strerrorname_np(error);
  thrown.Set("code", Napi::String::New(env, name == nullptr ? "EUNKNOWN" : name));
  thrown.ThrowAsJavaScriptException();
}

/// On a single processor whoever looks keeps the others from sending.
bool may_look() {
  static const bool several = std::thread::hardware_concurrency() > 1;
  return several;
}

bool address_of(const Napi::Value& host, const Napi::Value& port, SocketAddress& out) {
  if (!host.IsString() || !port.IsNumber())
    return false;
  const std::int64_t number = port.As<Napi::Number>().Int64Value();
  if (number < 0 || number > 65'535)
    return false;
  return parse_address(host.As<Napi::String>().Utf8Value(), static_cast<std::uint16_t>(number),
                       out);
}

} // namespace

Napi::Function DatagramSocket::define(Napi::Env env) {
  return DefineClass(env, "DatagramSocket",
                     {
                         InstanceMethod<&DatagramSocket::start>("start"),
                         InstanceMethod<&DatagramSocket::send>("send"),
                         InstanceMethod<&DatagramSocket::refused>("refused"),
                         InstanceMethod<&DatagramSocket::address>("address"),
                         InstanceMethod<&DatagramSocket::mark>("mark"),
                         InstanceMethod<&DatagramSocket::discover_path_mtu>("discoverPathMtu"),
                         InstanceMethod<&DatagramSocket::close>("close"),
                     });
}

// DatagramSocket(host, port, receiveBuffer, tos, memory, freeBind); throws an Error with `code`.
DatagramSocket::DatagramSocket(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<DatagramSocket>(info), environment_(info.Env()),
      read_memory_(new std::uint8_t[kReadBatch * kDatagramBytes]), intake_(std::random_device()()) {
  SocketAddress local;
  if (info.Length() < 6 || !info[5].IsBoolean() || !address_of(info[0], info[1], local) ||
      !info[2].IsNumber() || !info[3].IsNumber() || !info[4].IsBuffer()) {
    fail(info.Env(), "DatagramSocket(host, port, receiveBuffer, tos, memory: Buffer, freeBind)",
         EINVAL);
    return;
  }
  auto memory = info[4].As<Napi::Buffer<std::uint8_t>>();
  if (memory.Length() < kDatagramBatch * kDatagramBytes) {
    fail(info.Env(), "the memory is too small", EINVAL);
    return;
  }
  buffer_ = Napi::Persistent(memory);
  memory_ = memory.Data();
  int error = 0;
  if (!bind(local, info[2].As<Napi::Number>().Int32Value(), info[3].As<Napi::Number>().Int32Value(),
            info[5].As<Napi::Boolean>().Value(), error)) {
    fail(info.Env(), std::string("bind: ") + std::strerror(error), error);
    fd_ = FileDescriptor();
    return;
  }
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(environment_, &loop);
  handles_ = new LoopHandles{}; // freed when libuv has closed all of them
  if (error = uv_poll_init(loop, &handles_->poll, fd_.get()); error != 0) {
    delete handles_;
    handles_ = nullptr;
    fail(info.Env(), "the event loop refuses the socket", -error);
    return;
  }
  uv_prepare_init(loop, &handles_->prepare);
  uv_idle_init(loop, &handles_->idle);
  handles_->poll.data = this;
  handles_->prepare.data = this;
  handles_->idle.data = this;
  napi_add_env_cleanup_hook(environment_, on_cleanup, this);
}

DatagramSocket::~DatagramSocket() { shut_down(); }

bool DatagramSocket::bind(const SocketAddress& local, int receive_buffer, int tos, bool free_bind,
                          int& error) {
  SocketStore& store = Napi::Env(environment_).GetInstanceData<AddonState>()->sockets;
  family_ = local.family;
  fd_ = store.take(local);
  // Requests that came while no process was there wait in it.
  if (fd_.valid()) {
    set_tos(fd_.get(), local.family, tos);
    return true;
  }
  fd_ = open_udp_socket(local, tos, free_bind ? FreeBind::kYes : FreeBind::kNo, error,
                        receive_buffer);
  if (!fd_.valid())
    return false;
  store.keep(local, fd_.get());
  return true;
}

// mark(tos): TOS byte of what is sent from now on.
Napi::Value DatagramSocket::mark(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsNumber()) {
    fail(info.Env(), "mark(tos: number)", EINVAL);
    return info.Env().Undefined();
  }
  if (fd_.valid())
    set_tos(fd_.get(), family_, info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

// discoverPathMtu(wanted): whether what is sent from now on may not be fragmented on its way.
Napi::Value DatagramSocket::discover_path_mtu(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsBoolean()) {
    fail(info.Env(), "discoverPathMtu(wanted: boolean)", EINVAL);
    return info.Env().Undefined();
  }
  if (fd_.valid())
    set_path_mtu_discovery(fd_.get(), family_, info[0].As<Napi::Boolean>().Value());
  return info.Env().Undefined();
}

// start(onMessages(lengths: number[], hosts: string[], ports: number[]): number, onError(code));
// what onMessages returns has a bit for each message that was a command, the first one's the
// lowest.
Napi::Value DatagramSocket::start(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (handles_ == nullptr || info.Length() < 2 || !info[0].IsFunction() || !info[1].IsFunction()) {
    fail(env, "start(onMessages: function, onError: function) on an open socket", EINVAL);
    return env.Undefined();
  }
  listener_ = Napi::Persistent(info[0].As<Napi::Function>());
  error_listener_ = Napi::Persistent(info[1].As<Napi::Function>());
  uv_poll_start(&handles_->poll, UV_READABLE, on_poll);
  return env.Undefined();
}

void DatagramSocket::on_poll(uv_poll_t* poll, int status, int events) {
  auto* self = static_cast<DatagramSocket*>(poll->data);
  if (self == nullptr)
    return;
  if ((events & UV_WRITABLE) != 0)
    self->flush();
  // An error of the socket is read, and so cleared, by the receive.
  if (status < 0 || (events & UV_READABLE) != 0)
    self->receive();
}

void DatagramSocket::receive() {
  const Micros came = monotonic_micros();
  commanded_ = false;
  work();
  if (commanded_) {
    commands_.note(came, is_crowded());
    const Micros now = monotonic_micros();
    commands_.await(now);
    answers_.await(now);
    turned_ = false;
  }
  attend();
}

/// Whether other threads have had this one's processor since it was asked last.
bool DatagramSocket::is_crowded() {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  const bool crowded = used.ru_nivcsw != preempted_;
  preempted_ = used.ru_nivcsw;
  return crowded;
}

void DatagramSocket::work() {
  for (int round = 0; round < kRounds && fd_.valid(); ++round) {
    read_all();
    if (!hand_over())
      return;
  }
}

/// With an idle handle the loop goes on turning: for what waits here or in the socket, after its
/// other events, and for what will come in a moment.
void DatagramSocket::attend() {
  if (handles_ == nullptr)
    return;
  if (!intake_.empty() || looks(monotonic_micros()))
    uv_idle_start(&handles_->idle, on_idle);
  else
    uv_idle_stop(&handles_->idle);
}

void DatagramSocket::on_idle(uv_idle_t* idle) {
  auto* self = static_cast<DatagramSocket*>(idle->data);
  if (!self->intake_.empty())
    self->receive();
  else if (self->turned_)
    self->look();
  else
    self->turned_ = true;
}

/// As long as the loop has nothing to do, without turning it: Node makes an object in each turn. At
/// least one turn is between what has come and this, so that everything that it has led to is done.
void DatagramSocket::look() {
  uv_loop_t* loop = handles_->idle.loop;
  uv_idle_stop(&handles_->idle);
  if (queue_.empty() && uv_backend_timeout(loop) != 0) {
    pollfd anything{uv_backend_fd(loop), POLLIN, 0};
    while (looks(monotonic_micros()) && poll(&anything, 1, 0) == 0) {
    }
  }
  turned_ = false;
  attend();
}

bool DatagramSocket::looks(Micros now) {
  if (!may_look())
    return false;
  // Each is told when its time is over.
  const bool for_answers = answers_.lasts(now);
  return commands_.lasts(now) || for_answers;
}

/// Empties the socket's buffer.
void DatagramSocket::read_all() {
  std::array<mmsghdr, kReadBatch> messages;
  std::array<iovec, kReadBatch> vectors;
  std::array<KernelAddress, kReadBatch> sources;
  const std::uint64_t now_ms = uv_now(handles_->poll.loop);
  for (int batch = 0; batch < kReads; ++batch) {
    for (std::size_t i = 0; i < kReadBatch; ++i) {
      vectors[i] = {read_memory_.get() + i * kDatagramBytes, kDatagramBytes};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &sources[i];
      messages[i].msg_hdr.msg_namelen = sizeof(sources[i]);
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count = recvmmsg(fd_.get(), messages.data(), kReadBatch, MSG_DONTWAIT, nullptr);
    if (count <= 0)
      return;
    const auto size = static_cast<std::size_t>(count);
    for (std::size_t i = 0; i < size; ++i) {
      intake_.offer(from_kernel(sources[i]),
                    {read_memory_.get() + i * kDatagramBytes, messages[i].msg_len}, now_ms);
    }
    if (size < kReadBatch)
      return;
  }
}

/// Has a few messages worked on; false: none waits.
bool DatagramSocket::hand_over() {
  Napi::Env env(environment_);
  Napi::HandleScope scope(env);
  std::array<SocketAddress, kDatagramBatch> sources;
  Napi::Array lengths = Napi::Array::New(env);
  Napi::Array hosts = Napi::Array::New(env);
  Napi::Array ports = Napi::Array::New(env);
  Napi::Value host;
  Intake::Message message;
  std::uint32_t size = 0;
  while (size < kDatagramBatch && intake_.take(message)) {
    std::memcpy(memory_ + size * kDatagramBytes, message.bytes.data(), message.bytes.size());
    sources[size] = message.source;
    if (size == 0 || !message.source.same_host(sources[size - 1]))
      host = Napi::String::New(env, format_host(message.source));
    lengths[size] = Napi::Number::New(env, static_cast<double>(message.bytes.size()));
    hosts[size] = host;
    ports[size] = Napi::Number::New(env, message.source.port);
    ++size;
  }
  if (size == 0)
    return false;
  // An exception of the listener becomes an uncaught exception, as in any event handler.
  const Napi::Value outcomes = listener_.MakeCallback(Value(), {lengths, hosts, ports});
  if (!outcomes.IsEmpty() && outcomes.IsNumber()) {
    // Two bits for each.
    static_assert(kDatagramBatch <= 16);
    const std::uint32_t bits = outcomes.As<Napi::Number>().Uint32Value();
    for (std::uint32_t i = 0; i < size; ++i) {
      const auto outcome = static_cast<Outcome>(bits >> (2 * i) & 3);
      intake_.note(sources[i], outcome);
      commanded_ = commanded_ || outcome == Outcome::kCommand;
    }
  }
  if (!queue_.empty() && fd_.valid() && !blocked_)
    flush();
  return true;
}

// refused(): { malformed, overflow, host, port } since the last call; null: nothing was.
Napi::Value DatagramSocket::refused(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const Intake::Refused refused = intake_.take_refused();
  if (refused.malformed == 0 && refused.overflow == 0)
    return env.Null();
  Napi::Object result = Napi::Object::New(env);
  result.Set("malformed", Napi::Number::New(env, static_cast<double>(refused.malformed)));
  result.Set("overflow", Napi::Number::New(env, static_cast<double>(refused.overflow)));
  result.Set("host", Napi::String::New(env, format_host(refused.last)));
  result.Set("port", Napi::Number::New(env, refused.last.port));
  return result;
}

// send(bytes, host, port): false when the message cannot be taken.
Napi::Value DatagramSocket::send(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  SocketAddress destination;
  if (handles_ == nullptr || info.Length() < 3 || !info[0].IsBuffer() ||
      !address_of(info[1], info[2], destination) || destination.port == 0 ||
      queue_.size() >= kMaxQueue)
    return Napi::Boolean::New(env, false);
  const auto bytes = info[0].As<Napi::Buffer<std::uint8_t>>();
  queue_.push_back({destination, {bytes.Data(), bytes.Data() + bytes.Length()}});
  // All replies of one turn of the loop leave together: the receiver is woken once.
  if (!blocked_ && uv_is_active(reinterpret_cast<uv_handle_t*>(&handles_->prepare)) == 0)
    uv_prepare_start(&handles_->prepare, on_prepare);
  return Napi::Boolean::New(env, true);
}

void DatagramSocket::on_prepare(uv_prepare_t* prepare) {
  auto* self = static_cast<DatagramSocket*>(prepare->data);
  uv_prepare_stop(prepare);
  if (self->queue_.empty())
    return;
  // Answers that waited for something, Redis for example.
  self->answers_.note(monotonic_micros(), self->is_crowded());
  self->flush();
  self->commands_.await(monotonic_micros());
  self->turned_ = false;
  self->attend();
}

void DatagramSocket::flush() {
  std::array<mmsghdr, kDatagramBatch> messages;
  std::array<iovec, kDatagramBatch> vectors;
  std::array<KernelAddress, kDatagramBatch> destinations;
  std::size_t done = 0;
  int error = 0;
  bool full = false;
  while (done < queue_.size() && !full) {
    const std::size_t size = std::min(queue_.size() - done, kDatagramBatch);
    for (std::size_t i = 0; i < size; ++i) {
      Outgoing& message = queue_[done + i];
      vectors[i] = {message.bytes.data(), message.bytes.size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &destinations[i];
      messages[i].msg_hdr.msg_namelen = to_kernel(message.destination, destinations[i]);
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent =
        sendmmsg(fd_.get(), messages.data(), static_cast<unsigned>(size), MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
      full = true;
    } else if (errno != EINTR) {
      // The first message is the one that cannot be sent; the others can.
      error = errno;
      done += 1;
    }
  }
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(done));
  wait_until_writable(full);
  if (error != 0 && !error_listener_.IsEmpty()) {
    Napi::Env env(environment_);
    Napi::HandleScope scope(env);
    const char* name = strerrorname_np(error);
    error_listener_.MakeCallback(Value(),
                                 {Napi::String::New(env, name == nullptr ? "EUNKNOWN" : name)});
  }
}

void DatagramSocket::wait_until_writable(bool wanted) {
  if (wanted == blocked_ || handles_ == nullptr)
    return;
  blocked_ = wanted;
  uv_poll_start(&handles_->poll, wanted ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_poll);
}

// address(): { address, port }
Napi::Value DatagramSocket::address(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  KernelAddress local;
  socklen_t length = sizeof(local);
  if (getsockname(fd_.get(), &local.generic, &length) != 0) {
    fail(env, "the socket is closed", errno);
    return env.Undefined();
  }
  const SocketAddress bound = from_kernel(local);
  Napi::Object result = Napi::Object::New(env);
  result.Set("address", Napi::String::New(env, format_host(bound)));
  result.Set("port", Napi::Number::New(env, bound.port));
  return result;
}

Napi::Value DatagramSocket::close(const Napi::CallbackInfo& info) {
  // What was answered before leaves before.
  if (handles_ != nullptr)
    flush();
  shut_down();
  return info.Env().Undefined();
}

void DatagramSocket::shut_down() {
  if (handles_ == nullptr)
    return;
  LoopHandles* handles = handles_;
  handles_ = nullptr;
  napi_remove_env_cleanup_hook(environment_, on_cleanup, this);
  uv_poll_stop(&handles->poll);
  uv_prepare_stop(&handles->prepare);
  uv_idle_stop(&handles->idle);
  handles->poll.data = handles;
  handles->prepare.data = handles;
  handles->idle.data = handles;
  const auto closed = [](uv_handle_t* handle) {
    auto* all = static_cast<LoopHandles*>(handle->data);
    if (--all->open == 0)
      delete all;
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->poll), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->prepare), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->idle), closed);
  fd_ = FileDescriptor();
}

void DatagramSocket::on_cleanup(void* self) { static_cast<DatagramSocket*>(self)->shut_down(); }

} // namespace rtprelay::api
