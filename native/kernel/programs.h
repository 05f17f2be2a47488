// The loaded BPF object: its maps, pinned or adopted, and the one program the mode wants.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "../bpf/flow.h"
#include "pin_directory.h"
#include "status.h"

struct bpf_object;
struct bpf_map;

namespace rtprelay::kernel {

/// Names in native/bpf/maps.h; `meta` is pinned last and so says that the others are complete.
inline constexpr std::array kMapNames = {"flows", "fast_flows",  "counters", "totals", "devices",
                                         "vlans", "vlan_egress", "transmit", "meta"};

enum class Pinned { kNothing, kUsable, kOther };

class Programs {
public:
  Programs() = default;
  ~Programs() { close(); }
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  /// What the directory holds, compared with what `options` want; `why` says what differs.
  static Pinned examine(const PinDirectory& pins, const Options& options, std::string& why);
  /// What the pinned programs are attached as, if the layout says so.
  static std::optional<Mode> pinned_mode(const PinDirectory& pins);
  /// Pins the maps of a program that still runs, whose pins are gone with their file system.
  static Status pin_again(const PinDirectory& pins, std::uint32_t program);
  /// Loads program and maps; `adopt`: the maps are the pinned ones.
  Status load(const PinDirectory& pins, const Options& options, const flow_lookup& lookup,
              bool adopt);
  /// Puts the loaded maps in the place of those that are pinned, one after the other.
  Status pin(const PinDirectory& pins, const Options& options);
  void close();
  /// Every next packet asks the routing table again.
  Status forget_next_hops();

  [[nodiscard]] int program() const { return program_; }
  [[nodiscard]] int map(const char* name) const;

private:
  Status configure(const Options& options, const flow_lookup& lookup);
  Status adopt_maps(const PinDirectory& pins);
  /// Whoever finds the program finds all of them, for as long as it runs.
  void bind_maps() const;

  bpf_object* object_ = nullptr;
  int program_ = -1;
  std::uint32_t route_generation_ = 0;
};

} // namespace rtprelay::kernel
