// The parts of the bench.
#pragma once

#include <string>
#include <vector>

#include "../../test/bpf/frame.h"
#include "bare.h"
#include "report.h"

namespace bench {

bare_rewrite constants(const frames::Mac& to, const frames::Mac& from,
                       const rtprelay::SocketAddress& source,
                       const rtprelay::SocketAddress& destination, std::uint32_t ifindex);

/// The programs alone, by BPF_PROG_TEST_RUN.
std::vector<Series> measure_programs(const std::string& bare_object, bool tc);
/// A packet's whole way from a sender's socket through this machine's devices.
std::vector<Series> measure_path(const std::string& bare_object, bool tc);
/// Setting, reading back and removing `count` flows, milliseconds.
void measure_flows(unsigned count);

} // namespace bench
