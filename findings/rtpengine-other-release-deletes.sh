#!/usr/bin/env bash
# rtpengine 10.5.3.5-1 (Debian 12) and 12.5.1.31-1 (Debian 13): calls in Redis over an upgrade of Debian.
#
# Guessed: the newer release restores what the older one has stored, as it restores its own after a restart: the way back may be
#          closed, but calls outlive the upgrade.
# Seen:    neither reads the other's. At its start it deletes each key that it cannot read, with one warning per call, so the
#          former release, started again at once, finds nothing either: the rollback ends the calls as well.
# So a node of a new release that is started on the database of a pair takes the running calls of the other out of Redis, and
# nothing is left to fail over with. It wants a database of its own until the old one's last call has ended, or a relay that
# reads both.
#
# Output seen (calls restored of 3 and keys left, then by the first again):
#   10.5 to 10.5: 3 calls, 3 keys; back: 3 calls, 3 keys
#   10.5 to 12.5: 0 calls, 0 keys; back: 0 calls, 0 keys
#   12.5 to 12.5: 3 calls, 3 keys; back: 3 calls, 3 keys
#   12.5 to 10.5: 0 calls, 0 keys; back: 0 calls, 0 keys
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into folders and a
# network namespace of its own), python3, and a Debian mirror that apt is configured with.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|main|//p' |
  grep -v security | head -n 1)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -n "$mirror" ] && [ -e "$keys" ] || { echo "no Debian mirror"; exit 2; }

# root SUITE FOLDER PACKAGE...: unpacked, with all they depend on.
root() {
  local suite=$1 folder=$work/$2
  shift 2
  mkdir -p "$folder/archives/partial" "$folder/lists/partial" "$folder/root"
  : >"$folder/status"
  echo "deb [signed-by=$keys] $mirror $suite main" >"$folder/sources.list"
  local apt=(apt-get -q -y -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::Lists="$folder/lists" -o Dir::State::status="$folder/status" -o Dir::Cache="$folder"
    -o Dir::Cache::archives="$folder/archives" -o Debug::NoLocking=1 -o APT::Sandbox::User=root)
  ("${apt[@]}" update && "${apt[@]}" --no-install-recommends --download-only install "$@") >"$folder/apt.log" 2>&1 ||
    { tail -n 3 "$folder/apt.log"; exit 2; }
  # From Debian 13 on /bin and its like are links into /usr, which no package holds.
  for name in bin sbin lib lib64; do mkdir -p "$folder/root/usr/$name" && ln -s "usr/$name" "$folder/root/$name" || exit 2; done
  for package in "$folder"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$folder/root" || exit 2
  done
  mkdir -p "$folder/root/tmp" "$folder/root/dev"
  mknod -m 666 "$folder/root/dev/null" c 1 3
  mknod -m 666 "$folder/root/dev/zero" c 1 5
  mknod -m 666 "$folder/root/dev/random" c 1 8
  mknod -m 666 "$folder/root/dev/urandom" c 1 9
}
root bookworm old rtpengine-daemon=10.5.3.5-1 redis-server
root trixie new rtpengine-daemon=12.5.1.31-1

cat >"$work/try.py" <<'PYTHON'
import socket, subprocess, sys, time

work = sys.argv[1]
roots = {"10.5": f"{work}/old/root", "12.5": f"{work}/new/root"}
CALLS = 3


def bencode(value):
    if isinstance(value, dict):
        return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"
    data = value.encode()
    return b"%d:" % len(data) + data


class Relay:
    def __init__(self, release):
        self.process = subprocess.Popen(
            ["chroot", roots[release], "/usr/bin/rtpengine", "--config-file=none", "--interface=127.0.0.1", "--listen-ng=127.0.0.1:2223",
             "--table=-1", "--foreground", "--log-stderr", "--log-level=4", "--port-min=40000", "--port-max=40199",
             "--redis=127.0.0.1:6390/1"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(1)
        self.count = 0
        for _ in range(30):
            try:
                if b"pong" in self.ask(command="ping"):
                    return
            except OSError:
                time.sleep(0.3)
        sys.exit(2)

    def ask(self, **fields):
        self.count += 1
        cookie = b"%d " % self.count
        words = {name.replace("_", "-"): value for name, value in fields.items()}
        self.socket.sendto(cookie + bencode(words), ("127.0.0.1", 2223))
        while not (reply := self.socket.recv(65535)).startswith(cookie):
            pass
        return reply

    def kill(self):
        self.process.kill()
        self.process.wait()


def sdp(port):
    return f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"


def redis(*words):
    return subprocess.run(["chroot", roots["10.5"], "/usr/bin/redis-cli", "-p", "6390", "-n", "1", *words], capture_output=True, text=True).stdout.strip()


def look(relay):
    calls = sum(b"result2:ok" in relay.ask(command="query", call_id=f"call{index}") for index in range(CALLS))
    return calls, int(redis("dbsize"))


def one(first, second):
    redis("flushall")
    relay = Relay(first)
    for index in range(CALLS):
        names = {"call_id": f"call{index}", "from_tag": "a"}
        if b"result2:ok" not in relay.ask(command="offer", sdp=sdp(7000 + 4 * index), **names):
            sys.exit(2)
        relay.ask(command="answer", to_tag="b", sdp=sdp(7002 + 4 * index), **names)
    time.sleep(0.5)
    if look(relay) != (CALLS, CALLS):
        sys.exit(2)
    relay.kill()
    relay = Relay(second)
    there = look(relay)
    relay.kill()
    relay = Relay(first)
    back = look(relay)
    relay.kill()
    print(f"{first} to {second}: {there[0]} calls, {there[1]} keys; back: {back[0]} calls, {back[1]} keys", flush=True)
    return there + back == ((CALLS,) * 4 if first == second else (0,) * 4)


server = subprocess.Popen(["chroot", roots["10.5"], "/usr/bin/redis-server", "--port", "6390", "--save", "", "--dir", "/tmp"], stdout=subprocess.DEVNULL)
try:
    for _ in range(30):
        if redis("ping") == "PONG":
            break
        time.sleep(0.2)
    pairs = [("10.5", "10.5"), ("10.5", "12.5"), ("12.5", "12.5"), ("12.5", "10.5")]
    results = [one(*pair) for pair in pairs]
finally:
    server.terminate()
    server.wait(20)
sys.exit(0 if all(results) else 1)
PYTHON
timeout 120 unshare -n sh -c 'ip link set lo up; exec python3 "$0/try.py" "$0"' "$work"
