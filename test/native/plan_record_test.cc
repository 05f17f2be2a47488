// What a killed relay leaves for the next one: the file by itself, and a call that goes on from it.
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "loopback.h"

using namespace rtprelay;

namespace {

/// A file that is deleted again.
struct RecordFile {
  RecordFile() {
    const int fd = mkstemp(path.data());
    CHECK(fd >= 0);
    close(fd);
  }
  ~RecordFile() { unlink(path.c_str()); }
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  std::string path = "/tmp/rtprelay-plans-XXXXXX";
};

std::vector<std::uint8_t> bytes_of(std::size_t size, std::uint8_t value) {
  return std::vector<std::uint8_t>(size, value);
}

/// The first byte and the size of each plan that is there, in order.
std::vector<std::pair<int, std::size_t>> contents(const char* path) {
  std::vector<std::pair<int, std::size_t>> found;
  PlanRecord record;
  CHECK(record.open(path));
  record.read([&](std::uint32_t, std::span<const std::uint8_t> plan,
                  std::span<const LearnedLatch>) { found.emplace_back(plan[0], plan.size()); });
  return found;
}

using Contents = std::vector<std::pair<int, std::size_t>>;

} // namespace

TEST("a record of many plans is read whole, whatever their sizes") {
  const RecordFile file;
  Contents written;
  {
    PlanRecord record;
    CHECK(record.open(file.path.c_str()));
    record.read([](auto, auto, auto) { CHECK(false); });
    for (int i = 0; i < 900; ++i) {
      const auto size = static_cast<std::size_t>(100 + i * 37 % 3700);
      CHECK(record.write(kNotRecorded, bytes_of(size, static_cast<std::uint8_t>(i)), 2) !=
            kNotRecorded);
      written.emplace_back(i % 256, size);
    }
  }
  CHECK(contents(file.path.c_str()) == written);
}

TEST("a record has what was written last, and nothing that was erased") {
  const RecordFile file;
  {
    PlanRecord record;
    CHECK(record.open(file.path.c_str()));
    record.read([](auto, auto, auto) { CHECK(false); });
    const std::uint32_t one = record.write(kNotRecorded, bytes_of(300, 1), 2);
    const std::uint32_t two = record.write(kNotRecorded, bytes_of(2500, 2), 2);
    const std::uint32_t three = record.write(kNotRecorded, bytes_of(300, 3), 2);
    CHECK(record.write(one, bytes_of(400, 4), 2) == one);
    record.erase(three);
    // Its place is another's.
    CHECK(record.write(kNotRecorded, bytes_of(500, 5), 2) == three);
    CHECK(record.write(two, bytes_of(100, 6), 2) != two);
    CHECK(record.write(kNotRecorded, bytes_of(5000, 7), 2) == kNotRecorded);
  }
  CHECK((contents(file.path.c_str()) == Contents{{4, 400}, {5, 500}, {6, 100}}));
}

TEST("a record that goes on in another process gives no place away twice") {
  const RecordFile file;
  {
    PlanRecord record;
    CHECK(record.open(file.path.c_str()));
    (void)record.write(kNotRecorded, bytes_of(300, 1), 2);
    // With room for what is learned it takes two units, of which one is written.
    (void)record.write(kNotRecorded, bytes_of(950, 2), 10);
  }
  std::array<std::uint32_t, 2> places{};
  {
    PlanRecord record;
    CHECK(record.open(file.path.c_str()));
    std::size_t count = 0;
    record.read([&](std::uint32_t place, auto, auto) { places[count++] = place; });
    CHECK(count == 2);
    (void)record.write(kNotRecorded, bytes_of(300, 3), 2);
    record.learn(places[1], std::vector<LearnedLatch>(10));
  }
  CHECK((contents(file.path.c_str()) == Contents{{1, 300}, {2, 950}, {3, 300}}));
}

