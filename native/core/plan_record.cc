#include "plan_record.h"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan_mark.h"

namespace rtprelay {

namespace {

/// Changes with the form of the file, or with that of plans.
constexpr std::uint64_t kForm = 0x3130'6e61'6c70'7072;
/// Finds what was not written whole, not what somebody has made up.
constexpr PlanSeed kSeed{0x9e37'79b9'7f4a'7c15, 0xbf58'476d'1ce4'e5b9, 0x94d0'49bb'1331'11eb,
                         0xd6e8'feb8'6659'fd93};

struct StoredLatch {
  std::uint32_t transport = 0;
  std::uint32_t generation = 0;
  std::array<std::uint8_t, 16> bytes{};
  std::uint16_t port = 0;
  std::uint8_t family = 0;
  std::uint8_t confirmed = 0;
};

off_t offset_of(std::uint32_t place) {
  return static_cast<off_t>(place) * static_cast<off_t>(PlanRecord::kUnit);
}

/// A file that is read from its beginning to its end.
class Window {
public:
  explicit Window(int fd) : fd_(fd), bytes_(kSize) {}
  /// As many as there are, until the next call.
  std::span<const std::uint8_t> at(off_t offset, std::size_t size) {
    if (offset + static_cast<off_t>(size) > begin_ + static_cast<off_t>(count_)) {
      const ssize_t count = pread(fd_, bytes_.data(), bytes_.size(), offset);
      begin_ = offset;
      count_ = count < 0 ? 0 : static_cast<std::size_t>(count);
    }
    const auto from = static_cast<std::size_t>(offset - begin_);
    return std::span(bytes_).first(count_).subspan(from, std::min(size, count_ - from));
  }

private:
  static constexpr std::size_t kSize = 256 * 1024;

  int fd_;
  std::vector<std::uint8_t> bytes_;
  off_t begin_ = 0;
  std::size_t count_ = 0;
};

} // namespace

bool PlanRecord::open(const char* path) {
  FileDescriptor file(::open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  struct stat about {};
  if (!file.valid() || flock(file.get(), LOCK_EX | LOCK_NB) != 0 || fstat(file.get(), &about) != 0)
    return false;
  if (!S_ISREG(about.st_mode) || about.st_uid != geteuid()) {
    errno = EPERM;
    return false;
  }
  file_ = std::move(file);
  return true;
}

std::uint32_t PlanRecord::units_for(std::size_t plan, std::size_t learned) {
  const std::size_t bytes = sizeof(Header) + plan + learned * sizeof(StoredLatch);
  return static_cast<std::uint32_t>(
      std::min<std::size_t>((bytes + kUnit - 1) / kUnit, kMostUnits + 1));
}

PlanRecord::Header PlanRecord::load(std::uint32_t place, Room& room) const {
  const ssize_t count = pread(file_.get(), room.data(), room.size(), offset_of(place));
  return count < 0 ? Header{} : header_of(std::span(room).first(static_cast<std::size_t>(count)));
}

PlanRecord::Header PlanRecord::header_of(std::span<const std::uint8_t> room) {
  Header header;
  if (room.size() < sizeof(header))
    return {};
  std::memcpy(&header, room.data(), sizeof(header));
  if (header.form != kForm || header.plan > sizeof(Room) || header.units == 0 ||
      header.units > kMostUnits)
    return {};
  const std::size_t body = header.plan + header.learned * sizeof(StoredLatch);
  if (sizeof(header) + body > room.size())
    return {};
  return mark_of(room.subspan(sizeof(header), body), kSeed).first == header.check ? header
                                                                                  : Header{};
}

bool PlanRecord::store(std::uint32_t place, Header header, Room& room) const {
  const std::size_t body = header.plan + header.learned * sizeof(StoredLatch);
  const auto bytes = std::span<const std::uint8_t>(room).subspan(sizeof(header), body);
  header.form = kForm;
  header.check = mark_of(bytes, kSeed).first;
  header.units = units_[place];
  std::memcpy(room.data(), &header, sizeof(header));
  const std::size_t size = sizeof(header) + body;
  return pwrite(file_.get(), room.data(), size, offset_of(place)) == static_cast<ssize_t>(size);
}

void PlanRecord::read(const Reader& reader) {
  struct stat about {};
  if (!file_.valid() || fstat(file_.get(), &about) != 0)
    return;
  const auto end = static_cast<std::uint32_t>(
      std::min<std::size_t>((static_cast<std::size_t>(about.st_size) + kUnit - 1) / kUnit, kUnits));
  units_.assign(end, 0);
  Window window(file_.get());
  std::vector<LearnedLatch> learned;
  for (std::uint32_t place = 0; place < end;) {
    const std::span<const std::uint8_t> room = window.at(offset_of(place), sizeof(Room));
    const Header header = header_of(room);
    if (header.form == 0) {
      free_[0].push_back(place++);
      continue;
    }
    units_[place] = static_cast<std::uint8_t>(header.units);
    const std::uint32_t next = place + header.units;
    // The last one is no longer than what has been written of it.
    if (next > units_.size())
      units_.resize(next, 0);
    learned.clear();
    const std::uint8_t* at = room.data() + sizeof(Header) + header.plan;
    for (std::uint32_t i = 0; i < header.learned; ++i, at += sizeof(StoredLatch)) {
      StoredLatch stored;
      std::memcpy(&stored, at, sizeof(stored));
      const bool known = stored.family == static_cast<std::uint8_t>(Family::kIpv4) ||
                         stored.family == static_cast<std::uint8_t>(Family::kIpv6);
      if (known)
        learned.push_back({stored.transport,
                           {{stored.bytes, stored.port, static_cast<Family>(stored.family)},
                            stored.confirmed != 0,
                            stored.generation}});
    }
    reader(place, room.subspan(sizeof(Header), header.plan), learned);
    place = next;
  }
}

std::uint32_t PlanRecord::allot(std::uint32_t units) {
  std::vector<std::uint32_t>& free = free_[units - 1];
  std::uint32_t place = kNotRecorded;
  if (!free.empty()) {
    place = free.back();
    free.pop_back();
  } else if (units_.size() + units <= kUnits) {
    place = static_cast<std::uint32_t>(units_.size());
    units_.resize(units_.size() + units, 0);
  } else {
    return kNotRecorded;
  }
  units_[place] = static_cast<std::uint8_t>(units);
  return place;
}

std::uint32_t PlanRecord::write(std::uint32_t place, std::span<const std::uint8_t> plan,
                                std::size_t transports) {
  const std::uint32_t units = units_for(plan.size(), transports);
  if (!file_.valid() || units > kMostUnits) {
    erase(place);
    return kNotRecorded;
  }
  if (place != kNotRecorded && units_[place] != units) {
    erase(place);
    place = kNotRecorded;
  }
  if (place == kNotRecorded)
    place = allot(units);
  if (place == kNotRecorded)
    return place;
  Room room;
  std::ranges::copy(plan, room.data() + sizeof(Header));
  if (store(place, {.plan = static_cast<std::uint32_t>(plan.size())}, room))
    return place;
  erase(place);
  return kNotRecorded;
}

void PlanRecord::learn(std::uint32_t place, std::span<const LearnedLatch> learned) {
  if (place == kNotRecorded)
    return;
  Room room;
  Header header = load(place, room);
  // What does not fit is learned again.
  if (header.form == 0 || units_for(header.plan, learned.size()) > units_[place])
    return;
  std::uint8_t* at = room.data() + sizeof(header) + header.plan;
  for (const auto& [transport, latch] : learned) {
    const StoredLatch stored{.transport = transport,
                             .generation = latch.generation,
                             .bytes = latch.endpoint.bytes,
                             .port = latch.endpoint.port,
                             .family = static_cast<std::uint8_t>(latch.endpoint.family),
                             .confirmed = latch.confirmed ? std::uint8_t{1} : std::uint8_t{0}};
    std::memcpy(at, &stored, sizeof(stored));
    at += sizeof(stored);
  }
  header.learned = static_cast<std::uint16_t>(learned.size());
  (void)store(place, header, room);
}

void PlanRecord::erase(std::uint32_t place) {
  if (place == kNotRecorded || units_[place] == 0)
    return;
  // What cannot be overwritten is found by whoever asks for the calls themselves.
  const Header nothing;
  (void)!pwrite(file_.get(), &nothing, sizeof(nothing), offset_of(place));
  free_[units_[place] - 1U].push_back(place);
  units_[place] = 0;
}

} // namespace rtprelay
