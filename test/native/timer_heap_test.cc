// The order in which deadlines come, against a list that is sorted.
#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "../../native/core/transport.h"
#include "check.h"

using namespace rtprelay;

namespace {

struct Timers {
  explicit Timers(std::size_t count) : owner(nullptr, 1) {
    for (std::size_t i = 0; i < count; ++i)
      list.push_back(std::make_unique<Timer>(TimerKind::kPierce, owner));
  }
  Transport owner;
  std::vector<std::unique_ptr<Timer>> list;
  TimerHeap heap;
};

} // namespace

TEST("an empty heap has no deadline") {
  TimerHeap heap;
  CHECK(heap.next() == kNever && heap.take_due(kNever) == nullptr);
}

TEST("a timer is due at its time, once") {
  Timers timers(1);
  Timer& timer = *timers.list[0];
  CHECK(!timer.is_set());
  timers.heap.set(timer, 100);
  CHECK(timers.heap.next() == 100 && timer.is_set() && timers.heap.take_due(99) == nullptr);
  CHECK(timers.heap.take_due(100) == &timer && &timer.owner() == &timers.owner);
  CHECK(!timer.is_set() && timers.heap.next() == kNever);
}

TEST("a timer can be moved both ways and taken out, also when it is not set") {
  Timers timers(3);
  const auto& list = timers.list;
  timers.heap.set(*list[0], 10);
  timers.heap.set(*list[1], 20);
  timers.heap.set(*list[2], 30);
  timers.heap.set(*list[2], 5);
  CHECK(timers.heap.next() == 5);
  timers.heap.set(*list[2], 40);
  CHECK(timers.heap.next() == 10);
  timers.heap.cancel(*list[0]);
  timers.heap.cancel(*list[0]);
  CHECK(timers.heap.next() == 20);
  CHECK(timers.heap.take_due(100) == list[1].get());
  CHECK(timers.heap.take_due(100) == list[2].get());
  CHECK(timers.heap.take_due(100) == nullptr);
}

TEST("ten thousand random changes leave the deadlines in order") {
  constexpr std::size_t kTimers = 300;
  Timers timers(kTimers);
  std::mt19937 random(7);
  const auto below = [&](std::size_t limit) { return random() % limit; };
  const auto earliest = [&] {
    Micros due = kNever;
    for (const auto& timer : timers.list)
      due = std::min(due, timer->due());
    return due;
  };
  for (int i = 0; i < 10'000; ++i) {
    Timer& timer = *timers.list[below(kTimers)];
    switch (below(4)) {
    case 0:
      timers.heap.cancel(timer);
      break;
    case 1: {
      const Micros due = earliest();
      Timer* taken = timers.heap.take_due(due);
      CHECK((taken == nullptr) == (due == kNever) && earliest() >= due);
      break;
    }
    default:
      timers.heap.set(timer, static_cast<Micros>(below(1000)));
    }
    CHECK(timers.heap.next() == earliest());
  }
  std::vector<Micros> order;
  while (timers.heap.next() != kNever) {
    order.push_back(timers.heap.next());
    CHECK(timers.heap.take_due(order.back()) != nullptr);
  }
  CHECK(std::ranges::is_sorted(order) && earliest() == kNever);
}
