#include "message.h"

#include <algorithm>

namespace rtprelay::pair {

namespace {

/// A process that lived so long did not end because of what it met at its start.
constexpr long kSettledMs = 10'000;
constexpr int kFirstPauseMs = 100;
constexpr int kLongestPauseMs = 5'000;

} // namespace

Message parse(std::string_view text) {
  Message message;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos)
      continue;
    const std::string_view key = line.substr(0, equals);
    const std::string_view value = line.substr(equals + 1);
    const bool on = value == "1";
    if (key == "READY")
      message.ready = on;
    else if (key == "WATCHDOG")
      message.alive = on;
    else if (key == "STOPPING")
      message.stopping = on;
    else if (key == "FDSTORE")
      message.stores = on;
    else if (key == "FDSTOREREMOVE")
      message.removes = on;
    else if (key == "X_UPGRADE")
      message.upgrade = on;
    else if (key == "X_HANDED_OVER")
      message.handed_over = on;
    else if (key == "X_ENDED")
      message.ended = value;
    else if (key == "FDNAME")
      message.name = value;
    else if (key == "STATUS")
      message.status = value;
  }
  return message;
}

int BackOff::after(long lived_ms) {
  if (lived_ms >= kSettledMs)
    next_ = 0;
  const int pause = next_;
  next_ = std::clamp(next_ * 2, kFirstPauseMs, kLongestPauseMs);
  return pause;
}

} // namespace rtprelay::pair
