#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "modes.h"
#include "ng.h"
#include "srtp.h"
#include "statistics.h"
#include "trace.h"

namespace loadgen {

namespace {

constexpr std::size_t kRtpHeader = 12;
constexpr std::size_t kSamplesPerMs = 8; // PCMA: a byte each
/// What a longer packet time would have beyond that is left out.
constexpr std::size_t kMostPayload = 1400;
constexpr std::uint32_t kLongestPtimeMs = 1000;
constexpr std::uint32_t kFirstSsrc = 0x10000;
constexpr std::uint32_t kMagic = 0x6c6f6164;

/// Behind the RTP header of every packet.
struct Stamp {
  std::uint32_t magic;
  std::uint32_t stream;
  std::int64_t sent_micros;
};

std::int64_t micros_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

std::int64_t now_micros() { return micros_of(CLOCK_MONOTONIC); }

/// One phone: it sends its own stream and receives that of the other side.
struct Phone {
  int fd = -1;
  Address target;
  std::uint32_t stream = 0;
  std::uint64_t sent = 0;
  /// Packets that ICMP said nobody takes.
  std::uint64_t refused = 0;
  /// What it sends: `sent` is filled by the sender, `arrived` by the receiver.
  StreamTrace trace;
  /// What arrives here.
  ReceivedStream heard;
  SrtpEnd srtp;
};

struct Run {
  std::vector<Phone> phones; // 2 i calls, 2 i + 1 is called
  Histogram latency;
  /// The same for each second of the run, by the time of arrival.
  std::vector<Histogram> latency_by_second;
  std::int64_t started = 0;
  Histogram lateness;
  std::uint64_t strange = 0;
  /// SRTP that could not be decrypted.
  std::uint64_t refused_srtp = 0;
  std::size_t payload = 0;
  bool traced = false;
  /// Of the first phone's stream.
  Audio audio;
  std::uint32_t calls_known = 0;
  std::atomic<bool> stop{false};
};

int open_phone(const std::string& host, std::uint16_t port) {
  const auto address = parse_host(host, port);
  if (!address)
    return -1;
  const int fd = socket(address->family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  const int room = 256 * 1024;
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
  const int on = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
  if (bind(fd, address->get(), address->size) != 0) {
    std::fprintf(stderr, "loadgen: %s:%u: %s\n", host.c_str(), port, std::strerror(errno));
    close(fd);
    return -1;
  }
  return fd;
}

std::string call_id(const Options& options, std::uint32_t call) {
  return options.call_prefix + '-' + std::to_string(call);
}

/// What the offer asks for, when the two sides are not of one family.
std::string family_of_b(const Options& options) {
  const bool a = options.bind_a.find(':') != std::string::npos;
  const bool b = options.bind_b.find(':') != std::string::npos;
  return a == b ? "" : b ? "IP6" : "IP4";
}

Wishes wishes_of(const Options& options) {
  Wishes wishes;
  wishes.family = family_of_b(options);
  if (options.srtp_a || options.srtp_b)
    wishes.protocol = options.srtp_b ? "RTP/SAVP" : "RTP/AVP";
  if (options.srtp_b)
    wishes.sdes = "only-" + std::string(rtprelay::srtp::traits_of(*options.srtp_b).name);
  wishes.recrypt = options.srtp_a && options.srtp_b && !options.pass_srtp;
  return wishes;
}

/// Offer and answer of one call; false when the daemon refuses.
bool set_up(const Options& options, NgClient& ng, Run& run, std::uint32_t call) {
  const auto port = static_cast<std::uint16_t>(options.port_base + 4 * call);
  Phone& a = run.phones[2 * call];
  Phone& b = run.phones[2 * call + 1];
  if (options.direct) {
    const auto to_b = parse_host(options.bind_b, static_cast<std::uint16_t>(port + 2));
    const auto to_a = parse_host(options.bind_a, port);
    if (!to_a || !to_b)
      return false;
    a.target = *to_b;
    b.target = *to_a;
    return true;
  }
  const std::string id = call_id(options, call);
  std::string body = audio_sdp(options.bind_a, port, options.ptime_ms);
  if (options.srtp_a)
    body = secured_sdp(body, "RTP/SAVP", a.srtp.choose(*options.srtp_a, 1));
  const std::string offered = ng.ask(offer(id, body, options.through, wishes_of(options)));
  const auto towards_b = media_endpoint(offered);
  body = audio_sdp(options.bind_b, static_cast<std::uint16_t>(port + 2), options.ptime_ms);
  if (options.srtp_b) {
    const unsigned tag = b.srtp.hear(offered, *options.srtp_b);
    body = secured_sdp(body, "RTP/SAVP", b.srtp.choose(*options.srtp_b, tag));
  }
  const std::string answered = ng.ask(answer(id, body));
  const auto towards_a = media_endpoint(answered);
  const bool keyed = (!options.srtp_a || a.srtp.hear(answered, *options.srtp_a) == 1) &&
                     (!options.srtp_b || b.srtp.ready());
  if (!towards_b || !towards_a || !keyed) {
    std::fprintf(stderr, "loadgen: call %s failed: %s / %s\n", id.c_str(), offered.c_str(),
                 answered.c_str());
    return false;
  }
  a.target = *towards_a; // told to a by the answer
  b.target = *towards_b;
  return true;
}

bool open_phones(const Options& options, Run& run) {
  run.phones.resize(static_cast<std::size_t>(options.calls) * 2);
  const double packets = options.seconds * 1000 / options.ptime_ms;
  for (std::uint32_t i = 0; i < options.calls * 2; ++i) {
    Phone& phone = run.phones[i];
    const auto port = static_cast<std::uint16_t>(options.port_base + 2 * i);
    phone.fd = open_phone(i % 2 == 0 ? options.bind_a : options.bind_b, port);
    phone.stream = i;
    phone.heard.reserve(static_cast<std::size_t>(packets) + 64);
    if (run.traced) {
      phone.trace.sent.reserve(static_cast<std::size_t>(packets) + 64);
      phone.trace.arrived.assign(static_cast<std::size_t>(packets) + 64, -1);
    }
    if (phone.fd < 0)
      return false;
  }
  return true;
}

void send_one(Run& run, Phone& phone, std::int64_t now) {
  std::array<std::uint8_t, kRtpHeader + kMostPayload + kSrtpRoom> packet{};
  packet[0] = 0x80;
  packet[1] = 8; // PCMA
  const auto sequence = htons(static_cast<std::uint16_t>(phone.sent));
  const auto timestamp = htonl(static_cast<std::uint32_t>(phone.sent * run.payload));
  const auto ssrc = htonl(kFirstSsrc + phone.stream);
  std::memcpy(&packet[2], &sequence, 2);
  std::memcpy(&packet[4], &timestamp, 4);
  std::memcpy(&packet[8], &ssrc, 4);
  if (phone.stream == 0 && run.audio.active()) {
    run.audio.fill(phone.sent, &packet[kRtpHeader]);
  } else {
    const Stamp stamp{kMagic, phone.stream, now};
    std::memcpy(&packet[kRtpHeader], &stamp, sizeof(stamp));
  }
  phone.sent += 1;
  if (run.traced)
    phone.trace.sent.push_back(static_cast<std::int32_t>(now - run.started));
  const std::size_t size = phone.srtp.protect(packet, kRtpHeader + run.payload);
  // A relay that is being restarted answers with ICMP errors, which the next call reports once.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (sendto(phone.fd, packet.data(), size, 0, phone.target.get(), phone.target.size) >= 0 ||
        errno != ECONNREFUSED)
      return;
    phone.refused += 1;
  }
}

/// When nobody is to send any more, by the clock of `now_micros`; SIGUSR1 brings it closer.
std::atomic<std::int64_t> last_moment{0};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

/// What disturbs the calls is over: they talk for two seconds more.
void end_soon(int /*signal*/) {
  last_moment = std::min(last_moment.load(), now_micros() + 2'000'000);
}

/// Every stream has its own moment in each interval, so that the load is even.
void send_all(const Options& options, Run& run) {
  const std::int64_t interval = static_cast<std::int64_t>(options.ptime_ms) * 1000;
  const auto streams = static_cast<std::int64_t>(run.phones.size());
  const std::int64_t start = now_micros() + 1000;
  last_moment = start + static_cast<std::int64_t>(options.seconds * 1e6);
  // Whole rounds: all have sent as many.
  for (std::int64_t round = 0; start + round * interval < last_moment.load(); ++round) {
    for (std::int64_t i = 0; i < streams; ++i) {
      const std::int64_t due = start + round * interval + i * interval / streams;
      std::int64_t now = now_micros();
      while (due - now > 50) {
        const std::int64_t rest = due - now;
        const timespec pause{0, static_cast<long>(std::min<std::int64_t>(rest, 900'000) * 1000)};
        nanosleep(&pause, nullptr);
        now = now_micros();
      }
      run.lateness.add(static_cast<std::uint64_t>(std::max<std::int64_t>(0, now - due)));
      send_one(run, run.phones[static_cast<std::size_t>(i)], now);
    }
  }
}

/// Whether it is of the partner's stream; without a stamp the SSRC tells.
bool belongs(const Run& run, const Stamp& stamp, std::uint32_t partner, const std::uint8_t* bytes) {
  if (partner != 0 || !run.audio.active())
    return stamp.magic == kMagic && stamp.stream == partner;
  std::uint32_t ssrc = 0;
  std::memcpy(&ssrc, bytes + 8, 4);
  return ntohl(ssrc) == kFirstSsrc;
}

/// `now`: when it came.
void take(Run& run, Phone& phone, const std::uint8_t* bytes, std::size_t size, std::int64_t now) {
  const std::uint32_t partner = phone.stream ^ 1U;
  Stamp stamp{};
  if (size >= kRtpHeader + sizeof(stamp))
    std::memcpy(&stamp, bytes + kRtpHeader, sizeof(stamp));
  // The partner's stream, and no other, belongs here.
  if (size != kRtpHeader + run.payload || !belongs(run, stamp, partner, bytes)) {
    run.strange += 1;
    return;
  }
  std::uint16_t sequence = 0;
  std::memcpy(&sequence, bytes + 2, 2);
  const std::int64_t number = phone.heard.add(ntohs(sequence), now);
  if (number < 0)
    return;
  const auto position = static_cast<std::size_t>(number);
  auto& arrived = run.phones[partner].trace.arrived;
  if (position < arrived.size())
    arrived[position] = static_cast<std::int32_t>(now - run.started);
  if (partner == 0 && run.audio.active()) {
    run.audio.heard(position, bytes + kRtpHeader);
    return;
  }
  const auto micros =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, now - stamp.sent_micros));
  run.latency.add(micros);
  const auto second = static_cast<std::size_t>((now - run.started) / 1'000'000);
  if (second < run.latency_by_second.size())
    run.latency_by_second[second].add(micros);
}

std::int64_t micros_of(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

/// From the clock of the kernel's time stamps to that of `now_micros`.
std::int64_t stamp_offset() {
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  return now_micros() - micros_of(wall);
}

/// A datagram and when it came to the socket, by the clock of `now_micros`; -1: there is none.
ssize_t receive_stamped(int fd, std::span<std::uint8_t> buffer, std::int64_t offset,
                        std::int64_t& came) {
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(timespec))> control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT);
  if (size < 0)
    return size;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  timespec stamp{};
  if (header != nullptr && header->cmsg_level == SOL_SOCKET &&
      header->cmsg_type == SCM_TIMESTAMPNS) {
    std::memcpy(&stamp, CMSG_DATA(header), sizeof(stamp));
    came = micros_of(stamp) + offset;
  } else {
    came = now_micros();
  }
  return size;
}

/// The phones look for packets each millisecond, and the kernel says when each has come: what wakes
/// somebody up for every packet would be counted as the relay's, which sends it.
void receive_all(Run& run) {
  constexpr timespec kLook{0, 1'000'000};
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (Phone& phone : run.phones) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &phone;
    epoll_ctl(epoll, EPOLL_CTL_ADD, phone.fd, &event);
  }
  std::array<epoll_event, 128> events;
  std::array<std::uint8_t, 2048> buffer;
  while (!run.stop.load(std::memory_order_relaxed)) {
    const int ready = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 0);
    if (ready <= 0)
      nanosleep(&kLook, nullptr);
    const std::int64_t offset = stamp_offset();
    for (int i = 0; i < ready; ++i) {
      Phone& phone = *static_cast<Phone*>(events[static_cast<std::size_t>(i)].data.ptr);
      std::int64_t came = 0;
      const ssize_t size = receive_stamped(phone.fd, buffer, offset, came);
      if (size <= 0)
        continue;
      const auto plain =
          phone.srtp.unprotect(std::span(buffer).first(static_cast<std::size_t>(size)));
      run.refused_srtp += plain ? 0 : 1;
      take(run, phone, buffer.data(), plain.value_or(0), came);
    }
  }
  close(epoll);
}

