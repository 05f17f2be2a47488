#include "programs.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <unordered_map>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "devices.h"

namespace rtprelay::kernel {

static_assert(sizeof(flow_next_hop) % 8 == 0, "the stride of a per-CPU value");

namespace {

constexpr const char* kLookupSection = ".rodata.lookup";
constexpr const char* kRoutesSection = ".data.routes";

/// What libbpf said while loading: the verifier's reasons are in no errno value.
std::string& complaints() {
  static thread_local std::string text;
  return text;
}

int collect(libbpf_print_level level, const char* format, va_list arguments) {
  constexpr std::size_t kEnough = 4000;
  if (level != LIBBPF_WARN || complaints().size() > kEnough)
    return 0;
  std::array<char, 1024> line{};
  const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
  complaints() += line.data();
  return length;
}

const char* program_name(Mode mode) { return mode == Mode::kTc ? "rtprelay_tc" : "rtprelay_xdp"; }

bool read_meta(const PinDirectory& pins, flow_meta& meta) {
  const UniqueFd fd(bpf_obj_get(pins.file("meta").c_str()));
  if (!fd.valid())
    return false;
  bpf_map_info info = {};
  __u32 size = sizeof(info);
  const std::uint32_t zero = 0;
  return bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0 && info.value_size == sizeof(meta) &&
         bpf_map_lookup_elem(fd.get(), &zero, &meta) == 0;
}

/// libbpf's own comparison is not used: the kernel adds a flag to device maps that it trips over.
bool same_shape(int fd, const bpf_map* map) {
  bpf_map_info info = {};
  __u32 size = sizeof(info);
  return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
         info.type == static_cast<__u32>(bpf_map__type(map)) &&
         info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
         info.max_entries == bpf_map__max_entries(map);
}

Status load_failure(int code, const std::string& what) {
  Status status = failure(code, what);
  if (!complaints().empty())
    status.message += "\n" + complaints();
  return status;
}

} // namespace

Pinned Programs::examine(const PinDirectory& pins, const Options& options, std::string& why) {
  if (pins.files().empty())
    return Pinned::kNothing;
  flow_meta meta = {};
  if (!read_meta(pins, meta)) {
    why = "what is pinned is incomplete";
    return Pinned::kOther;
  }
  if (meta.layout != FLOW_LAYOUT_VERSION) {
    why = "what is pinned has layout " + std::to_string(meta.layout) + ", not " +
          std::to_string(FLOW_LAYOUT_VERSION);
    return Pinned::kOther;
  }
  if (meta.max_flows != options.max_flows) {
    why = "what is pinned has room for " + std::to_string(meta.max_flows) + " flows, not " +
          std::to_string(options.max_flows);
    return Pinned::kOther;
  }
  if (meta.mode != static_cast<std::uint32_t>(options.mode)) {
    why = "what is pinned is of another mode";
    return Pinned::kOther;
  }
  return Pinned::kUsable;
}

Status Programs::configure(const Options& options, const flow_lookup& lookup) {
  for (const char* name : {"flows", "fast_flows", "counters"}) {
    bpf_map* map = bpf_object__find_map_by_name(object_, name);
    if (map == nullptr || bpf_map__set_max_entries(map, options.max_flows) != 0)
      return refusal(EINVAL, std::string("no map ") + name + " in " + options.object_path);
  }
  bpf_map* settings = bpf_object__find_map_by_name(object_, kLookupSection);
  if (settings == nullptr || bpf_map__set_initial_value(settings, &lookup, sizeof(lookup)) != 0)
    return refusal(EINVAL,
                   "no section " + std::string(kLookupSection) + " in " + options.object_path);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object_) {
    const bool wanted = std::string(bpf_program__name(program)) == program_name(options.mode);
    bpf_program__set_autoload(program, wanted);
  }
  return {};
}

Status Programs::adopt_maps(const PinDirectory& pins) {
  for (const char* name : kMapNames) {
    bpf_map* map = bpf_object__find_map_by_name(object_, name);
    const UniqueFd fd(bpf_obj_get(pins.file(name).c_str()));
    if (map == nullptr || !fd.valid() || !same_shape(fd.get(), map))
      return refusal(ESTALE, std::string("the pinned map ") + name + " is not ours");
    if (const int error = bpf_map__reuse_fd(map, fd.get()); error != 0)
      return failure(error, std::string("adopting the map ") + name);
  }
  return {};
}

