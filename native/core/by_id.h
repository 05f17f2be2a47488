// Entries by their ids, which nearly always count up from the first one: then nothing has to be
// sorted or searched.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rtprelay {

/// Where an id would be among ids that ascend, if none before it was left out.
constexpr std::size_t likely_position(std::uint32_t first, std::uint32_t id) {
  return static_cast<std::size_t>(id - first);
}

/// The entries of a list by id. The list stays where and as it is meanwhile.
template <typename Entry> class ById {
public:
  explicit ById(const std::vector<Entry>& entries) : entries_(&entries) {
    const auto ascends = [](const Entry& a, const Entry& b) { return a.id >= b.id; };
    if (std::ranges::adjacent_find(entries, ascends) == entries.end())
      return;
    sorted_.reserve(entries.size());
    for (const Entry& entry : entries)
      sorted_.push_back(&entry);
    std::ranges::sort(sorted_, {}, &Entry::id);
    unique_ = std::ranges::adjacent_find(sorted_, {}, &Entry::id) == sorted_.end();
  }

  /// No id occurs twice.
  [[nodiscard]] bool unique() const { return unique_; }

  /// null: there is none.
  [[nodiscard]] const Entry* find(std::uint32_t id) const {
    if (!sorted_.empty()) {
      const auto found = std::ranges::lower_bound(sorted_, id, {}, &Entry::id);
      return found == sorted_.end() || (*found)->id != id ? nullptr : *found;
    }
    if (entries_->empty())
      return nullptr;
    const std::size_t likely = likely_position(entries_->front().id, id);
    if (likely < entries_->size() && (*entries_)[likely].id == id)
      return &(*entries_)[likely];
    const auto found = std::ranges::lower_bound(*entries_, id, {}, &Entry::id);
    return found == entries_->end() || found->id != id ? nullptr : &*found;
  }

  [[nodiscard]] bool contains(std::uint32_t id) const { return find(id) != nullptr; }

private:
  const std::vector<Entry>* entries_;
  /// Empty: they are in order.
  std::vector<const Entry*> sorted_;
  bool unique_ = true;
};

} // namespace rtprelay
