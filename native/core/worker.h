// One thread of the packet path and the calls it owns.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "call.h"
#include "gate.h"
#include "mailbox.h"
#include "pace.h"
#include "packet.h"
#include "packet_io.h"
#include "replay_side.h"
#include "rtcp.h"
#include "scheduling.h"
#include "spsc_ring.h"
#include "timer_heap.h"
#include "worker_events.h"

namespace rtprelay {

struct Flight;
struct Origin;

/// Tells the control thread that a worker has something for it. Called from worker threads.
struct Notifier {
  void (*notify)(void* context) = nullptr;
  void* context = nullptr;
};

/// Longest RTCP that is copied, bytes; longer ones are cut.
constexpr std::size_t kRtcpCopyBytes = 1472;
/// Copies that wait for the control thread.
constexpr std::size_t kRtcpCopies = 256;

/// RTCP as it came, in the clear, for whoever watches it (Homer, records).
struct RtcpCopy {
  CallId call_id;
  SocketAddress source;
  SocketAddress local;
  /// On the time line of `StreamCounters`.
  std::uint64_t at = 0;
  std::size_t size = 0;
  std::array<std::uint8_t, kRtcpCopyBytes> bytes;
};
/// Pierce-NAT packets go out this often until the other side is heard (as rtpengine's).
constexpr Micros kPierceIntervalMicros = 1'000'000;

/// Deadlines that a worker attends to between two looks at its packets.
constexpr std::size_t kTimersPerRound = 64;

/// A transport's failures to send are reported this often while they go on.
constexpr Micros kSendFailureMicros = 60'000'000;

// Thread: control only, except where said otherwise. All of a call belongs to one worker, so the
// packet path needs neither locks nor atomic read-modify-writes.
class Worker {
public:
  /// `epoch`: moment of the start of CLOCK_MONOTONIC on the time line of `StreamCounters`.
  /// `gate`: what its thread waits at first; null: nothing.
  Worker(std::unique_ptr<PacketIo> io, Notifier notifier, Micros epoch, Pace pace,
         ThreadScheduling scheduling = {}, std::shared_ptr<Gate> gate = nullptr);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// false when no thread can be had. Without effect if there is one.
  bool start();
  /// Ends and joins the thread, which still relays what it has received.
  void stop();
  /// The first half of it: the thread is told. Others wait for its end, so it gets a processor.
  void hurry_to_stop();
  /// Executes the orders that are left, after `stop`.
  void finish();
  /// Before its thread runs: executes the orders. What plans say holds, whatever earlier ones said,
  /// and nothing is sent.
  void obey_dormant();
  /// Takes ownership until the order comes back from `take_returned`. The order is obeyed before
  /// the next packet is looked at, but a sleeping worker is not woken for it: see
  /// `wake_for_orders`.
  void post(std::unique_ptr<Exchange> order);
  /// Wakes the thread if orders wait for it.
  void wake_for_orders();
  /// Where its ports are opened, marked and watched. What comes before the order that binds a port
  /// is dropped, or waits if the port is an inherited one.
  [[nodiscard]] PacketIo& io() { return *io_; }
  /// Orders that are done, oldest first, linked; the caller owns them.
  Exchange* take_returned() { return returned_.take_all(); }
  /// What has happened, oldest first; false: nothing more.
  bool take_event(WorkerEvent& out) { return events_.pop(out); }
  /// Transports that are otherwise than they were told of, linked by MailboxLink; read `next`
  /// before clearing `Transport::changes`.
  Transport* take_changed() { return changed_.take_all(); }
  /// From now on RTCP is copied for `take_rtcp`.
  void copy_rtcp();
  bool take_rtcp(RtcpCopy& out) { return rtcp_copies_ != nullptr && rtcp_copies_->pop(out); }
  /// Where the streams of a local address are counted together.
  AddressSums& sums_of(const SocketAddress& local);
  [[nodiscard]] std::span<const std::unique_ptr<AddressSums>> sums() const { return sums_; }
  /// Before `start`: it tells what it sends, and relays what another node was to.
  void take_part_in_replay() { replay_ = std::make_unique<ReplaySide>(); }
  // Thread: any.
  /// null: it takes no part in it.
  [[nodiscard]] ReplaySide* replay() { return replay_.get(); }
  void replay(std::unique_ptr<ReplayBatch> batch);
  [[nodiscard]] const DropSums& drops() const { return drops_; }
  [[nodiscard]] const ActiveStreams& active_streams() const { return active_; }
  /// Sends what a handshake has made, if the association is still in use.
  void send_flight(std::unique_ptr<Flight> flight);

private:
  friend class IceEnd;

  void run();
  void tell_to_stop();
  /// Takes the orders over; what they retired stays valid until they are given back.
  [[nodiscard]] Exchange* execute_orders();
  void give_back(Exchange* order);
  void execute(Exchange& order);
  void install(CallSnapshot& snapshot);
  void bind(std::span<const PortBinding> bindings);
  void install_transport(const TransportConfig& transport);
  void retire_transport(Transport& transport);

