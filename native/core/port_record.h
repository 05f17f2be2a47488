// Which ports a daemon has open, in a file that outlives it: whoever starts it again opens them
// first (native/start/). Only a hint: a port that no call wants is closed again.
#pragma once

#include <vector>

#include "address.h"

namespace rtprelay {

/// Variables that rtprelay-start sets for the daemon: the file, and which descriptors are its ports
/// (the first one and how many).
constexpr const char* kPortRecordVariable = "RTPRELAY_PORT_RECORD";
constexpr const char* kEarlySocketsVariable = "RTPRELAY_EARLY_SOCKETS";

// Thread: any, and several processes (of a pair) at once.
class PortRecord {
public:
  PortRecord() = default;
  ~PortRecord();
  PortRecord(const PortRecord&) = delete;
  PortRecord& operator=(const PortRecord&) = delete;

  /// Maps the file, which stays the caller's to close; one of another form is begun anew. false:
  /// errno says why.
  bool open(int fd);
  /// Nothing is noted of more addresses than there is room for, or without a file.
  void note(const SocketAddress& local, bool is_open);
  [[nodiscard]] std::vector<SocketAddress> ports() const;

private:
  struct Table;

  [[nodiscard]] std::size_t find(const SocketAddress& local, bool add) const;

  Table* table_ = nullptr;
};

} // namespace rtprelay
