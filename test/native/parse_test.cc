#include <array>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "../../native/core/packet.h"
#include "../../native/core/plan.h"
#include "../../native/core/rtcp.h"
#include "check.h"
#include "packet_table.h"
#include "plan_builder.h"

using namespace rtprelay;

namespace {

using Bytes = std::vector<std::uint8_t>;

void put32(Bytes& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

Bytes receiver_report(std::uint32_t reporter, std::uint32_t about) {
  Bytes packet{0x81, 201, 0, 7};
  put32(packet, reporter);
  put32(packet, about);
  put32(packet, 0x04fffffe); // 4/256 lost, cumulative -2
  put32(packet, 100);
  put32(packet, 80);
  put32(packet, 0xabcd1234);
  put32(packet, 65536);
  return packet;
}

RtcpItem sent(std::uint32_t ssrc, std::uint32_t ntp) {
  RtcpItem item;
  item.reporter = ssrc;
  item.is_sender = true;
  item.ntp_middle = ntp;
  return item;
}

RtcpItem heard(std::uint32_t reporter, std::uint32_t about, std::uint32_t ntp) {
  RtcpItem item;
  item.reporter = reporter;
  item.about = about;
  item.ntp_middle = ntp;
  item.delay_since_sr = 65536; // 1 s
  item.jitter = 40;            // 5 ms at 8000 Hz
  return item;
}

PlanSpec small_plan() {
  PlanSpec plan;
  plan.call_id = "call";
  PortSpec port;
  port.id = 1;
  CHECK(parse_address("127.0.0.1", 4000, port.local));
  plan.ports.push_back(port);
  TransportSpec transport;
  transport.id = 3;
  transport.egress_port = 1;
  transport.ports = {1};
  plan.transports.push_back(transport);
  StreamSpec stream;
  stream.id = 2;
  stream.transport = 3;
  plan.streams.push_back(stream);
  add_routes(plan, {route(2, 2)});
  return plan;
}

/// The bytes of test/golden/media-plan.txt: hexadecimal up to a `#`, line by line.
Bytes golden_plan() {
  Bytes bytes;
  std::ifstream file("test/golden/media-plan.txt");
  CHECK(file.is_open());
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    for (std::string word; words >> word;)
      for (std::size_t at = 0; at + 1 < word.size(); at += 2)
        bytes.push_back(
            static_cast<std::uint8_t>(std::strtoul(word.substr(at, 2).c_str(), nullptr, 16)));
  }
  return bytes;
}

/// The lines of test/golden/plan-changes.txt: `plan` or `change`, and bytes in hexadecimal.
std::vector<std::pair<std::string, Bytes>> golden_changes() {
  std::vector<std::pair<std::string, Bytes>> lines;
  std::ifstream file("test/golden/plan-changes.txt");
  for (std::string kind, digits; file >> kind >> digits;) {
    Bytes bytes;
    for (std::size_t at = 0; at + 1 < digits.size(); at += 2)
      bytes.push_back(
          static_cast<std::uint8_t>(std::strtoul(digits.substr(at, 2).c_str(), nullptr, 16)));
    lines.emplace_back(kind, std::move(bytes));
  }
  return lines;
}

} // namespace

TEST("a datagram is what the table of packets says") {
  const auto rows = packet_table::rows();
  CHECK(rows.size() > 30);
  for (const auto& row : rows) {
    const PacketKind kind = classify(row.bytes);
    const bool right = row.kind == "rtp"    ? kind == PacketKind::kRtp
                       : row.kind == "rtcp" ? kind == PacketKind::kRtcp
                       : row.kind == "stun" ? kind == PacketKind::kStun
                       : row.kind == "dtls" ? kind == PacketKind::kDtls
                                            : kind == PacketKind::kOther && row.kind == "other";
    CHECK(right);
    if (!right)
      std::printf("  %s\n", row.line.c_str());
  }
}

TEST("a receiver report is read with its signed loss") {
  RtcpItems items;
  CHECK(parse_rtcp(receiver_report(7, 8), items));
  CHECK(items.size == 1);
  const RtcpItem& item = items.items[0];
  CHECK(item.reporter == 7 && item.about == 8 && item.cumulative_loss == -2);
  CHECK(item.fraction_lost == 4 && item.jitter == 80 && item.ntp_middle == 0xabcd1234);
}

