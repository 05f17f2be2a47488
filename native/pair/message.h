// What a daemon tells its parent: sd_notify(3), and three words of our own. The parent's children
// alone are listened to; all the same nothing here depends on what they say being well-formed.
#pragma once

#include <string_view>

namespace rtprelay::pair {

struct Message {
  bool ready = false;
  bool alive = false;
  bool stopping = false;
  bool stores = false;
  bool removes = false;
  /// Wants to be replaced by what is installed now.
  bool upgrade = false;
  /// Has handed over: it reads and sends nothing any more.
  bool handed_over = false;
  /// Another process was seen to end: its id and its status as waitpid(2) tells it.
  std::string_view ended;
  /// Of a descriptor.
  std::string_view name;
  /// For whoever started the pair.
  std::string_view status;
};

/// The views are of `text`.
Message parse(std::string_view text);

/// How long to wait before the next start of a process that keeps ending, milliseconds.
class BackOff {
public:
  /// `lived_ms`: how long the last one lived.
  int after(long lived_ms);

private:
  int next_ = 0;
};

} // namespace rtprelay::pair
