// Packets that go up to userspace or are dropped, each for its counted reason, byte for byte as
// they came.
#include "../native/packet_table.h"
#include "rows.h"

using namespace rows;

namespace {

const Version kBoth[] = {Version::kIpv4, Version::kIpv6};

Frame with_payload(Version version, frames::Bytes payload) {
  Frame frame = arriving(version);
  frame.payload = std::move(payload);
  return frame;
}

/// Starts with `first`, as long as an RTP packet.
frames::Bytes starting(std::uint8_t first) {
  frames::Bytes bytes = frames::rtp(0, 1, 2, 3);
  bytes[0] = first;
  return bytes;
}

} // namespace

ROW("a datagram of any kind goes where the table of packets says") {
  const auto rows = packet_table::rows();
  CHECK(rows.size() > 30);
  for (const Version version : kBoth) {
    FlowSpec spec = plain_flow(version);
    spec.rtcp = Rtcp::kUp;
    for (const auto& row : rows) {
      const int failures = check::failures_here();
      const Frame in = with_payload(version, row.bytes);
      if (row.kernel == "forward")
        forwarded(bench, spec, in, leaving(spec, in));
      else
        passed_up(bench, spec, in, row.kernel.c_str());
      if (check::failures_here() != failures)
        std::printf("  %s\n", row.line.c_str());
    }
  }
}

ROW("a port without flow goes up") {
  for (const Version version : kBoth) {
    Frame in = arriving(version);
    ++in.destination.port;
    passed_up(bench, plain_flow(version), in, "no flow");
    in = arriving(version);
    in.destination.bytes[3] ^= 1;
    passed_up(bench, plain_flow(version), in, "no flow");
  }
}

ROW("what is neither IPv4 nor IPv6 with UDP goes up") {
  Frame in = arriving(Version::kIpv4);
  in.protocol = 6;
  passed_up(bench, plain_flow(Version::kIpv4), in, "not UDP");
  in = arriving(Version::kIpv6);
  in.protocol = 58;
  passed_up(bench, plain_flow(Version::kIpv6), in, "not UDP");
}

ROW("fragments go up, the first one too") {
  for (const std::uint16_t fragment :
       std::initializer_list<std::uint16_t>{0x2000, 0x2010, 0x0010}) {
    Frame in = arriving(Version::kIpv4);
    in.fragment = fragment;
    passed_up(bench, plain_flow(Version::kIpv4), in, "fragment");
  }
  Frame in = arriving(Version::kIpv6);
  in.protocol = 44;
  in.options = {17, 0, 0, 1, 0, 0, 0, 1};
  passed_up(bench, plain_flow(Version::kIpv6), in, "fragment");
}

ROW("the don't-fragment bit is no fragment") {
  Frame in = arriving(Version::kIpv4);
  in.fragment = 0x4000;
  forwarded(bench, plain_flow(Version::kIpv4), in, leaving(plain_flow(Version::kIpv4), in));
}

ROW("IPv4 options and IPv6 extension headers go up") {
  Frame in = arriving(Version::kIpv4);
  in.options = {0x94, 4, 0, 0}; // router alert
  passed_up(bench, plain_flow(Version::kIpv4), in, "IP options");
  for (const std::uint8_t header : std::initializer_list<std::uint8_t>{0, 43, 60}) {
    in = arriving(Version::kIpv6);
    in.protocol = header;
    in.options = {17, 0, 1, 4, 0, 0, 0, 0};
    passed_up(bench, plain_flow(Version::kIpv6), in, "IP options");
  }
}

ROW("lengths that contradict each other go up") {
  for (const Version version : kBoth) {
    for (const int error : {-173, 1, 1000}) { // the first claims less than its own header
      Frame in = arriving(version);
      in.udp_length_error = error;
      passed_up(bench, plain_flow(version), in, "malformed");
    }
  }
}

