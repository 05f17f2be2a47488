#include "../../native/core/intake.h"

#include <string>
#include <string_view>

#include "check.h"

namespace {

using rtprelay::Intake;
using rtprelay::Outcome;
using rtprelay::SocketAddress;
using rtprelay::SourceTable;
using rtprelay::Standing;

SocketAddress source(std::uint16_t port, std::string_view host = "192.0.2.1") {
  SocketAddress address;
  parse_address(host, port, address);
  return address;
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

bool looks(std::string_view text) { return rtprelay::looks_like_message(bytes_of(text)); }

/// Texts of all that is taken, in order.
std::string taken(Intake& intake) {
  std::string all;
  Intake::Message message;
  while (intake.take(message))
    all += std::string(message.bytes.begin(), message.bytes.end()) + ";";
  return all;
}

TEST("a message has a cookie and a dictionary") {
  CHECK(looks("k d7:command4:pinge"));
  CHECK(looks("1_2_3 {\"command\":\"ping\"}"));
  for (const std::string_view text :
       {"", " ", "k", "k ", "k d", "k dx", "k l1:ae", "d7:command4:pinge", " d7:command4:pinge",
        "k  d7:command4:pinge", "\x80\x08 aaaa"})
    CHECK(!looks(text));
}

TEST("a source is a proxy from its first command on") {
  SourceTable table(7);
  CHECK(table.standing(source(1)) == Standing::kUnknown);
  table.note(source(1), Outcome::kCommand);
  CHECK(table.standing(source(1)) == Standing::kProxy);
  CHECK(table.standing(source(2)) == Standing::kUnknown);
  CHECK(table.standing(source(1, "192.0.2.2")) == Standing::kUnknown);
}

TEST("rubbish makes a nuisance and a command ends it") {
  SourceTable table(7);
  for (int i = 0; i < 9; ++i)
    table.note(source(1), Outcome::kMalformed);
  CHECK(table.standing(source(1)) == Standing::kUnknown);
  table.note(source(1), Outcome::kMalformed);
  CHECK(table.standing(source(1)) == Standing::kNuisance);
  table.note(source(1), Outcome::kCommand);
  CHECK(table.standing(source(1)) == Standing::kProxy);
  // Ten commands outweigh one mistake, and no more.
  for (int i = 0; i < 10; ++i)
    table.note(source(1), Outcome::kCommand);
  table.note(source(1), Outcome::kMalformed);
  CHECK(table.standing(source(1)) == Standing::kProxy);
  table.note(source(1), Outcome::kMalformed);
  CHECK(table.standing(source(1)) == Standing::kUnknown);
}

TEST("commands that are refused make no proxy, and a nuisance of who sends nothing else") {
  SourceTable table(7);
  for (int i = 0; i < 999; ++i)
    table.note(source(1), Outcome::kRefused);
  CHECK(table.standing(source(1)) == Standing::kUnknown);
  table.note(source(1), Outcome::kRefused);
  CHECK(table.standing(source(1)) == Standing::kNuisance);
  for (int i = 0; i < 5000; ++i)
    table.note(source(1), Outcome::kNeutral);
  CHECK(table.standing(source(1)) == Standing::kNuisance);
  table.note(source(1), Outcome::kCommand);
  for (int i = 0; i < 5000; ++i)
    table.note(source(1), Outcome::kRefused);
  CHECK(table.standing(source(1)) == Standing::kProxy);
  for (int i = 0; i < 5000; ++i)
    table.note(source(2), Outcome::kNeutral);
  CHECK(table.standing(source(2)) == Standing::kUnknown);
}

TEST("strangers do not displace proxies") {
  SourceTable table(7);
  for (std::uint16_t port = 1; port <= 64; ++port) {
    for (int i = 0; i < 5; ++i)
      table.note(source(port, "2001:db8::1"), Outcome::kCommand);
  }
  for (std::uint16_t port = 1; port < 60'000; ++port) {
    table.note(source(port), Outcome::kMalformed);
    table.note(source(port, "192.0.2.2"), Outcome::kCommand);
  }
  int proxies = 0;
  for (std::uint16_t port = 1; port <= 64; ++port)
    proxies += table.standing(source(port, "2001:db8::1")) == Standing::kProxy ? 1 : 0;
  CHECK(proxies == 64);
}

TEST("messages of proxies come first") {
  Intake intake(7);
  intake.note(source(1), Outcome::kCommand);
  intake.offer(source(9), bytes_of("a d1:"), 0);
  intake.offer(source(1), bytes_of("b d1:"), 0);
  intake.offer(source(9), bytes_of("c d1:"), 0);
  intake.offer(source(1), bytes_of("d d1:"), 0);
  CHECK(!intake.empty());
  CHECK(taken(intake) == "b d1:;d d1:;a d1:;c d1:;");
  CHECK(intake.empty());
}

TEST("somebody new does not wait for ever behind busy proxies") {
  Intake intake(7);
  intake.note(source(1), Outcome::kCommand);
  intake.offer(source(9), bytes_of("n d1:"), 0);
  intake.offer(source(9), bytes_of("m d1:"), 0);
  // As many commands of a proxy as are taken, so that some of them always wait.
  std::string order;
  Intake::Message message;
  for (int i = 0; i < 4; ++i)
    intake.offer(source(1), bytes_of("p d1:"), 0);
  for (int i = 0; i < 16; ++i) {
    intake.offer(source(1), bytes_of("p d1:"), 0);
    CHECK(intake.take(message));
    order += static_cast<char>(message.bytes[0]);
  }
  CHECK(order == "pppppppnpppppppm");
}

TEST("malformed messages are taken in small numbers and counted") {
  Intake intake(7);
  for (int i = 0; i < 1000; ++i)
    intake.offer(source(9), bytes_of("x"), 5000);
  std::string some = taken(intake);
  CHECK(some.size() / 2 == 200U);
  intake.offer(source(8), bytes_of("x"), 5009);
  auto refused = intake.take_refused();
  CHECK(refused.malformed == 801U);
  CHECK(refused.overflow == 0U);
  CHECK(refused.last == source(8));
  CHECK(intake.take_refused().malformed == 0U);
  // A hundred a second.
  for (int i = 0; i < 1000; ++i)
    intake.offer(source(9), bytes_of("x"), 6000);
  CHECK(taken(intake).size() / 2 == 100U);
  // Real ones of the same sender are not held back.
  intake.offer(source(9), bytes_of("k d1:"), 6000);
  CHECK(taken(intake) == "k d1:;");
}

TEST("what a nuisance sends counts as malformed") {
  Intake intake(7);
  for (int i = 0; i < 10; ++i)
    intake.note(source(9), Outcome::kMalformed);
  for (int i = 0; i < 300; ++i)
    intake.offer(source(9), bytes_of("k d1:"), 0);
  CHECK(intake.take_refused().malformed == 100U);
}

TEST("what waits is bounded in number and bytes") {
  Intake intake(7);
  intake.note(source(1), Outcome::kCommand);
  const std::string large = "k d1:" + std::string(60'000, 'x');
  for (int i = 0; i < 5000; ++i)
    intake.offer(source(9), bytes_of("k d1:"), 0);
  CHECK(intake.take_refused().overflow == 5000U - 1024U);
  for (int i = 0; i < 1000; ++i)
    intake.offer(source(1), bytes_of(large), 0);
  CHECK(intake.take_refused().overflow == 1000U - 139U);
  CHECK(taken(intake).size() == 139U * (large.size() + 1) + 1024U * 6U);
  intake.offer(source(9), bytes_of("k d1:"), 0);
  CHECK(taken(intake) == "k d1:;");
}

} // namespace
