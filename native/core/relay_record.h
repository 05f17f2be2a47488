// How a daemon has opened its relay, in a file beside its plans: what the next one needs to open it
// likewise before Node runs (native/start/, native/api/early_relay.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace rtprelay {

/// Set by rtprelay-start: the descriptor of the file, which whoever reads it closes.
constexpr const char* kEarlyRelayVariable = "RTPRELAY_EARLY_RELAY";

/// The file is this, byte by byte.
struct RelayRecord {
  /// Changes with the form of the file, or with what a relay needs to know.
  static constexpr std::uint64_t kForm = 0x3230'7961'6c65'7272;
  static constexpr std::size_t kMostCpus = 64;
  /// Of the file with the plans, and of this one behind it.
  static constexpr std::string_view kPlans = ".plans";
  static constexpr std::string_view kSuffix = ".relay";

  std::uint64_t form = kForm;
  /// Paths of Node and of the addon.
  std::array<char, 512> program{};
  std::array<char, 512> addon{};
  /// Directory of the maps of steered ports; empty: they are bound.
  std::array<char, 256> pins{};
  std::array<char, 256> dtls_ciphers{};
  std::array<std::int32_t, kMostCpus> media_cpus{};
  std::uint32_t cpu_count = 0;
  std::uint32_t workers = 0;
  std::int32_t dtls_mtu = 0;
  std::int32_t media_policy = 0;
  std::int32_t media_priority = 0;
  std::int32_t idle_policy = 0;
  std::int32_t idle_priority = 0;
  /// Of `Pace`.
  std::uint32_t coalesce_micros = 0;
  bool has_media_priority = false;
  bool has_idle_priority = false;
  bool free_bind = false;
  bool legacy_mos = false;
  bool listening_mos = false;

  bool operator==(const RelayRecord&) const = default;
};

/// false: the file has none of this form.
bool read_relay_record(int fd, RelayRecord& out);
/// In the place of what was there. false: errno says why not.
bool write_relay_record(const char* path, const RelayRecord& record);
/// false: the text is too long, or has a zero.
bool put_text(std::string_view text, std::span<char> out);

} // namespace rtprelay
