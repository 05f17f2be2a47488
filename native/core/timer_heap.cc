#include "timer_heap.h"

#include <utility>

namespace rtprelay {

Timer* TimerHeap::merge(Timer* first, Timer* second) {
  if (first == nullptr || second == nullptr)
    return first == nullptr ? second : first;
  if (second->due_ < first->due_)
    std::swap(first, second);
  second->previous_ = first;
  second->sibling_ = first->child_;
  if (first->child_ != nullptr)
    first->child_->previous_ = second;
  first->child_ = second;
  return first;
}

/// In pairs, then all of them from the last pair on: that bounds the cost.
Timer* TimerHeap::merge_siblings(Timer* first) {
  Timer* pairs = nullptr;
  while (first != nullptr) {
    Timer* const second = first->sibling_;
    Timer* const following = second == nullptr ? nullptr : second->sibling_;
    first->sibling_ = first->previous_ = nullptr;
    if (second != nullptr)
      second->sibling_ = second->previous_ = nullptr;
    Timer* const pair = merge(first, second);
    pair->sibling_ = pairs;
    pairs = pair;
    first = following;
  }
  Timer* whole = nullptr;
  while (pairs != nullptr) {
    Timer* const following = pairs->sibling_;
    pairs->sibling_ = nullptr;
    whole = merge(whole, pairs);
    pairs = following;
  }
  return whole;
}

void TimerHeap::take_out(Timer& timer) {
  Timer* const children = merge_siblings(timer.child_);
  if (&timer == root_) {
    root_ = children;
  } else {
    // The first child's previous one is its parent.
    if (timer.previous_->child_ == &timer)
      timer.previous_->child_ = timer.sibling_;
    else
      timer.previous_->sibling_ = timer.sibling_;
    if (timer.sibling_ != nullptr)
      timer.sibling_->previous_ = timer.previous_;
    root_ = merge(root_, children);
  }
  timer.due_ = kNever;
  timer.child_ = timer.sibling_ = timer.previous_ = nullptr;
}

void TimerHeap::set(Timer& timer, Micros due) {
  if (timer.due_ == due)
    return;
  if (timer.is_set())
    take_out(timer);
  timer.due_ = due;
  if (timer.is_set())
    root_ = merge(root_, &timer);
}

Timer* TimerHeap::take_due(Micros now) {
  if (next() > now || root_ == nullptr)
    return nullptr;
  Timer* const timer = root_;
  take_out(*timer);
  return timer;
}

} // namespace rtprelay
