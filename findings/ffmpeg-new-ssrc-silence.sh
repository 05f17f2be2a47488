#!/usr/bin/env bash
# FFmpeg 5.1.9 (Debian 12, 7:5.1.9-0+deb12u1) as the receiver of an RTP stream, PCMA, 20 ms.
#
# Guessed: a new SSRC is a new stream (RFC 3550 section 8.2 and appendix A.1: its sequence numbers begin where
#          they like), so its packets are decoded from the first or second one. The same for one SSRC whose
#          sequence jumps: two packets in order make a new start.
# Seen:    the SSRC is not looked at. Packets of a new SSRC are compared with the last sequence number of the
#          former one: when theirs is higher (by up to 32767) all are decoded, when it is lower none is, nor is
#          any later one before the old number has been passed: up to eleven minutes of silence at 20 ms, and
#          one line "RTP: dropping old packet received too late" for each packet. One SSRC that jumps back: the same.
# So half of all re-INVITEs, transfers and announcements that change the SSRC towards a recorder or announcer made
# of FFmpeg silence it; whoever stands in between keeps one SSRC and a rising sequence towards it.
#
# Output seen (packets decoded of the second hundred):
#   same SSRC, goes on: 100
#   new SSRC, higher sequence: 100
#   new SSRC, lower sequence: 0
#   same SSRC, sequence goes back: 0
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, and Debian 12's package lists.
set -u
version=7:5.1.9-0+deb12u1
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install "ffmpeg=$version") >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/tmp" "$work/root/dev"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import os, socket, struct, subprocess, sys, threading, time

root = sys.argv[1]
libraries = "/usr/lib/x86_64-linux-gnu"
cases = [
    ("same SSRC, goes on", 1, 30100),
    ("new SSRC, higher sequence", 2, 50000),
    ("new SSRC, lower sequence", 2, 10000),
    ("same SSRC, sequence goes back", 1, 20000),
]

def one(name, ssrc, sequence, results):
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1] & ~1
    probe.close()
    description = f"/tmp/{port}.sdp"
    with open(root + description, "w") as file:
        file.write(f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n")
    log = open(f"{root}/tmp/{port}.log", "w+")
    receiver = subprocess.Popen(
        ["chroot", root, "/usr/bin/ffmpeg", "-nostdin", "-hide_banner", "-analyzeduration", "200000", "-probesize", "4000",
         "-protocol_whitelist", "file,udp,rtp,pipe", "-i", description, "-flush_packets", "1", "-f", "s16le", "pipe:1"],
        stdout=subprocess.PIPE, stderr=log,
        env={**os.environ, "LD_LIBRARY_PATH": f"{libraries}/blas:{libraries}/lapack:{libraries}/pulseaudio"})
    decoded = [0]
    def read():
        while chunk := os.read(receiver.stdout.fileno(), 65536):
            decoded[0] += len(chunk)
    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(4)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    def send(ssrc, sequence, timestamp, count):
        for index in range(count):
            sender.sendto(struct.pack(">BBHII", 0x80, 8, (sequence + index) & 0xFFFF, timestamp + 160 * index, ssrc) + b"\xd5" * 160,
                          ("127.0.0.1", port))
            time.sleep(0.02)
    send(1, 30000, 0, 100)
    time.sleep(2)
    before = decoded[0]
    send(ssrc, sequence, 16000, 100)
    time.sleep(2)
    results[name] = (before // 320, (decoded[0] - before) // 320)
    receiver.terminate()
    receiver.wait(20)
    thread.join(20)

results = {}
threads = [threading.Thread(target=one, args=(*case, results)) for case in cases]
for thread in threads: thread.start()
for thread in threads: thread.join(60)
print("packets decoded of the second hundred:")
for name, _, _ in cases:
    print(f"  {name}: {results[name][1]}")
if any(before < 90 for before, _ in results.values()):
    print("the first hundred was not decoded either", results)
    sys.exit(2)
heard = [results[name][1] for name, _, _ in cases]
sys.exit(0 if heard[0] >= 90 and heard[1] >= 90 and heard[2] == 0 and heard[3] == 0 else 1)
PY
timeout 120 python3 "$work/try.py" "$work/root"
