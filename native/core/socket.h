// UDP sockets of the relay.
#pragma once

#include <cstdint>
#include <string>

#include <sys/socket.h>

#include "address.h"
#include "clock.h"

namespace rtprelay {

/// Owns one file descriptor.
class FileDescriptor {
public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  int release();

private:
  int fd_ = -1;
};

enum class FreeBind : std::uint8_t { kNo, kYes };

/// Receive buffer asked for, bytes (the kernel doubles it for its own bookkeeping). About 40
/// packets of telephony: room for ordinary bursts, but less than a second of stale audio after an
/// overload.
constexpr int kReceiveBufferBytes = 32 * 1024;

/// Asks for a receive buffer, beyond net.core.rmem_max where the process may.
void set_receive_buffer(int fd, int bytes);

/// Opens a non-blocking UDP socket bound to `local`. On failure returns an invalid descriptor and
/// sets `error` to the errno. The socket is never connected: a connected one would answer other
/// sources with ICMP errors and so make it impossible to notice a peer that has moved.
FileDescriptor open_udp_socket(const SocketAddress& local, int tos, FreeBind free_bind, int& error,
                               int receive_buffer_bytes = kReceiveBufferBytes);

/// The same for a port of a call, which never gets one of the last descriptors that the process may
/// have: EMFILE. The operator, Redis and configuration files need some when the calls have used up
/// theirs.
FileDescriptor open_media_socket(const SocketAddress& local, int tos, FreeBind free_bind,
                                 int& error);

/// Opens a TCP socket that listens at `local`; on failure as `open_udp_socket`.
FileDescriptor open_listener(const SocketAddress& local, int& error);

/// The same at a path.
FileDescriptor open_listener(const std::string& path, int& error);

/// The path that the socket is bound to; empty: it is no Unix socket, or has none.
std::string local_path(int fd);

/// Whoever connects to the path comes to this socket, which listens.
bool is_listener_of(int fd, const std::string& path);

/// What the socket is bound to; kNone: no internet address.
SocketAddress local_address(int fd);

/// From now on ICMP errors about packets sent from the socket are kept for `take_socket_error`. The
/// next system call on it may fail with the error and has to be repeated.
void report_unreachable(int fd, Family family);

/// Whether messages from the socket come with the moment in which they arrived
/// (SCM_TIMESTAMPNS, CLOCK_REALTIME).
bool stamp_messages(int fd, bool wanted);

/// How long it has waited in the socket, µs; 0: it has no stamp.
Micros waited_for(msghdr& message);

/// Takes the oldest ICMP error: whom the packet was sent to, and the errno. 0: there is none (any
/// more).
int take_socket_error(int fd, SocketAddress& about);

/// Sets IP_TOS / IPV6_TCLASS; -1 means the system default, 0.
void set_tos(int fd, Family family, int tos);

/// Sets IP_MTU_DISCOVER / IPV6_MTU_DISCOVER: whether packets may not be fragmented on their way.
void set_path_mtu_discovery(int fd, Family family, bool wanted);

} // namespace rtprelay
