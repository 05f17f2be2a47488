// Steered ports: loads the sk_lookup program, keeps its maps and its link pinned.
//
// What is in the kernel outlives the process: while the sockets live (in the store of a service
// manager or of a parent), packets go on arriving in them. The packet path writes the maps itself,
// by the descriptors that it gets from here (native/core/port_steering.h).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "pin_directory.h"
#include "status.h"
#include "unique_fd.h"

struct bpf_object;

namespace rtprelay::kernel {

struct SteeringOptions {
  /// A directory that is made in a mounted BPF file system. One instance each.
  std::string pin_directory;
  std::string object_path;
  /// Ports that may be open at a time.
  std::uint32_t max_ports = 0;
  /// What is pinned is in use by this process already (`look`): it is adopted or left as it is.
  bool only_adopt = false;
};

// Thread: one at a time.
class Steering {
public:
  Steering() = default;
  /// Leaves everything in the kernel going.
  ~Steering() { close(); }
  Steering(const Steering&) = delete;
  Steering& operator=(const Steering&) = delete;

  /// Takes the directory's lock (EBUSY: another process has it), adopts what is pinned there or
  /// makes it anew, and attaches the program to this process' network namespace.
  Status open(const SteeringOptions& options);
  void close();
  /// Opens the maps that another process of this version has pinned, and changes nothing.
  Status look(const SteeringOptions& options);
  /// `open` found ports that an earlier process had.
  [[nodiscard]] bool adopted() const { return adopted_; }
  /// A sentence for the log, or empty: why something was made anew.
  [[nodiscard]] const std::string& note() const { return note_; }
  /// Descriptors of the maps, ours until `close`; -1 when it is not open.
  [[nodiscard]] int ports() const { return ports_; }
  [[nodiscard]] int sockets() const { return sockets_; }
  [[nodiscard]] int blocks() const { return blocks_; }
  /// Whether the program still is where it was attached; if it is not, attaches it again and says
  /// so in `mended`.
  Status check(bool& mended);
  /// Detaches and unpins everything and closes.
  Status remove();
  /// The same for what an earlier process has left, if anything.
  static Status remove_left(const std::string& pin_directory);
  /// The same for what another instance has left, if nobody has the lock and no socket is there any
  /// more that the program could steer to. true: it was so.
  static bool remove_abandoned(const std::string& pin_directory);

private:
  Status load(const SteeringOptions& options, bool adopt);
  Status adopt_maps();
  Status pin();
  Status attach();
  [[nodiscard]] bool usable(const SteeringOptions& options);
  Status make(const SteeringOptions& options);

  PinDirectory pins_;
  bpf_object* object_ = nullptr;
  UniqueFd link_;
  /// Of `look`.
  std::array<UniqueFd, 3> looked_at_;
  int program_ = -1;
  int ports_ = -1;
  int sockets_ = -1;
  int blocks_ = -1;
  bool adopted_ = false;
  std::string note_;
};

} // namespace rtprelay::kernel
