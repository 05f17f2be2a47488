#include "steering.h"

#include <array>
#include <bit>
#include <cstdio>
#include <optional>
#include <string_view>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../bpf/steer.h"

namespace rtprelay::kernel {

namespace {

/// `steer_meta` is pinned last and so says that the others are complete.
constexpr std::array kMaps = {"ports", "sockets", "blocks", "steer_meta"};
constexpr const char* kLink = "link";
constexpr const char* kNamespace = "/proc/self/ns/net";

std::optional<bpf_map_info> map_info(int fd) {
  bpf_map_info info = {};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
    return std::nullopt;
  return info;
}

/// The network namespace that a link is attached to, by its inode; 0: it is detached.
std::uint32_t namespace_of(int link) {
  bpf_link_info info = {};
  __u32 size = sizeof(info);
  return bpf_obj_get_info_by_fd(link, &info, &size) == 0 ? info.netns.netns_ino : 0;
}

std::uint32_t own_namespace() {
  struct stat status = {};
  return ::stat(kNamespace, &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

void discard(const PinDirectory& pins) {
  const UniqueFd link(bpf_obj_get(pins.file(kLink).c_str()));
  if (link.valid())
    static_cast<void>(bpf_link_detach(link.get()));
  for (const std::string& name : pins.files())
    static_cast<void>(pins.unlink(name));
}

/// The verifier's reasons are long and in no errno value; the first line says most.
std::string& complaint() {
  static thread_local std::string text;
  return text;
}

int collect(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN || !complaint().empty())
    return 0;
  std::array<char, 512> line{};
  const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
  // Kernels since 5.11 don't need what it could not raise; older ones say more afterwards.
  if (std::string_view(line.data()).find("RLIMIT_MEMLOCK") != std::string_view::npos)
    return length;
  complaint() = line.data();
  while (!complaint().empty() && complaint().back() == '\n')
    complaint().pop_back();
  return length;
}

} // namespace

bool Steering::usable(const SteeringOptions& options) {
  const UniqueFd meta(bpf_obj_get(pins_.file("steer_meta").c_str()));
  const UniqueFd ports(bpf_obj_get(pins_.file("ports").c_str()));
  steer_meta value = {};
  const std::uint32_t zero = 0;
  if (!meta.valid() || !ports.valid() || bpf_map_lookup_elem(meta.get(), &zero, &value) != 0) {
    note_ = "what is pinned is incomplete";
  } else if (value.layout != STEER_LAYOUT_VERSION) {
    note_ = "what is pinned has layout " + std::to_string(value.layout);
  } else if (const auto info = map_info(ports.get());
             !info || info->max_entries < options.max_ports) {
    note_ = "what is pinned has no room for " + std::to_string(options.max_ports) + " ports";
  }
  return note_.empty();
}

Status Steering::adopt_maps() {
  for (const char* name : kMaps) {
    bpf_map* map = bpf_object__find_map_by_name(object_, name);
    const UniqueFd fd(bpf_obj_get(pins_.file(name).c_str()));
    const auto info = fd.valid() ? map_info(fd.get()) : std::nullopt;
    if (map == nullptr || !info || info->key_size != bpf_map__key_size(map) ||
        info->value_size != bpf_map__value_size(map) ||
        info->type != static_cast<__u32>(bpf_map__type(map)))
      return refusal(ESTALE, std::string("the pinned map ") + name + " is not ours");
    if (const int error = bpf_map__reuse_fd(map, fd.get()); error != 0)
      return failure(error, std::string("adopting the map ") + name);
  }
  return {};
}

Status Steering::load(const SteeringOptions& options, bool adopt) {
  libbpf_set_print(collect);
  complaint().clear();
  object_ = bpf_object__open(options.object_path.c_str());
  bpf_map* ports = object_ == nullptr ? nullptr : bpf_object__find_map_by_name(object_, "ports");
  if (ports == nullptr)
    return failure(errno, options.object_path);
  if (options.max_ports > STEER_LEAST_PORTS)
    bpf_map__set_max_entries(ports, std::bit_ceil(options.max_ports));
  if (adopt)
    if (Status status = adopt_maps(); !status.ok())
      return status;
  if (const int error = bpf_object__load(object_); error != 0) {
    Status status = failure(error, "loading the program");
    if (!complaint().empty())
      status.message += " (" + complaint() + ")";
    return status;
  }
  program_ = bpf_program__fd(bpf_object__find_program_by_name(object_, "rtprelay_steer"));
  ports_ = bpf_object__find_map_fd_by_name(object_, "ports");
  sockets_ = bpf_object__find_map_fd_by_name(object_, "sockets");
  blocks_ = bpf_object__find_map_fd_by_name(object_, "blocks");
  return {};
}

Status Steering::pin() {
  const steer_meta meta = {STEER_LAYOUT_VERSION, 0};
  const int meta_map = bpf_object__find_map_fd_by_name(object_, "steer_meta");
  const std::uint32_t zero = 0;
  if (bpf_map_update_elem(meta_map, &zero, &meta, BPF_ANY) != 0)
    return failure(errno, "writing steer_meta");
  for (const char* name : kMaps)
    if (Status status = pins_.put(name, bpf_object__find_map_fd_by_name(object_, name));
        !status.ok())
      return status;
  return {};
}

Status Steering::attach() {
  link_ = UniqueFd(bpf_obj_get(pins_.file(kLink).c_str()));
  if (link_.valid() && namespace_of(link_.get()) == own_namespace() &&
      bpf_link_update(link_.get(), program_, nullptr) == 0)
    return {};
  const UniqueFd own(::open(kNamespace, O_RDONLY | O_CLOEXEC));
  if (!own.valid())
    return failure(errno, kNamespace);
  link_ = UniqueFd(bpf_link_create(program_, own.get(), BPF_SK_LOOKUP, nullptr));
  if (!link_.valid())
    return failure(errno, "attaching the program to the network namespace");
  Status status = pins_.put(kLink, link_.get());
  if (!status.ok()) {
    // What nobody could find again would steer to sockets that are gone one day.
    static_cast<void>(bpf_link_detach(link_.get()));
    link_.reset();
  }
  return status;
}

Status Steering::look(const SteeringOptions& options) {
  close();
  constexpr std::array kUsed = {"ports", "sockets", "blocks"};
  const auto file = [&](const char* name) { return options.pin_directory + "/" + name; };
  const UniqueFd meta(bpf_obj_get(file("steer_meta").c_str()));
  if (!meta.valid())
    return failure(errno, file("steer_meta"));
  steer_meta value = {};
  const std::uint32_t zero = 0;
  if (bpf_map_lookup_elem(meta.get(), &zero, &value) != 0 || value.layout != STEER_LAYOUT_VERSION)
    return refusal(ESTALE, "what the active process has pinned is of another version");
  for (std::size_t i = 0; i < kUsed.size(); ++i) {
    looked_at_[i] = UniqueFd(bpf_obj_get(file(kUsed[i]).c_str()));
    if (!looked_at_[i].valid())
      return failure(errno, file(kUsed[i]));
  }
  ports_ = looked_at_[0].get();
  sockets_ = looked_at_[1].get();
  blocks_ = looked_at_[2].get();
  return {};
}

Status Steering::make(const SteeringOptions& options) {
  bool adopt = false;
  if (!pins_.files().empty()) {
    adopt = usable(options);
    if (!adopt && !options.only_adopt)
      discard(pins_);
  }
  if (!adopt && options.only_adopt)
    return refusal(ESTALE, note_.empty() ? "nothing is pinned any more" : note_);
  Status status = load(options, adopt);
  if (status.code == ESTALE && !options.only_adopt) {
    note_ = status.message;
    discard(pins_);
    bpf_object__close(object_);
    adopt = false;
    status = load(options, adopt);
  }
  if (status.ok() && !adopt)
    status = pin();
  if (status.ok())
    status = attach();
  adopted_ = adopt;
  return status;
}

Status Steering::open(const SteeringOptions& options) {
  close();
  Status status = pins_.open(options.pin_directory);
  if (!status.ok())
    return status;
  status = make(options);
  if (status.ok())
    return status;
  if (!options.only_adopt) {
    discard(pins_); // nothing half made stays
    pins_.remove();
  }
  close();
  return status;
}

Status Steering::check(bool& mended) {
  mended = false;
  if (!link_.valid())
    return refusal(EBADF, "steering is not open");
  if (namespace_of(link_.get()) != 0)
    return {};
  static_cast<void>(pins_.unlink(kLink));
  mended = true;
  return attach();
}

Status Steering::remove() {
  if (object_ == nullptr)
    return refusal(EBADF, "steering is not open");
  discard(pins_);
  pins_.remove();
  close();
  return {};
}

Status Steering::remove_left(const std::string& pin_directory) {
  struct stat status = {};
  if (::stat(pin_directory.c_str(), &status) != 0)
    return {};
  PinDirectory pins;
  if (Status locked = pins.open(pin_directory); !locked.ok())
    return locked;
  discard(pins);
  pins.remove();
  return {};
}

bool Steering::remove_abandoned(const std::string& pin_directory) {
  PinDirectory pins;
  const std::string sockets_file = pin_directory + "/sockets";
  struct stat status = {};
  if (::stat(sockets_file.c_str(), &status) != 0 || !pins.open(pin_directory).ok())
    return false;
  const UniqueFd sockets(bpf_obj_get(sockets_file.c_str()));
  const auto info = sockets.valid() ? map_info(sockets.get()) : std::nullopt;
  if (!info || info->type != BPF_MAP_TYPE_SOCKMAP || info->key_size != sizeof(std::uint32_t) ||
      info->value_size != sizeof(std::uint64_t))
    return false;
  // A socket leaves the map when it is closed by the last process that has it.
  for (std::uint32_t slot = 0; slot < info->max_entries; ++slot) {
    std::uint64_t cookie = 0;
    if (bpf_map_lookup_elem(sockets.get(), &slot, &cookie) == 0)
      return false;
  }
  discard(pins);
  pins.remove();
  return true;
}

void Steering::close() {
  link_.reset();
  if (object_ != nullptr)
    bpf_object__close(object_);
  object_ = nullptr;
  program_ = ports_ = sockets_ = blocks_ = -1;
  for (UniqueFd& fd : looked_at_)
    fd.reset();
  adopted_ = false;
  note_.clear();
  pins_.close();
}

} // namespace rtprelay::kernel
