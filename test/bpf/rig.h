// A private network and mount namespace for this process, and one loaded program in it.
//
// Nothing here has a name outside the process: namespaces, devices, pins and the BPF file system
// disappear with it, however it ends.
#pragma once

#include <memory>
#include <string>

#include "../../native/kernel/devices.h"
#include "../../native/kernel/flow_table.h"
#include "../../native/kernel/kernel_forwarder.h"
#include "../../native/kernel/pin_directory.h"
#include "../../native/kernel/programs.h"
#include "frame.h"

namespace rig {

using rtprelay::kernel::FlowSpec;
using rtprelay::kernel::Mode;

/// False, with a reason on standard output, where BPF or namespaces are not to be had.
bool enter_namespaces();
/// A directory of the private BPF file system.
std::string pins(const std::string& name);
/// The compiled object: argument of the test program.
std::string& object_path();
/// Runs a command of iproute2; true on success.
bool run(const std::string& command);
frames::Mac mac_of(const std::string& device);

/// Names and addresses of the devices: "in" is where test packets arrive, "out" where most leave.
/// in: 192.0.2.1, 2001:db8:1::1; out: 198.51.100.1, 2001:db8:2::1; neighbours have .9 and ::9.
bool make_devices();

/// The kernel refused to run the program.
constexpr int kNotRun = -1000;

struct Outcome {
  /// XDP_... or TC_ACT_...
  int verdict = kNotRun;
  frames::Bytes frame;
};

/// One program, loaded and attached to "in" and "out".
class Bench {
public:
  explicit Bench(Mode mode);
  /// The bench of this mode, made at first use; null after a failure to load.
  static Bench* of(Mode mode);

  Outcome run(const frames::Bytes& frame, unsigned repeat = 1, unsigned* nanoseconds = nullptr,
              unsigned gso_size = 0);
  /// How often a reason was counted in all.
  std::uint64_t total(const char* reason) const;
  [[nodiscard]] Mode mode() const { return mode_; }
  /// The verdicts of this mode.
  [[nodiscard]] int up() const;
  [[nodiscard]] int drop() const;
  [[nodiscard]] int leave(bool same_device) const;

  rtprelay::kernel::FlowTable table;
  rtprelay::kernel::PinDirectory directory;
  rtprelay::kernel::Programs programs;
  rtprelay::kernel::Devices devices;
  bool ready = false;

private:
  Mode mode_;
};

} // namespace rig
