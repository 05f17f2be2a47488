// The parent of a process pair, and the journal that its children share.
#include "../../native/core/journal.h"
#include "../../native/pair/message.h"
#include "../../native/pair/store.h"

#include <array>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "check.h"

namespace {

using namespace rtprelay;

int a_descriptor() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

std::span<const std::uint8_t> bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// What a parent keeps, as far as the journal is concerned.
struct Kept {
  std::vector<std::pair<std::string, FileDescriptor>> files;
  bool takes = true;

  Journal::Keeper keeper() {
    return {[this](const std::string& name, int fd) {
              if (takes)
                files.emplace_back(name, FileDescriptor(dup(fd)));
              return takes;
            },
            [this](const std::string& name) {
              std::erase_if(files, [&name](const auto& file) { return file.first == name; });
            }};
  }
  void give(Journal& journal) {
    for (const auto& [name, fd] : files)
      CHECK(journal.adopt(FileDescriptor(dup(fd.get()))));
  }
};

TEST("a store gives each reader what it has not seen, in order, whatever is removed meanwhile") {
  pair::Store store;
  CHECK(store.open(4));
  std::array<int, 4> fds{};
  for (int& fd : fds)
    fd = a_descriptor();
  CHECK(store.put("a", fds[0]) && store.put("b", fds[1]) && store.put("c", fds[2]));
  std::array<int, 8> seen{};
  CHECK(store.peek(0, seen.data(), 2) == 2 && seen[0] == fds[0] && seen[1] == fds[1]);
  store.passed(0, 2);
  CHECK(store.remove("b") && !store.remove("b"));
  CHECK(store.peek(0, seen.data(), 8) == 1 && seen[0] == fds[2]);
  // In the place of one of the same name, and as new.
  CHECK(store.put("a", fds[3]));
  CHECK(store.peek(0, seen.data(), 8) == 2 && seen[0] == fds[2] && seen[1] == fds[3]);
  CHECK(store.count() == 2 && fcntl(fds[0], F_GETFD) < 0);
  CHECK(store.peek(1, seen.data(), 8) == 2);
}

TEST("a store that is full, and names that are none, leave the descriptor to the caller") {
  pair::Store store;
  CHECK(store.open(2));
  const int fd = a_descriptor();
  CHECK(!store.put("", fd) && !store.put(std::string(80, 'x'), fd));
  CHECK(store.put("a", fd) && store.put("b", a_descriptor()));
  const int more = a_descriptor();
  CHECK(!store.put("c", more) && close(more) == 0);
  CHECK(store.remove("a") && store.put("c", a_descriptor()));
}

TEST("a thousand descriptors come and go in the store") {
  pair::Store store;
  CHECK(store.open(64));
  for (int round = 0; round < 1000; ++round) {
    const std::string name = "udp-" + std::to_string(round % 50);
    if (round % 3 == 0)
      (void)store.remove(name);
    else
      CHECK(store.put(name, a_descriptor()));
  }
  CHECK(store.count() <= 50);
}

TEST("messages of children are read by their keys; what is odd is passed over") {
  const pair::Message message =
      pair::parse("FDSTORE=1\nFDPOLL=0\nFDNAME=udp-1\nREADY=2\n=\nnothing\nSTATUS=3 calls");
  CHECK(message.stores && !message.removes && !message.ready && message.name == "udp-1");
  CHECK(message.status == "3 calls");
  CHECK(pair::parse("X_HANDED_OVER=1\n").handed_over && pair::parse("X_UPGRADE=1").upgrade);
  CHECK(pair::parse("").name.empty() && pair::parse("\n\n=\n").status.empty());
}

TEST("what keeps ending is started at once, then later and later, and at once when it had lived") {
  pair::BackOff starts;
  CHECK(starts.after(10) == 0 && starts.after(10) == 100 && starts.after(10) == 200);
  for (int i = 0; i < 10; ++i)
    CHECK(starts.after(10) <= 5000);
  CHECK(starts.after(20'000) == 0);
}

TEST("a journal tells another process all of it, and then what is new") {
  Kept kept;
  Journal writer(kept.keeper());
  CHECK(writer.append(JournalKind::kCall, "one", bytes("first"), 1));
  CHECK(writer.append(JournalKind::kCall, "two", bytes("second"), 2));
  Journal reader(kept.keeper());
  kept.give(reader);
  JournalRecord record;
  CHECK(reader.read(record) && record.key == "one" && record.value.size() == 5);
  CHECK(reader.read(record) && record.key == "two" && record.moment == 2);
  CHECK(!reader.read(record));
  CHECK(writer.append(JournalKind::kRemoved, "one", {}, 3));
  CHECK(reader.read(record) && record.kind == JournalKind::kRemoved && !reader.read(record));
  // The same again is no news.
  CHECK(writer.append(JournalKind::kCall, "two", bytes("second"), 4) && !reader.read(record));
  // The writer dies: the reader writes on.
  CHECK(reader.append(JournalKind::kCall, "three", bytes("third"), 5));
  Journal third(kept.keeper());
  kept.give(third);
  std::string keys;
  while (third.read(record))
    keys += record.key + " ";
  CHECK(keys == "one two one three " || keys == "one two one two three ");
}

TEST("a record that was not finished is not there, and the next one takes its place") {
  Kept kept;
  Journal writer(kept.keeper());
  CHECK(writer.append(JournalKind::kCall, "one", bytes("first"), 1));
  const int file = kept.files[0].second.get();
  const off_t end = lseek(file, 0, SEEK_END);
  // Of a longer record its key and value alone: the process was killed before the head.
  const std::string rest(400, '\x01');
  CHECK(pwrite(file, rest.data(), rest.size(), (end + 7) / 8 * 8 + 24) > 0);
  Journal reader(kept.keeper());
  kept.give(reader);
  JournalRecord record;
  CHECK(reader.read(record) && !reader.read(record));
  CHECK(reader.append(JournalKind::kCall, "two", bytes("second"), 2));
  CHECK(!reader.read(record));
  Journal third(kept.keeper());
  kept.give(third);
  CHECK(third.read(record) && third.read(record) && record.key == "two" && !third.read(record));
}

TEST("most of a journal is out of date: what holds goes to the next file, which readers follow") {
  Kept kept;
  Journal writer(kept.keeper());
  Journal reader(kept.keeper());
  JournalRecord record;
  CHECK(writer.append(JournalKind::kCall, "stays", bytes("as it is"), 1));
  CHECK(writer.append(JournalKind::kCounters, "stays", bytes("count"), 1));
  kept.give(reader);
  while (reader.read(record))
    ;
  std::string value(100'000, 'v');
  for (int i = 0; i < 200; ++i) {
    value[0] = static_cast<char>('a' + i % 26);
    CHECK(writer.append(JournalKind::kCall, "changes", bytes(value), 2'000'000 * i));
  }
  CHECK(writer.size() < 10'000'000 && kept.files.size() == 1 && kept.files[0].first != "calls-1");
  kept.give(reader);
  std::string last;
  while (reader.read(record)) {
    CHECK(record.key == "changes" || record.kind == JournalKind::kCounters);
    if (record.key == "changes")
      last = std::string(record.value.begin(), record.value.end());
  }
  CHECK(last == value);
  // Nobody takes the next file: it goes on in the old one.
  kept.takes = false;
  for (int i = 0; i < 200; ++i) {
    value[0] = static_cast<char>('a' + i % 26);
    CHECK(writer.append(JournalKind::kCall, "changes", bytes(value), 500'000'000 + 2'000'000 * i));
  }
  CHECK(kept.files.size() == 1);
  while (reader.read(record))
    last = std::string(record.value.begin(), record.value.end());
  CHECK(last == value);
}

std::string text_of(const JournalRecord& record) {
  return {record.value.begin(), record.value.end()};
}

TEST("what is added to a state is read as one state, once, by readers that follow and by later "
     "ones") {
  Kept kept;
  Journal writer(kept.keeper());
  Journal reader(kept.keeper());
  JournalRecord record;
  CHECK(!writer.takes_edits());
  CHECK(writer.append(JournalKind::kCall, "large", bytes("{a}"), 1));
  CHECK(!writer.takes_edits());
  kept.give(reader);
  CHECK(reader.read(record) && !reader.read(record) && writer.takes_edits());
  CHECK(!writer.append_edit("other", bytes(",b}"), 2));
  CHECK(writer.append_edit("large", bytes(",b}"), 2) &&
        writer.append_edit("large", bytes(",c}"), 3));
  CHECK(reader.read(record) && record.kind == JournalKind::kCall && record.key == "large");
  CHECK(text_of(record) == "{a,b,c}" && record.moment == 3 && !reader.read(record));
  CHECK(writer.append_edit("large", bytes(",d}"), 4));
  CHECK(reader.read(record) && text_of(record) == "{a,b,c,d}" && !reader.read(record));
  // One that ends, and one that is written whole: nothing of what was added stays.
  CHECK(writer.append(JournalKind::kCall, "ends", bytes("{e}"), 5));
  CHECK(writer.append_edit("ends", bytes(",f}"), 5));
  CHECK(writer.append(JournalKind::kRemoved, "ends", {}, 6));
  CHECK(!writer.append_edit("ends", bytes(",g}"), 6));
  CHECK(writer.append_edit("large", bytes(",x}"), 7));
  CHECK(writer.append(JournalKind::kCall, "large", bytes("{w}"), 8));
  std::string last;
  while (reader.read(record))
    if (record.key == "large")
      last = text_of(record);
  CHECK(last == "{w}");
  CHECK(writer.append_edit("large", bytes(",y}"), 9));
  Journal third(kept.keeper());
  kept.give(third);
  bool ended = false;
  while (third.read(record)) {
    ended |= record.key == "ends" && record.kind == JournalKind::kRemoved;
    if (record.key == "large")
      last = text_of(record);
  }
  CHECK(ended && last == "{w,y}");
  // The one that writes on is nobody's reader.
  CHECK(third.append(JournalKind::kCall, "new", bytes("{}"), 10) && !third.takes_edits());
}

TEST("what is added goes to the next file with its state, and is no news there") {
  Kept kept;
  Journal writer(kept.keeper());
  Journal reader(kept.keeper());
  JournalRecord record;
  CHECK(writer.append(JournalKind::kCall, "large", bytes("{a}"), 1));
  kept.give(reader);
  while (reader.read(record))
    ;
  CHECK(writer.append_edit("large", bytes(",b}"), 2));
  while (reader.read(record))
    ;
  // Not read before the file is another one.
  CHECK(writer.append_edit("large", bytes(",c}"), 2));
  std::string value(100'000, 'v');
  for (int i = 0; i < 200; ++i) {
    value[0] = static_cast<char>('a' + i % 26);
    CHECK(writer.append(JournalKind::kCall, "changes", bytes(value), 2'000'000 * i));
  }
  CHECK(kept.files.size() == 1 && kept.files[0].first != "calls-1");
  kept.give(reader);
  int news = 0;
  while (reader.read(record)) {
    news += record.key == "large" ? 1 : 0;
    CHECK(record.key != "large" || text_of(record) == "{a,b,c}");
  }
  CHECK(news == 1 && writer.takes_edits());
  CHECK(writer.append_edit("large", bytes(",d}"), 500'000'000));
  CHECK(reader.read(record) && text_of(record) == "{a,b,c,d}" && !reader.read(record));
  for (int i = 0; i < 200; ++i)
    CHECK(writer.append(JournalKind::kCall, "changes", bytes(value + std::to_string(i)),
                        600'000'000 + 2'000'000 * i));
  kept.give(reader);
  while (reader.read(record))
    CHECK(record.key != "large");
}

TEST("a key off the wire adds nothing to a call") {
  Kept kept;
  Journal writer(kept.keeper());
  CHECK(writer.append(JournalKind::kCall, "call", bytes("{a}"), 1));
  const std::string key("\0edit\0call", 10);
  CHECK(writer.append(JournalKind::kReply, key, bytes("1234,b}"), 2));
  Journal reader(kept.keeper());
  kept.give(reader);
  JournalRecord record;
  CHECK(reader.read(record) && text_of(record) == "{a}" && !reader.read(record));
}

TEST("what is no journal is none") {
  Kept kept;
  Journal journal(kept.keeper());
  CHECK(!journal.adopt(FileDescriptor(a_descriptor())));
  JournalRecord record;
  CHECK(!journal.read(record));
}

} // namespace