TEST("an RTCP packet longer than its datagram is refused at every length") {
  const Bytes whole = receiver_report(7, 8);
  RtcpItems items;
  for (std::size_t size = 1; size < whole.size(); ++size)
    CHECK(!parse_rtcp(std::span(whole).first(size), items));
}

TEST("feedback is taken out of a compound packet, and nothing else") {
  const auto join = [](std::initializer_list<Bytes> parts) {
    Bytes whole;
    for (const Bytes& part : parts)
      whole.insert(whole.end(), part.begin(), part.end());
    return whole;
  };
  const auto strip = [](const Bytes& packet) {
    Bytes out(packet.size());
    out.resize(copy_without_feedback(packet, out));
    return out;
  };
  const Bytes report{0x80, 201, 0, 1, 0, 0, 0, 7};
  const Bytes bye{0x81, 203, 0, 1, 0, 0, 0, 7};
  const Bytes payload{0x81, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8};
  const Bytes transport{0x81, 205, 0, 3, 0, 0, 0, 7, 0, 0, 0, 8, 0, 1, 0, 0};
  CHECK(strip(payload).empty() && strip(transport).empty());
  CHECK(strip(join({payload, transport})).empty());
  CHECK(strip(join({report, payload, transport, bye})) == join({report, bye}));
  CHECK(strip(join({payload, report})) == report);
  CHECK(strip(join({report, bye})) == join({report, bye}));
  // What is malformed goes on as it came (rtpengine 10.5 seen).
  for (std::size_t size = 1; size < payload.size(); ++size) {
    const Bytes cut(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(strip(join({report, cut})) == join({report, cut}));
  }
  const Bytes noise{0x41, 206, 0, 0};
  CHECK(strip(join({payload, noise, payload})) == join({noise, payload}));
  CHECK(strip({}).empty());
}

TEST("RTCP on a port of RTP is told from RTP with a payload type of its range") {
  std::array<std::uint8_t, 28> packet{0x80, 200, 0, 6};
  CHECK(starts_with_rtcp(packet));
  CHECK(!starts_with_rtcp({packet.data(), 27}));
  packet[1] = 72;
  CHECK(classify(packet) == PacketKind::kRtcp && !starts_with_rtcp(packet));
  packet[1] = 208;
  CHECK(!starts_with_rtcp(packet));
  packet[1] = 207;
  packet[3] = 7;
  CHECK(!starts_with_rtcp(packet));
  packet[3] = 0;
  CHECK(!starts_with_rtcp(packet));
}

TEST("round trip and MOS follow the recorded example") {
  // Legs of 323, 436, 190 us as in the reply recorded from rtpengine 10.5.
  QualityTable table;
  table.add(sent(8738, 1), 0, 8000, 1'000'000, 100);
  table.add(sent(4369, 1), 1, 8000, 1'000'000, 100);
  table.add(heard(4369, 8738, 1), 1, 8000, 2'000'323, 101);
  table.add(heard(8738, 4369, 1), 0, 8000, 2'000'436, 101);
  table.add(sent(8738, 2), 0, 8000, 3'000'000, 102);
  table.add(heard(4369, 8738, 2), 1, 8000, 4'000'190, 103);
  const ReporterQuality& quality = table.reporters().at(4369);
  CHECK(quality.progression.size() == 2);
  CHECK(quality.progression[0].mos == 0 && quality.progression[0].round_trip_leg_micros == 323);
  CHECK(quality.progression[1].mos == 43 && quality.progression[1].round_trip_micros == 626);
  CHECK(quality.samples == 1 && quality.lowest->round_trip_leg_micros == 190);
  CHECK(table.reporters().at(8738).progression[0].round_trip_micros == 759);
}

TEST("the legacy MOS falls with delay and loss and ends at 1.0") {
  CHECK(legacy_mos(612, 10, 1) == 43);
  CHECK(legacy_mos(400'000, 0, 0) < 38);
  CHECK(legacy_mos(612, 10, 50) == 10);
}

TEST("G.107 rates as the current release where the legacy formula is off") {
  struct Row {
    std::int64_t round_trip_ms;
    std::int32_t loss, legacy, g107;
  };
  // No loss; some of both; much of both.
  for (const auto& row : {Row{1, 0, 44, 43}, Row{300, 3, 34, 36}, Row{435, 5, 24, 29}}) {
    CHECK(legacy_mos(row.round_trip_ms * 1000, 0, row.loss) == row.legacy);
    CHECK(g107_mos(row.round_trip_ms * 1000, 0, row.loss) == row.g107);
  }
  CHECK(g107_mos(10'000'000, 0, 5) == 10);
  CHECK(g107_mos(0, 0, 100) == 45);
}

TEST("a listening MOS needs no round trip and none of it counts") {
  const auto rated = [](MosRule rule) {
    QualityTable table{rule};
    const std::uint32_t answered = rule.listening ? 0 : 1;
    table.add(heard(1, 2, answered), 0, 8000, 10'000'000, 10);
    return table.reporters().at(1).progression.at(0).mos;
  };
  CHECK(rated({}) == 0);
  CHECK(rated({.listening = true}) == g107_mos(0, 5, 0));
  CHECK(rated({.formula = MosRule::Formula::kLegacy, .listening = true}) == legacy_mos(0, 5, 0));
}

TEST("reports less than a second apart are dropped") {
  QualityTable table;
  CHECK(table.add(heard(1, 2, 1), 0, 8000, 10'000'000, 10).has_value());
  CHECK(!table.add(heard(1, 2, 1), 0, 8000, 10'999'999, 10).has_value());
  CHECK(table.reporters().at(1).progression.size() == 1);
}

TEST("a report that answers no sender report counts only as the latest") {
  QualityTable table;
  RtcpItem item = heard(1, 2, 0);
  CHECK(!table.add(item, 0, 8000, 10'000'000, 10).has_value());
  item.ntp_middle = 1;
  item.delay_since_sr = 0;
  CHECK(!table.add(item, 0, 8000, 20'000'000, 20).has_value());
  const ReporterQuality& quality = table.reporters().at(1);
  CHECK(quality.progression.empty() && quality.reported);
  CHECK(quality.latest.jitter_ms == 5 && quality.latest.reported_at_seconds == 20);
  ReportSums sums;
  for (const std::uint32_t ntp : {1U, 2U})
    if (const auto entry = table.add(heard(1, 2, ntp), 0, 8000, ntp * 30'000'000LL, 30))
      sums.add(*entry);
  CHECK(sums.reports == 2 && sums.rated == 0 && sums.jitter_ms.squares == 50);
}

TEST("a long call keeps a bounded progression over its whole course") {
  QualityTable table;
  for (int i = 1; i <= 10'000; ++i)
    table.add(heard(1, 2, 1), 0, 8000, i * 5'000'000LL, i * 5LL);
  const ReporterQuality& quality = table.reporters().at(1);
  CHECK(quality.progression.size() <= kMaxProgression);
  CHECK(quality.progression.size() > kMaxProgression / 4);
  CHECK(quality.progression.front().reported_at_seconds == 5);
}

TEST("the table of a call is bounded") {
  QualityTable table;
  for (std::uint32_t ssrc = 0; ssrc < 1000; ++ssrc)
    table.add(sent(ssrc, 1), 0, 8000, 1, 1);
  CHECK(table.reporters().size() == kMaxReporters);
}

TEST("a plan is read back as written") {
  const Bytes bytes = encode_plan(small_plan());
  PlanSpec plan;
  CHECK(decode_plan(bytes, plan) == PlanError::kNone);
  CHECK(plan.call_id == "call" && plan.ports[0].local.port == 4000);
  CHECK(plan.transports[0].ports.size() == 1 && plan.routes.size() == 1);
  CHECK(call_id_of(bytes) == "call");
  CHECK(call_id_of(std::span(bytes).first(9)).empty() && call_id_of({}).empty());
  CHECK(encode_plan(plan) == bytes);
}

TEST("the plan that the control plane writes is read as it is meant") {
  const Bytes bytes = golden_plan();
  PlanSpec plan;
  CHECK(decode_plan(bytes, plan) == PlanError::kNone);
  CHECK(encode_plan(plan) == bytes);
  CHECK(plan.call_id == "golden" && plan.tos == 184);
  CHECK(plan.ports.size() == 3 && plan.transports.size() == 4 && plan.streams.size() == 5 &&
        plan.routes.size() == 3);
  if (plan.routes.size() != 3)
    return;
  CHECK(plan.ports[0].id == 7 && format_host(plan.ports[0].local) == "192.0.2.1" &&
        plan.ports[0].local.port == 30000);
  CHECK(format_host(plan.ports[2].local) == "2001:db8::1");
  const TransportSpec& first = plan.transports[0];
  CHECK(first.id == 4 && first.learning == Learning::kHeuristic && first.demux == Demux::kRtcpMux);
  CHECK(first.has(kConfirmed) && first.has(kMediaHandover) && first.has(kNatWait));
  CHECK(!first.has(kStrictSource) && !first.has(kPierceNat));
  CHECK(first.generation == 66051 && first.egress_port == 7);
  CHECK(format_host(first.endpoint) == "198.51.100.7" && first.endpoint.port == 4000);
  CHECK(format_host(first.signalled) == "198.51.100.8" && first.signalled.port == 4002);
  CHECK((first.ports == std::vector<std::uint32_t>{7, 8}));
  const TransportSpec& last = plan.transports[2];
  CHECK(last.learning == Learning::kOff && last.flags == (kStrictSource | kPierceNat));
  CHECK(last.egress_port == kNoPort && !last.endpoint.valid() && last.ports.empty());
  CHECK(plan.transports[1].learning == Learning::kImmediate);
  CHECK(!first.ice && !first.dtls && plan.transports[1].ice && plan.transports[1].dtls);
  const IceSpec& ice = *plan.transports[1].ice;
  CHECK(ice.settings.mode == ice::Mode::kLite && ice.settings.controlling &&
        ice.settings.component == 2 && ice.settings.tie_breaker == 0xfffffffffffffffe &&
        ice.settings.takeovers == 3 && ice.settings.standby);
  CHECK(ice.settings.local == (ice::Credentials{"ours", "ours-secret"}) &&
        ice.settings.remote == (ice::Credentials{"peer", "peer-secret"}));
  CHECK(ice.resumed && ice.route_priority == 1853824767 && ice.route_port == 9 &&
        format_host(ice.route_endpoint) == "2001:db8::9");
  CHECK(ice.candidates.size() == 1 && ice.candidates[0].priority == 2130706431 &&
        ice.candidates[0].address.port == 9000);
  const DtlsSpec& dtls = *plan.transports[1].dtls;
  CHECK(dtls.active && dtls.established && dtls.generation == 5 && dtls.identity == 0);
  CHECK(dtls.fingerprint && dtls.fingerprint->hash == dtls::Hash::kSha1 &&
        dtls.fingerprint->size == 20 && dtls.fingerprint->digest[19] == 'j');
  CHECK(plan.identities.size() == 1 && plan.identities[0].key == "KEY");
  CHECK(!last.ice->resumed && !last.ice->settings.standby &&
        last.ice->settings.remote.ufrag.empty() && !last.dtls->fingerprint);
  CHECK(!dtls.open && last.dtls->open && !last.dtls->active);
  const StreamSpec& rtp = plan.streams[0];
  CHECK(rtp.id == 5 && rtp.transport == 4 && rtp.kind == StreamKind::kRtp && !rtp.blocked);
  CHECK(rtp.clock_rate == 8000 && rtp.packets == 1000 && rtp.bytes == 172000 && rtp.errors == 3 &&
        rtp.last_packet_micros == 1795000000000000);
  CHECK(rtp.payloads && rtp.payloads->otherwise == PayloadAction::kForward &&
        rtp.payloads->types[101] == PayloadAction::kDrop &&
        rtp.payloads->types[8] == PayloadAction::kSilencePcma &&
        rtp.payloads->types[0] == PayloadAction::kSilencePcmu &&
        rtp.payloads->types[9] == PayloadAction::kSilenceG722 &&
        rtp.payloads->types[18] == PayloadAction::kForward);
  CHECK((rtp.announced == PayloadTypes{0x80000301, 0x8000002000000000}));
  CHECK(plan.streams[1].announced == kEveryType);
  CHECK(plan.streams[1].kind == StreamKind::kOpaque && plan.streams[1].blocked);
  CHECK(plan.streams[2].kind == StreamKind::kRtcp && plan.streams[2].packets == 0);
  CHECK(plan.routes[0].from_stream == 5 && plan.routes[0].to_stream == 6 &&
        plan.routes[0].kind == RouteKind::kRtp && !plan.routes[0].without_feedback);
  CHECK(plan.routes[1].kind == RouteKind::kRtcp && plan.routes[1].without_feedback);
}

TEST("the golden plan's table, RTCP of our own and rewrite are read") {
  PlanSpec plan;
  CHECK(decode_plan(golden_plan(), plan) == PlanError::kNone);
  const DemuxSpec& table = plan.transports.at(3).table.value();
  CHECK(table.mid_extension == 4 && table.entries.size() == 2);
  const DemuxEntry& first = table.entries.at(0);
  CHECK(first.stream == 10 && first.mid == "a" && first.ssrcs.at(0) == 0x01020304 &&
        first.payload_types == std::vector<std::uint8_t>({0, 111}));
  CHECK(table.entries.at(1).mid.empty() && table.entries.at(1).ssrcs.empty());
  const StreamSpec& stream = plan.streams.at(3);
  CHECK(stream.loop_checked && stream.measured && !plan.streams.at(4).loop_checked);
  const OwnRtcpSpec& own = stream.own_rtcp.value();
  CHECK(own.by == 11 && own.interval_ms == 5000 && own.cname == "us" && own.pli && own.fir &&
        own.video_types == std::vector<std::uint8_t>({96}));
  const Rewrite& rewrite = plan.routes.at(2).rewrite.value();
  CHECK(rewrite.payload_types[96] == 97 && rewrite.payload_types[97] == 97);
  CHECK(rewrite.ssrcs.at(0).from == 1 && rewrite.ssrcs.at(0).to == 2);
  CHECK(rewrite.sequence_offset == 0xfffe && rewrite.timestamp_offset == 0xfffffffd);
  const ExtensionRules& extensions = rewrite.extensions.value();
  CHECK(extensions.keeps_unknown && extensions.ids[1] == 2 && extensions.ids[3] == 0 &&
        extensions.ids[5] == 5 && extensions.mid_id == 4 && extensions.mid_value()[0] == 'v');
  CHECK(rewrite.about.at(0).to == 4 && rewrite.about_sequence_offset == 5);
  PlanSpec again;
  CHECK(decode_plan(encode_plan(plan), again) == PlanError::kNone);
}

TEST("a plan whose table, rewrite or RTCP make no sense is refused") {
  PlanSpec golden;
  CHECK(decode_plan(golden_plan(), golden) == PlanError::kNone);
  const auto outcome = [&golden](auto change) {
    PlanSpec plan = golden;
    change(plan);
    PlanSpec decoded;
    return decode_plan(encode_plan(plan), decoded);
  };
  const auto entries = [](PlanSpec & plan) -> auto& { return plan.transports[3].table->entries; };
  CHECK(outcome([&](PlanSpec& plan) { entries(plan).pop_back(); }) == PlanError::kBadValue);
  CHECK(outcome([&](PlanSpec& plan) { entries(plan)[1].stream = 10; }) == PlanError::kBadValue);
  CHECK(outcome([&](PlanSpec& plan) { entries(plan)[1].stream = 7; }) == PlanError::kBadValue);
  CHECK(outcome([&](PlanSpec& plan) { entries(plan)[0].payload_types[0] = 128; }) ==
        PlanError::kBadValue);
  CHECK(outcome([](PlanSpec& plan) { plan.transports[3].table.reset(); }) == PlanError::kBadValue);
  CHECK(outcome([](PlanSpec& plan) { plan.transports[0].demux = Demux::kTable; }) ==
        PlanError::kBadValue);
  CHECK(outcome([](PlanSpec& plan) { plan.streams[3].own_rtcp->by = 99; }) ==
        PlanError::kUnknownId);
  CHECK(outcome([](PlanSpec& plan) { plan.routes[2].from_stream = 6; }) == PlanError::kBadValue);
  CHECK(outcome([](PlanSpec& plan) {
          plan.routes[2].rewrite->ssrcs.push_back({1, 5});
        }) == PlanError::kDuplicateId);
  CHECK(outcome([](PlanSpec& plan) { plan.routes[2].rewrite->extensions->mid_id = 0; }) ==
        PlanError::kBadValue);
}

TEST("a plan whose checks or handshakes make no sense is refused") {
  PlanSpec golden;
  CHECK(decode_plan(golden_plan(), golden) == PlanError::kNone);
  const auto outcome = [&golden](auto change) {
    PlanSpec plan = golden;
    change(plan, *plan.transports[1].ice, *plan.transports[1].dtls);
    PlanSpec decoded;
    return decode_plan(encode_plan(plan), decoded);
  };
  CHECK(outcome([](PlanSpec&, IceSpec&, DtlsSpec&) {}) == PlanError::kNone);
  CHECK(outcome([](PlanSpec&, IceSpec& ice, DtlsSpec&) { ice.route_port = 7; }) ==
        PlanError::kUnknownId);
  CHECK(outcome([](PlanSpec&, IceSpec& ice, DtlsSpec&) { ice.settings.component = 3; }) ==
        PlanError::kBadValue);
  CHECK(outcome([](PlanSpec&, IceSpec& ice, DtlsSpec&) { ice.settings.local.ufrag.clear(); }) ==
        PlanError::kBadValue);
  CHECK(outcome([](PlanSpec&, IceSpec& ice, DtlsSpec&) { ice.resumed = false; }) ==
        PlanError::kBadValue);
  CHECK(outcome([](PlanSpec&, IceSpec& ice, DtlsSpec&) {
          ice.settings.local.password.assign(257, 'x');
        }) == PlanError::kBadValue);
  CHECK(outcome([](PlanSpec&, IceSpec&, DtlsSpec& dtls) { dtls.identity = 1; }) ==
        PlanError::kUnknownId);
  CHECK(outcome([](PlanSpec& plan, IceSpec&, DtlsSpec&) { plan.identities[0].key.clear(); }) ==
        PlanError::kBadValue);
  // Every byte of it cut off, and every byte of it another: never more than an error.
  const Bytes bytes = golden_plan();
  PlanSpec plan;
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(decode_plan(std::span(bytes).first(size), plan) != PlanError::kNone);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes other = bytes;
    other[at] = static_cast<std::uint8_t>(other[at] ^ 0xff);
    (void)decode_plan(other, plan);
  }
}

TEST("a plan cut short anywhere is refused") {
  const Bytes bytes = encode_plan(small_plan());
  PlanSpec plan;
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(decode_plan(std::span(bytes).first(size), plan) == PlanError::kTooShort);
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK(decode_plan(longer, plan) == PlanError::kTrailingBytes);
}

TEST("a plan's payload rules are read back, and refused when out of range") {
  PlanSpec written = small_plan();
  PayloadRules rules;
  rules.otherwise = PayloadAction::kDrop;
  rules.types.fill(PayloadAction::kDrop);
  rules.types[101] = PayloadAction::kForward;
  rules.types[8] = PayloadAction::kSilencePcma;
  written.streams[0].payloads = rules;
  Bytes bytes = encode_plan(written);
  PlanSpec plan;
  CHECK(decode_plan(bytes, plan) == PlanError::kNone);
  CHECK(plan.streams[0].payloads.has_value());
  CHECK(plan.streams[0].payloads->otherwise == PayloadAction::kDrop);
  CHECK(plan.streams[0].payloads->types == rules.types);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(decode_plan(std::span(bytes).first(size), plan) == PlanError::kTooShort);
  // The last rule is (101, forward); behind it come 11 bytes of a route.
  for (const auto& [back, value] : {std::pair{12, int{kPayloadActions}}, {13, 128}, {17, 2}}) {
    Bytes wrong = bytes;
    wrong[wrong.size() - static_cast<std::size_t>(back)] = static_cast<std::uint8_t>(value);
    CHECK(decode_plan(wrong, plan) != PlanError::kNone);
  }
}

TEST("only the payload of a packet is overwritten") {
  const auto silenced = [](Bytes packet) {
    CHECK(overwrite_payload(packet, 0xd5));
    return packet;
  };
  const auto joined = [](Bytes head, const Bytes& tail) {
    head.insert(head.end(), tail.begin(), tail.end());
    return head;
  };
  const auto header = [](std::uint8_t first) {
    return Bytes{first, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  };
  const Bytes sound{1, 2, 3, 4};
  const Bytes silence{0xd5, 0xd5, 0xd5, 0xd5};
  CHECK(silenced(joined(header(0x80), sound)) == joined(header(0x80), silence));
  CHECK(silenced(header(0x80)) == header(0x80));
  const Bytes sources = joined(header(0x82), {1, 1, 1, 1, 2, 2, 2, 2});
  CHECK(silenced(joined(sources, sound)) == joined(sources, silence));
  const Bytes extended = joined(header(0x91), {1, 1, 1, 1, 0xbe, 0xde, 0, 1, 5, 6, 7, 8});
  CHECK(silenced(joined(extended, sound)) == joined(extended, silence));
  const Bytes padding{0, 0, 3};
  CHECK(silenced(joined(joined(header(0xa0), sound), padding)) ==
        joined(joined(header(0xa0), silence), padding));
  // Longer than what follows the header: no padding.
  CHECK(silenced(joined(header(0xa0), {1, 2, 3, 99})) == joined(header(0xa0), silence));
  Bytes none = joined(header(0x8f), sound);
  CHECK(!overwrite_payload(none, 0xd5) && none == joined(header(0x8f), sound));
  Bytes cut = joined(header(0x90), {0xbe, 0xde, 0});
  CHECK(!overwrite_payload(cut, 0xd5));
  Bytes beyond = joined(header(0x90), {0xbe, 0xde, 0xff, 0xff, 1, 2, 3, 4});
  CHECK(!overwrite_payload(beyond, 0xd5));
  Bytes nothing;
  CHECK(!overwrite_payload(nothing, 0xd5));
}

TEST("a plan with dangling or doubled ids is refused") {
  const auto refused = [](PlanError expected, auto change) {
    PlanSpec wrong = small_plan();
    change(wrong);
    PlanSpec plan;
    return decode_plan(encode_plan(wrong), plan) == expected;
  };
  const PlanError unknown = PlanError::kUnknownId;
  CHECK(refused(unknown, [](PlanSpec& plan) { plan.routes[0].to_stream = 99; }));
  CHECK(refused(unknown, [](PlanSpec& plan) { plan.routes[0].from_stream = 99; }));
  CHECK(refused(unknown, [](PlanSpec& plan) { plan.streams[0].transport = 99; }));
  CHECK(refused(unknown, [](PlanSpec& plan) { plan.transports[0].egress_port = 99; }));
  CHECK(refused(unknown, [](PlanSpec& plan) { plan.transports[0].ports = {1, 99}; }));
  const PlanError doubled = PlanError::kDuplicateId;
  CHECK(refused(doubled, [](PlanSpec& plan) { plan.ports.push_back(plan.ports[0]); }));
  CHECK(refused(doubled, [](PlanSpec& plan) { plan.transports.push_back(plan.transports[0]); }));
  CHECK(refused(doubled, [](PlanSpec& plan) { plan.streams.push_back(plan.streams[0]); }));
}

TEST("a port without transport, or with two, and a transport without stream are refused") {
  PlanSpec plan;
  PlanSpec orphan = small_plan();
  orphan.transports[0].ports.clear();
  CHECK(decode_plan(encode_plan(orphan), plan) == PlanError::kBadValue);
  PlanSpec shared = small_plan();
  shared.transports[0].ports = {1, 1};
  CHECK(decode_plan(encode_plan(shared), plan) == PlanError::kBadValue);
  PlanSpec silent = small_plan();
  silent.transports.push_back(TransportSpec{});
  CHECK(decode_plan(encode_plan(silent), plan) == PlanError::kBadValue);
}

TEST("what a plan asks for and the relay does not know is refused") {
  Bytes bytes = encode_plan(small_plan());
  PlanSpec plan;
  bytes.back() = 1; // one section, which is missing
  CHECK(decode_plan(bytes, plan) == PlanError::kTooShort);
  for (const std::uint8_t byte : {std::uint8_t{200}, std::uint8_t{0}, std::uint8_t{0}})
    bytes.push_back(byte); // it is empty, and its tag unknown
  CHECK(decode_plan(bytes, plan) == PlanError::kBadValue);
}

TEST("a plan is changed to what it would be if it were read whole") {
  PlanSpec plan;
  std::size_t changes = 0;
  bool is_changed = false;
  for (const auto& [kind, bytes] : golden_changes()) {
    if (kind == "change") {
      CHECK(is_plan_change(bytes) && call_id_of(bytes) == plan.call_id && can_change(plan));
      PlanChangeSpec change;
      for (std::size_t size = 0; size < bytes.size(); size += 7) {
        PlanChangeSpec cut;
        CHECK(decode_change(std::span(bytes).first(size), cut) != PlanError::kNone);
      }
      CHECK(decode_change(bytes, change) == PlanError::kNone && encode_change(change) == bytes);
      plan = changed(plan, change);
      is_changed = true;
      changes += 1;
      continue;
    }
    PlanSpec whole;
    CHECK(!is_plan_change(bytes) && decode_plan(bytes, whole) == PlanError::kNone);
    CHECK(!is_changed || encode_plan(plan) == encode_plan(whole));
    is_changed = false;
    plan = whole;
  }
  CHECK(changes > 8);
}

TEST("a change of what cannot be changed, or that contradicts itself, is refused") {
  const auto lines = golden_changes();
  CHECK(lines.size() > 8 && lines[0].first == "plan" && lines[1].first == "change");
  const Bytes& bytes = lines[1].second;
  const auto outcome = [&](auto edit) {
    PlanChangeSpec change;
    CHECK(decode_change(bytes, change) == PlanError::kNone && change.parts.size() > 1);
    edit(change);
    PlanChangeSpec read;
    return decode_change(encode_change(change), read);
  };
  CHECK(outcome([](PlanChangeSpec&) {}) == PlanError::kNone);
  const PlanError other = PlanError::kUnknownPlan;
  CHECK(outcome([](auto& change) { change.parts[0].transport.flags = kSecret; }) == other);
  CHECK(outcome([](auto& change) { change.parts[0].transport.protect = 0; }) == other);
  CHECK(outcome([](auto& change) { change.parts[0].transport.former = 0; }) == other);
  CHECK(outcome([](auto& change) { change.parts[0].transport.former_plain = true; }) == other);
  CHECK(outcome([](auto& change) { change.parts[0].transport.dtls = DtlsSpec(); }) == other);
  CHECK(outcome([](auto& change) { change.parts[0].stream.own_rtcp = OwnRtcpSpec(); }) == other);
  CHECK(outcome([](auto& change) { change.parts[0].transport.demux = Demux::kTable; }) == other);
  const PlanError bad = PlanError::kBadValue;
  CHECK(outcome([](auto& change) { change.parts[0].stream.transport = 99; }) == bad);
  CHECK(outcome([](auto& change) { change.parts[0].routes = {route(99, 0)}; }) == bad);
  CHECK(outcome([](auto& change) { change.tos = 256; }) == bad);
  CHECK(outcome([](auto& change) { std::swap(change.parts[0], change.parts[1]); }) ==
        PlanError::kDuplicateId);
  PlanChangeSpec change;
  CHECK(decode_change(lines[0].second, change) == PlanError::kBadMagic);
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK(decode_change(longer, change) == PlanError::kTrailingBytes);
}
