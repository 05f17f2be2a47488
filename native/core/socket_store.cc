#include "socket_store.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace rtprelay {

namespace {

constexpr const char* kListener = "tcp-";
constexpr std::string_view kUdp = "udp-";

/// FDNAME must be unique, because FDSTOREREMOVE goes by it, and may not contain a colon.
std::string name_of(const SocketAddress& local, std::string_view kind = kUdp) {
  std::string name(kind);
  name += std::to_string(local.port) + "-" + format_host(local);
  std::ranges::replace(name, ':', '_');
  return name;
}

/// What `name_of` has made the name of a UDP socket of.
bool read_name(std::string_view name, SocketAddress& local) {
  const std::size_t end = name.find('-', kUdp.size());
  if (!name.starts_with(kUdp) || end == std::string_view::npos)
    return false;
  std::uint16_t port = 0;
  const auto [rest, error] = std::from_chars(name.data() + kUdp.size(), name.data() + end, port);
  std::string host(name.substr(end + 1));
  std::ranges::replace(host, '_', ':');
  return error == std::errc{} && rest == name.data() + end && parse_address(host, port, local);
}

/// A path may be longer than a name.
std::string name_of(const std::string& path) {
  return "unix-" + std::to_string(std::hash<std::string>{}(path));
}

bool bound_udp_address(int fd, SocketAddress& out) {
  int type = 0;
  socklen_t length = sizeof(type);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_DGRAM)
    return false;
  out = local_address(fd);
  return out.port != 0;
}

} // namespace

std::size_t SocketStore::Hash::operator()(const SocketAddress& address) const {
  const auto* bytes = reinterpret_cast<const char*>(address.bytes.data());
  return std::hash<std::string_view>{}({bytes, address.bytes.size()}) ^
         (static_cast<std::size_t>(address.port) << 20U);
}

std::size_t SocketStore::inherit(int first, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    FileDescriptor fd(first + static_cast<int>(i));
    (void)inherit(fd);
  }
  return inherited_.size();
}

bool SocketStore::inherit(FileDescriptor& fd) {
  SocketAddress local;
  if (fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0)
    return false;
  if (inherit_listener(fd))
    return true;
  if (!bound_udp_address(fd.get(), local))
    return false;
  const int flags = fcntl(fd.get(), F_GETFL);
  (void)fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
  stored_.insert(local);
  inherited_[local] = std::move(fd);
  return true;
}

std::size_t SocketStore::inherit_early(int first, std::size_t count) {
  std::size_t taken = 0;
  for (std::size_t i = 0; i < count; ++i) {
    FileDescriptor fd(first + static_cast<int>(i));
    SocketAddress local;
    if (fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0 || !bound_udp_address(fd.get(), local))
      continue;
    // As it was opened it never makes anybody wait.
    inherited_[local] = std::move(fd);
    ++taken;
  }
  return taken;
}

bool SocketStore::inherit_listener(FileDescriptor& fd) {
  int listens = 0;
  socklen_t length = sizeof(listens);
  if (!keeps_listeners_ ||
      getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens == 0)
    return false;
  const std::string path = local_path(fd.get());
  const SocketAddress local = local_address(fd.get());
  if (path.empty() && local.port == 0)
    return false;
  (path.empty() ? listeners_[local] : local_listeners_[path]).fd = std::move(fd);
  return true;
}

FileDescriptor SocketStore::listen(const std::string& path, int& error) {
  error = 0;
  if (!keeps_listeners_)
    return {};
  Listener& listener = local_listeners_[path];
  // Somebody may have put another socket in its place.
  if (!listener.fd.valid() || !is_listener_of(listener.fd.get(), path)) {
    FileDescriptor fd = open_listener(path, error);
    if (!fd.valid())
      return fd;
    (void)keep_file(name_of(path), fd.get());
    listener.fd = std::move(fd);
  }
  listener.wanted = true;
  FileDescriptor copy(fcntl(listener.fd.get(), F_DUPFD_CLOEXEC, 0));
  error = errno;
  return copy;
}

FileDescriptor SocketStore::listen(const SocketAddress& local, int& error) {
  if (!keeps_listeners_)
    return open_listener(local, error);
  auto found = listeners_.find(local);
  if (found == listeners_.end()) {
    FileDescriptor fd = open_listener(local, error);
    if (!fd.valid())
      return fd;
    const SocketAddress bound = local_address(fd.get());
    (void)keep_file(name_of(bound, kListener), fd.get());
    found = listeners_.emplace(bound, Listener{std::move(fd)}).first;
  }
  found->second.wanted = true;
  FileDescriptor copy(fcntl(found->second.fd.get(), F_DUPFD_CLOEXEC, 0));
  error = errno;
  return copy;
}

bool SocketStore::open_channel(std::string_view path) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof(address.sun_path) ||
      (path.front() != '/' && path.front() != '@'))
    return false;
  channel_ = FileDescriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  path_ = path;
  return channel_.valid();
}

