// Kernel forwarding: loads the BPF programs, keeps flows, reads counters.
//
// What is in the kernel outlives the process: maps are pinned in a directory of a BPF file system,
// TC filters belong to their device, XDP links are pinned. The next process that opens the same
// directory adopts it all. Only `clear` and `remove` take it away.
//
// Linked against libbpf, which the daemon must not need: build this into a shared object of its own
// that is loaded only when kernel forwarding is wanted.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../core/address.h"

namespace rtprelay::kernel {

enum class Mode : std::uint8_t { kTc = 1, kXdp = 2, kXdpGeneric = 3 };
enum class Action : std::uint8_t { kForward = 0, kDrop = 1, kUp = 2 };
/// What happens to RTCP on the flow's port (RFC 5761): as RTP, up to userspace, or elsewhere.
enum class Rtcp : std::uint8_t { kForward, kUp, kSecond };
enum class OnMismatch : std::uint8_t { kUp, kDrop };

/// An errno value and a sentence for the log; code 0 is success.
struct Status {
  int code = 0;
  std::string message;
  [[nodiscard]] bool ok() const { return code == 0; }
};

struct PayloadTypes {
  std::bitset<128> allowed;
  OnMismatch otherwise = OnMismatch::kUp;
  bool operator==(const PayloadTypes&) const = default;
};

/// Packets to `local` leave from `source` to `destination`. All of one family.
struct FlowSpec {
  SocketAddress local;
  Action action = Action::kForward;
  SocketAddress source;
  SocketAddress destination;
  /// The only sender that is forwarded; kNone: anybody.
  SocketAddress expected;
  OnMismatch other_sources = OnMismatch::kUp;
  Rtcp rtcp = Rtcp::kForward;
  /// Unless `kUp`: RTCP goes up all the same while a socket of this machine would get it.
  bool rtcp_without_reader = false;
  SocketAddress rtcp_source;
  SocketAddress rtcp_destination;
  /// DSCP is set from it, ECN bits are kept; negative: as received.
  int tos = -1;
  /// Not RTP (T.38): no byte of the payload is looked at.
  bool opaque = false;
  /// For jitter, Hz.
  std::uint32_t clock_rate = 8000;
  std::optional<PayloadTypes> payload_types;
  bool operator==(const FlowSpec&) const = default;
};

struct ReasonCount {
  const char* reason;
  bool dropped;
  std::uint64_t packets;
};

struct FlowCounters {
  /// Forwarded; bytes of UDP payload.
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  /// CLOCK_MONOTONIC, 0 none.
  std::uint64_t last_packet_ns = 0;
  /// Of `packets`, what went to the second destination.
  std::uint64_t rtcp_packets = 0;
  std::uint64_t rtcp_bytes = 0;
  std::optional<std::uint32_t> ssrc;
  std::uint32_t highest_sequence = 0;
  std::uint32_t received = 0;
  /// RFC 3550 §A.3: expected minus received, negative with duplicates.
  std::int64_t lost = 0;
  /// Changes of SSRC and jumps of the sequence number.
  std::uint32_t restarts = 0;
  /// RTP time units (RFC 3550 §A.8).
  std::uint32_t jitter = 0;
  std::uint64_t dropped = 0;
  std::uint64_t passed_up = 0;
  /// Only reasons that occurred.
  std::vector<ReasonCount> reasons;
};

/// A VLAN device on top of an attached one: frames with its tag count as arriving on it.
struct VlanDevice {
  std::string name;
  std::string parent;
  std::uint16_t id = 0;
};

struct Options {
  /// A directory that is made in a mounted BPF file system. One instance each.
  std::string pin_directory;
  std::string object_path;
  Mode mode = Mode::kTc;
  std::uint32_t max_flows = 16384;
  /// The kernel looks up routes only "from" a device with forwarding enabled. Enabling it on the
  /// loopback device is harmless; false: only if the devices themselves forward already.
  bool set_loopback_forwarding = true;
};

// Thread: one at a time. No function waits for anything but the kernel.
class KernelForwarder {
public:
  KernelForwarder();
  /// Leaves everything in the kernel going.
  ~KernelForwarder();
  KernelForwarder(const KernelForwarder&) = delete;
  KernelForwarder& operator=(const KernelForwarder&) = delete;

  /// Takes the directory's lock (EBUSY: another process has it), adopts what is pinned there, or
  /// makes it anew when there is nothing, or something of another layout, size or mode. Devices
  /// that an adopted instance was attached to get this object's program without a gap.
  Status open(const Options& options);
  /// Gives the lock up; the kernel goes on.
  void close();
  [[nodiscard]] bool is_open() const;
  /// `open` found flows or at least maps that it could use.
  [[nodiscard]] bool adopted() const;
  /// `open` made it anew, and the older program still forwards on `devices`: attach to them when
  /// the flows are there, or when userspace can take their packets.
  [[nodiscard]] bool replaces() const;
  /// Sentences for the log: why something was replaced, which family is not forwarded.
  [[nodiscard]] const std::vector<std::string>& notes() const;

  /// Idempotent; with a device already attached its MAC address is read again.
  Status attach(const std::string& device);
  /// ENODEV when we are not attached there.
  Status detach(const std::string& device);
  [[nodiscard]] std::vector<std::string> devices() const;
  /// Replaces all that was said before. Parents must be attached.
  Status set_vlans(std::span<const VlanDevice> vlans);

  /// To be called when routes, neighbours or addresses have changed. The programs keep the answer
  /// of a route lookup for 100 ms, so without it they notice a little later.
  Status routes_changed();

  /// Adds and replaces; a replaced flow keeps its counters. Either all are checked and there is
  /// room (else EINVAL, ENOSPC and nothing done), or the kernel's error says how far it came.
  Status set_flows(std::span<const FlowSpec> flows);
  /// Unknown ones are skipped. `last` (may be null) gets the final counters, aligned with `locals`.
  /// A packet that another CPU is forwarding this microsecond may be missing from them.
  Status remove_flows(std::span<const SocketAddress> locals,
                      std::vector<std::optional<FlowCounters>>* last);
  /// Reads memory, no system call.
  [[nodiscard]] std::optional<FlowCounters> counters(const SocketAddress& local) const;
  /// Some of them, as `FlowTable::list`.
  [[nodiscard]] std::vector<FlowSpec> flows(std::size_t& from) const;
  [[nodiscard]] std::size_t size() const;
  /// By reason, packets of flows and of none ("no flow", "fragment", ...); forwarded ones first.
  [[nodiscard]] std::vector<ReasonCount> totals() const;

  /// Removes all flows; stays attached.
  Status clear();
  /// Detaches and unpins everything and closes: nothing is left in the kernel.
  Status remove();

private:
  class State;
  std::unique_ptr<State> state_;
};

} // namespace rtprelay::kernel