template <typename T> T at_quantile(std::vector<T> values, double quantile) {
  if (values.empty())
    return {};
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(std::lround(quantile * last))];
}

void print_spread(const char* name, const std::vector<double>& values) {
  std::printf("\"%s\":{\"median\":%g,\"p95\":%g,\"max\":%g}", name, at_quantile(values, 0.5),
              at_quantile(values, 0.95), at_quantile(values, 1.0));
}

void print_histogram(const char* name, const Histogram& histogram) {
  std::printf("\"%s\":{\"p50\":%" PRIu64 ",\"p95\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64
              "}",
              name, histogram.percentile(0.5), histogram.percentile(0.95),
              histogram.percentile(0.99), histogram.max());
}

void report(const Options& options, const Run& run) {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t reordered = 0;
  std::uint64_t refused = 0;
  std::vector<double> lost;
  std::vector<double> gaps;
  std::vector<double> ends;
  std::vector<double> pauses;
  std::string streams;
  for (const Phone& phone : run.phones) {
    const Phone& sender = run.phones[phone.stream ^ 1U];
    const std::uint64_t missing = sender.sent - phone.heard.received;
    sent += sender.sent;
    received += phone.heard.received;
    duplicates += phone.heard.duplicates;
    reordered += phone.heard.reordered;
    refused += phone.refused;
    lost.push_back(static_cast<double>(missing));
    gaps.push_back(static_cast<double>(phone.heard.longest_gap(sender.sent)));
    ends.push_back(static_cast<double>(phone.heard.lost_at_end(sender.sent)));
    pauses.push_back(static_cast<double>(phone.heard.longest_pause_micros) / 1000);
    if (options.per_stream) {
      streams += streams.empty() ? "" : ",";
      streams += "{\"sent\":" + std::to_string(sender.sent) +
                 ",\"received\":" + std::to_string(phone.heard.received) +
                 ",\"longestGap\":" + std::to_string(phone.heard.longest_gap(sender.sent)) +
                 ",\"longestPauseMs\":" + std::to_string(pauses.back()) + "}";
    }
  }
  std::printf("{\"calls\":%u,\"seconds\":%g,\"ptimeMs\":%u,\"sent\":%" PRIu64
              ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"duplicates\":%" PRIu64
              ",\"reordered\":%" PRIu64 ",\"strange\":%" PRIu64 ",\"refusedSrtp\":%" PRIu64 ",",
              options.calls, options.seconds, options.ptime_ms, sent, received, sent - received,
              duplicates, reordered, run.strange, run.refused_srtp);
  const std::int64_t since_epoch = micros_of(CLOCK_REALTIME) - (now_micros() - run.started);
  std::printf("\"refused\":%" PRIu64 ",\"startedMonotonicMicros\":%" PRId64
              ",\"startedUnixMicros\":%" PRId64 ",",
              refused, run.started, since_epoch);
  if (options.ng_after)
    std::printf("\"callsKnown\":%u,", run.calls_known);
  print_histogram("latencyMicros", run.latency);
  std::printf(",");
  print_histogram("senderLatenessMicros", run.lateness);
  std::printf(",\"latencyP99BySecond\":[");
  for (std::size_t i = 0; i < run.latency_by_second.size(); ++i)
    std::printf("%s%" PRIu64, i == 0 ? "" : ",", run.latency_by_second[i].percentile(0.99));
  std::printf("],");
  print_spread("lostPerStream", lost);
  std::printf(",");
  print_spread("longestGapPackets", gaps);
  std::printf(",");
  print_spread("lostAtEnd", ends);
  std::printf(",");
  print_spread("longestPauseMs", pauses);
  if (options.per_stream)
    std::printf(",\"streams\":[%s]", streams.c_str());
  std::printf("}\n");
}

