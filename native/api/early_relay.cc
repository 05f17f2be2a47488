#include "early_relay.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include "../core/bpf_call.h"
#include "../core/port_record.h"
#include "../core/thread.h"
#include "addon_state.h"

namespace rtprelay::api {

namespace {

constexpr const char* kPreload = "LD_PRELOAD";

/// The wall clock may have been set meanwhile; less is the granularity of the two clocks.
constexpr Micros kSameEpoch = 100'000;

std::string_view text_of(std::span<const char> text) { return text.data(); }

Micros epoch_now() {
  timespec wall{};
  (void)clock_gettime(CLOCK_REALTIME, &wall);
  return static_cast<Micros>(wall.tv_sec) * 1'000'000 + wall.tv_nsec / 1000 - monotonic_micros();
}

RelayOptions options_of(const RelayRecord& record) {
  RelayOptions options;
  options.workers = record.workers;
  options.free_bind = record.free_bind ? FreeBind::kYes : FreeBind::kNo;
  if (record.legacy_mos)
    options.mos.formula = MosRule::Formula::kLegacy;
  options.mos.listening = record.listening_mos;
  options.dtls.mtu = record.dtls_mtu;
  options.dtls.ciphers = text_of(record.dtls_ciphers);
  const auto scheduling = [](int policy, bool has_priority, int priority) {
    return ThreadScheduling{.policy = policy,
                            .priority = has_priority ? std::optional(priority) : std::nullopt};
  };
  options.media_scheduling =
      scheduling(record.media_policy, record.has_media_priority, record.media_priority);
  options.idle_scheduling =
      scheduling(record.idle_policy, record.has_idle_priority, record.idle_priority);
  options.pace = Pace(std::min<Micros>(record.coalesce_micros, Pace::kMost));
  options.media_cpus.assign(record.media_cpus.begin(),
                            record.media_cpus.begin() + record.cpu_count);
  return options;
}

FileDescriptor open_pinned(const std::string& path) {
  bpf_attr attributes{};
  attributes.pathname = reinterpret_cast<std::uintptr_t>(path.c_str());
  return FileDescriptor(static_cast<int>(bpf(BPF_OBJ_GET, attributes)));
}

/// 0: it is no map.
std::uint32_t map_id(int fd) {
  bpf_map_info info{};
  bpf_attr attributes{};
  attributes.info.bpf_fd = static_cast<std::uint32_t>(fd);
  attributes.info.info = reinterpret_cast<std::uintptr_t>(&info);
  attributes.info.info_len = sizeof(info);
  return bpf(BPF_OBJ_GET_INFO_BY_FD, attributes) == 0 ? info.id : 0;
}

/// A number of the environment's variable, from `text` on, which then begins behind it.
bool next_number(const char*& text, int& out) {
  const auto [end, error] = std::from_chars(text, text + strlen(text), out);
  text = *end == ' ' ? end + 1 : end;
  return error == std::errc{};
}

/// The programs that this one starts are not to have the addon.
void remove_preload(const RelayRecord& record) {
  const char* now = getenv(kPreload);
  if (now == nullptr)
    return;
  const std::string_view addon = text_of(record.addon);
  const std::string all = now;
  if (all == addon)
    (void)unsetenv(kPreload);
  else if (all.starts_with(std::string(addon) + ":"))
    (void)setenv(kPreload, all.c_str() + addon.size() + 1, 1);
}

/// Never freed by itself: the program may end before Node has come so far.
AddonState* begun = nullptr;

} // namespace

void Wake::notify(void* context) {
  uv_async_t* async = static_cast<Wake*>(context)->async.load();
  if (async != nullptr)
    uv_async_send(async);
}

bool describe(const RelayOptions& options, RelayRecord& out) {
  const ThreadScheduling& media = options.media_scheduling;
  const ThreadScheduling& idle = options.idle_scheduling;
  if (options.dormant || options.replays || options.held_packets != nullptr ||
      options.media_cpus.size() > out.media_cpus.size() ||
      !put_text(options.dtls.ciphers, out.dtls_ciphers))
    return false;
  std::ranges::copy(options.media_cpus, out.media_cpus.begin());
  out.cpu_count = static_cast<std::uint32_t>(options.media_cpus.size());
  out.workers = static_cast<std::uint32_t>(options.workers);
  out.dtls_mtu = static_cast<std::int32_t>(options.dtls.mtu);
  out.media_policy = media.policy;
  out.media_priority = media.priority.value_or(0);
  out.has_media_priority = media.priority.has_value();
  out.idle_policy = idle.policy;
  out.idle_priority = idle.priority.value_or(0);
  out.has_idle_priority = idle.priority.has_value();
  out.coalesce_micros = static_cast<std::uint32_t>(options.pace.longest());
  out.free_bind = options.free_bind == FreeBind::kYes;
  out.legacy_mos = options.mos.formula == MosRule::Formula::kLegacy;
  out.listening_mos = options.mos.listening;
  return true;
}

void note_relay(const RelayOptions& options, const std::string& plans, const std::string& pins) {
  RelayRecord record;
  Dl_info addon{};
  std::array<char, PATH_MAX> program{};
  const ssize_t length = readlink("/proc/self/exe", program.data(), program.size());
  if (length <= 0 ||
      !put_text({program.data(), static_cast<std::size_t>(length)}, record.program) ||
      !describe(options, record) || !put_text(pins, record.pins) ||
      dladdr(reinterpret_cast<const void*>(&note_relay), &addon) == 0 ||
      !put_text(addon.dli_fname, record.addon))
    return;
  (void)write_relay_record((plans + std::string(RelayRecord::kSuffix)).c_str(), record);
}

/// Begins with the program: nothing of Node has run.
struct EarlyStart {
  __attribute__((constructor)) static void begin() {
    const char* relay = getenv(kEarlyRelayVariable);
    const char* ports = getenv(kPortRecordVariable);
    if (relay == nullptr || ports == nullptr)
      return;
    int fd = -1;
    const bool given = next_number(relay, fd);
    (void)unsetenv(kEarlyRelayVariable);
    if (!given || fd < 0)
      return;
    const FileDescriptor file(fd);
    auto early = std::make_unique<EarlyRelay>();
    if (!read_relay_record(file.get(), early->record_))
      return;
    remove_preload(early->record_);
    early->ports_ = ports;
    if (const char* sockets = getenv(kEarlySocketsVariable); sockets != nullptr) {
      int count = 0;
      if (next_number(sockets, early->first_socket_) && next_number(sockets, count) && count > 0)
        early->socket_count_ = static_cast<std::size_t>(count);
    }
    begun = new AddonState;
    begun->early = std::move(early);
    EarlyRelay& each = *begun->early;
    each.thread_ = start_thread([&each, &state = *begun] { each.run(state); });
  }
};

void EarlyRelay::run(AddonState& state) {
  RelayOptions options = options_of(record_);
  (void)apply_scheduling(options.media_scheduling);
  (void)state.sockets.record_in(ports_.c_str());
  sockets_ = state.sockets.inherit_early(first_socket_, socket_count_);
  if (record_.pins.front() != 0) {
    if (!open_maps())
      return;
    options.steering = {maps_[0].get(), maps_[1].get(), maps_[2].get()};
  }
  options.sockets = &state.sockets;
  options.epoch = epoch_ = epoch_now();
  wake_ = std::make_unique<Wake>();
  auto relay = std::make_unique<Relay>(std::move(options), Notifier{Wake::notify, wake_.get()});
  int error = 0;
  if (!relay->start(error))
    return;
  (void)relay->resume((ports_ + std::string(RelayRecord::kPlans)).c_str());
  relay_ = std::move(relay);
}

bool EarlyRelay::open_maps() {
  constexpr std::array kMaps = {"ports", "sockets", "blocks"};
  for (std::size_t i = 0; i < kMaps.size(); ++i) {
    maps_[i] = open_pinned(std::string(text_of(record_.pins)) + "/" + kMaps[i]);
    if (!maps_[i].valid())
      return false;
  }
  return true;
}

std::unique_ptr<AddonState> EarlyRelay::take_state() {
  if (begun != nullptr && begun->early->thread_.joinable())
    begun->early->thread_.join();
  return std::unique_ptr<AddonState>(std::exchange(begun, nullptr));
}

bool EarlyRelay::is_like(const RelayOptions& wanted) const {
  RelayRecord described;
  if (relay_ == nullptr || !describe(wanted, described))
    return false;
  described.program = record_.program;
  described.addon = record_.addon;
  described.pins = record_.pins;
  const std::array given = {wanted.steering.ports, wanted.steering.sockets, wanted.steering.blocks};
  const bool steered = record_.pins.front() != 0;
  const bool same_ports =
      steered ? std::ranges::equal(given, maps_, {}, map_id,
                                   [](const FileDescriptor& map) { return map_id(map.get()); })
              : wanted.steering.ports < 0;
  return described == record_ && same_ports && std::abs(wanted.epoch - epoch_) < kSameEpoch;
}

std::unique_ptr<Relay> EarlyRelay::take(const RelayOptions& wanted, std::unique_ptr<Wake>& wake) {
  if (!is_like(wanted))
    relay_.reset();
  else
    wake = std::move(wake_);
  return std::move(relay_);
}

} // namespace rtprelay::api
