#include "ssrc_table.h"

#include <algorithm>
#include <new>

namespace rtprelay::srtp {

namespace {

constexpr std::size_t kFirstCapacity = 4;
constexpr std::uint64_t kRollover = 0x10000;
constexpr std::uint64_t kHalf = 0x8000;

} // namespace

bool guess_index(std::uint64_t newest, std::uint16_t sequence, std::uint64_t& out) {
  const std::uint64_t epoch = newest & ~(kRollover - 1);
  const std::uint64_t last = newest & (kRollover - 1);
  out = epoch | sequence;
  if (last < kHalf) {
    if (sequence <= last + kHalf)
      return true;
    if (epoch == 0)
      return false;
    out -= kRollover;
    return true;
  }
  if (sequence < last - kHalf)
    out += kRollover;
  return out <= kMaxRtpIndex;
}

Source* SsrcTable::find(std::uint32_t ssrc) {
  if (last_ < size_ && ssrcs_[last_] == ssrc)
    return &sources_[last_];
  const auto* const end = ssrcs_.get() + size_;
  const auto* const found = std::find(ssrcs_.get(), ssrcs_.get() + size_, ssrc);
  if (found == end)
    return nullptr;
  last_ = static_cast<std::size_t>(found - ssrcs_.get());
  return &sources_[last_];
}

Source* SsrcTable::add(std::uint32_t ssrc) {
  if (size_ == capacity_ && !grow())
    return nullptr;
  ssrcs_[size_] = ssrc;
  sources_[size_] = Source{};
  last_ = size_++;
  return &sources_[last_];
}

bool SsrcTable::grow() {
  if (capacity_ == kMaxSources)
    return false;
  const std::size_t wanted = capacity_ == 0 ? kFirstCapacity : capacity_ * 2;
  std::unique_ptr<std::uint32_t[]> ssrcs(new (std::nothrow) std::uint32_t[wanted]);
  std::unique_ptr<Source[]> sources(new (std::nothrow) Source[wanted]);
  if (ssrcs == nullptr || sources == nullptr)
    return false;
  std::copy_n(ssrcs_.get(), size_, ssrcs.get());
  std::copy_n(sources_.get(), size_, sources.get());
  ssrcs_ = std::move(ssrcs);
  sources_ = std::move(sources);
  capacity_ = wanted;
  return true;
}

} // namespace rtprelay::srtp