ROW("STUN, DTLS and unknown protocols go up, from any source and even when blocked") {
  for (const Version version : kBoth) {
    FlowSpec spec = plain_flow(version);
    for (int round = 0; round < 2; ++round) {
      for (const std::uint8_t first : std::initializer_list<std::uint8_t>{0, 1, 3})
        passed_up(bench, spec, with_payload(version, starting(first)), "STUN");
      for (const std::uint8_t first : std::initializer_list<std::uint8_t>{20, 22, 63})
        passed_up(bench, spec, with_payload(version, starting(first)), "DTLS");
      for (const std::uint8_t first : std::initializer_list<std::uint8_t>{4, 19, 64, 127, 192, 255})
        passed_up(bench, spec, with_payload(version, starting(first)), "unknown protocol");
      spec.action = Action::kDrop;
      spec.expected = at(version == Version::kIpv4 ? "192.0.2.77" : "2001:db8:1::77", 1);
      spec.other_sources = OnMismatch::kDrop;
    }
  }
}

ROW("less than a whole RTP or RTCP header goes up") {
  for (const Version version : kBoth) {
    for (const std::size_t size : {0U, 1U, 7U, 8U, 11U}) {
      frames::Bytes payload = frames::rtp(0, 1, 2, 3);
      payload.resize(size);
      passed_up(bench, plain_flow(version), with_payload(version, payload), "short");
    }
    frames::Bytes report = frames::rtcp(1);
    report.resize(7);
    passed_up(bench, plain_flow(version), with_payload(version, report), "short");
  }
}

ROW("another source goes up, or is dropped when the flow is strict") {
  for (const Version version : kBoth) {
    const Frame in = arriving(version);
    for (const int what : {0, 1, 2}) {
      FlowSpec spec = plain_flow(version);
      spec.expected = in.source;
      if (what == 0)
        ++spec.expected.port;
      else
        spec.expected.bytes[what == 1 || version == Version::kIpv4 ? 3 : 15] ^= 1;
      passed_up(bench, spec, in, "other source");
      spec.other_sources = OnMismatch::kDrop;
      dropped(bench, spec, in, "strict source");
    }
  }
}

ROW("RTCP goes up when it is wanted there, all types of RFC 5761") {
  FlowSpec spec = plain_flow(Version::kIpv4);
  spec.rtcp = Rtcp::kUp;
  for (const std::uint8_t type : std::initializer_list<std::uint8_t>{192, 200, 201, 207, 223}) {
    frames::Bytes report = frames::rtcp(1);
    report[1] = type;
    passed_up(bench, spec, with_payload(Version::kIpv4, report), "RTCP");
  }
  for (const std::uint8_t type : std::initializer_list<std::uint8_t>{191, 224, 63, 96}) {
    const Frame in = with_payload(Version::kIpv4, frames::rtp(type, 1, 2, 3));
    forwarded(bench, spec, in, leaving(spec, in));
  }
}

ROW("a payload type that is not allowed goes up or is dropped") {
  for (const Version version : kBoth) {
    FlowSpec spec = plain_flow(version);
    spec.payload_types.emplace();
    spec.payload_types->allowed.set(8);
    spec.payload_types->allowed.set(101);
    for (const std::uint8_t type :
         std::initializer_list<std::uint8_t>{0, 9, 63, 96, 100, 102, 127, 0x80}) {
      const Frame in = with_payload(version, frames::rtp(type, 1, 2, 3));
      spec.payload_types->otherwise = OnMismatch::kUp;
      passed_up(bench, spec, in, "other payload type");
      spec.payload_types->otherwise = OnMismatch::kDrop;
      dropped(bench, spec, in, "payload type not allowed");
    }
  }
}

ROW("the flow's own action: up or blocked") {
  for (const Version version : kBoth) {
    FlowSpec spec = plain_flow(version);
    spec.action = Action::kUp;
    passed_up(bench, spec, arriving(version), "flow is up");
    spec.action = Action::kDrop;
    dropped(bench, spec, arriving(version), "blocked");
  }
}

ROW("a TTL that is used up goes up") {
  for (const Version version : kBoth) {
    for (const std::uint8_t ttl : std::initializer_list<std::uint8_t>{0, 1}) {
      Frame in = arriving(version);
      in.ttl = ttl;
      passed_up(bench, plain_flow(version), in, "TTL");
    }
    Frame in = arriving(version);
    in.ttl = 2;
    forwarded(bench, plain_flow(version), in, leaving(plain_flow(version), in));
  }
}

