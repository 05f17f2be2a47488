// What the rows of the fixture tests share: a flow, a packet for it, and what must come of it.
#pragma once

#include "../native/check.h"
#include "rig.h"

namespace rows {

using frames::at;
using frames::Frame;
using rtprelay::SocketAddress;
using rtprelay::kernel::Action;
using rtprelay::kernel::FlowCounters;
using rtprelay::kernel::FlowSpec;
using rtprelay::kernel::Mode;
using rtprelay::kernel::OnMismatch;
using rtprelay::kernel::Rtcp;

enum class Version { kIpv4, kIpv6 };

/// From the neighbour on "in" to the one on "out".
FlowSpec plain_flow(Version version);
/// An RTP packet of that flow.
Frame arriving(Version version);
/// `arriving` after `flow`.
Frame leaving(const FlowSpec& spec, const Frame& arriving);

/// Each installs the flow, runs the packet and compares everything: verdict, bytes, counters.
void forwarded(rig::Bench& bench, const FlowSpec& spec, const Frame& in, const Frame& out);
void passed_up(rig::Bench& bench, const FlowSpec& spec, const Frame& in, const char* reason);
void dropped(rig::Bench& bench, const FlowSpec& spec, const Frame& in, const char* reason);
/// Runs frames of one flow, which must all be forwarded, and returns its counters.
FlowCounters count(rig::Bench& bench, const FlowSpec& spec, const std::vector<Frame>& in);

template <void (*kBody)(rig::Bench&), Mode kMode> void with_bench() {
  rig::Bench* bench = rig::Bench::of(kMode);
  CHECK(bench != nullptr);
  if (bench != nullptr)
    kBody(*bench);
}

} // namespace rows

/// A test of one row, once with the TC and once with the XDP program.
#define ROW(name)                                                                                  \
  static void CHECK_JOIN(row_, __LINE__)(rig::Bench & bench);                                      \
  static const check::Register CHECK_JOIN(tc_, __LINE__)(                                          \
      "TC: " name, rows::with_bench<CHECK_JOIN(row_, __LINE__), rows::Mode::kTc>);                 \
  static const check::Register CHECK_JOIN(xdp_, __LINE__)(                                         \
      "XDP: " name, rows::with_bench<CHECK_JOIN(row_, __LINE__), rows::Mode::kXdp>);               \
  static void CHECK_JOIN(row_, __LINE__)([[maybe_unused]] rig::Bench & bench)
