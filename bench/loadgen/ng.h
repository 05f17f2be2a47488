// The little of the NG protocol that a load generator needs: requests in bencode, one reply each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/socket.h>

namespace loadgen {

/// An IPv4 or IPv6 address with its port.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

/// Address and port from `HOST:PORT` or `[HOST]:PORT`; empty when it is neither.
std::optional<Address> parse_endpoint(std::string_view text);
/// The same with the address alone, without brackets.
std::optional<Address> parse_host(const std::string& host, std::uint16_t port);

/// What a phone sends as its SDP: PCMA, PCMU and telephone-event on `port`.
std::string audio_sdp(const std::string& host, std::uint16_t port, std::uint32_t ptime_ms = 20);
/// The same with another protocol, and with attributes more (whole lines).
std::string secured_sdp(std::string sdp, std::string_view protocol, std::string_view lines);

/// Names of interfaces of the daemon: that of this side and that of the other.
struct Interfaces {
  std::string a;
  std::string b;
};

/// What an offer asks for besides. Empty: nothing.
struct Wishes {
  /// What the other side gets, `IP4` or `IP6`; empty: the same as this one.
  std::string family;
  /// `transport-protocol`.
  std::string protocol;
  /// A word of `SDES`.
  std::string sdes;
  /// SRTP must end in the relay.
  bool recrypt = false;
  /// RTCP on the port of RTP, as far as the offerer is concerned.
  bool demux = false;
};

/// `through`: none means the daemon's first one for both.
std::string offer(const std::string& call_id, const std::string& sdp,
                  const std::optional<Interfaces>& through, const Wishes& wishes = {});
std::string answer(const std::string& call_id, const std::string& sdp);
std::string remove(const std::string& call_id);
std::string query(const std::string& call_id);

/// `c=` and `m=` of a reply's body; empty when the reply holds no usable SDP.
std::optional<Address> media_endpoint(std::string_view reply);
/// Whether the reply says `result` `ok`.
bool is_ok(std::string_view reply);

/// A UDP socket towards the daemon, one request at a time.
class NgClient {
public:
  /// false: no socket, or nobody can be reached there.
  bool open(const Address& daemon);
  ~NgClient();
  /// The reply without its cookie; empty after `tries` waits of 500 ms.
  std::string ask(const std::string& body, int tries = 10);

private:
  int fd_ = -1;
  std::uint64_t next_ = 0;
};

} // namespace loadgen
