// The control side: keeps the workers equal to the plans.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "association.h"
#include "call.h"
#include "gate.h"
#include "handshakes.h"
#include "identity_cache.h"
#include "plan.h"
#include "plan_mark.h"
#include "plan_record.h"
#include "port_steering.h"
#include "replay_link.h"
#include "rtcp.h"
#include "socket_store.h"
#include "worker.h"

namespace rtprelay {

struct RelayOptions {
  /// Worker threads, at least 1.
  std::size_t workers = 1;
  FreeBind free_bind = FreeBind::kNo;
  /// Where sockets of an earlier process come from and ours are kept; null: nowhere.
  SocketStore* sockets = nullptr;
  /// Without them each port has a socket.
  SteeringMaps steering{};
  /// Another process has the calls: nothing is read, sent or done by time until `activate`. What
  /// plans say of endpoints and counters holds, even if it was said differently before.
  bool dormant = false;
  /// What an ended process held is there, and the next one finds ours; null: there is none.
  HeldPacketsOptions* held_packets = nullptr;
  /// The workers take part in the replay at takeover.
  bool replays = false;
  /// Added to CLOCK_MONOTONIC it gives the moments of packets, µs: they must not jump with the wall
  /// clock.
  Micros epoch = 0;
  MosRule mos{};
  dtls::SessionRules dtls{};
  /// Of the workers; of the threads of handshakes: media goes first where both want a processor.
  ThreadScheduling media_scheduling{};
  /// Where the media threads run, in turn; empty: anywhere.
  std::vector<int> media_cpus{};
  ThreadScheduling idle_scheduling{.priority = 10};
  /// How long packets wait for others.
  Pace pace{};
};

struct PortFailure {
  std::uint32_t port_id = 0;
  SocketAddress local;
  int error = 0;
};

struct TransportEventRecord {
  std::string call_id;
  std::uint32_t transport_id = 0;
  std::uint32_t events = 0;
  LatchView latch;
  /// Packets not sent to the transport's endpoint since the last record of that, and the last
  /// errno.
  std::uint64_t send_failures = 0;
  int send_error = 0;
  /// With kSrtpIndex alone: how far a source of the transport's SRTP has come in one direction.
  srtp::Purpose purpose = srtp::Purpose::kProtect;
  /// By the keys of before.
  bool former = false;
  srtp::SourceIndexes indexes;
  /// With kIceSelected or kIceStatus.
  std::uint32_t ice_port = kNoPort;
  std::uint32_t ice_priority = 0;
  ice::AgentStatus ice_status = ice::AgentStatus::kChecking;
  bool ice_controlling = false;
  /// With kDigitEnded or kSsrcLearned, alone.
  std::uint32_t stream_id = 0;
  std::uint32_t ssrc = 0;
  /// With kDigitEnded.
  std::uint8_t digit = 0;
  std::uint8_t volume = 0;
  std::uint16_t duration = 0;
  /// With kDtlsStatus, alone.
  std::unique_ptr<const HandshakeEvent> handshake;
};

struct StreamReading {
  const Stream* stream = nullptr;
  const Transport* transport = nullptr;
  /// Its transport's.
  LatchView latch;
};

struct CallReading {
  std::vector<StreamReading> streams;
  const QualityTable* quality = nullptr;
};

/// What `CallReading` has without the transports.
struct CallCounters {
  std::span<const std::unique_ptr<Stream>> streams;
  const QualityTable* quality = nullptr;
};

struct Totals {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
};

/// What came to and left one local address, and what reports that came there have said.
struct AddressCounters {
  /// Its port says nothing.
  SocketAddress address;
  Totals received;
  std::uint64_t packets_out = 0;
  std::uint64_t bytes_out = 0;
  ReportSums reports;

