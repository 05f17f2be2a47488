// Lock-free, unbounded hand-over of objects from one thread to another.
#pragma once

#include <atomic>

namespace rtprelay {

/// Base of what goes through a Mailbox; an object is in at most one mailbox at a time.
struct MailboxLink {
  MailboxLink* next = nullptr;
};

/// Producers push, one consumer takes everything in the order of arrival. Because the consumer
/// always takes the whole list, the ABA problem cannot arise. Owns nothing.
// Thread: push any; take_all consumer only.
template <typename T> class Mailbox {
public:
  /// true when the mailbox was empty, i.e. the consumer has to be woken.
  bool push(T* item) {
    MailboxLink* head = head_.load(std::memory_order_relaxed);
    do {
      item->MailboxLink::next = head;
    } while (!head_.compare_exchange_weak(head, item, std::memory_order_release,
                                          std::memory_order_relaxed));
    return head == nullptr;
  }

  [[nodiscard]] bool empty() const { return head_.load(std::memory_order_acquire) == nullptr; }

  /// First item of a list linked by `MailboxLink::next`, oldest first; null when empty.
  T* take_all() {
    MailboxLink* item = head_.exchange(nullptr, std::memory_order_acquire);
    MailboxLink* oldest_first = nullptr;
    while (item != nullptr) {
      MailboxLink* next = item->next;
      item->next = oldest_first;
      oldest_first = item;
      item = next;
    }
    return static_cast<T*>(oldest_first);
  }

  static T* next(T* item) { return static_cast<T*>(item->MailboxLink::next); }

private:
  std::atomic<MailboxLink*> head_{nullptr};
};

} // namespace rtprelay
