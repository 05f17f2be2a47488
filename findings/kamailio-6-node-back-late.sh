#!/usr/bin/env bash
# Kamailio 6.0.1-1+deb13u1 (Debian 13), module rtpengine, one relay; 6.1.5 does the same.
#
# Guessed: as in 5.6: a relay that did not answer is disabled for rtpengine_disable_tout (60 s), but with no other one left it is
#          asked by ping at the next call (aggressive_redetection, on), so a relay that is back serves at once. What is to be
#          shortened, if anything, is rtpengine_disable_tout.
# Seen:    aggressive_redetection is off. Nothing but a timer asks again, every ping_interval (60 s): a relay that was away
#          for 1.5 s while one call came is back, and for 53 s more each call is refused without a packet to it.
#          rtpengine_disable_tout=3 changes nothing, nor does ping_mode=0. ping_interval=3 or aggressive_redetection=1 do.
# So after the upgrade of the proxy the restart of a relay, harmless before, is up to a minute without calls, and the parameter
# that one would turn is the one without effect. (The same when both machines start and the relay is the slower one.)
#
# Output seen (before, while it is away, when it is back, and the seconds until a call is served):
#   defaults: 200 503 200, 53 s
#   rtpengine_disable_tout 3: 200 503 200, 53 s
#   ping_mode 0: 200 503 200, 53 s
#   aggressive_redetection 1: 200 503 200, 0 s
#   ping_interval 3: 200 503 200, 2 s
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into a folder and
# network namespaces of its own), python3, and a Debian mirror that apt is configured with. Takes a minute and a half.
set -u
version=6.0.1-1+deb13u1
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|main|//p' |
  grep -v security | head -n 1)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -n "$mirror" ] && [ -e "$keys" ] || { echo "no Debian mirror"; exit 2; }
mkdir -p "$work/archives/partial" "$work/lists/partial" "$work/root"
: >"$work/status"
echo "deb [signed-by=$keys] $mirror trixie main" >"$work/sources.list"
apt=(apt-get -q -y -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache="$work" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1
  -o APT::Sandbox::User=root)
("${apt[@]}" update && "${apt[@]}" --no-install-recommends --download-only install "kamailio=$version") >"$work/apt.log" 2>&1 ||
  { tail -n 3 "$work/apt.log"; exit 2; }
# Debian 13 has /bin and its like as links into /usr, which no package holds.
for folder in bin sbin lib lib64; do mkdir -p "$work/root/usr/$folder" && ln -s "usr/$folder" "$work/root/$folder" || exit 2; done
for package in "$work"/archives/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$work/root" || exit 2; done
mkdir -p "$work/root/tmp" "$work/root/dev"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9
mknod -m 666 "$work/root/dev/zero" c 1 5

cat >"$work/try.py" <<'PYTHON'
import socket, subprocess, sys, threading, time

root = sys.argv[1]
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
NODE, PROXY = 22222, 5060
LIMIT = 80
cases = [
    ("defaults", ""),
    ("rtpengine_disable_tout 3", 'modparam("rtpengine", "rtpengine_disable_tout", 3)'),
    ("ping_mode 0", 'modparam("rtpengine", "ping_mode", 0)'),
    ("aggressive_redetection 1", 'modparam("rtpengine", "aggressive_redetection", 1)'),
    ("ping_interval 3", 'modparam("rtpengine", "ping_interval", 3)'),
]


class Node:
    """A relay: answers pings and offers while it is there; its port is closed otherwise."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", NODE))
        self.here = True
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            packet, source = self.socket.recvfrom(65535)
            if not self.here:
                return
            cookie, body = packet.split(b" ", 1)
            ping = b"7:command4:ping" in body
            reply = b"d6:result4:ponge" if ping else b"d3:sdp%d:%s6:result2:oke" % (len(SDP), SDP.encode())
            self.socket.sendto(cookie + b" " + reply, source)

    def leave(self):
        # A thread that waits for it would keep it open: the packet to itself wakes it.
        self.here = False
        self.socket.sendto(b"x ", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


class Caller:
    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(15)
        self.count = 0

    def call(self):
        self.count += 1
        port = self.socket.getsockname()[1]
        head = [f"INVITE sip:b@127.0.0.1:{PROXY} SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{port}x{self.count}",
                f"From: <sip:a@127.0.0.1>;tag={port}", "To: <sip:b@127.0.0.1>", f"Call-ID: {port}-{self.count}", "CSeq: 1 INVITE",
                "Max-Forwards: 70", "Content-Type: application/sdp", f"Content-Length: {len(SDP)}"]
        self.socket.sendto(("\r\n".join(head) + "\r\n\r\n" + SDP).encode(), ("127.0.0.1", PROXY))
        return self.socket.recv(65535)[8:11].decode()


def one(name, parameter):
    with open(f"{root}/tmp/{name}.cfg".replace(" ", "_"), "w") as file:
        file.write("debug=0\nlog_stderror=yes\nchildren=1\nauto_aliases=no\ndisable_tcp=yes\n"
                   'loadmodule "sl.so"\nloadmodule "pv.so"\nloadmodule "rtpengine.so"\n'
                   f'modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:{NODE}")\n{parameter}\n'
                   'request_route {\n  if (rtpengine_offer("")) sl_send_reply("200", "OK"); else sl_send_reply("503", "None");\n}\n')
    node = Node()
    proxy = subprocess.Popen(["chroot", root, "/usr/sbin/kamailio", "-DD", "-E", "-f", f"/tmp/{name}.cfg".replace(" ", "_"),
                              "-l", f"udp:127.0.0.1:{PROXY}", "-Y", "/tmp", "-w", "/tmp"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(5)
    caller = Caller()
    before = caller.call()
    node.leave()
    time.sleep(0.5)
    away = caller.call()
    time.sleep(1)
    node = Node()
    back = time.time()
    while (answer := caller.call()) != "200" and time.time() - back < LIMIT:
        time.sleep(1)
    seconds = time.time() - back
    proxy.terminate()
    proxy.wait(20)
    print(f"{name}|{before}|{away}|{answer}|{seconds:.0f}", flush=True)


one(*cases[int(sys.argv[2])])
PYTHON
for case in 0 1 2 3 4; do
  timeout 150 unshare -n sh -c 'ip link set lo up; exec python3 "$0/try.py" "$0/root" "$1"' "$work" "$case" >"$work/result-$case" 2>"$work/log-$case" &
done
wait
# served CASE LOW HIGH: the seconds until a call is served.
served() {
  IFS='|' read -r name before away after seconds <"$work/result-$1" || { tail -n 3 "$work/log-$1"; exit 2; }
  echo "$name: $before $away $after, $seconds s"
  [ "$before" = 200 ] && [ "$away" = 503 ] || exit 2
  [ "$after" = 200 ] && [ "$seconds" -ge "$2" ] && [ "$seconds" -le "$3" ] || status=1
}
status=0
served 0 40 70
served 1 40 70
served 2 40 70
served 3 0 2
served 4 0 10
exit "$status"