bool SocketStore::record_in(const char* path) {
  FileDescriptor file(::open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  // Both processes of a pair have it; whoever starts another daemon sees that this one lives.
  if (!file.valid() || flock(file.get(), LOCK_SH | LOCK_NB) != 0 || !record_.open(file.get()))
    return false;
  record_file_ = std::move(file);
  return true;
}

void SocketStore::open_early(const SocketAddress& local, FreeBind free_bind) {
  if (inherited_.contains(local))
    return;
  int error = 0;
  // Whoever wants it in the end meets the error and reports it.
  FileDescriptor fd = open_media_socket(local, -1, free_bind, error);
  if (fd.valid())
    inherited_[local] = std::move(fd);
}

FileDescriptor SocketStore::take(const SocketAddress& local) {
  const auto found = inherited_.find(local);
  if (found == inherited_.end())
    return {};
  FileDescriptor fd = std::move(found->second);
  inherited_.erase(found);
  return fd;
}

void SocketStore::drop(std::string_view name) {
  SocketAddress local;
  if (read_name(name, local) && inherited_.erase(local) != 0)
    stored_.erase(local);
}

void SocketStore::give_back(const SocketAddress& local, int fd) {
  FileDescriptor copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (copy.valid())
    inherited_[local] = std::move(copy);
}

FileDescriptor SocketStore::take_by_cookie(std::uint64_t cookie) {
  for (auto& [local, fd] : inherited_) {
    std::uint64_t each = 0;
    socklen_t length = sizeof(each);
    if (getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &each, &length) == 0 && each == cookie)
      return take(SocketAddress(local));
  }
  return {};
}

void SocketStore::keep(const SocketAddress& local, int fd) {
  record_.note(local, true);
  if (!keeps_new_ || !channel_.valid() || !stored_.insert(local).second)
    return;
  waiting_.push_back({name_of(local), fd});
  (void)flush();
}

void SocketStore::forget(const SocketAddress& local) {
  record_.note(local, false);
  if (stored_.erase(local) == 0 || !channel_.valid())
    return;
  const std::string name = name_of(local);
  const auto unsent = std::ranges::find_if(waiting_, [&name](const Message& message) {
    return message.fd >= 0 && message.name == name;
  });
  if (unsent != waiting_.end()) {
    waiting_.erase(unsent);
    return;
  }
  waiting_.push_back({name, -1});
  (void)flush();
}

bool SocketStore::keep_file(const std::string& name, int fd) {
  return keeps_new_ && channel_.valid() && send(Message{name, fd}) == Outcome::kSent;
}

void SocketStore::forget_file(const std::string& name) {
  if (!channel_.valid())
    return;
  waiting_.push_back({name, -1});
  (void)flush();
}

std::size_t SocketStore::release_rest() {
  const std::size_t count = inherited_.size();
  for (auto& [local, fd] : inherited_) {
    fd = FileDescriptor();
    forget(local);
  }
  inherited_.clear();
  std::erase_if(listeners_, [this](const auto& entry) {
    if (!entry.second.wanted)
      forget_file(name_of(entry.first, kListener));
    return !entry.second.wanted;
  });
  std::erase_if(local_listeners_, [this](const auto& entry) {
    if (!entry.second.wanted)
      forget_file(name_of(entry.first));
    return !entry.second.wanted;
  });
  return count;
}

bool SocketStore::flush() {
  while (!waiting_.empty()) {
    if (send(waiting_.front()) == Outcome::kBusy)
      return false;
    waiting_.pop_front();
  }
  return true;
}

bool SocketStore::notify(std::string_view text) {
  return !channel_.valid() || send(text, -1) != Outcome::kBusy;
}

SocketStore::Outcome SocketStore::send(const Message& message) {
  // FDPOLL=0: an error of a socket is ours to read, it does not make the socket worthless.
  const std::string verb = message.fd >= 0 ? "FDSTORE=1\nFDPOLL=0" : "FDSTOREREMOVE=1";
  return send(verb + "\nFDNAME=" + message.name, message.fd);
}

std::function<void(std::string_view text)> SocketStore::notify_from_thread() const {
  const auto channel = std::make_shared<FileDescriptor>(fcntl(channel_.get(), F_DUPFD_CLOEXEC, 0));
  return [channel, path = path_](std::string_view text) {
    (void)send(channel->get(), path, text, -1);
  };
}

SocketStore::Outcome SocketStore::send(std::string_view text, int fd) const {
  return send(channel_.get(), path_, text, fd);
}

SocketStore::Outcome SocketStore::send(int channel, const std::string& path, std::string_view text,
                                       int fd) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path.front() == '@')
    address.sun_path[0] = '\0';
  iovec vector{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_name = &address;
  // An abstract name ends with the address, without a NUL.
  message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                               (path.front() == '@' ? 0 : 1));
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  if (sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
    return Outcome::kSent;
  // ETOOMANYREFS: more descriptors in flight than may be open; the reader catches up.
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS)
    return Outcome::kBusy;
  return Outcome::kLost;
}

} // namespace rtprelay
