#!/usr/bin/env bash
# osmo-mgw 1.10.0 (Debian 12: osmo-mgw 1.10.0+dfsg1-3), the media gateway of Osmocom's GSM networks, with the configuration
# that the package ships (only ports changed): two connections of an endpoint made by MGCP, PCMA, 20 ms.
#
# Guessed: its configuration says `rtp-patch ssrc` ("Force a fixed SSRC") and `rtp-patch timestamp`: when the source behind
#          one connection changes its SSRC (a handover, a gateway that was taken over), the other side goes on to
#          hear one SSRC.
# Seen:    the new SSRC passes as it is, with the timestamps it has; the log says `SSRC changed`, nothing is patched.
#          Sequence numbers and timestamps that step pass unchanged, too.
# So what is behind it hears each new SSRC and each step; whoever has to hide one (for peers that stop at a new SSRC) cannot
# leave that to this gateway.
#
# Output seen (the first packet after the change; numbers against what they would be without it):
#   none: SSRC 1, sequence +0, timestamp +0
#   another SSRC: SSRC 2, sequence +0, timestamp +0
#   another SSRC, which begins anywhere: SSRC 2, sequence -7000, timestamp -3000 packets
#   sequence -1000: SSRC 1, sequence -1000, timestamp +0
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install osmo-mgw=1.10.0+dfsg1-3) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/dev"
[ -e "$work/root/dev/null" ] || mknod -m 666 "$work/root/dev/null" c 1 3
[ -e "$work/root/dev/urandom" ] || mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import re, socket, struct, subprocess, sys, time

root, log = sys.argv[1:]

def udp():
    each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    each.bind(("127.0.0.1", 0))
    each.settimeout(5)
    return each

with udp() as probe:
    control = probe.getsockname()[1]
with open(f"{root}/etc/osmocom/osmo-mgw.cfg") as file:
    shipped = file.read()
if "rtp-patch ssrc" not in shipped or "rtp-patch timestamp" not in shipped:
    print("another configuration is shipped")
    sys.exit(2)
with open(f"{root}/mgw.cfg", "w") as file:
    file.write(shipped.replace("bind port 2427", f"bind port {control}").replace("range 4002 16000", "range 24002 26000"))

mgcp = udp()
mgcp.connect(("127.0.0.1", control))
count = 0

def ask(command):
    global count
    count += 1
    verb, rest = command.split(" ", 1)
    mgcp.send(f"{verb} {count} {rest}".replace("\n", "\r\n").encode())
    return mgcp.recv(4096).decode()

def connect(endpoint, call, port):
    """(the port of the gateway, the endpoint)"""
    reply = ask(f"CRCX {endpoint} MGCP 1.0\nC: {call}\nM: sendrecv\nL: p:20, a:PCMA\n\nv=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\n"
                f"c=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 8\na=rtpmap:8 PCMA/8000\n")
    given = re.search(r"Z: (\S+)", reply)
    return int(re.search(r"m=audio (\d+)", reply)[1]), given[1] if given else endpoint

def change(call, ssrc=1, sequence=0, timestamp=0):
    """(SSRC, sequence, timestamp) of the first packet after the change, None if it was not heard before and after."""
    with udp() as a, udp() as b:
        to_a, endpoint = connect("rtpbridge/*@mgw", call, a.getsockname()[1])
        to_b, _ = connect(endpoint, call, b.getsockname()[1])
        b.setblocking(False)
        heard = {}
        at = time.monotonic()
        for number in range(200):
            late = number >= 100
            a.sendto(struct.pack(">BBHII", 0x80, 8, 20000 + number + late * sequence, 900000 + 160 * (number + late * timestamp), ssrc if late else 1)
                     + struct.pack(">I", number) + bytes(156), ("127.0.0.1", to_a))
            b.sendto(struct.pack(">BBHII", 0x80, 8, number, 160 * number, 9) + bytes(160), ("127.0.0.1", to_b))
            at += 0.02
            time.sleep(max(0, at - time.monotonic()))
            try:
                while True:
                    packet = b.recv(2048)
                    if len(packet) >= 16:
                        _, _, n, t, source, which = struct.unpack(">BBHIII", packet[:16])
                        heard[which] = (source, n - 20000 - which, (t - 900000) // 160 - which)
            except OSError:
                pass
        ask(f"DLCX {endpoint} MGCP 1.0\nC: {call}\n")
        return heard.get(100) if 99 in heard else None

with open(log, "w") as output:
    process = subprocess.Popen(["chroot", root, "/usr/bin/osmo-mgw", "-s", "-c", "/mgw.cfg"], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
try:
    time.sleep(2)
    seen = {
        "none": change(1),
        "another SSRC": change(2, ssrc=2),
        "another SSRC, which begins anywhere": change(3, ssrc=2, sequence=-7000, timestamp=-3000),
        "sequence -1000": change(4, sequence=-1000),
    }
finally:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
if None in seen.values():
    print("not heard")
    sys.exit(2)
for name, (source, sequence, timestamp) in seen.items():
    print(f"  {name}: SSRC {source}, sequence {sequence:+}, timestamp {timestamp:+}{' packets' if timestamp else ''}")
expected = {"none": (1, 0, 0), "another SSRC": (2, 0, 0), "another SSRC, which begins anywhere": (2, -7000, -3000), "sequence -1000": (1, -1000, 0)}
sys.exit(0 if seen == expected else 1)
PY
timeout 120 python3 "$work/try.py" "$work/root" "$work/mgw.log"