void allow_many_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool prepare(const Options& options, NgClient& ng, Run& run) {
  allow_many_descriptors();
  if (options.calls == 0 || options.calls * 4 + options.port_base > 65'536 ||
      options.ptime_ms * kSamplesPerMs < sizeof(Stamp) || options.ptime_ms > kLongestPtimeMs) {
    std::fprintf(stderr,
                 "loadgen: the calls do not fit into the ports, or the ptime not into packets\n");
    return false;
  }
  run.payload = std::min(options.ptime_ms * kSamplesPerMs, kMostPayload);
  run.traced = !options.trace_file.empty();
  if (!options.audio_file.empty() && !run.audio.load(options.audio_file, run.payload)) {
    std::fprintf(stderr, "loadgen: no audio in %s\n", options.audio_file.c_str());
    return false;
  }
  if ((!options.direct && !ng.open(options.ng)) || !open_phones(options, run))
    return false;
  for (std::uint32_t call = 0; call < options.calls; ++call)
    if (!set_up(options, ng, run, call))
      return false;
  std::fprintf(stderr, "ready\n");
  return true;
}

/// Asks for every call and deletes it; gives up on a daemon that is not there.
void tear_down(const Options& options, NgClient& ng, Run& run) {
  NgClient other;
  const bool moved = options.ng_after && other.open(*options.ng_after);
  NgClient& daemon = moved ? other : ng;
  int unanswered = 0;
  for (std::uint32_t call = 0; call < options.calls && unanswered < 3; ++call) {
    const std::string id = call_id(options, call);
    if (options.ng_after) {
      const std::string reply = daemon.ask(query(id), 2);
      run.calls_known += is_ok(reply) ? 1 : 0;
      unanswered += reply.empty() ? 1 : 0;
    }
    if (options.delete_calls && !options.direct)
      unanswered += daemon.ask(remove(id), options.ng_after ? 2 : 10).empty() ? 1 : 0;
  }
  for (const Phone& phone : run.phones)
    close(phone.fd);
}