  // Checks and handshakes: checks.cc.
  /// true: the agent that it had is gone.
  bool install_ice(const TransportConfig& transport);
  void drop_ice(Transport& transport);
  /// After each input of the agent.
  void run_ice(Transport& transport);
  void use_route(Transport& transport);
  void follow_route(Transport& transport);
  void install_association(const TransportConfig& transport);
  void begin_handshake(Transport& transport);
  /// Takes what is for the agent or the handshake; true: it is the peer's media, as far as checks
  /// of its path can tell.
  bool check(const TransportConfig& transport, const InPacket& packet, PacketKind kind);
  void send_flights();
  void send_flight_of(Transport& transport, const Flight& flight);
  void note_proven(Transport& transport, const Origin& origin);
  /// Sends one packet that we have made.
  void send_now(const Port* egress, const SocketAddress& destination,
                std::span<const std::uint8_t> bytes, Transport& transport);

  void drop_stale(const StalePackets& stale);
  void process(std::span<const InPacket> packets);
  /// Has what the packets will need brought near, of all of them at once: calls are many, and a
  /// packet's own is in no cache any more when the next one comes 20 ms later.
  static void look_ahead(std::span<const InPacket> packets);
  /// A packet that another process held, or another node was sent.
  void process_left(LeftPacket& left);
  /// As `process`, and tells what of it was sent.
  void process_and_tell(std::span<const InPacket> packets);
  /// Packets that another node was sent.
  void process_replayed();
  void process_packet(InPacket packet);
  /// A packet that belongs to `stream`, on its way to the routes.
  void relay_packet(const StreamConfig& stream, const InPacket& packet, std::size_t wire_size,
                    PacketKind kind);
  /// What came is authentic and, from here on, in the clear; false: it goes no further.
  bool unprotect(const TransportConfig& transport, InPacket& packet, PacketKind kind);
  static PacketKind kind_of(const TransportConfig& transport, std::span<const std::uint8_t> bytes);
  static LatchPacket latch_packet(const StreamConfig& stream, const InPacket& packet,
                                  PacketKind kind);
  bool admit(const TransportConfig& transport, const InPacket& packet, std::size_t wire_size,
             PacketKind kind);
  /// Counts a packet that goes no further.
  void refuse(const StreamConfig& stream, std::size_t size, DropReason reason);
  /// Counts a packet that has come.
  static void count_in(Stream& stream, std::size_t size);
  static void count_out(Stream& stream, std::size_t size);
  static void count_error(Stream& stream);
  /// false: the packet goes no further.
  bool account(const StreamConfig& stream, std::size_t wire_size, PacketKind kind);
  /// What its headers say of its sender.
  void examine(const StreamConfig& stream, const InPacket& packet, PacketKind kind);
  /// What its payload type has in store for it; false: the packet goes no further.
  bool treat_payload(const StreamConfig& stream, const InPacket& packet, PacketKind kind);
  void note_digit(const StreamConfig& stream, const InPacket& packet);
  static void dial(DigitOrder& order);
  /// Makes the packet one of a digit that is dialled in its sender's place, if there is one.
  void replace_by_digit(const StreamConfig& stream, InPacket& packet);
  bool silence(const StreamConfig& stream, const InPacket& packet, std::uint8_t octet);
  /// true: another one has sent last, which is remembered.
  static bool note_source(StreamCounters& counters, std::uint64_t source);
  void analyse_rtcp(const StreamConfig& stream, const InPacket& packet);
  void send_by(std::span<const RouteConfig> routes, const StreamConfig& stream,
               const InPacket& packet, bool rtcp);
  /// Makes `bytes` what the route wants of them, in memory of its own; false: nothing is left, and
  /// that is counted. `earlier`: what another route with the same keys has made of them.
  bool change(const RouteConfig& route, Stream& stream, bool rtcp,
              std::span<const std::uint8_t> earlier, std::span<const std::uint8_t>& bytes);
  /// Headers and feedback of a packet, into `room`. `size` 0: nothing is left of it, or (false) it
  /// is malformed.
  static bool rewrite(const RouteConfig& route, bool rtcp, std::span<const std::uint8_t> bytes,
                      std::span<std::uint8_t> room, std::size_t& size);
  /// Its peer goes on with the former keys, as far as is known.
  bool keeps_former(const TransportConfig& transport) const;
  /// By what a packet goes to a transport.
  struct Protection {
    /// null: it goes in the clear, or not at all.
    srtp::Sender* sender = nullptr;
    bool former = false;
    bool plain = false;