  void add(const AddressSums& sums) {
    received.packets += sums.packets.get();
    received.bytes += sums.bytes.get();
    received.errors += sums.errors.get();
    packets_out += sums.packets_out.get();
    bytes_out += sums.bytes_out.get();
  }
};

using DropTotals = std::array<std::uint64_t, kDropReasons>;

// Thread: control only.
class Relay {
public:
  Relay(RelayOptions options, Notifier notifier);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /// false when the threads cannot be started; the relay is then unusable. `error`: the errno.
  bool start(int& error);
  /// The calls are this process' from now on. false: as `start`.
  bool activate();
  /// Relays what an ended process had received and not sent, as far as its calls are known by now.
  /// `all`: they are; the rest belongs to none. How many packets, in all.
  std::size_t replay_left(bool all);
  /// Where packets are held; -1: nowhere.
  [[nodiscard]] int held_packets_fd() const {
    return held_packets_ == nullptr ? -1 : held_packets_->fd();
  }
  /// Begins to hear the peer and to be heard by it (`RelayOptions::replays`). false: `fault` says
  /// why.
  bool start_replay(ReplayLinkOptions options, std::string& fault);
  /// null: it has not begun, or has ended.
  [[nodiscard]] const ReplayLink* replay_link() const { return replay_link_.get(); }
  /// Stops the threads; packets wait in their sockets. Only `close` follows.
  void pause();
  /// What a stream of a call has counted in other processes. Without effect if there is no such.
  void rebase(const std::string& call_id, std::uint32_t stream_id, const StreamBase& base);
  /// Steering has come to an end: every port gets a socket of its own.
  void bind_ports();
  /// Ports of calls that will be reconciled in a moment: packets for them wait from now on.
  void expect_ports(std::span<const SocketAddress> locals);
  /// All those calls are here. Ports that an earlier process had steered, or that were expected,
  /// and no call has are steered no longer. How many.
  std::size_t release_left_ports();
  /// Notes from now on what the next process needs to relay plain calls before it knows them, in
  /// this file, and relays what an earlier one has noted there. Each of those calls is taken to be
  /// as it was until it is reconciled. How many of these there are; a second call does nothing
  /// else.
  std::size_t resume(const char* path);
  /// All calls have been reconciled that there are: ends the others of `resume`. How many.
  std::size_t release_resumed();
  /// Makes the relay equal to the encoded plan, or changes the plan that it was made equal to last,
  /// if that is of many streams and can be changed (kUnknownPlan: it is none). Anything but kNone,
  /// or a failure in `failures`, means that nothing was changed.
  PlanError reconcile(std::span<const std::uint8_t> plan, std::vector<PortFailure>& failures);
  /// The sockets of these calls stay open beyond their end, for whoever is reconciled with their
  /// ports next; those of earlier ones no longer.
  void keep_ports(std::span<const std::string> call_ids);
  /// Asks the senders of video of a call for key frames, at once and again after 300 ms; those that
  /// are still to be heard with their first packet. false: there is no such call.
  bool request_key_frames(const std::string& call_id);
  /// Dials a digit in the place of what a stream's sender sends next, after those that were dialled
  /// before. false: there is no such stream.
  bool dial(const std::string& call_id, std::uint32_t stream_id, const Digit& digit);
  /// Has the workers obey what was reconciled. They do so anyway with their next packet; this is
  /// for what must not wait for one: ports to be closed, pierce-NAT packets. Cheaper once for many
  /// plans.
  void wake_workers_for_orders();
  /// false for an unknown call. Valid until the next call of a method.
  bool read(const std::string& call_id, CallReading& out);
  /// The same for whoever reads them of one call after the other.
  bool read(const std::string& call_id, CallCounters& out);
  /// Of each stream of a call that something has come to: id, packets, bytes, errors, last packet
  /// (µs). Returns how many numbers that are; they are written as far as all of them fit.
  std::size_t heard(const std::string& call_id, std::span<double> out) const;
  Totals totals() const;
  /// By local address, over all streams that there are or were.
  std::vector<AddressCounters> by_address();
  /// Packets that were not relayed, by reason, over all streams that there are or were.
  DropTotals drops() const;
  /// Appends what has happened since the last time, and frees what workers have given back.
  void collect(std::vector<TransportEventRecord>& out);
  /// From now on all RTCP that comes is copied for `take_rtcp`.
  void copy_rtcp();
  /// The next copy; false: there is none.
  bool take_rtcp(RtcpCopy& out);
  /// Stops the workers and closes every socket; copies in the socket store stay.
  void close();

