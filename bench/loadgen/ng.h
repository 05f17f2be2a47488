// The little of the NG protocol that a load generator needs: requests in bencode, one reply each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <netinet/in.h>

namespace loadgen {

/// IPv4 address and port from `HOST:PORT`; empty when it is neither.
std::optional<sockaddr_in> parse_endpoint(std::string_view text);
/// The same with the address alone.
std::optional<sockaddr_in> parse_host(std::string_view host, std::uint16_t port);

/// What a phone sends as its SDP: PCMA, PCMU and telephone-event on `port`.
std::string audio_sdp(const std::string& host, std::uint16_t port, std::uint32_t ptime_ms = 20);

std::string offer(const std::string& call_id, const std::string& sdp);
std::string answer(const std::string& call_id, const std::string& sdp);
std::string remove(const std::string& call_id);
std::string query(const std::string& call_id);

/// `c=` and `m=` of a reply's body; empty when the reply holds no usable SDP.
std::optional<sockaddr_in> media_endpoint(std::string_view reply);
/// Whether the reply says `result` `ok`.
bool is_ok(std::string_view reply);

/// A UDP socket towards the daemon, one request at a time.
class NgClient {
public:
  /// false: no socket, or nobody can be reached there.
  bool open(const sockaddr_in& daemon);
  ~NgClient();
  /// The reply without its cookie; empty after `tries` waits of 500 ms.
  std::string ask(const std::string& body, int tries = 10);

private:
  int fd_ = -1;
  std::uint64_t next_ = 0;
};

} // namespace loadgen
