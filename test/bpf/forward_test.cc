// Packets that are forwarded: packet in, verdict and packet out.
#include "../../native/core/socket.h"
#include "rows.h"

using namespace rows;

namespace {
const Version kBoth[] = {Version::kIpv4, Version::kIpv6};

/// The payload that makes the new UDP checksum come out as `wanted`: its last two bytes.
Frame with_checksum_zero(const FlowSpec& spec, Frame frame) {
  Frame out = leaving(spec, frame);
  for (unsigned tail = 0; tail <= 0xffff; ++tail) {
    out.payload[20] = static_cast<std::uint8_t>(tail >> 8);
    out.payload[21] = static_cast<std::uint8_t>(tail);
    const frames::Bytes bytes = frames::build(out);
    const std::size_t at = 14U + (out.source.family == rtprelay::Family::kIpv4 ? 20 : 40) + 6;
    if (bytes[at] == 0xff && bytes[at + 1] == 0xff)
      break;
  }
  frame.payload = out.payload;
  return frame;
}
/// A socket on that port of any address.
rtprelay::FileDescriptor listen(Version version, int port) {
  const auto any =
      at(version == Version::kIpv4 ? "0.0.0.0" : "::", static_cast<std::uint16_t>(port));
  int error = 0;
  return rtprelay::open_udp_socket(any, -1, rtprelay::FreeBind::kNo, error);
}
} // namespace

ROW("IPv4 and IPv6 are forwarded with addresses, ports, TTL and checksums right") {
  for (const Version version : kBoth) {
    const Frame in = arriving(version);
    forwarded(bench, plain_flow(version), in, leaving(plain_flow(version), in));
  }
}

ROW("payloads of odd and of smallest length are forwarded") {
  for (const Version version : kBoth) {
    for (const std::size_t size : {12U, 13U, 33U, 1400U}) {
      Frame in = arriving(version);
      in.payload = frames::rtp(0, 1, 2, 3, size);
      forwarded(bench, plain_flow(version), in, leaving(plain_flow(version), in));
    }
  }
}

ROW("a flow may leave by the device it came by") {
  FlowSpec spec = plain_flow(Version::kIpv4);
  spec.source = at("192.0.2.1", 30002);
  spec.destination = at("192.0.2.9", 40000);
  const Frame in = arriving(Version::kIpv4);
  Frame out = leaving(spec, in);
  out.to = in.from;
  out.from = in.to;
  forwarded(bench, spec, in, out);
}

ROW("a change of the neighbour counts from when we are told") {
  const FlowSpec spec = plain_flow(Version::kIpv4);
  const Frame in = arriving(Version::kIpv4);
  Frame out = leaving(spec, in);
  forwarded(bench, spec, in, out);
  CHECK(rig::run("ip neighbour replace 198.51.100.9 lladdr 02:00:00:00:02:0a dev out"));
  CHECK(bench.programs.forget_next_hops().ok());
  out.to = {2, 0, 0, 0, 2, 10};
  CHECK(bench.run(frames::build(in)).frame == frames::build(out));
  CHECK(rig::run("ip neighbour replace 198.51.100.9 lladdr 02:00:00:00:02:09 dev out"));
}

