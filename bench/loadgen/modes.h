// What the load generator can do, and its options.
#pragma once

#include <cstdint>
#include <string>

#include <netinet/in.h>

namespace loadgen {

struct Options {
  sockaddr_in ng{};
  std::string bind_a = "127.0.0.1";
  std::string bind_b = "127.0.0.1";
  std::string call_prefix = "load";
  std::uint32_t calls = 100;
  std::uint32_t ptime_ms = 20;
  double seconds = 10;
  double warmup = 0;
  std::uint16_t port_base = 10'000;
  std::uint32_t concurrency = 16;
  bool delete_calls = true;
  bool per_stream = false;
  /// Packets received are also counted by time of arrival, in steps of so many ms; 0: they are not.
  std::uint32_t bin_ms = 0;
  /// A packet is late when it was so long on its way, ms.
  std::uint32_t late_ms = 60;
  /// PCMA that the first caller sends, over and over; empty: it sends what all send. What its
  /// partner would have played goes to the same name with `.received`.
  std::string audio_file;
};

/// Calls with media both ways. Exit code.
int relay_mode(const Options& options);
/// Offer, answer and delete, again and again. Exit code.
int control_mode(const Options& options);
/// Sets calls up, says `ready`, and deletes them when stdin ends. Exit code.
int hold_mode(const Options& options);

} // namespace loadgen
