#include "journal.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rtprelay {

namespace {

constexpr std::uint64_t kMagic = 0x3179616c65727472; // "rtrelay1"

/// At the beginning of a file.
struct FileHead {
  std::uint64_t magic = 0;
  std::uint64_t generation = 0;
  /// Everything that held in the file before is in this one.
  std::uint32_t complete = 0;
  /// Process id of the one that reads along and takes edits, 0: none does. Earlier versions have a
  /// longer `complete` here, of which they ask no more than whether it is 0.
  std::uint32_t reader = 0;
  /// The next file is complete, and nothing is added here any more.
  std::uint64_t superseded = 0;
};

struct RecordHead {
  std::uint32_t kind = 0;
  std::uint32_t key_length = 0;
  std::uint32_t value_length = 0;
  /// Of the three before it: a head that is being written is not taken for one.
  std::uint32_t check = 0;
  std::int64_t moment = 0;
};

constexpr std::uint64_t kFirstRecord = sizeof(FileHead);
constexpr std::uint64_t kAlignment = 8;
/// So much may be out of date before it is worth a new file, bytes.
constexpr std::uint64_t kLeastWaste = std::uint64_t{8} << 20U;
/// Between two attempts at a new file.
constexpr Micros kCompactionPause = 1'000'000;

/// Edits are replies to nobody: no cookie begins like this. Behind it is the call-id; the value
/// begins as that of a reply to a request of no bytes.
constexpr std::string_view kEditKey("\0edit\0", 6);
constexpr std::size_t kEditHead = 4;

bool is_edit(JournalKind kind, std::string_view key, std::size_t length) {
  return kind == JournalKind::kReply && key.starts_with(kEditKey) && length > kEditHead;
}

std::uint32_t check_of(const RecordHead& head) {
  std::uint32_t value = 0x9e3779b9;
  for (const std::uint32_t part : {head.kind, head.key_length, head.value_length})
    value = (value ^ part) * 0x01000193 + 0x7f4a7c15;
  return value | 1U;
}

std::uint64_t length_of(std::uint64_t key, std::uint64_t value) {
  const std::uint64_t bytes = sizeof(RecordHead) + key + value;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// FNV-1a, eight bytes at a time.
std::uint64_t digest_of(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0xcbf29ce484222325 ^ bytes.size();
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    value = (value ^ word) * 0x100000001b3;
    value ^= value >> 29U;
  }
  for (; at < bytes.size(); ++at)
    value = (value ^ bytes[at]) * 0x100000001b3;
  return value;
}

bool write_all(int fd, const void* bytes, std::size_t length, std::uint64_t offset) {
  const auto* from = static_cast<const std::uint8_t*>(bytes);
  while (length > 0) {
    const ssize_t done = pwrite(fd, from, length, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    from += done;
    length -= static_cast<std::size_t>(done);
    offset += static_cast<std::uint64_t>(done);
  }
  return true;
}

bool read_all(int fd, void* bytes, std::size_t length, std::uint64_t offset) {
  auto* to = static_cast<std::uint8_t*>(bytes);
  while (length > 0) {
    const ssize_t done = pread(fd, to, length, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    to += done;
    length -= static_cast<std::size_t>(done);
    offset += static_cast<std::uint64_t>(done);
  }
  return true;
}

bool read_head(int fd, FileHead& head) {
  return read_all(fd, &head, sizeof(head), 0) && head.magic == kMagic;
}

template <typename Word> bool write_word(int fd, std::uint64_t offset, Word word) {
  return write_all(fd, &word, sizeof(word), offset);
}

/// Says who reads along; what cannot be said costs no more than longer records.
void sign(int fd, std::uint32_t reader) {
  (void)write_word(fd, offsetof(FileHead, reader), reader);
}

std::string name_of(std::uint64_t generation) { return "calls-" + std::to_string(generation); }

FileDescriptor make_file(std::uint64_t generation, bool complete) {
  FileDescriptor fd(memfd_create("rtprelay-calls", MFD_CLOEXEC));
  const FileHead head{kMagic, generation, complete ? 1U : 0U, 0, 0};
  if (!fd.valid() || !write_all(fd.get(), &head, sizeof(head), 0))
    return {};
  return fd;
}

} // namespace

bool Journal::adopt(FileDescriptor file) {
  FileHead head;
  struct stat status {};
  // Only a file without a name: nobody else can have written it.
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 0 ||
      !read_head(file.get(), head))
    return false;
  later_.push_back({std::move(file), head.generation});
  std::ranges::sort(later_, {}, &File::generation);
  return true;
}

bool Journal::go_on_in_next() {
  FileHead head;
  if (file_.fd.valid() && (!read_head(file_.fd.get(), head) || head.superseded == 0))
    return false;
  // The latest that is complete has everything.
  for (auto next = later_.rbegin(); next != later_.rend(); ++next) {
    if (!read_head(next->fd.get(), head) || head.complete == 0 ||
        next->generation <= file_.generation)
      continue;
    file_ = std::move(*next);
    std::erase_if(later_, [this](const File& file) {
      return !file.fd.valid() || file.generation <= file_.generation;
    });
    end_ = kFirstRecord;
    live_ = 0;
    process_ = {};
    replies_.clear();
    reply_bytes_ = 0;
    removals_.clear();
    for (auto& [key, call] : calls_) {
      call.state = call.counters = {};
      call.edits.clear();
      call.seen = 0;
    }
    if (!writes_)
      sign(file_.fd.get(), static_cast<std::uint32_t>(getpid()));
    return true;
  }
  return false;
}

std::uint64_t Journal::read_at(const File& file, std::uint64_t offset, JournalRecord& out) {
  RecordHead head;
  if (!read_all(file.fd.get(), &head, sizeof(head), offset) || head.check != check_of(head) ||
      head.kind == 0 || head.kind > kLastJournalKind || head.key_length > kMaxJournalBytes ||
      head.value_length > kMaxJournalBytes)
    return 0;
  out.kind = static_cast<JournalKind>(head.kind);
  out.moment = head.moment;
  out.key.resize(head.key_length);
  out.value.resize(head.value_length);
  const std::uint64_t key_at = offset + sizeof(head);
  if (!read_all(file.fd.get(), out.key.data(), out.key.size(), key_at) ||
      !read_all(file.fd.get(), out.value.data(), out.value.size(), key_at + head.key_length))
    return 0;
  return length_of(head.key_length, head.value_length);
}

bool Journal::read(JournalRecord& out) {
  for (;;) {
    const std::uint64_t length = file_.fd.valid() ? read_at(file_, end_, out) : 0;
    if (length == 0) {
      if (go_on_in_next())
        continue;
      return read_edited(out);
    }
    const Span span{end_, length};
    end_ += length;
    if (is_edit(out.kind, out.key, out.value.size())) {
      if (note_edit(out.key, out.value, span))
        edited_.push_back(out.key.substr(kEditKey.size()));
    } else if (note(out.kind, out.key, out.value, out.moment, span))
      return true;
  }
}

bool Journal::note_edit(std::string_view key, std::span<const std::uint8_t> value, Span span) {
  const auto found = calls_.find(std::string(key.substr(kEditKey.size())));
  if (found == calls_.end() || found->second.state.length == 0)
    return false;
  Call& call = found->second;
  call.edits.push_back(span);
  live_ += span.length;
  const std::uint64_t digest = digest_of(value);
  const bool known = call.seen < call.digests.size() && call.digests[call.seen] == digest;
  if (!known) {
    call.digests.resize(call.seen);
    call.digests.push_back(digest);
  }
  ++call.seen;
  const bool is_first = !known && !call.edited;
  call.edited |= !known;
  return is_first;
}

bool Journal::read_edited(JournalRecord& out) {
  while (!edited_.empty()) {
    const std::string key = std::move(edited_.back());
    edited_.pop_back();
    const auto found = calls_.find(key);
    if (found == calls_.end() || !found->second.edited)
      continue;
    Call& call = found->second;
    call.edited = false;
    JournalRecord edit;
    bool done = read_at(file_, call.state.offset, out) != 0 && !out.value.empty();
    for (const Span& span : call.edits) {
      done = done && read_at(file_, span.offset, edit) != 0 && edit.value.size() > kEditHead;
      if (!done)
        break;
      out.value.pop_back();
      out.value.insert(out.value.end(), edit.value.begin() + kEditHead, edit.value.end());
      out.moment = edit.moment;
    }
    if (done)
      return true;
  }
  return false;
}

void Journal::forget_edits(Call& call) {
  for (const Span& span : call.edits)
    live_ -= span.length;
  call.edits.clear();
}

void Journal::replace(Span& old, Span span) {
  live_ = live_ - old.length + span.length;
  old = span;
}

bool Journal::note(JournalKind kind, const std::string& key, std::span<const std::uint8_t> value,
                   Micros moment, Span span) {
  switch (kind) {
  case JournalKind::kCall: {
    const std::uint64_t digest = digest_of(value);
    auto [found, fresh] = calls_.try_emplace(key);
    Call& call = found->second;
    replace(call.state, span);
    forget_edits(call);
    call.seen = 1;
    if (!fresh && !call.digests.empty() && call.digests.front() == digest)
      return false;
    call.digests.assign(1, digest);
    call.edited = false;
    return true;
  }
  case JournalKind::kCounters: {
    const auto found = calls_.find(key);
    if (found == calls_.end())
      return false;
    replace(found->second.counters, span);
    return true;
  }
  case JournalKind::kRemoved: {
    const auto found = calls_.find(key);
    if (found != calls_.end()) {
      forget_edits(found->second);
      live_ -= found->second.state.length + found->second.counters.length;
      calls_.erase(found);
    }
    removals_.push_back({span, moment});
    live_ += span.length;
    return true;
  }
  case JournalKind::kReply:
    replies_.push_back({span, moment});
    reply_bytes_ += span.length;
    live_ += span.length;
    forget_replies(moment);
    return true;
  case JournalKind::kProcess:
    replace(process_, span);
    return true;
  }
  return false;
}

void Journal::forget_replies(Micros now) {
  while (!replies_.empty() &&
         (replies_.front().moment + kJournalMemory < now || reply_bytes_ > kMaxReplyBytes)) {
    reply_bytes_ -= replies_.front().span.length;
    live_ -= replies_.front().span.length;
    replies_.pop_front();
  }
}

void Journal::forget_removals(Micros now) {
  while (!removals_.empty() && removals_.front().moment + kJournalMemory < now) {
    live_ -= removals_.front().span.length;
    removals_.pop_front();
  }
}

bool Journal::begin_to_write() {
  writes_ = true;
  // What the process before was about to write when it died is none of a record's business.
  if (file_.fd.valid()) {
    sign(file_.fd.get(), 0);
    return ftruncate(file_.fd.get(), static_cast<off_t>(end_)) == 0;
  }
  FileDescriptor fd = make_file(1, true);
  if (!fd.valid())
    return false;
  file_ = {std::move(fd), 1};
  end_ = kFirstRecord;
  kept_ = false;
  return true;
}

std::uint64_t Journal::write_at(const File& file, std::uint64_t offset, JournalKind kind,
                                std::string_view key, std::span<const std::uint8_t> value,
                                Micros moment) {
  RecordHead head{static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(key.size()),
                  static_cast<std::uint32_t>(value.size()), 0, moment};
  head.check = check_of(head);
  buffer_.resize(key.size() + value.size());
  std::ranges::copy(key, buffer_.begin());
  std::ranges::copy(value, buffer_.begin() + static_cast<std::ptrdiff_t>(key.size()));
  // The head last: with it the record is there.
  if (!write_all(file.fd.get(), buffer_.data(), buffer_.size(), offset + sizeof(head)) ||
      !write_all(file.fd.get(), &head, sizeof(head), offset))
    return 0;
  return length_of(key.size(), value.size());
}

bool Journal::takes_edits() const {
  std::uint32_t reader = 0;
  return writes_ && read_all(file_.fd.get(), &reader, sizeof(reader), offsetof(FileHead, reader)) &&
         reader != 0 && (kill(static_cast<pid_t>(reader), 0) == 0 || errno == EPERM);
}

bool Journal::append_edit(std::string_view call, std::span<const std::uint8_t> bytes, Micros now) {
  const auto found = calls_.find(std::string(call));
  if (found == calls_.end() || found->second.state.length == 0 || bytes.empty())
    return false;
  std::string key(kEditKey);
  key += call;
  std::vector<std::uint8_t> value(kEditHead);
  value.insert(value.end(), bytes.begin(), bytes.end());
  return add(JournalKind::kReply, key, value, now);
}

bool Journal::append(JournalKind kind, std::string_view key, std::span<const std::uint8_t> value,
                     Micros now) {
  // A key that comes off the wire says nothing of calls.
  if (is_edit(kind, key, value.size()))
    return true;
  return add(kind, key, value, now);
}

bool Journal::add(JournalKind kind, std::string_view key, std::span<const std::uint8_t> value,
                  Micros now) {
  if (key.size() > kMaxJournalBytes || value.size() > kMaxJournalBytes)
    return false;
  if (!writes_ && !begin_to_write()) {
    writes_ = false;
    return false;
  }
  if (!kept_)
    kept_ = keeper_.keep(name_of(file_.generation), file_.fd.get());
  const std::uint64_t length = write_at(file_, end_, kind, key, value, now);
  if (length == 0)
    return false;
  const Span span{end_, length};
  end_ += length;
  if (is_edit(kind, key, value.size()))
    (void)note_edit(key, value, span);
  else
    note(kind, std::string(key), value, now, span);
  if (now < next_compaction_ || end_ - kFirstRecord - live_ <= std::max(live_, kLeastWaste))
    return true;
  next_compaction_ = now + kCompactionPause;
  // What cannot be done now goes on in the old file.
  (void)compact(now);
  return true;
}

bool Journal::copy(const File& to, std::uint64_t& end, Span& span) {
  if (span.length == 0)
    return true;
  buffer_.resize(span.length);
  // The padding of the last record may not be there.
  const ssize_t got =
      pread(file_.fd.get(), buffer_.data(), buffer_.size(), static_cast<off_t>(span.offset));
  if (got <= 0)
    return false;
  std::fill(buffer_.begin() + got, buffer_.end(), std::uint8_t{0});
  if (!write_all(to.fd.get(), buffer_.data(), buffer_.size(), end))
    return false;
  span.offset = end;
  end += span.length;
  return true;
}

bool Journal::compact(Micros now) {
  forget_replies(now);
  forget_removals(now);
  File next{make_file(file_.generation + 1, false), file_.generation + 1};
  if (!next.fd.valid())
    return false;
  auto calls = calls_;
  auto replies = replies_;
  auto removals = removals_;
  Span process = process_;
  std::uint64_t end = kFirstRecord;
  bool done = copy(next, end, process);
  for (Passing& each : removals)
    done = done && copy(next, end, each.span);
  for (auto& [key, call] : calls) {
    done = done && copy(next, end, call.state);
    for (Span& edit : call.edits)
      done = done && copy(next, end, edit);
    done = done && copy(next, end, call.counters);
  }
  for (Passing& each : replies)
    done = done && copy(next, end, each.span);
  if (!done)
    return false;
  // In this order: whoever finds the old one out of date finds the new one whole.
  if (!keeper_.keep(name_of(next.generation), next.fd.get()))
    return false;
  if (!write_word(next.fd.get(), offsetof(FileHead, complete), std::uint32_t{1}) ||
      !write_word(file_.fd.get(), offsetof(FileHead, superseded), std::uint64_t{1})) {
    keeper_.drop(name_of(next.generation));
    return false;
  }
  keeper_.drop(name_of(file_.generation));
  file_ = std::move(next);
  calls_ = std::move(calls);
  replies_ = std::move(replies);
  removals_ = std::move(removals);
  process_ = process;
  end_ = end;
  live_ = end - kFirstRecord;
  return true;
}

} // namespace rtprelay
