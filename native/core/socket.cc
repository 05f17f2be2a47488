#include "socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <limits>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

namespace rtprelay {

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0)
      close(fd_);
    fd_ = other.release();
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0)
    close(fd_);
}

int FileDescriptor::release() {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

void set_tos(int fd, Family family, int tos) {
  const int value = tos < 0 ? 0 : tos;
  // A kernel that refuses the mark still relays; marking is best effort.
  if (family == Family::kIpv4) {
    (void)setsockopt(fd, IPPROTO_IP, IP_TOS, &value, sizeof(value));
  } else {
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof(value));
  }
}

void set_path_mtu_discovery(int fd, Family family, bool wanted) {
  // A kernel that refuses goes on as the system is set.
  if (family == Family::kIpv4) {
    const int value = wanted ? IP_PMTUDISC_WANT : IP_PMTUDISC_DONT;
    (void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof(value));
  } else {
    const int value = wanted ? IPV6_PMTUDISC_WANT : IPV6_PMTUDISC_DONT;
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, sizeof(value));
  }
}

SocketAddress local_address(int fd) {
  KernelAddress address{};
  socklen_t length = sizeof(address);
  return getsockname(fd, &address.generic, &length) == 0 ? from_kernel(address) : SocketAddress{};
}

void report_unreachable(int fd, Family family) {
  const int on = 1;
  const bool v4 = family == Family::kIpv4;
  // A kernel that refuses it still relays.
  (void)setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &on,
                   sizeof(on));
}

int take_socket_error(int fd, SocketAddress& about) {
  KernelAddress address;
  std::array<std::byte, 512> control{};
  msghdr message{};
  message.msg_name = &address.generic;
  message.msg_namelen = sizeof(address);
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
    // Nothing is queued; what is pending all the same would be reported again and again.
    int pending = 0;
    socklen_t length = sizeof(pending);
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &length);
    return 0;
  }
  about = from_kernel(address);
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
       each = CMSG_NXTHDR(&message, each)) {
    const bool v4 = each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_RECVERR;
    const bool v6 = each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_RECVERR;
    if (!v4 && !v6)
      continue;
    sock_extended_err error{};
    std::memcpy(&error, CMSG_DATA(each), sizeof(error));
    const bool icmp = error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
    return icmp ? static_cast<int>(error.ee_errno) : 0;
  }
  return 0;
}

bool stamp_messages(int fd, bool wanted) {
  const int on = wanted ? 1 : 0;
  return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) == 0;
}

Micros waited_for(msghdr& message) {
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
       each = CMSG_NXTHDR(&message, each)) {
    timespec came{};
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_TIMESTAMPNS ||
        each->cmsg_len < CMSG_LEN(sizeof(came)))
      continue;
    std::memcpy(&came, CMSG_DATA(each), sizeof(came));
    timespec now{};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - came.tv_sec) * 1'000'000 + (now.tv_nsec - came.tv_nsec) / 1000;
  }
  return 0;
}

void set_receive_buffer(int fd, int bytes) {
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

FileDescriptor open_udp_socket(const SocketAddress& local, int tos, FreeBind free_bind, int& error,
                               int receive_buffer_bytes) {
  const bool v4 = local.family == Family::kIpv4;
  FileDescriptor fd(
      socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!fd.valid()) {
    error = errno;
    return {};
  }
  const int on = 1;
  if (!v4)
    (void)setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (free_bind == FreeBind::kYes) {
    (void)setsockopt(fd.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_FREEBIND : IPV6_FREEBIND,
                     &on, sizeof(on));
  }
  set_receive_buffer(fd.get(), receive_buffer_bytes);
  if (tos > 0)
    set_tos(fd.get(), local.family, tos);
  KernelAddress address;
  const socklen_t length = to_kernel(local, address);
  if (bind(fd.get(), &address.generic, length) != 0) {
    error = errno;
    return {};
  }
  return fd;
}

namespace {

/// Enough for all clients of the CLI; a small limit keeps an eighth of it back.
constexpr rlim_t kKeptDescriptors = 96;

/// How long a limit that was read counts: a burst of calls opens thousands of ports.
constexpr Micros kLimitCounts = 100'000;

/// Descriptors from this one on are kept back.
int first_kept_back() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return std::numeric_limits<int>::max();
  const rlim_t bound = limit.rlim_cur - std::min(kKeptDescriptors, limit.rlim_cur / 8);
  return static_cast<int>(std::min<rlim_t>(bound, std::numeric_limits<int>::max()));
}

/// The kernel gives out the lowest number that is free.
bool is_kept_back(int fd) {
  thread_local int bound = 0;
  thread_local Micros counts_until = 0;
  const Micros now = monotonic_micros();
  if (now >= counts_until) {
    bound = first_kept_back();
    counts_until = now + kLimitCounts;
  }
  return fd >= bound;
}

} // namespace

FileDescriptor open_media_socket(const SocketAddress& local, int tos, FreeBind free_bind,
                                 int& error) {
  FileDescriptor fd = open_udp_socket(local, tos, free_bind, error);
  if (!fd.valid() || !is_kept_back(fd.get()))
    return fd;
  error = EMFILE;
  return {};
}

FileDescriptor open_listener(const SocketAddress& local, int& error) {
  const bool v4 = local.family == Family::kIpv4;
  FileDescriptor fd(socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  KernelAddress address;
  const socklen_t length = to_kernel(local, address);
  if (fd.valid() && setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
      (v4 || setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
      bind(fd.get(), &address.generic, length) == 0 && listen(fd.get(), SOMAXCONN) == 0)
    return fd;
  error = errno;
  return {};
}

namespace {

/// false: the path is too long.
bool unix_address(const std::string& path, sockaddr_un& out) {
  out = {};
  out.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(out.sun_path))
    return false;
  std::memcpy(out.sun_path, path.data(), path.size());
  return true;
}

/// Who called listen(2), as its clients see it too (unix(7), SO_PEERCRED).
bool listener_of(int fd, ucred& out) {
  socklen_t length = sizeof(out);
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &out, &length) == 0;
}

} // namespace

FileDescriptor open_listener(const std::string& path, int& error) {
  sockaddr_un address{};
  error = EINVAL;
  if (!unix_address(path, address))
    return {};
  FileDescriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.valid() &&
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      listen(fd.get(), SOMAXCONN) == 0)
    return fd;
  error = errno;
  return {};
}

std::string local_path(int fd) {
  sockaddr_un address{};
  socklen_t length = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      address.sun_family != AF_UNIX || length <= offsetof(sockaddr_un, sun_path))
    return {};
  return {address.sun_path, strnlen(address.sun_path, length - offsetof(sockaddr_un, sun_path))};
}

bool is_listener_of(int fd, const std::string& path) {
  sockaddr_un address{};
  ucred own{};
  ucred met{};
  const FileDescriptor client(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!unix_address(path, address) || !client.valid())
    return false;
  if (connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    pollfd waiting{fd, POLLIN, 0};
    // Too many wait for it already.
    return errno == EAGAIN && poll(&waiting, 1, 0) > 0;
  }
  return listener_of(fd, own) && listener_of(client.get(), met) && own.pid == met.pid &&
         own.uid == met.uid;
}

} // namespace rtprelay