ROW("flows of one next hop and different source, TOS or length each get theirs") {
  const Version version = Version::kIpv4;
  CHECK(rig::run("ip rule add from 198.51.100.77 lookup 7"));
  CHECK(rig::run("ip route add 198.51.100.9 via 192.0.2.9 dev in table 7"));
  FlowSpec other = plain_flow(version);
  other.local.port += 2;
  other.source = at("198.51.100.77", 30002);
  const FlowSpec both[] = {plain_flow(version), other};
  CHECK(bench.table.clear().ok() && bench.table.set(both).ok());
  CHECK(bench.programs.forget_next_hops().ok());
  Frame in = arriving(version);
  Frame detour = in;
  detour.destination = other.local;
  Frame detour_out = leaving(other, detour);
  detour_out.to = in.from;
  detour_out.from = in.to;
  for (int i = 0; i < 3; ++i) {
    CHECK(bench.run(frames::build(in)).frame == frames::build(leaving(both[0], in)));
    CHECK(bench.run(frames::build(detour)).frame == frames::build(detour_out));
  }
  CHECK(rig::run("ip rule del from 198.51.100.77 lookup 7"));
  CHECK(rig::run("ip route flush table 7"));
  // A larger packet than the link takes is noticed though smaller ones have gone before.
  CHECK(rig::run("ip link set out mtu 1280"));
  CHECK(bench.programs.forget_next_hops().ok());
  CHECK(bench.run(frames::build(in)).verdict == bench.leave(false));
  in.payload = frames::rtp(0, 2, 2, 3, 1300);
  CHECK(bench.run(frames::build(in)).verdict == bench.up());
  CHECK(rig::run("ip link set out mtu 1500"));
}

ROW("IPv4 without UDP checksum stays without") {
  Frame in = arriving(Version::kIpv4);
  in.sum = frames::UdpSum::kNone;
  forwarded(bench, plain_flow(Version::kIpv4), in, leaving(plain_flow(Version::kIpv4), in));
}

ROW("a UDP checksum that comes out as zero is sent as ones") {
  for (const Version version : kBoth) {
    const Frame in = with_checksum_zero(plain_flow(version), arriving(version));
    forwarded(bench, plain_flow(version), in, leaving(plain_flow(version), in));
  }
}

ROW("a wrong UDP checksum stays wrong: the receiver must notice") {
  for (const Version version : kBoth) {
    Frame in = arriving(version);
    in.sum = frames::UdpSum::kWrong;
    Frame out = leaving(plain_flow(version), in);
    out.sum = frames::UdpSum::kRight;
    count(bench, plain_flow(version), {in});
    const frames::Bytes got = bench.run(frames::build(in)).frame;
    const frames::Bytes right = frames::build(out);
    const std::size_t sum_at = right.size() - in.payload.size() - 2;
    CHECK(got.size() == right.size());
    CHECK(got[sum_at] != right[sum_at] || got[sum_at + 1] != right[sum_at + 1]);
  }
}

ROW("padding of a short Ethernet frame is no payload") {
  Frame in = arriving(Version::kIpv4);
  in.payload = frames::rtp(0, 1, 2, 3, 12);
  in.padding = 6;
  forwarded(bench, plain_flow(Version::kIpv4), in, leaving(plain_flow(Version::kIpv4), in));
}

ROW("DSCP is set when the flow says so, ECN bits stay") {
  for (const Version version : kBoth) {
    FlowSpec spec = plain_flow(version);
    Frame in = arriving(version);
    in.tos = 0x23;
    forwarded(bench, spec, in, leaving(spec, in));
    spec.tos = 0xb8;
    Frame out = leaving(spec, in);
    out.tos = 0xbb;
    forwarded(bench, spec, in, out);
  }
}

ROW("the expected source is forwarded") {
  for (const Version version : kBoth) {
    FlowSpec spec = plain_flow(version);
    const Frame in = arriving(version);
    spec.expected = in.source;
    forwarded(bench, spec, in, leaving(spec, in));
  }
}

ROW("an allowed payload type is forwarded") {
  for (const std::uint8_t type : std::initializer_list<std::uint8_t>{0, 8, 63, 96, 101, 127}) {
    FlowSpec spec = plain_flow(Version::kIpv4);
    spec.payload_types.emplace();
    spec.payload_types->allowed.set(type);
    Frame in = arriving(Version::kIpv4);
    in.payload = frames::rtp(type, 1, 2, 3);
    forwarded(bench, spec, in, leaving(spec, in));
  }
}

