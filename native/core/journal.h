// What a process that continues this one has to know, in memory that outlives it: an anonymous file
// (memfd_create(2)) that the keeper of the sockets holds as well. Written by the process that is
// active, record after record, and read by the one that stands by or comes after it. A record is
// whole or it is not there. When most of a file is out of date, what holds goes to the next one.
// Of a large call only what has changed is written, while a process reads along that knows what
// that is; to one of an earlier version it is a reply to nobody.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "clock.h"
#include "socket.h"

namespace rtprelay {

enum class JournalKind : std::uint32_t {
  /// The state of a call, by its call-id: replaces what was said of it before.
  kCall = 1,
  /// Counters of a call: likewise.
  kCounters = 2,
  /// The call has ended.
  kRemoved = 3,
  /// A request that was answered; the key tells them apart.
  kReply = 4,
  /// Of the whole process; the last one holds.
  kProcess = 5,
};
constexpr std::uint32_t kLastJournalKind = 5;

struct JournalRecord {
  JournalKind kind = JournalKind::kCall;
  std::string key;
  std::vector<std::uint8_t> value;
  /// CLOCK_MONOTONIC, which all processes of a machine share.
  Micros moment = 0;
};

/// A record's key and value have at most so many bytes each.
constexpr std::size_t kMaxJournalBytes = std::size_t{64} << 20U;
/// Replies and removals are of use for so long.
constexpr Micros kJournalMemory = 30'000'000;
/// The most of replies that goes from one file to the next, bytes: the latest ones.
constexpr std::size_t kMaxReplyBytes = std::size_t{4} << 20U;

// Thread: control only.
class Journal {
public:
  /// Where the files are kept; `keep` gets a new one (false: not now), `drop` lets go of one that
  /// is of no use any more.
  struct Keeper {
    std::function<bool(const std::string& name, int fd)> keep;
    std::function<void(const std::string& name)> drop;
  };
  explicit Journal(Keeper keeper) : keeper_(std::move(keeper)) {}

  /// Takes a file of an earlier process over. false: it is none.
  bool adopt(FileDescriptor file);
  /// The next record that this process does not know; false: there is none at present.
  bool read(JournalRecord& out);
  /// Adds a record; the first one of all makes the file. false: there is no memory for it.
  bool append(JournalKind kind, std::string_view key, std::span<const std::uint8_t> value,
              Micros now);
  /// Whether the process that stands by takes edits.
  [[nodiscard]] bool takes_edits() const;
  /// Adds `bytes` to the state of a call, in place of its last byte. Readers get all of it as one
  /// state. false: it has to be written whole.
  bool append_edit(std::string_view call, std::span<const std::uint8_t> bytes, Micros now);
  /// Bytes written, and those of them that hold.
  [[nodiscard]] std::uint64_t size() const { return end_; }
  [[nodiscard]] std::uint64_t live() const { return live_; }

private:
  struct Span {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };
  struct Call {
    Span state;
    /// What was added to it since, in order.
    std::vector<Span> edits;
    Span counters;
    /// Of the bytes of its state and of each edit, as this process knows them.
    std::vector<std::uint64_t> digests;
    /// So many of them are in this file, as far as it has been read.
    std::size_t seen = 0;
    /// Has been edited since it was read.
    bool edited = false;
  };
  struct Passing {
    Span span;
    Micros moment;
  };
  struct File {
    FileDescriptor fd;
    std::uint64_t generation = 0;
  };

  bool begin_to_write();
  bool compact(Micros now);
  bool copy(const File& to, std::uint64_t& end, Span& span);
  /// Reads the record at `offset`; its length, 0: there is none (yet).
  static std::uint64_t read_at(const File& file, std::uint64_t offset, JournalRecord& out);
  std::uint64_t write_at(const File& file, std::uint64_t offset, JournalKind kind,
                         std::string_view key, std::span<const std::uint8_t> value, Micros moment);
  /// Takes a record into account. false: what it says is known.
  bool note(JournalKind kind, const std::string& key, std::span<const std::uint8_t> value,
            Micros moment, Span span);
  bool note_edit(std::string_view key, std::span<const std::uint8_t> value, Span span);
  /// The whole state of a call that was edited; false: there is none.
  bool read_edited(JournalRecord& out);
  void forget_edits(Call& call);
  bool add(JournalKind kind, std::string_view key, std::span<const std::uint8_t> value, Micros now);
  void replace(Span& old, Span span);
  void forget_replies(Micros now);
  void forget_removals(Micros now);
  [[nodiscard]] bool go_on_in_next();

  Keeper keeper_;
  File file_;
  /// Files that may follow.
  std::vector<File> later_;
  std::uint64_t end_ = 0;
  std::uint64_t live_ = 0;
  bool writes_ = false;
  /// The keeper has `file_`.
  bool kept_ = true;
  /// A new file is not tried again before.
  Micros next_compaction_ = 0;
  std::unordered_map<std::string, Call> calls_;
  /// Calls that were edited and are still to be read.
  std::vector<std::string> edited_;
  std::deque<Passing> replies_;
  std::uint64_t reply_bytes_ = 0;
  std::deque<Passing> removals_;
  Span process_;
  std::vector<std::uint8_t> buffer_;
};

} // namespace rtprelay
