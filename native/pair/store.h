// Descriptors by name, in the order in which they came. All memory is had at the start.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rtprelay::pair {

/// Longer names are refused, bytes.
constexpr std::size_t kMaxName = 79;
/// Readers of the store, each with a place of its own in the order.
constexpr std::size_t kCursors = 4;

class Store {
public:
  Store() = default;
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// false: there is no memory for so many.
  bool open(std::uint32_t capacity);
  /// Takes the descriptor over, in the place of one of the same name. false: it is the caller's
  /// (full, or the name is not one).
  bool put(std::string_view name, int fd);
  /// Closes it. false: there is none.
  bool remove(std::string_view name);
  [[nodiscard]] std::uint32_t count() const { return count_; }

  /// From the beginning again.
  void rewind(std::size_t cursor) { cursors_[cursor] = 0; }
  /// Up to `most` descriptors that the reader has not seen; they stay the store's. `passed` has
  /// to be called when they were taken.
  std::size_t peek(std::size_t cursor, int* out, std::size_t most) const;
  void passed(std::size_t cursor, std::size_t count);

private:
  struct Entry {
    std::array<char, kMaxName + 1> name;
    int fd;
    std::uint32_t length;
    /// In the order; 0 none.
    std::uint32_t before;
    std::uint32_t after;
    /// With the same hash; free entries are linked by it, too.
    std::uint32_t chain;
  };

  [[nodiscard]] std::uint32_t bucket_of(std::string_view name) const;
  [[nodiscard]] std::uint32_t find(std::string_view name) const;
  void unlink(std::uint32_t at);

  Entry* entries_ = nullptr;
  std::uint32_t* buckets_ = nullptr;
  /// Entry 0 stands for none.
  std::uint32_t capacity_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t never_used_ = 1;
  std::uint32_t free_ = 0;
  std::uint32_t first_ = 0;
  std::uint32_t last_ = 0;
  /// The entry that each reader has seen last.
  std::array<std::uint32_t, kCursors> cursors_{};
};

} // namespace rtprelay::pair
