// Reading what the kernel says over netlink(7): lengths are checked here and nowhere else.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <linux/netlink.h>
#include <sys/socket.h>

namespace rtprelay::netlink {

using Bytes = std::span<const std::byte>;

/// One message, without its header.
struct Message {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  Bytes content;

  /// The fixed part that the content begins with; false: it is shorter.
  template <typename Body> [[nodiscard]] bool read(Body& out) const {
    if (content.size() < sizeof(Body))
      return false;
    std::memcpy(&out, content.data(), sizeof(Body));
    return true;
  }

  /// The attributes behind a fixed part.
  template <typename Body> [[nodiscard]] Bytes attributes() const {
    return content.subspan(std::min<std::size_t>(NLMSG_ALIGN(sizeof(Body)), content.size()));
  }
};

/// Calls `visit(message)` for each whole message of one datagram.
template <typename Visit> void each_message(Bytes datagram, Visit visit) {
  while (datagram.size() >= NLMSG_HDRLEN) {
    nlmsghdr header = {};
    std::memcpy(&header, datagram.data(), sizeof(header));
    if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > datagram.size())
      return;
    visit(Message{header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq,
                  datagram.subspan(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN)});
    datagram =
        datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
  }
}

/// Calls `visit(type, content)` for each whole attribute; `type` without its flags.
template <typename Visit> void each_attribute(Bytes bytes, Visit visit) {
  while (bytes.size() >= NLA_HDRLEN) {
    nlattr header = {};
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.nla_len < NLA_HDRLEN || header.nla_len > bytes.size())
      return;
    visit(header.nla_type & NLA_TYPE_MASK,
          bytes.subspan(NLA_HDRLEN, header.nla_len - static_cast<std::size_t>(NLA_HDRLEN)));
    bytes = bytes.subspan(std::min<std::size_t>(NLA_ALIGN(header.nla_len), bytes.size()));
  }
}

/// A number in the machine's byte order; what is missing of it is zero.
template <typename Number> Number number_of(Bytes content) {
  Number value = 0;
  std::memcpy(&value, content.data(), std::min(sizeof(value), content.size()));
  return value;
}

/// A text, up to its terminating zero if there is one.
inline std::string text_of(Bytes content) {
  const auto* text = reinterpret_cast<const char*>(content.data());
  return {text, ::strnlen(text, content.size())};
}

/// How the answer to a request ended.
struct Answer {
  /// The kernel has said that this was all; false: `error` is the socket's.
  bool complete = false;
  /// An errno, or 0.
  int error = 0;
  /// What was listed changed meanwhile: something may be missing.
  bool interrupted = false;
};

/// More datagrams than any machine answers with; ends a conversation that would not.
constexpr int kMaxDatagrams = 100'000;
constexpr std::size_t kDatagramBytes = 65'536;

/// Receives the answer to the request with that number, to its end; `visit(message)` for each
/// message.
template <typename Visit> Answer read_answer(int socket, std::uint32_t sequence, Visit visit) {
  std::vector<std::byte> buffer(kDatagramBytes);
  Answer answer;
  for (int i = 0; i < kMaxDatagrams && !answer.complete; ++i) {
    const ssize_t length = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (length < 0 && errno == EINTR)
      continue;
    if (length <= 0) {
      answer.error = length < 0 ? errno : ECONNRESET;
      return answer;
    }
    each_message(
        Bytes(buffer.data(), static_cast<std::size_t>(length)), [&](const Message& message) {
          if (message.sequence != sequence || answer.complete)
            return;
          answer.interrupted = answer.interrupted || (message.flags & NLM_F_DUMP_INTR) != 0;
          if (message.type == NLMSG_ERROR || message.type == NLMSG_DONE) {
            answer.complete = true;
            answer.error = -number_of<std::int32_t>(message.content);
          } else {
            visit(message);
          }
        });
  }
  return answer;
}

} // namespace rtprelay::netlink
