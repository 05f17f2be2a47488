// libnftables as an addon of its own: a machine that does not forward by nftables need not have it.
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <napi.h>
#include <nftables/libnftables.h>

#include "../nft/element_counters.h"

namespace rtprelay::nft {

namespace {

std::string errno_text(const std::string& what) { return what + ": " + std::strerror(errno); }

struct ContextDeleter {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};
using Context = std::unique_ptr<nft_ctx, ContextDeleter>;

// Numbers, never names: what is listed is read by a program.
constexpr unsigned int kTextFlags = NFT_CTX_OUTPUT_NUMERIC_ALL;
constexpr unsigned int kJsonFlags = kTextFlags | NFT_CTX_OUTPUT_JSON;

/// Binds a name in the abstract namespace, which is scoped as nftables are: to the network
/// namespace. The descriptor, or -1 and errno.
int bind_abstract(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), length) == 0)
    return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

} // namespace

// Thread: JavaScript thread. `run` blocks for as long as the kernel takes.
class NftObject : public Napi::ObjectWrap<NftObject> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Nft",
                       {
                           InstanceMethod<&NftObject::run>("run"),
                           InstanceMethod<&NftObject::counters>("counters"),
                           InstanceMethod<&NftObject::exists>("exists"),
                           InstanceMethod<&NftObject::lock>("lock"),
                           InstanceMethod<&NftObject::unlock>("unlock"),
                       });
  }

  explicit NftObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NftObject>(info) {}
  ~NftObject() override { release(); }
  NftObject(const NftObject&) = delete;
  NftObject& operator=(const NftObject&) = delete;

private:
  // run(commands, json): { error: string | null, output: string }. One transaction.
  Napi::Value run(const Napi::CallbackInfo& info) {
    const std::string commands = info[0].ToString().Utf8Value();
    std::string error = open();
    std::string output;
    if (error.empty()) {
      nft_ctx_output_set_flags(context_.get(),
                               info[1].ToBoolean().Value() ? kJsonFlags : kTextFlags);
      const bool failed = nft_run_cmd_from_buffer(context_.get(), commands.c_str()) != 0;
      output = nft_ctx_get_output_buffer(context_.get());
      const std::string said = nft_ctx_get_error_buffer(context_.get());
      if (failed)
        error = said.empty() ? "nftables failed without saying why" : said;
    }
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("error", error.empty() ? info.Env().Null()
                                      : Napi::Value(Napi::String::New(info.Env(), error)));
    result.Set("output", Napi::String::New(info.Env(), output));
    return result;
  }

  // exists(table, set)
  Napi::Value exists(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), counters_.exists(info[0].ToString().Utf8Value(),
                                                           info[1].ToString().Utf8Value()));
  }

  // counters(table, set, keys, numbers): null, or why not. Packets and bytes of each key, in the
  // same order; those of unknown keys stay as they are.
  Napi::Value counters(const Napi::CallbackInfo& info) {
    const auto keys = info[2].As<Napi::Uint32Array>();
    auto numbers = info[3].As<Napi::Float64Array>();
    if (numbers.ElementLength() < 2 * keys.ElementLength())
      return Napi::String::New(info.Env(), "too little room");
    std::unordered_map<std::uint32_t, std::size_t> places;
    for (std::size_t i = 0; i < keys.ElementLength(); ++i)
      places.emplace(keys.Data()[i], 2 * i);
    const auto take = [&](std::uint32_t key, const ElementCounter& counter) {
      const auto place = places.find(key);
      if (place == places.end())
        return;
      numbers.Data()[place->second] = static_cast<double>(counter.packets);
      numbers.Data()[place->second + 1] = static_cast<double>(counter.bytes);
    };
    const int error =
        counters_.read(info[0].ToString().Utf8Value(), info[1].ToString().Utf8Value(),
                       std::span<const std::uint32_t>(keys.Data(), keys.ElementLength()), take);
    if (error == 0)
      return info.Env().Null();
    return Napi::String::New(info.Env(), std::strerror(error));
  }

  // lock(name): null, or why not. Held until `unlock` or the end of the process.
  Napi::Value lock(const Napi::CallbackInfo& info) {
    release();
    lock_ = bind_abstract(info[0].ToString().Utf8Value());
    if (lock_ >= 0)
      return info.Env().Null();
    return Napi::String::New(info.Env(), errno == EADDRINUSE ? "another process has it"
                                                             : errno_text("cannot be locked"));
  }

  Napi::Value unlock(const Napi::CallbackInfo& info) {
    release();
    return info.Env().Undefined();
  }

  /// Empty, or why not.
  std::string open() {
    if (context_)
      return {};
    // libnftables ends the process when the kernel refuses its first question. This one has no
    // answer, which is no error.
    const std::uint32_t key = 0;
    const auto nothing = [](std::uint32_t, const ElementCounter&) {};
    if (const int error = counters_.read("-", "-", std::span(&key, 1), nothing); error != 0)
      return std::strerror(error);
    Context context(nft_ctx_new(NFT_CTX_DEFAULT));
    if (!context)
      return "libnftables cannot be started";
    if (nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0)
      return "libnftables has no memory for its output";
    context_ = std::move(context);
    return {};
  }

  void release() {
    if (lock_ >= 0)
      ::close(lock_);
    lock_ = -1;
  }

  Context context_;
  ElementCounters counters_;
  int lock_ = -1;
};

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("Nft", NftObject::define(env));
  return exports;
}

} // namespace

} // namespace rtprelay::nft

using rtprelay::nft::initialise;
NODE_API_MODULE(rtprelay_nft, initialise)