ROW("IPv6 without UDP checksum goes up") {
  Frame in = arriving(Version::kIpv6);
  in.sum = frames::UdpSum::kNone;
  passed_up(bench, plain_flow(Version::kIpv6), in, "no checksum");
}

ROW("a destination of the other family goes up") {
  for (const Version version : kBoth) {
    const Version other = version == Version::kIpv4 ? Version::kIpv6 : Version::kIpv4;
    FlowSpec spec = plain_flow(version);
    spec.source = plain_flow(other).source;
    spec.destination = plain_flow(other).destination;
    passed_up(bench, spec, arriving(version), "other family");
  }
}

ROW("frames for another MAC address go up") {
  Frame in = arriving(Version::kIpv4);
  in.to = {2, 0, 0, 0, 9, 9};
  passed_up(bench, plain_flow(Version::kIpv4), in, "other host");
}

ROW("tags of other VLANs and stacked tags go up") {
  Frame in = arriving(Version::kIpv4);
  in.vlans = {100};
  passed_up(bench, plain_flow(Version::kIpv4), in, "unknown VLAN");
  in.vlans = {100, 200};
  passed_up(bench, plain_flow(Version::kIpv4), in, "unknown VLAN");
}

ROW("no route, an own address, an unresolved neighbour, a packet too big: up") {
  FlowSpec spec = plain_flow(Version::kIpv4);
  const Frame in = arriving(Version::kIpv4);
  spec.destination = at("203.0.113.99", 40000);
  passed_up(bench, spec, in, "no route");
  spec.destination = at("198.51.100.1", 40000);
  passed_up(bench, spec, in, "no route");
  spec.destination = at("198.51.100.10", 40000);
  passed_up(bench, spec, in, "no neighbour");
  spec = plain_flow(Version::kIpv6);
  spec.destination = at("2001:db8:99::1", 40000);
  passed_up(bench, spec, arriving(Version::kIpv6), "no route");
  spec.destination = at("2001:db8:2::10", 40000);
  passed_up(bench, spec, arriving(Version::kIpv6), "no neighbour");
}

ROW("a packet larger than the next link takes goes up") {
  CHECK(rig::run("ip link set out mtu 1280"));
  for (const Version version : kBoth) {
    const Frame in = with_payload(version, frames::rtp(0, 1, 2, 3, 1300));
    passed_up(bench, plain_flow(version), in, "too big");
  }
  CHECK(rig::run("ip link set out mtu 1500"));
}

ROW("forwarding switched off: everything goes up") {
  CHECK(rig::run("echo 0 > /proc/sys/net/ipv4/conf/lo/forwarding"));
  CHECK(rig::run("echo 0 > /proc/sys/net/ipv6/conf/lo/forwarding"));
  for (const Version version : kBoth)
    passed_up(bench, plain_flow(version), arriving(version), "forwarding off");
  CHECK(rig::run("echo 1 > /proc/sys/net/ipv4/conf/lo/forwarding"));
  CHECK(rig::run("echo 1 > /proc/sys/net/ipv6/conf/lo/forwarding"));
}

ROW("several datagrams in one buffer go up (TC); a device without our program too (XDP)") {
  if (bench.mode() == Mode::kTc) {
    CHECK(bench.table.clear().ok());
    const FlowSpec spec = plain_flow(Version::kIpv4);
    CHECK(bench.table.set({&spec, 1}).ok());
    const std::uint64_t before = bench.total("segmented");
    const auto outcome = bench.run(frames::build(arriving(Version::kIpv4)), 1, nullptr, 100);
    CHECK(outcome.verdict == bench.up());
    CHECK(bench.total("segmented") == before + 1);
    return;
  }
  CHECK(rig::run("ip route add 203.0.113.0/24 via 169.254.7.9 dev out-peer onlink"));
  CHECK(rig::run("ip neighbour add 169.254.7.9 lladdr 02:00:00:00:07:09 dev out-peer"));
  FlowSpec spec = plain_flow(Version::kIpv4);
  spec.destination = at("203.0.113.5", 40000);
  passed_up(bench, spec, arriving(Version::kIpv4), "device without XDP");
  CHECK(rig::run("ip route del 203.0.113.0/24 dev out-peer"));
}