void Programs::bind_maps() const {
  // Before Linux 5.10 only those that the program uses are bound to it.
  for (const char* name : kMapNames)
    static_cast<void>(bpf_prog_bind_map(program_, map(name), nullptr));
}

Status Programs::pin_again(const PinDirectory& pins, std::uint32_t program) {
  const UniqueFd fd(bpf_prog_get_fd_by_id(program));
  if (!fd.valid())
    return failure(errno, "program " + std::to_string(program));
  constexpr std::size_t kMostMaps = 64;
  std::array<__u32, kMostMaps> ids{};
  bpf_prog_info info = {};
  info.nr_map_ids = kMostMaps;
  info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0)
    return failure(errno, "program " + std::to_string(program));
  std::unordered_map<std::string, UniqueFd> maps;
  for (std::size_t i = 0; i < std::min<std::size_t>(info.nr_map_ids, kMostMaps); ++i) {
    UniqueFd map(bpf_map_get_fd_by_id(ids[i]));
    bpf_map_info about = {};
    size = sizeof(about);
    if (!map.valid() || bpf_obj_get_info_by_fd(map.get(), &about, &size) != 0)
      return failure(errno, "a map of program " + std::to_string(program));
    maps.emplace(about.name, std::move(map));
  }
  for (const char* name : kMapNames)
    if (!maps.contains(name))
      return refusal(ESTALE, "program " + std::to_string(program) + " has no map " + name);
  for (const char* name : kMapNames)
    if (Status pinned = pins.put(name, maps.at(name).get()); !pinned.ok())
      return pinned;
  return {};
}

std::optional<Mode> Programs::pinned_mode(const PinDirectory& pins) {
  flow_meta meta = {};
  return read_meta(pins, meta) ? std::optional(static_cast<Mode>(meta.mode)) : std::nullopt;
}

Status Programs::pin(const PinDirectory& pins, const Options& options) {
  flow_meta meta = {};
  meta.layout = FLOW_LAYOUT_VERSION;
  meta.max_flows = options.max_flows;
  meta.mode = static_cast<std::uint32_t>(options.mode);
  const std::uint32_t zero = 0;
  if (bpf_map_update_elem(map("meta"), &zero, &meta, BPF_ANY) != 0)
    return failure(errno, "writing meta");
  for (const char* name : kMapNames) {
    if (Status pinned = pins.put(name, map(name)); !pinned.ok())
      return pinned;
  }
  // Of another layout; nobody knows them any more.
  for (const std::string& file : pins.files()) {
    const bool ours = std::find(kMapNames.begin(), kMapNames.end(), file) != kMapNames.end();
    if (!ours && !Devices::is_link(file))
      static_cast<void>(pins.unlink(file));
  }
  return {};
}

Status Programs::load(const PinDirectory& pins, const Options& options, const flow_lookup& lookup,
                      bool adopt) {
  close();
  libbpf_set_print(collect);
  complaints().clear();
  object_ = bpf_object__open(options.object_path.c_str());
  if (object_ == nullptr)
    return load_failure(errno, options.object_path);
  Status status = configure(options, lookup);
  if (status.ok() && adopt)
    status = adopt_maps(pins);
  if (!status.ok())
    return status;
  if (const int error = bpf_object__load(object_); error != 0)
    return load_failure(error, "loading " + options.object_path);
  program_ = bpf_program__fd(bpf_object__find_program_by_name(object_, program_name(options.mode)));
  bind_maps();
  return status;
}

void Programs::close() {
  if (object_ != nullptr)
    bpf_object__close(object_);
  object_ = nullptr;
  program_ = -1;
  route_generation_ = 0;
}

Status Programs::forget_next_hops() {
  ++route_generation_;
  const std::uint32_t zero = 0;
  return bpf_map_update_elem(map(kRoutesSection), &zero, &route_generation_, BPF_ANY) == 0
             ? Status{}
             : failure(errno, "forgetting next hops");
}

int Programs::map(const char* name) const { return bpf_object__find_map_fd_by_name(object_, name); }

} // namespace rtprelay::kernel
