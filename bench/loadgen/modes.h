// What the load generator can do, and its options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "../../native/srtp/suite.h"
#include "ng.h"

namespace loadgen {

struct Options {
  Address ng;
  std::string bind_a = "127.0.0.1";
  std::string bind_b = "127.0.0.1";
  std::string call_prefix = "load";
  std::uint32_t calls = 100;
  std::uint32_t ptime_ms = 20;
  double seconds = 10;
  double warmup = 0;
  std::uint16_t port_base = 10'000;
  std::uint32_t concurrency = 16;
  /// Calls in all; 0: as many as the time allows.
  std::uint64_t triples = 0;
  /// Calls begun per second; 0: as many as the daemon manages.
  double rate = 0;
  bool delete_calls = true;
  /// The daemon's interfaces that face the calling and the called phones.
  std::optional<Interfaces> through;
  bool per_stream = false;
  /// The phones talk to each other without a relay: what sending and receiving alone costs.
  bool direct = false;
  /// Where the calls are asked for and deleted in the end, when not where they were set up.
  std::optional<Address> ng_after;
  /// File for the time of sending and of arrival of every packet.
  std::string trace_file;
  /// Raw PCMA that the first stream carries, again and again, in place of a stamp.
  std::string audio_file;
  /// File for what the receiver of that stream got, silence where a packet is missing.
  std::string record_file;
  /// Suites of SDES that the callers and the called speak (RFC 4568); none: plain RTP.
  std::optional<rtprelay::srtp::Suite> srtp_a;
  std::optional<rtprelay::srtp::Suite> srtp_b;
  /// Where both do, with one suite: the relay may pass their keys on, and SRTP as it is.
  bool pass_srtp = false;
};

/// Calls with media both ways. Exit code.
int relay_mode(const Options& options);
/// Offer, answer and delete, again and again. Exit code.
int control_mode(const Options& options);
/// Calls with a handshake of DTLS-SRTP each. Exit code.
int handshake_mode(const Options& options);
/// Sets calls up, says `ready`, and deletes them when stdin ends. Exit code.
int hold_mode(const Options& options);

} // namespace loadgen
