#include <array>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <vector>

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "modes.h"
#include "ng.h"
#include "statistics.h"

namespace loadgen {

namespace {

constexpr std::int64_t kRepeatMicros = 1'000'000;

enum class Step { kOffer, kAnswer, kDelete };
constexpr std::size_t kSteps = 3;

std::int64_t now_micros() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

/// One call after another: offer, answer, delete (unless they are to stand).
struct Slot {
  std::string id;
  Step step = Step::kOffer;
  std::string message;
  std::int64_t asked = 0;
  std::int64_t sent = 0;
  bool idle = false;
};

class Driver {
public:
  explicit Driver(const Options& options) : options_(options), slots_(options.concurrency) {}

  int run();

private:
  void begin(std::size_t slot, Step step);
  void take(std::string_view message);
  void repeat(std::int64_t now);
  void begin_due(std::int64_t now);
  void send_message(Slot& slot);
  [[nodiscard]] Step last_step() const {
    return options_.delete_calls ? Step::kDelete : Step::kAnswer;
  }
  void report(double seconds) const;

  const Options& options_;
  std::vector<Slot> slots_;
  int fd_ = -1;
  std::uint64_t next_call_ = 0;
  std::int64_t measured_from_ = 0;
  std::int64_t end_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t repeats_ = 0;
  /// With a rate: when the next call is due.
  std::int64_t next_due_ = 0;
  std::array<Histogram, kSteps> times_;
};

void Driver::send_message(Slot& slot) {
  slot.sent = now_micros();
  (void)!send(fd_, slot.message.data(), slot.message.size(), 0);
}

void Driver::begin(std::size_t index, Step step) {
  Slot& slot = slots_[index];
  slot.step = step;
  if (step == Step::kOffer)
    slot.id =
        options_.call_prefix + '-' + std::to_string(getpid()) + '-' + std::to_string(next_call_++);
  const auto port = static_cast<std::uint16_t>(options_.port_base + 4 * (index % 1000));
  std::string body;
  switch (step) {
  case Step::kOffer:
    body = offer(slot.id, audio_sdp(options_.bind_a, port), options_.through);
    break;
  case Step::kAnswer:
    body = answer(slot.id, audio_sdp(options_.bind_b, static_cast<std::uint16_t>(port + 2)));
    break;
  case Step::kDelete:
    body = remove(slot.id);
    break;
  }
  // The cookie leads back to the slot.
  slot.message = std::to_string(index) + '_' + slot.id + '_' +
                 std::to_string(static_cast<int>(step)) + ' ' + body;
  slot.asked = now_micros();
  send_message(slot);
}

void Driver::take(std::string_view message) {
  const auto space = message.find(' ');
  const auto mark = message.find('_');
  if (space == std::string_view::npos || mark == std::string_view::npos || mark > space)
    return;
  const auto index = static_cast<std::size_t>(
      std::strtoul(std::string(message.substr(0, mark)).c_str(), nullptr, 10));
  if (index >= slots_.size())
    return;
  Slot& slot = slots_[index];
  if (slot.idle || !std::string_view(slot.message).starts_with(message.substr(0, space + 1)))
    return; // the answer to a repeated request
  const std::int64_t now = now_micros();
  if (now >= measured_from_) {
    times_[static_cast<std::size_t>(slot.step)].add(static_cast<std::uint64_t>(now - slot.asked));
    if (slot.step == last_step())
      done_ += 1;
    if (!is_ok(message))
      errors_ += 1;
  }
  const bool more = options_.triples == 0 || next_call_ < options_.triples;
  if (slot.step != last_step()) {
    begin(index, slot.step == Step::kOffer ? Step::kAnswer : Step::kDelete);
  } else if (now < end_ && more && options_.rate == 0) {
    begin(index, Step::kOffer);
  } else {
    slot.idle = true;
  }
}

void Driver::repeat(std::int64_t now) {
  for (Slot& slot : slots_) {
    if (slot.idle || now - slot.sent < kRepeatMicros)
      continue;
    repeats_ += 1;
    send_message(slot);
  }
}

/// A call that is due while all slots are taken is not begun at all.
void Driver::begin_due(std::int64_t now) {
  const auto interval = static_cast<std::int64_t>(1e6 / options_.rate);
  for (; next_due_ <= now && next_due_ < end_; next_due_ += interval) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (!slots_[i].idle)
        continue;
      slots_[i].idle = false;
      begin(i, Step::kOffer);
      break;
    }
  }
}

int Driver::run() {
  fd_ = socket(options_.ng.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int room = 4 * 1024 * 1024;
  (void)setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
  if (fd_ < 0 || connect(fd_, options_.ng.get(), options_.ng.size) != 0) {
    std::perror("control");
    return 1;
  }
  const std::int64_t start = now_micros();
  measured_from_ = start + static_cast<std::int64_t>(options_.warmup * 1e6);
  end_ = start + static_cast<std::int64_t>(options_.seconds * 1e6);
  next_due_ = start;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].idle = options_.rate > 0;
    if (!slots_[i].idle)
      begin(i, Step::kOffer);
  }
  std::array<char, 65'536> buffer;
  std::int64_t now = start;
  std::int64_t last_repeat = start;
  const std::int64_t limit = end_ + 5 * kRepeatMicros;
  const auto busy = [this] {
    for (const Slot& slot : slots_)
      if (!slot.idle)
        return true;
    return false;
  };
  const bool counted = options_.triples > 0;
  while (now < limit && ((now < end_ && !counted) || busy())) {
    pollfd ready{fd_, POLLIN, 0};
    if (poll(&ready, 1, options_.rate > 0 ? 1 : 100) > 0) {
      const ssize_t size = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size > 0)
        take({buffer.data(), static_cast<std::size_t>(size)});
    }
    now = now_micros();
    if (options_.rate > 0)
      begin_due(now);
    if (now - last_repeat > 100'000) {
      repeat(now);
      last_repeat = now;
    }
  }
  report(static_cast<double>(std::min(now, limit) - measured_from_) / 1e6);
  close(fd_);
  return 0;
}

void Driver::report(double seconds) const {
  constexpr std::array<const char*, kSteps> names{"offer", "answer", "delete"};
  std::printf("{\"triples\":%" PRIu64 ",\"seconds\":%g,\"triplesPerSecond\":%g,\"errors\":%" PRIu64
              ",\"repeats\":%" PRIu64,
              done_, seconds, static_cast<double>(done_) / seconds, errors_, repeats_);
  for (std::size_t i = 0; i < kSteps; ++i) {
    std::printf(",\"%sMicros\":{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64 "}",
                names[i], times_[i].percentile(0.5), times_[i].percentile(0.99), times_[i].max());
  }
  std::printf("}\n");
}

} // namespace

int control_mode(const Options& options) { return Driver(options).run(); }

} // namespace loadgen
