// Attaching the program to network devices, so that it stays there without us.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "programs.h"

namespace rtprelay::kernel {

class Devices {
public:
  Devices(const PinDirectory& pins, const Programs& programs, Mode mode)
      : pins_(pins), programs_(programs), mode_(mode) {}

  Status attach(const std::string& name);
  Status detach(const std::string& name);
  /// Gives the devices of an adopted instance this program; forgets those that are gone.
  Status refresh();
  Status set_vlans(std::span<const VlanDevice> vlans);
  [[nodiscard]] std::vector<std::string> names() const;

  /// A device that has a program of some instance.
  struct Record {
    std::uint32_t index = 0;
    bool made_qdisc = false;
  };
  /// Those that any version pinned in this directory; works without loaded programs.
  static std::vector<Record> records(const PinDirectory& pins);
  /// The id of the program that this directory's filter runs on some device here, which does not
  /// need what is pinned; 0: there is none.
  static std::uint32_t attached_program(const PinDirectory& pins);
  /// Whether a pinned file is a link to one.
  static bool is_link(const std::string& file);
  static void detach_all(const PinDirectory& pins, std::span<const Record> records);
  /// Takes the record of devices over where an older program still runs: `attach` replaces it
  /// without a gap, `detach` ends it. `stale_links`: its XDP links are of another kind.
  Status inherit(std::span<const Record> records, bool stale_links);

private:
  void forget_gone() const;
  Status attach_index(std::uint32_t index, const std::string& name);
  Status attach_tc(std::uint32_t index, const std::string& name, bool& made_qdisc) const;
  Status attach_xdp(std::uint32_t index, const std::string& name);
  [[nodiscard]] Status make_link(std::uint32_t index, const std::string& name) const;
  void remove_other_kind(std::uint32_t index, bool& made_qdisc) const;

  const PinDirectory& pins_;
  const Programs& programs_;
  Mode mode_;
  /// Links that cannot be given our program.
  std::vector<std::uint32_t> stale_;
};

} // namespace rtprelay::kernel
