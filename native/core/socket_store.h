// Sockets that outlive the process: copies of them lie in the service manager's file descriptor
// store (sd_notify(3), FDSTORE=1), and the next process gets them when it is started
// (sd_listen_fds(3)). Packets that come in between wait in their buffers.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "address.h"
#include "port_record.h"
#include "socket.h"

namespace rtprelay {

// Thread: control only.
class SocketStore {
public:
  /// Takes over the sockets that the service manager passed on: `count` descriptors from `first`.
  /// Those that are no bound UDP sockets are closed. Returns how many are now waiting for `take`.
  std::size_t inherit(int first, std::size_t count);
  /// The same of one that has come another way. false: it is no bound UDP socket, and still the
  /// caller's.
  bool inherit(FileDescriptor& fd);
  /// The same of sockets that this program's start has opened (native/start/): nobody has copies of
  /// them yet. Returns how many they are.
  std::size_t inherit_early(int first, std::size_t count);
  /// From now on `notify` goes to this socket (NOTIFY_SOCKET: a path, or `@` and an abstract name).
  /// false: it cannot be used.
  bool open_channel(std::string_view path);
  /// With `on`, sockets of `keep` are stored; without, only what is stored already is removed.
  void keep_new(bool on) { keeps_new_ = on; }

  /// The ports that are open from now on are noted in this file. false: errno says why not.
  bool record_in(const char* path);

  /// Opens a socket that will be wanted soon, so that what arrives until then waits in it.
  void open_early(const SocketAddress& local, FreeBind free_bind);
  /// The inherited (or early) socket that is bound to `local`, or an invalid one.
  FileDescriptor take(const SocketAddress& local);
  /// The inherited socket of that name (FDNAME) is nobody's any more. One that was taken is its
  /// taker's.
  void drop(std::string_view name);
  /// What was taken has found no use yet: a copy of it is there for the next `take`.
  void give_back(const SocketAddress& local, int fd);
  /// The same by SO_COOKIE.
  FileDescriptor take_by_cookie(std::uint64_t cookie);
  /// Has a copy of a socket stored, unless one is already. The descriptor has to stay open until
  /// `forget` or the next `flush` that returns true.
  void keep(const SocketAddress& local, int fd);
  /// Has the stored copy closed; to be called before the socket itself is.
  void forget(const SocketAddress& local);
  /// Closes the inherited and early sockets that nobody has taken, and their copies; returns how
  /// many.
  std::size_t release_rest();
  /// Sends what could not be sent yet. false: some of it still waits for the service manager.
  bool flush();
  /// A TCP socket that listens at `local`: that of an earlier process, or a new one. With
  /// `keep_listeners` the next process has it, too. Invalid: `error` is the errno.
  FileDescriptor listen(const SocketAddress& local, int& error);
  /// The same at a path, only where listeners are kept: otherwise invalid, with error 0.
  FileDescriptor listen(const std::string& path, int& error);
  /// From now on. Whoever is to go on from them has to know of them.
  void keep_listeners() { keeps_listeners_ = true; }
  /// Has a copy of any other descriptor kept under a name, in the place of one of the same name.
  /// false: it cannot be now.
  bool keep_file(const std::string& name, int fd);
  void forget_file(const std::string& name);
  /// Tells the service manager, e.g. `READY=1`, before any socket that still waits. false: it was
  /// too busy. true: it was told, or there is none.
  bool notify(std::string_view text);
  /// The same for another thread, as long as it likes.
  [[nodiscard]] std::function<void(std::string_view text)> notify_from_thread() const;

private:
  struct Message {
    std::string name;
    /// -1: remove.
    int fd = -1;
  };
  struct Hash {
    std::size_t operator()(const SocketAddress& address) const;
  };
  enum class Outcome { kSent, kBusy, kLost };

  bool inherit_listener(FileDescriptor& fd);
  Outcome send(const Message& message);
  Outcome send(std::string_view text, int fd) const;
  static Outcome send(int channel, const std::string& path, std::string_view text, int fd);

  FileDescriptor record_file_;
  PortRecord record_;
  FileDescriptor channel_;
  std::string path_;
  bool keeps_new_ = false;
  bool keeps_listeners_ = false;
  std::unordered_map<SocketAddress, FileDescriptor, Hash> inherited_;
  struct Listener {
    FileDescriptor fd;
    bool wanted = false;
  };
  /// Kept here as well: whoever closes one and wants it again gets it.
  std::unordered_map<SocketAddress, Listener, Hash> listeners_;
  /// Of Unix sockets, by path.
  std::unordered_map<std::string, Listener> local_listeners_;
  /// What the service manager has a copy of, or will have.
  std::unordered_set<SocketAddress, Hash> stored_;
  std::deque<Message> waiting_;
};

} // namespace rtprelay