ROW("RTCP on the RTP port goes where RTP goes, or to its own destination") {
  for (const Version version : kBoth) {
    FlowSpec spec = plain_flow(version);
    Frame in = arriving(version);
    in.payload = frames::rtcp(7);
    forwarded(bench, spec, in, leaving(spec, in));
    spec.rtcp = Rtcp::kSecond;
    spec.rtcp_source = spec.source;
    spec.rtcp_source.port = 30003;
    spec.rtcp_destination = spec.destination;
    spec.rtcp_destination.port = 40001;
    Frame out = leaving(spec, in);
    out.source.port = 30003;
    out.destination.port = 40001;
    forwarded(bench, spec, in, out);
    CHECK(bench.table.counters(spec.local)->rtcp_packets == 1);
    const Frame media = arriving(version);
    forwarded(bench, spec, media, leaving(spec, media));
    CHECK(bench.table.counters(spec.local)->rtcp_packets == 0);
  }
}

ROW("RTCP goes up while a socket waits for it, and is forwarded when none does") {
  for (const Version version : kBoth) {
    FlowSpec alone = plain_flow(version);
    alone.rtcp_without_reader = true;
    FlowSpec shared = alone;
    shared.rtcp = Rtcp::kSecond;
    shared.rtcp_source = alone.source;
    shared.rtcp_destination = alone.destination;
    shared.rtcp_destination.port = 40001;
    // The port of RTCP alone: nothing else is forwarded.
    alone.payload_types = rtprelay::kernel::PayloadTypes{};
    Frame report = arriving(version);
    report.payload = frames::rtcp(7);
    const Frame media = arriving(version);
    {
      const auto elsewhere = listen(version, alone.local.port + 1);
      forwarded(bench, alone, report, leaving(alone, report));
      passed_up(bench, alone, media, "other payload type");
      Frame out = leaving(shared, report);
      out.destination.port = 40001;
      forwarded(bench, shared, report, out);
    }
    const auto reader = listen(version, alone.local.port);
    CHECK(reader.valid());
    passed_up(bench, alone, report, "RTCP");
    passed_up(bench, shared, report, "RTCP");
    forwarded(bench, shared, media, leaving(shared, media));
  }
}

ROW("an opaque flow forwards what is not RTP") {
  FlowSpec spec = plain_flow(Version::kIpv4);
  spec.opaque = true;
  for (const std::uint8_t first : std::initializer_list<std::uint8_t>{0, 22, 70, 255}) {
    Frame in = arriving(Version::kIpv4);
    in.payload = {first, 1, 2, 3};
    forwarded(bench, spec, in, leaving(spec, in));
  }
}

ROW("VLAN tags: off, and kept or put on where the program sees them") {
  const bool xdp = bench.mode() == Mode::kXdp;
  const rtprelay::kernel::VlanDevice known[] = {{"in", "in", 100}};
  CHECK(bench.devices.set_vlans(known).ok());
  for (const Version version : kBoth) {
    Frame in = arriving(version);
    in.vlans = {100};
    Frame out = leaving(plain_flow(version), in);
    out.vlans.clear();
    forwarded(bench, plain_flow(version), in, out);
  }
  // In TC the VLAN device that the route names puts its tag on; XDP has to do it itself.
  if (xdp) {
    const rtprelay::kernel::VlanDevice both[] = {{"in", "in", 100}, {"in-peer", "out", 200}};
    CHECK(bench.devices.set_vlans(both).ok());
    CHECK(rig::run("ip route add 203.0.113.0/24 via 169.254.7.9 dev in-peer onlink"));
    CHECK(rig::run("ip neighbour add 169.254.7.9 lladdr 02:00:00:00:07:09 dev in-peer"));
    FlowSpec spec = plain_flow(Version::kIpv4);
    spec.destination = at("203.0.113.5", 40000);
    for (const bool tagged : {false, true}) {
      Frame in = arriving(Version::kIpv4);
      if (tagged)
        in.vlans = {100};
      Frame out = leaving(spec, in);
      out.to = {2, 0, 0, 0, 7, 9};
      out.from = rig::mac_of("in-peer");
      out.vlans = {200};
      forwarded(bench, spec, in, out);
    }
    CHECK(rig::run("ip route del 203.0.113.0/24 dev in-peer"));
  }
  CHECK(bench.devices.set_vlans({}).ok());
}