TEST("what was not written whole is not there, and what is no record harms nobody") {
  const RecordFile file;
  {
    PlanRecord record;
    CHECK(record.open(file.path.c_str()));
    (void)record.write(kNotRecorded, bytes_of(300, 1), 2);
    (void)record.write(kNotRecorded, bytes_of(300, 2), 2);
  }
  const int fd = open(file.path.c_str(), O_RDWR);
  CHECK(pwrite(fd, "x", 1, 200) == 1);
  CHECK((contents(file.path.c_str()) == Contents{{2, 300}}));
  std::vector<std::uint8_t> noise(10'000);
  for (std::uint32_t i = 0; i < noise.size(); ++i)
    noise[i] = static_cast<std::uint8_t>(i * 2'654'435'761U >> 24U);
  CHECK(pwrite(fd, noise.data(), noise.size(), 0) == static_cast<ssize_t>(noise.size()));
  close(fd);
  CHECK(contents(file.path.c_str()).empty());
}

TEST("a record belongs to one process at a time") {
  const RecordFile file;
  PlanRecord first;
  PlanRecord second;
  CHECK(first.open(file.path.c_str()));
  CHECK(!second.open(file.path.c_str()));
}

TEST("a call goes on before it is known, with what its phones have taught") {
  const RecordFile file;
  Fixture call;
  const Phone moved;
  {
    TestRelay relay;
    CHECK(relay.resume(file.path.c_str()) == 0);
    CHECK(relay.apply(call.plan));
    moved.send(call.facing(0));
    CHECK(call.phones[1].hears());
    std::vector<TransportEventRecord> events;
    CHECK(eventually([&] { return relay.collect(events), !events.empty(); }));
  }
  TestRelay relay;
  CHECK(relay.resume(file.path.c_str()) == 1);
  call.phones[1].send(call.facing(1));
  CHECK(moved.hears());
  moved.send(call.facing(0));
  CHECK(call.phones[1].hears());
  // Now it is known, with counters of before, and as if nothing had been learned.
  call.plan.streams[0].packets = 100;
  CHECK(relay.apply(call.plan));
  CallReading reading;
  CHECK(relay.read("call", reading));
  CHECK(reading.streams[0].latch.endpoint == moved.address());
  CHECK(reading.streams[0].stream->base.packets +
            reading.streams[0].stream->counters.packets.get() ==
        101);
  std::vector<TransportEventRecord> events;
  relay.collect(events);
  const auto told = std::ranges::find_if(events, [](const TransportEventRecord& record) {
    return record.transport_id == 0 && (record.events & kEndpointLearned) != 0;
  });
  CHECK(told != events.end() && told->latch.endpoint == moved.address());
  CHECK(relay.release_resumed() == 0);
  moved.send(call.facing(0));
  CHECK(call.phones[1].hears());
}

TEST("a call whose ports are numbered anew when it is known goes on") {
  const RecordFile file;
  Fixture call;
  {
    TestRelay relay;
    CHECK(relay.resume(file.path.c_str()) == 0);
    CHECK(relay.apply(call.plan));
  }
  TestRelay relay;
  CHECK(relay.resume(file.path.c_str()) == 1);
  std::swap(call.plan.ports[0].local, call.plan.ports[1].local);
  std::swap(call.plan.transports[0].endpoint, call.plan.transports[1].endpoint);
  std::swap(call.plan.transports[0].signalled, call.plan.transports[1].signalled);
  CHECK(relay.apply(call.plan));
  // What is being read from a port of before when that goes is lost.
  const auto reaches = [&](std::size_t from) {
    return eventually([&] {
      call.phones[from].send(call.facing(1 - from));
      return call.phones[1 - from].hears(20);
    });
  };
  CHECK(reaches(0));
  CHECK(reaches(1));
}

TEST("calls that nobody knows end, with their ports and for the next process, too") {
  const RecordFile file;
  Fixture known("known");
  Fixture gone("gone");
  {
    TestRelay relay;
    CHECK(relay.resume(file.path.c_str()) == 0);
    CHECK(relay.apply(known.plan) && relay.apply(gone.plan));
  }
  {
    TestRelay relay;
    CHECK(relay.resume(file.path.c_str()) == 2);
    CHECK(relay.apply(known.plan));
    CHECK(relay.release_resumed() == 1);
    CallReading reading;
    CHECK(!relay.read("gone", reading));
    CHECK(eventually([&] {
      std::vector<TransportEventRecord> events;
      relay.collect(events);
      int error = 0;
      return open_udp_socket(gone.facing(0), -1, FreeBind::kNo, error).valid();
    }));
  }
  TestRelay relay;
  CHECK(relay.resume(file.path.c_str()) == 1);
}

TEST("an ended call, and one with secrets, are left to nobody") {
  const RecordFile file;
  Fixture ended("ended");
  Fixture secret("secret");
  {
    TestRelay relay;
    CHECK(relay.resume(file.path.c_str()) == 0);
    CHECK(relay.apply(ended.plan) && relay.apply(secret.plan));
    CHECK(relay.end("ended"));
    // Plain before.
    for (TransportSpec& transport : secret.plan.transports)
      transport.flags |= kSecret;
    CHECK(relay.apply(secret.plan));
  }
  TestRelay relay;
  CHECK(relay.resume(file.path.c_str()) == 0);
}
