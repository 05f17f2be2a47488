// What the files of the relay share: entries that are held by id, in the order of their ids.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "boxed.h"
#include "by_id.h"
#include "rewrite.h"

namespace rtprelay {

constexpr auto id_of = [](const auto& entry) { return entry->id; };

/// null: there is none.
template <typename Entry>
Entry* find(const std::vector<std::unique_ptr<Entry>>& entries, std::uint32_t id) {
  if (entries.empty())
    return nullptr;
  const std::size_t likely = likely_position(entries.front()->id, id);
  if (likely < entries.size() && entries[likely]->id == id)
    return entries[likely].get();
  const auto found = std::ranges::lower_bound(entries, id, {}, id_of);
  return found == entries.end() || (*found)->id != id ? nullptr : found->get();
}

/// The rewrite of a route; those that want the same share one of `known`.
template <typename Pointer>
const Rewrite* share(const Boxed<Rewrite>& wanted, std::vector<Pointer>& known) {
  if (!wanted)
    return nullptr;
  for (const auto& each : known)
    if (*each == *wanted)
      return each.get();
  return known.emplace_back(new const Rewrite(*wanted)).get();
}

} // namespace rtprelay
