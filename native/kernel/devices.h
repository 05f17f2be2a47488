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

  /// Detaches whatever any version pinned in this directory; works without loaded programs.
  static void detach_all(const PinDirectory& pins);

private:
  void forget_gone() const;
  Status attach_index(std::uint32_t index, const std::string& name);
  Status attach_tc(std::uint32_t index, const std::string& name, bool& made_qdisc) const;
  Status attach_xdp(std::uint32_t index, const std::string& name) const;

  const PinDirectory& pins_;
  const Programs& programs_;
  Mode mode_;
};

} // namespace rtprelay::kernel