  /// When the last packet of a call came, µs; 0: none has, or there is no such call.
  [[nodiscard]] std::uint64_t last_packet(const std::string& call_id) const;
  /// Media streams, RTCP is none, that have been heard within the last second.
  [[nodiscard]] std::size_t active_streams() const;

private:
  struct Call {
    CallId id;
    std::size_t worker = 0;
    int tos = -1;
    /// To know a plan that changes nothing.
    PlanMark plan;
    /// Each by id.
    std::vector<std::unique_ptr<Port>> ports;
    std::vector<std::unique_ptr<Transport>> transports;
    std::vector<std::unique_ptr<Stream>> streams;
    std::unique_ptr<QualityTable> quality;
    /// In use by the worker, owned by us.
    CallSnapshot* snapshot = nullptr;
    /// What has taken the place of parts of it, by position. Empty: nothing has.
    std::vector<std::unique_ptr<PartConfig>> parts;
    /// Its streams, and its transports, are in the order of the plan, and what `can_change` says.
    bool can_change = false;
    std::size_t routes = 0;
    /// In `record_`.
    std::uint32_t recorded = kNotRecorded;
    /// It was not reconciled yet: `resume`.
    bool resumed = false;
    /// By what identifies them in the plan.
    std::unordered_map<std::string, std::unique_ptr<SrtpSession>> sessions;
    /// In the worker's snapshot until the next one.
    std::vector<std::unique_ptr<SrtpSession>> replaced_sessions;
    /// By transport.
    std::unordered_map<std::uint32_t, std::shared_ptr<Association>> associations;
  };
  using Identities = std::vector<std::shared_ptr<const dtls::Identity>>;
  using NewPorts = std::vector<std::unique_ptr<Port>>;
  /// Ports whose sockets new ones with the same address get.
  using FormerPorts = std::vector<const Port*>;

  PlanError obey(const PlanSpec& plan, const PlanMark& mark, std::vector<PortFailure>& failures);
  PlanError change(std::span<const std::uint8_t> bytes, std::vector<PortFailure>& failures);
  /// Whether the change fits what the call has.
  static PlanError check_change(const PlanChangeSpec& change, const Call& call);
  /// What is known of the call holds for the next process.
  void record(const PlanSpec& plan, std::span<const std::uint8_t> bytes, Call& call);
  void record_learned(const std::string& call_id);
  bool resume_from(const char* path);
  void resume(std::uint32_t place, std::span<const std::uint8_t> bytes,
              std::span<const LearnedLatch> learned);
  /// Of a call that was resumed: what it has taught since then is told now.
  void tell_learned(const PlanSpec& plan, const Call& call);
  static PlanError check_ports(const PlanChangeSpec& change, const Call& call);
  static PlanError check_parts(const PlanChangeSpec& change, const Call& call);
  void apply(const PlanChangeSpec& change, Call& call, NewPorts opened);
  /// Makes the streams and transports that are new.
  void adopt(const PlanChangeSpec& change, Call& call, Exchange& order) const;
  void configure_part(const PartSpec& spec, Call& call, PartConfig& part);
  /// `before`: null, the stream is new; `part_before`: null, the snapshot has it.
  static void configure_routes(const PartSpec& spec, const Call& call, const StreamConfig* before,
                               const PartConfig* part_before, PartConfig& part);
  /// Notes what changes of the plan will need to know.
  static void prepare_changes(const PlanSpec& plan, Call& call);
  static void close_ports(const PlanChangeSpec& change, Call& call, Exchange& order);
  bool open_ports(std::span<const PortSpec> ports, int tos, const Call* call, std::size_t worker,
                  const FormerPorts& former, NewPorts& opened, std::vector<PortFailure>& failures);
  /// They are the call's from now on. `inherited`: those that another process has opened.
  void take_in(NewPorts opened, Call& call, std::vector<Port*>& inherited);
  /// Those of the order, which may have had addresses that the call goes on with.
  void retire_ports(const Call& call, const Exchange& order);
  bool watch_ports(std::size_t worker, NewPorts& opened, std::vector<PortFailure>& failures);
  /// Gives back ports that were opened in vain.
  void give_up(std::size_t worker, NewPorts opened);
  /// Ports that were opened in vain: sockets of an earlier process wait for the next attempt.
  void give_back(const NewPorts& opened);
  /// The socket that is there for a port already, or none. `from_store`: of an earlier process.
  FileDescriptor inherited_for(const SocketAddress& local, const FormerPorts& former,
                               bool& from_store);
  std::unique_ptr<Port> open_port(const PortSpec& spec, const FormerPorts& former, int tos,
                                  std::size_t worker, int& error);
  void apply(const PlanSpec& plan, Call& call, const Identities& identities, NewPorts opened);
  static void retire_missing(const PlanSpec& plan, Call& call, Exchange& order);
  void adopt(const PlanSpec& plan, Call& call) const;
  /// Makes the sessions that are new; false: OpenSSL or memory refuses.
  static bool adopt_sessions(const PlanSpec& plan, Call& call);
  /// false: one of them is none.
  bool load_identities(const PlanSpec& plan, Identities& out);
  void adopt_associations(const PlanSpec& plan, const Identities& identities, Call& call,
                          Exchange& order);
  std::shared_ptr<Association> make_association(const TransportSpec& spec,
                                                const Identities& identities, const Call& call,
                                                const std::shared_ptr<Association>& former);
  static std::unique_ptr<const ChecksConfig> checks_of(const TransportSpec& spec, const Call& call);
  std::unique_ptr<CallSnapshot> build_snapshot(const PlanSpec& plan, const Call& call);
  static void configure_transport(const TransportSpec& spec, const Call& call,
                                  TransportConfig& config);
  static void configure_stream(const StreamSpec& spec, StreamConfig& config);
  static void configure_counts(const StreamSpec& spec, StreamConfig& config);
  static RouteConfig route_of(const RouteSpec& spec, const Call& call, const Rewrite* rewrite);
  static void configure_transports(const PlanSpec& plan, const Call& call, CallSnapshot& snapshot);
  void configure_streams(const PlanSpec& plan, const Call& call, CallSnapshot& snapshot);
  /// Where the packets of the stream come to.
  void place(Stream& stream, const SocketAddress& local, std::size_t worker);
  static void configure_packets(const PlanSpec& plan, CallSnapshot& snapshot);
  static void configure_routes(const PlanSpec& plan, const Call& call, CallSnapshot& snapshot);
  void remove(const std::string& call_id);
  void post(std::size_t worker, std::unique_ptr<Exchange> order);
  /// Steered ports of the calls are ours from now on. false: their sockets cannot be had.
  bool take_ports();
  bool start_workers();
  bool start_threads();

