"""A small service manager: sd_notify(3) with a file descriptor store, sd_listen_fds(3), restart at once.

    service-manager.py [--signals] COMMAND WORD...

Starts the command again whenever it ends. Orders come as lines on stdin: `kill` (SIGKILL), `stop`
(SIGTERM), each followed by a restart; `quit`. With --signals they come as USR1, USR2 and TERM. What happens is told on stdout, one line each: `started
PID`, `ended STATUS`, and every notification, descriptors of FDSTORE as `kept NAME`, `removed NAME`.
The command's stderr is passed on.
"""

import os
import select
import signal
import socket
import sys
import tempfile
import time

MOST_DESCRIPTORS = 64


def say(*words):
    print(*words, flush=True)


def start(command, channel, store):
    """The child gets the stored descriptors from 3 on, as systemd passes them."""
    child = os.fork()
    if child != 0:
        return child
    kept = [fd for fds in store.values() for fd in fds]
    # Out of the way first: a source may lie where another target is.
    moved = [os.dup2(fd, 1000 + at) for at, fd in enumerate(kept)]
    for at, fd in enumerate(moved):
        os.dup2(fd, 3 + at, inheritable=True)
    os.closerange(3 + len(kept), 1000 + len(kept) + 100)
    os.environ["NOTIFY_SOCKET"] = channel
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(kept))
    os.environ["LISTEN_FDNAMES"] = ":".join(n for n, fds in store.items() for _ in fds)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    try:
        os.execvp(command[0], command)
    finally:
        os._exit(127)


def notification(server, store):
    data, fds, _flags, _from = socket.recv_fds(server, 65536, MOST_DESCRIPTORS)
    lines = data.decode().split("\n")
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    name = fields.get("FDNAME", "stored")
    if "FDSTORE" in fields:
        store.setdefault(name, []).extend(fds)
        say("kept", name)
    elif "FDSTOREREMOVE" in fields:
        for fd in store.pop(name, []):
            os.close(fd)
        say("removed", name)
    else:
        for line in lines:
            say(line)


def main():
    command = sys.argv[1:]
    by_signal = command[0] == "--signals"
    orders = []
    if by_signal:
        command = command[1:]
        names = {signal.SIGUSR1: "kill", signal.SIGUSR2: "stop", signal.SIGTERM: "quit"}
        for number, name in names.items():
            signal.signal(number, lambda *_, name=name: orders.append(name))
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "notify")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(path)
    # As slow as a systemd that has much else to do: the queue of the socket is full at once.
    slow = float(os.environ.get("SERVICE_MANAGER_PAUSE", "0"))
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    store = {}
    child = start(command, path, store)
    say("started", child)
    sources = [server, wake_read] + ([] if by_signal else [sys.stdin])
    try:
        while True:
            ready, _, _ = select.select(sources, [], [])
            if server in ready:
                notification(server, store)
                time.sleep(slow)
                continue
            if wake_read in ready:
                os.read(wake_read, 64)
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended != 0:
                    say("ended", os.waitstatus_to_exitcode(status))
                    child = start(command, path, store)
                    say("started", child)
            else:
                orders.append(sys.stdin.readline().strip())
            for order in orders:
                if order not in ("kill", "stop"):
                    return
                os.kill(child, signal.SIGKILL if order == "kill" else signal.SIGTERM)
            orders.clear()
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.kill(child, signal.SIGKILL)
        os.unlink(path)
        os.rmdir(folder)


main()
