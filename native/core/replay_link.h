// The thread of the replay at takeover: hears frames and the peer's heartbeats, sends our own, and
// gives the workers what is to be relayed in the peer's place.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <linux/filter.h>

#include "replay.h"
#include "socket.h"
#include "worker.h"

namespace rtprelay {

/// One way from node to node.
struct HeartbeatPath {
  SocketAddress local;
  SocketAddress peer;
};

struct ReplayLinkOptions {
  ReplayOptions replay;
  std::vector<HeartbeatPath> paths;
  /// Devices on which the peer's packets are heard.
  std::vector<std::string> devices;
};

/// What a path has brought. Thread: written by the link, read by any.
struct PathCounters {
  Counter received;
  /// CLOCK_MONOTONIC, µs; 0: never.
  Counter last;
  Counter send_failures;
};

// Thread: control.
class ReplayLink {
public:
  /// null: `fault` says why. The workers outlive it and take part in the replay.
  static std::unique_ptr<ReplayLink> open(ReplayLinkOptions options, std::vector<Worker*> workers,
                                          std::string& fault);
  ~ReplayLink();
  ReplayLink(const ReplayLink&) = delete;
  ReplayLink& operator=(const ReplayLink&) = delete;

  [[nodiscard]] const ReplayCounters& counters() const { return replay_.counters(); }
  [[nodiscard]] const std::vector<std::unique_ptr<PathCounters>>& paths() const { return counted_; }
  /// Frames that the kernel had no room for.
  [[nodiscard]] std::uint64_t missed_frames() const { return missed_.get(); }
  /// Packets of which nobody was told that they were sent, because the thread did not run.
  [[nodiscard]] std::uint64_t untold() const;
  /// Packets that would have been encrypted a second time.
  [[nodiscard]] std::uint64_t secret() const;

private:
  struct Capture {
    std::string device;
    unsigned index = 0;
    FileDescriptor fd;
  };

  ReplayLink(ReplayLinkOptions options, std::vector<Worker*> workers);
  bool open_paths(std::string& fault);
  bool open_captures(std::string& fault);
  bool open_capture(Capture& capture) const;
  [[nodiscard]] std::vector<sock_filter> filter() const;
  /// Has the kernel drop what the replay would not keep.
  void listen(Micros now);
  void run();
  void wait_until(Micros moment);
  void look_at_network();
  void take_sent(Micros now);
  void take_frames(const Capture& capture);
  void take_heartbeats(std::size_t path);
  void beat(Micros now);
  void replay(Micros now);

  const ReplayLinkOptions options_;
  const std::vector<Worker*> workers_;
  Replay replay_;
  std::vector<FileDescriptor> paths_;
  std::vector<std::unique_ptr<PathCounters>> counted_;
  std::vector<Capture> captures_;
  FileDescriptor network_;
  FileDescriptor wake_;
  struct Room;
  std::unique_ptr<Room> room_;
  /// Of the filter.
  std::vector<SocketAddress> listened_;
  /// There were more frames than are taken at once.
  bool behind_ = false;
  Counter missed_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

} // namespace rtprelay