bool save_files(const Options& options, Run& run) {
  bool good = true;
  if (run.traced) {
    std::vector<const StreamTrace*> streams;
    for (const Phone& phone : run.phones)
      streams.push_back(&phone.trace);
    good = write_trace(options.trace_file, streams);
  }
  if (!options.record_file.empty() && run.audio.active())
    good = run.audio.save(options.record_file, run.phones[0].sent) && good;
  if (!good)
    std::fprintf(stderr, "loadgen: a file could not be written\n");
  return good;
}

} // namespace

int relay_mode(const Options& options) {
  std::signal(SIGUSR1, end_soon);
  Run run;
  NgClient ng;
  if (!prepare(options, ng, run))
    return 1;
  run.latency_by_second.resize(static_cast<std::size_t>(options.seconds) + 1);
  run.started = now_micros();
  std::thread receiver([&run] { receive_all(run); });
  send_all(options, run);
  const timespec stragglers{0, 400'000'000};
  nanosleep(&stragglers, nullptr);
  run.stop = true;
  receiver.join();
  tear_down(options, ng, run);
  report(options, run);
  return save_files(options, run) ? 0 : 1;
}

int hold_mode(const Options& options) {
  Run run;
  NgClient ng;
  if (!prepare(options, ng, run))
    return 1;
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  tear_down(options, ng, run);
  return 0;
}

} // namespace loadgen
