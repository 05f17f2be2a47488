// Reads the bytes of a plan.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plan.h"

namespace rtprelay {

static_assert(std::endian::native == std::endian::little, "the plan is little endian");

/// Bounds-checked cursor; after the first failure every read yields zero.
class Reader {
public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  template <typename T> T number() {
    T value{};
    if (bytes_.size() < sizeof(T)) {
      fail(PlanError::kTooShort);
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }

  std::string_view text(std::size_t length) {
    if (bytes_.size() < length) {
      fail(PlanError::kTooShort);
      return {};
    }
    const std::string_view value(reinterpret_cast<const char*>(bytes_.data()), length);
    bytes_ = bytes_.subspan(length);
    return value;
  }

  SocketAddress address() {
    SocketAddress result;
    const std::size_t length = number<std::uint8_t>();
    if (length == 0)
      return result;
    const std::string_view host = text(length);
    const auto port = number<std::uint16_t>();
    if (!ok())
      return result;
    // Most addresses of a plan are those just before them, with other ports.
    if (host != last_host_ && !parse_address(host, 0, last_address_)) {
      last_host_ = {};
      fail(PlanError::kBadAddress);
      return result;
    }
    last_host_ = host;
    result = last_address_;
    result.port = port;
    return result;
  }

  /// JavaScript counts: whole, not negative, exact in a double.
  std::uint64_t count() {
    constexpr double kMaxExact = 9007199254740992.0; // 2^53
    const auto value = number<double>();
    if (!ok())
      return 0;
    if (!(value >= 0 && value <= kMaxExact) || value != std::floor(value)) {
      fail(PlanError::kBadValue);
      return 0;
    }
    return static_cast<std::uint64_t>(value);
  }

  std::vector<std::uint32_t> ids() {
    std::vector<std::uint32_t> result;
    const std::size_t size = number<std::uint16_t>();
    if (size > kMaxPlanEntries)
      fail(PlanError::kTooMany);
    if (size * sizeof(std::uint32_t) > bytes_.size())
      fail(PlanError::kTooShort);
    if (!ok())
      return result;
    result.reserve(size);
    for (std::size_t i = 0; i < size; ++i)
      result.push_back(number<std::uint32_t>());
    return result;
  }

  PayloadAction action() {
    const auto value = number<std::uint8_t>();
    if (value >= kPayloadActions) {
      fail(PlanError::kBadValue);
      return PayloadAction::kForward;
    }
    return static_cast<PayloadAction>(value);
  }

  PayloadRules payloads() {
    PayloadRules rules;
    rules.otherwise = action();
    if (rules.otherwise > PayloadAction::kDrop)
      fail(PlanError::kBadValue);
    rules.types.fill(rules.otherwise);
    const std::size_t size = number<std::uint8_t>();
    for (std::size_t i = 0; i < size && ok(); ++i) {
      const auto type = number<std::uint8_t>();
      const PayloadAction wanted = action();
      if (type >= rules.types.size())
        fail(PlanError::kBadValue);
      else
        rules.types[type] = wanted;
    }
    return rules;
  }

  /// -1: none.
  std::optional<std::uint64_t> index(std::uint64_t highest) {
    const auto value = number<double>();
    if (value == -1.0)
      return std::nullopt;
    if (!(value >= 0 && value <= static_cast<double>(highest)) || value != std::floor(value)) {
      fail(PlanError::kBadValue);
      return std::nullopt;
    }
    return static_cast<std::uint64_t>(value);
  }

  template <typename E> E choice(E last) {
    const auto value = number<std::uint8_t>();
    if (value > static_cast<std::uint8_t>(last)) {
      fail(PlanError::kBadValue);
      return {};
    }
    return static_cast<E>(value);
  }

  std::uint8_t bits(std::uint8_t known) {
    const auto value = number<std::uint8_t>();
    if ((value & ~known) != 0)
      fail(PlanError::kBadValue);
    return value;
  }

  std::string long_text(std::size_t highest) {
    const std::size_t length = number<std::uint16_t>();
    if (length > highest)
      fail(PlanError::kBadValue);
    return std::string(text(length));
  }

  /// `read(tag, reader)` for each section; it takes all of what it knows, and false: nothing.
  template <typename Read> void sections(Read read) {
    const std::size_t count = number<std::uint8_t>();
    std::uint8_t last = 0;
    for (std::size_t i = 0; i < count && ok(); ++i) {
      const auto tag = number<std::uint8_t>();
      const std::string_view bytes = text(number<std::uint16_t>());
      if (!ok())
        return;
      Reader section({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
      // In ascending order, so each is there once.
      if (tag <= last || !read(tag, section))
        return fail(PlanError::kBadValue);
      last = tag;
      if (!section.ok())
        return fail(section.error());
      if (!section.at_end())
        return fail(PlanError::kTrailingBytes);
    }
  }

  void fail(PlanError error) {
    if (error_ == PlanError::kNone)
      error_ = error;
    bytes_ = {};
  }
  [[nodiscard]] bool ok() const { return error_ == PlanError::kNone; }
  [[nodiscard]] PlanError error() const { return error_; }
  [[nodiscard]] const std::uint8_t* position() const { return bytes_.data(); }
  [[nodiscard]] bool at_end() const { return bytes_.empty(); }
  /// Bytes.
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

private:
  std::span<const std::uint8_t> bytes_;
  PlanError error_ = PlanError::kNone;
  std::string_view last_host_;
  SocketAddress last_address_;
};

// Sections of what goes beyond passing packets on.
void read_demux_table(Reader& reader, TransportSpec& transport);
void read_own_rtcp(Reader& reader, StreamSpec& stream);
void read_rewrite(Reader& reader, RouteSpec& route);

} // namespace rtprelay
