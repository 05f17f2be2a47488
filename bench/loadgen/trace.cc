#include "trace.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

namespace loadgen {

namespace {

constexpr std::uint8_t kSilence = 0xd5;

template <typename T> bool write_file(const std::string& file, const std::vector<T>& values) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(T)));
  return out.good();
}

} // namespace

bool write_trace(const std::string& file, const std::vector<const StreamTrace*>& streams) {
  std::vector<std::int32_t> words{static_cast<std::int32_t>(streams.size())};
  for (const StreamTrace* stream : streams) {
    words.push_back(static_cast<std::int32_t>(stream->sent.size()));
    for (std::size_t i = 0; i < stream->sent.size(); ++i) {
      words.push_back(stream->sent[i]);
      words.push_back(i < stream->arrived.size() ? stream->arrived[i] : -1);
    }
  }
  return write_file(file, words);
}

bool Audio::load(const std::string& file, std::size_t payload) {
  std::ifstream in(file, std::ios::binary);
  source_.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  payload_ = payload;
  // Whole packets only, so that the end joins the beginning.
  source_.resize(source_.size() / payload * payload);
  return !source_.empty();
}

void Audio::fill(std::uint64_t number, std::uint8_t* payload) const {
  const auto at = static_cast<std::size_t>(number) * payload_ % source_.size();
  std::memcpy(payload, source_.data() + at, payload_);
}

void Audio::heard(std::uint64_t number, const std::uint8_t* payload) {
  const auto at = static_cast<std::size_t>(number) * payload_;
  if (heard_.size() < at + payload_)
    heard_.resize(at + payload_, kSilence);
  std::memcpy(heard_.data() + at, payload, payload_);
}

bool Audio::save(const std::string& file, std::uint64_t packets) {
  heard_.resize(static_cast<std::size_t>(packets) * payload_, kSilence);
  return write_file(file, heard_);
}

} // namespace loadgen