  /// From now on what the workers receive lies where the next process finds it.
  void hold_packets();
  void give_left(Port& port, std::size_t worker);
  std::size_t next_worker() const;
  /// Where an earlier process had the call, if it is known: what waits is there.
  std::size_t worker_for(const PlanSpec& plan) const;
  void order_all(bool Exchange::*what);
  std::unique_ptr<PacketIo> make_io(std::size_t worker, int& error);
  void free_returned(bool wait);
  /// What workers tell becomes `events_`, or goes into tables.
  void drain_events();
  void take(const QualitySample& sample);
  void take(const SrtpProgress& progress);
  void take(const DigitEnd& digit);
  void take(const LearnedSsrc& learned);
  void drain_changed();
  void drain_handshakes();
  static AddressCounters& of_address(std::vector<AddressCounters>& list,
                                     const SocketAddress& local);

  const RelayOptions options_;
  const PlanSeed plan_seed_ = random_plan_seed();
  bool dormant_;
  /// Of a dormant relay whose ports are bound: its threads are there already and wait; else null.
  std::shared_ptr<Gate> gate_;
  const Notifier notifier_;
  /// null when there is none, and once the process ends: its ports are the next one's.
  SocketStore* sockets_;
  std::vector<std::pair<SocketAddress, FileDescriptor>> kept_;
  /// null: nothing is noted for the next process.
  std::unique_ptr<PlanRecord> record_;
  /// Ports of resumed calls.
  std::unordered_set<SocketAddress, AddressHash> resumed_ports_;
  /// null: ports are not steered.
  std::unique_ptr<PortSteering> steering_;
  std::vector<std::unique_ptr<Worker>> workers_;
  /// Stopped before the workers that they send through.
  std::vector<std::unique_ptr<Handshakes>> handshakes_;
  std::size_t next_handshakes_ = 0;
  IdentityCache identities_;
  /// Ports of each worker.
  std::vector<std::size_t> loads_;
  std::unordered_map<std::string, Call> calls_;
  std::vector<TransportEventRecord> events_;
  /// Orders that workers have not given back yet.
  std::size_t outstanding_ = 0;
  /// null: what is received is lost with the process.
  std::unique_ptr<HeldPackets> held_packets_;
  bool held_packets_kept_ = false;
  std::vector<LeftPacket> left_;
  std::size_t replayed_ = 0;
  std::unique_ptr<ReplayLink> replay_link_;
  /// By local address.
  std::vector<AddressCounters> reports_;
};

} // namespace rtprelay
