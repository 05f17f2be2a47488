#!/usr/bin/env bash
# redis-server 5:7.0.15-1~deb12u10 (Debian 12), defaults; Redis 8.0.2 and Valkey 8.1.1 (Debian 13) do the same.
#
# Guessed: the keyspace event `expired` comes when the key's time is up, give or take a second: the server looks for such keys
#          ten times a second.
# Seen:    it comes when the key is found, and the search takes a few keys in turn out of all that have a time to live,
#          those whose time is far included. Among a hundred of them: after a moment. Among 10,000: up to 50 s late, among
#          25,000 up to two minutes, among 100,000 seven. Meanwhile DBSIZE and SCAN still count the key; whoever asks for it (GET,
#          EXISTS, TTL) is told that it is gone, and that question raises the event at once. active-expire-effort 10 shortens it.
# So who keeps one key per call with a time to live, and waits for `expired` to clear away what a dead node left, is the later
# the more calls live. He keeps the times himself, or asks for each key when its time is up.
#
# Output seen (seconds from the end of the time to live to the event, of five keys; they differ from run to run):
#   among 100: 0.3 0.4 0.4 0.5 0.6
#   among 10000: 10.8 19.7 31.6 34.2 34.2
#   among 10000, effort 10: 0.5 3.8 9.0 9.3 10.4
#   among 10000, asked for: 0.0 0.0 0.0 0.0 0.0
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, and Debian 12's package lists. Takes a minute.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/dev" "$work/root/tmp"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import socket, subprocess, sys, threading, time

root = sys.argv[1]

class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 150)
        self.lines = self.socket.makefile("rb")

    def send(self, *words):
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words))

    def line(self):
        return self.lines.readline().strip()

def late(name, others, effort="1", ask=False):
    """Seconds from the end of the time to live of each of five keys to its event."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(["chroot", root, "/usr/bin/redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp",
                               "--notify-keyspace-events", "KEA", "--active-expire-effort", effort], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                client, watcher = Client(port), Client(port)
                break
            except OSError:
                time.sleep(0.1)
        for number in range(others):
            client.send("SET", f"call-{number}", "x" * 200, "EX", "3600")
            if number % 100 == 99:
                for _ in range(100):
                    client.line()
        watcher.send("PSUBSCRIBE", "__keyevent@0__:expired")
        for _ in range(6):
            watcher.line()
        ends = {}
        for number in range(5):
            client.send("SET", f"dead-{number}", "x", "PX", str(1000 + 100 * number))
            if client.line() != b"+OK":
                return
            ends[f"dead-{number}".encode()] = time.monotonic() + 1 + 0.1 * number
        seen = []
        while len(seen) < 5:
            if ask:
                key, end = list(ends.items())[len(seen)]
                time.sleep(max(0, end + 0.005 - time.monotonic()))
                client.send("EXISTS", key.decode())
                client.line()
            key = watcher.line()
            if not key:
                return
            if key in ends:
                seen.append(max(0.0, round(time.monotonic() - ends[key], 1)))
        results[name] = seen
    finally:
        server.kill()
        server.wait()

results = {}
cases = {"among 100": (100,), "among 10000": (10000,), "among 10000, effort 10": (10000, "10"), "among 10000, asked for": (10000, "1", True)}
threads = [threading.Thread(target=late, args=(name, *case)) for name, case in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if len(results) < len(cases):
    sys.exit(2)
for name in cases:
    print(f"  {name}:", *sorted(results[name]))
few, many, _, asked = (max(results[name]) for name in cases)
sys.exit(0 if few < 5 and many > 10 and asked < 5 else 1)
PY
LC_ALL=C timeout 170 python3 "$work/try.py" "$work/root"
