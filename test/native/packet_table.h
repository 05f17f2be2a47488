// The rows of test/golden/packets.txt: datagrams that every way through the relay is held to.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace packet_table {

struct Row {
  std::string kind;
  /// "forward", or the reason why a kernel leaves it to the daemon.
  std::string kernel;
  std::vector<std::uint8_t> bytes;
  /// As it stands in the file.
  std::string line;
};

/// Tests run in the top folder.
inline std::vector<Row> rows() {
  std::vector<Row> all;
  std::ifstream file("test/golden/packets.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#')
      continue;
    Row row;
    row.line = line;
    std::istringstream words(line);
    std::size_t size = 0;
    std::string first;
    words >> row.kind >> size >> first >> std::ws;
    std::getline(words, row.kernel);
    if (first != "-") {
      for (std::size_t at = 0; at + 1 < first.size(); at += 2)
        row.bytes.push_back(
            static_cast<std::uint8_t>(std::stoul(first.substr(at, 2), nullptr, 16)));
    }
    row.bytes.resize(size);
    all.push_back(std::move(row));
  }
  return all;
}

} // namespace packet_table
