#include "ng.h"

#include <array>
#include <charconv>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace loadgen {

namespace {

std::string text(std::string_view value) {
  return std::to_string(value.size()) + ':' + std::string(value);
}

std::string member(std::string_view key, std::string_view value) { return text(key) + text(value); }

template <typename T> bool number(std::string_view digits, T& out) {
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return error == std::errc{} && end == digits.data() + digits.size();
}

} // namespace

std::optional<Address> parse_host(const std::string& host, std::uint16_t port) {
  Address address;
  if (host.find(':') != std::string::npos) {
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(port);
    address.size = sizeof(ipv6);
    if (inet_pton(AF_INET6, host.c_str(), &ipv6.sin6_addr) != 1)
      return {};
    return address;
  }
  auto& ipv4 = reinterpret_cast<sockaddr_in&>(address.storage);
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(port);
  address.size = sizeof(ipv4);
  if (inet_pton(AF_INET, host.c_str(), &ipv4.sin_addr) != 1)
    return {};
  return address;
}

std::optional<Address> parse_endpoint(std::string_view value) {
  const auto colon = value.rfind(':');
  std::uint16_t port = 0;
  if (colon == std::string_view::npos || !number(value.substr(colon + 1), port))
    return {};
  std::string_view host = value.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  return parse_host(std::string(host), port);
}

std::string audio_sdp(const std::string& host, std::uint16_t port, std::uint32_t ptime_ms) {
  const std::string at = (host.find(':') == std::string::npos ? "IP4 " : "IP6 ") + host;
  return "v=0\r\no=- 1 1 IN " + at + "\r\ns=-\r\nc=IN " + at + "\r\nt=0 0\r\nm=audio " +
         std::to_string(port) +
         " RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
         "a=sendrecv\r\na=ptime:" +
         std::to_string(ptime_ms) + "\r\n";
}

std::string secured_sdp(std::string sdp, std::string_view protocol, std::string_view lines) {
  constexpr std::string_view kPlain = "RTP/AVP";
  sdp.replace(sdp.find(kPlain), kPlain.size(), protocol);
  sdp += lines;
  return sdp;
}

std::string offer(const std::string& call_id, const std::string& sdp,
                  const std::optional<Interfaces>& through, const Wishes& wishes) {
  const auto list = [](std::string_view key, std::string_view word) {
    return text(key) + "l" + text(word) + "e";
  };
  std::string body =
      "d" + member("command", "offer") + member("call-id", call_id) + member("from-tag", "a");
  if (through)
    body += text("direction") + "l" + text(through->a) + text(through->b) + "e";
  if (!wishes.family.empty())
    body += member("address-family", wishes.family);
  if (!wishes.protocol.empty())
    body += member("transport-protocol", wishes.protocol);
  if (!wishes.sdes.empty())
    body += list("SDES", wishes.sdes);
  if (wishes.recrypt)
    body += list("flags", "recrypt");
  if (wishes.demux)
    body += list("rtcp-mux", "demux");
  return body + member("sdp", sdp) + "e";
}

std::string answer(const std::string& call_id, const std::string& sdp) {
  return "d" + member("command", "answer") + member("call-id", call_id) + member("from-tag", "a") +
         member("to-tag", "b") + member("sdp", sdp) + "e";
}

std::string remove(const std::string& call_id) {
  return "d" + member("command", "delete") + member("call-id", call_id) + member("from-tag", "a") +
         text("delete-delay") + "i0e" + "e";
}

std::string query(const std::string& call_id) {
  return "d" + member("command", "query") + member("call-id", call_id) + "e";
}

std::optional<Address> media_endpoint(std::string_view reply) {
  const auto connection = reply.find("c=IN IP");
  const auto media = reply.find("m=audio ");
  if (connection == std::string_view::npos || media == std::string_view::npos)
    return {};
  const auto host = reply.substr(connection + 9, reply.find('\r', connection) - connection - 9);
  const auto digits = reply.substr(media + 8, reply.find(' ', media + 8) - media - 8);
  std::uint16_t port = 0;
  if (!number(digits, port) || port == 0)
    return {};
  return parse_host(std::string(host), port);
}

bool is_ok(std::string_view reply) { return reply.find("6:result2:ok") != std::string_view::npos; }

bool NgClient::open(const Address& daemon) {
  fd_ = socket(daemon.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return fd_ >= 0 && connect(fd_, daemon.get(), daemon.size) == 0;
}

NgClient::~NgClient() {
  if (fd_ >= 0)
    close(fd_);
}

std::string NgClient::ask(const std::string& body, int tries) {
  const std::string cookie = std::to_string(getpid()) + '_' + std::to_string(++next_) + ' ';
  const std::string message = cookie + body;
  std::array<char, 65'536> buffer;
  for (int attempt = 0; attempt < tries; ++attempt) {
    (void)!send(fd_, message.data(), message.size(), 0);
    pollfd ready{fd_, POLLIN, 0};
    while (poll(&ready, 1, 500) > 0) {
      const ssize_t size = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size <= 0)
        continue;
      const std::string_view reply(buffer.data(), static_cast<std::size_t>(size));
      if (reply.starts_with(cookie))
        return std::string(reply.substr(cookie.size()));
    }
  }
  return {};
}

} // namespace loadgen
