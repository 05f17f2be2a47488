// The deadlines of one worker.
#pragma once

#include "clock.h"

namespace rtprelay {

struct Transport;

/// What a worker does when a deadline has come (`Worker::fire`).
enum class TimerKind : std::uint8_t {
  /// A pierce-NAT packet is due.
  kPierce,
  /// Reports of our own are due.
  kReports,
  /// A key frame is asked for again.
  kKeyFrames,
  /// The transport's ICE agent has something to do.
  kIce,
};

/// One deadline; it lies in what it belongs to, so that setting it allocates nothing.
// Thread: worker only, but for its making and, once it is not set any more, its end.
class Timer {
public:
  Timer(TimerKind kind, Transport& owner) : kind_(kind), owner_(&owner) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  [[nodiscard]] TimerKind kind() const { return kind_; }
  [[nodiscard]] Transport& owner() const { return *owner_; }
  /// kNever: it is not set.
  [[nodiscard]] Micros due() const { return due_; }
  [[nodiscard]] bool is_set() const { return due_ != kNever; }

private:
  friend class TimerHeap;
  const TimerKind kind_;
  Transport* const owner_;
  Micros due_ = kNever;
  // Pairing heap: the first child, and a list of siblings that leads back to the parent.
  Timer* child_ = nullptr;
  Timer* sibling_ = nullptr;
  Timer* previous_ = nullptr;
};

/// Pairing heap of timers (Fredman et al., 1986): the next deadline and a new one cost O(1), taking
/// one out O(log n) on average. It owns nothing and allocates nothing.
// Thread: worker only.
class TimerHeap {
public:
  /// Sets `timer`, or moves it. kNever: takes it out.
  void set(Timer& timer, Micros due);
  void cancel(Timer& timer) { set(timer, kNever); }
  /// kNever: none is set.
  [[nodiscard]] Micros next() const { return root_ == nullptr ? kNever : root_->due_; }
  /// Takes out the one that is due first, if that is so by `now`; null: none is.
  Timer* take_due(Micros now);

private:
  static Timer* merge(Timer* first, Timer* second);
  static Timer* merge_siblings(Timer* first);
  void take_out(Timer& timer);

  Timer* root_ = nullptr;
};

} // namespace rtprelay