    bool operator==(const Protection&) const = default;
  };
  Protection protection(srtp::Sender* present, const TransportConfig& to) const;
  /// What is not authentic may be what comes in the clear, before or now.
  bool is_plain(const TransportConfig& transport, const InPacket& packet);
  /// The packet in `passed_` is to go there as it came.
  bool passes(const TransportConfig& from, const TransportConfig& to) const;
  /// What the two ends have encrypted for each other would go there in the clear.
  bool would_open(const TransportConfig& from, const TransportConfig& to) const;
  /// false: `refused` says why.
  bool protect(srtp::Sender* sender, Transport& to, bool rtcp, std::span<std::uint8_t> room,
               std::size_t& size, DropReason& refused);
  void note_progress(Transport& transport, srtp::Session& session, srtp::Purpose purpose,
                     bool former, std::uint32_t ssrc);
  void queue(const OutPacket& packet);
  void note_send_failure(Transport& transport, int error);
  void note_unreachable(Transport& transport, const InPacket& error);
  void note_learned(Transport& transport);
  void keep_copy(const InPacket& packet);
  [[nodiscard]] std::uint64_t moment() const { return static_cast<std::uint64_t>(epoch_ + now_); }
  void flush();
  /// Does what is due.
  void fire_timers();

  // Packets of our own, bundles, and what is looked at packet by packet: own_packets.cc.
  /// Where a packet can be made; it is taken by sending it.
  std::span<std::uint8_t> take_room();
  /// Sends what was made in `room` to the remote of `by`. `counted`: where; null: nowhere.
  void send_own(const TransportConfig& by, Stream* counted, bool rtcp, std::span<std::uint8_t> room,
                std::size_t size);
  void pierce(Transport& transport);
  /// Its sender has said that it may come.
  static bool is_announced(const StreamConfig& stream, std::uint8_t payload_type);
  /// false: the packet goes no further.
  bool look(const StreamConfig& stream, const InPacket& packet, PacketKind kind);
  void note_sent(const RouteConfig& route, const StreamConfig& from,
                 std::span<const std::uint8_t> packet, std::size_t octets);
  void request_key_frames(const CallSnapshot& call);
  void request_key_frame(const StreamConfig& stream);
  void repeat_key_frame_requests(Transport& transport);
  void plan_reports(Transport& transport);
  void send_reports(Transport& transport);
  void tell_learned(const TransportConfig& transport);
  void process_bundled(const TransportConfig& transport, const InPacket& packet,
                       std::size_t wire_size, PacketKind kind);

  /// Packets wait in their sockets meanwhile.
  static void rest_until(Micros moment);
  void calm_down();
  [[nodiscard]] int timeout_ms() const;
  void raise(Transport& transport, std::uint32_t event);
  /// Tells of what has happened. A full ring loses it.
  template <typename Event> void tell(const Event& event) {
    if (events_.push(event))
      notifier_.notify(notifier_.context);
  }
  static void publish(Transport& transport);
  void drop(Stream& stream, DropReason reason);

  std::unique_ptr<PacketIo> io_;
  const Notifier notifier_;
  const Micros epoch_;
  const ThreadScheduling scheduling_;
  const std::shared_ptr<Gate> gate_;
  std::unique_ptr<ReplaySide> replay_;
  std::thread thread_;
  /// Of the kernel; 0: it has not begun.
  std::atomic<pid_t> thread_id_{0};
  std::atomic<bool> stopping_{false};

  Mailbox<Exchange> orders_;
  Mailbox<Exchange> returned_;
  Mailbox<Transport> changed_;
  Mailbox<Flight> flights_;
  WorkerEvents events_;
  /// Made before `copies_rtcp_` is set.
  std::unique_ptr<SpscRing<RtcpCopy, kRtcpCopies>> rtcp_copies_;
  std::atomic<bool> copies_rtcp_{false};
  // Thread: worker only.
  RtcpCopy rtcp_copy_;

  /// By local address, of which there are few; as long as the worker. Thread: control only.
  std::vector<std::unique_ptr<AddressSums>> sums_;
  /// Where nothing lies beside it that other threads write.
  alignas(64) DropSums drops_;
  ActiveStreams active_;

  // Thread: worker only.
  std::vector<InPacket> in_;
  std::vector<OutPacket> out_;
  std::size_t out_size_ = 0;
  /// Where packets are made or changed; free again after `flush`.
  std::vector<Slot> slots_;
  std::size_t slots_used_ = 0;
  /// A stream's part of a compound RTCP packet.
  Slot part_;
  TimerHeap timers_;
  Pace pace_;
  std::uint32_t random_;
  /// As of the packet that is being relayed.
  std::atomic<std::uint32_t>* begun_ = nullptr;
  /// What is made of it next was sent by another process.
  std::uint32_t sent_before_ = 0;
  /// With `TransportConfig::passing`: the packet at hand as it came, and what could read it.
  std::array<std::uint8_t, kMaxPacketBytes> passed_{};
  std::size_t passed_size_ = 0;
  const srtp::Receiver* passed_by_ = nullptr;
  Micros now_ = 0;
  bool dormant_ = false;
  /// While it catches up with what has waited until the gate was open; 0: it does not.
  Micros urgent_until_ = 0;
  ThreadScheduling usual_;
};

} // namespace rtprelay
