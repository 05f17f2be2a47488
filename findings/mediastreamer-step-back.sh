#!/usr/bin/env bash
# mediastreamer2 5.1.64 with oRTP 5.1.64 (Debian 12: libmediastreamer-tools 1:5.1.64+dfsg-3+b3, libortp16 1:5.1.64-2), the
# media engine of Linphone: its own tool `mediastream`, PCMA, 20 ms, defaults.
#
# Guessed: what is played is placed by its timestamp. A stream whose sequence numbers step back once while the timestamps
#          go on is heard on without a break, and the other way round (timestamps back, or all of it back) is what costs
#          silence: as long as the step, or until it is taken for a new stream.
# Seen:    the other way round. Sequence numbers that step back by 100 silence it for 1.8 s, by 300 or 1000 for 4.5 to
#          5 s, though every timestamp is the one that is due. With the timestamps back as well (20 s), or another
#          SSRC that begins anywhere, nothing is missing. Steps forward by 1000 are no matter.
# So a relay that goes on after a takeover with numbers of its own goes forward (some thousand are free), or changes the
# SSRC; a little behind is the worst it can do, for it looks all right in the timestamps.
#
# Output seen (seconds without the tone after the step, of 12):
#   none: 0.0
#   sequence -100: 1.8
#   sequence -1000: 4.8
#   sequence and timestamp -1000 packets: 0.0
#   sequence +1000: 0.0
#   other SSRC: 0.0
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
  install libmediastreamer-tools=1:5.1.64+dfsg-3+b3 libortp16=1:5.1.64-2) >"$work/apt.log" 2>&1 ||
  { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/dev" "$work/root/root" "$work/root/sound"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import os, signal, socket, struct, subprocess, sys, threading, time, wave

root, log = sys.argv[1:]
with wave.open(f"{root}/sound/spoken.wav", "wb") as file:
    file.setparams((1, 2, 8000, 0, "NONE", ""))
    file.writeframes(bytes(2 * 8000 * 60))
TONE = (b"\x2a" * 4 + b"\xaa" * 4) * 20  # 1 kHz, loud, PCMA

def udp():
    each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    each.bind(("127.0.0.1", 0))
    return each

def silence(name, ssrc=1, sequence=0, timestamp=0):
    """Seconds without the tone after the step; None if it was not heard before."""
    with udp() as probe:
        port = probe.getsockname()[1] & ~1
    heard = f"/sound/heard {name}.wav"
    with udp() as phone, open(log, "a") as output:
        process = subprocess.Popen(
            ["chroot", root, "/usr/bin/mediastream", "--local", str(port), "--remote", f"127.0.0.1:{phone.getsockname()[1]}",
             "--payload", "8", "--infile", "/sound/spoken.wav", "--outfile", heard],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, "HOME": "/root"})
        phone.settimeout(10)
        try:
            phone.recv(2048)
            at = time.monotonic()
            for number in range(850):
                late = number >= 250
                phone.sendto(struct.pack(">BBHII", 0x80, 8, 30000 + number + late * sequence, 1000000 + 160 * (number + late * timestamp),
                                         ssrc if late else 1) + TONE, ("127.0.0.1", port))
                at += 0.02
                time.sleep(max(0, at - time.monotonic()))
        except OSError:
            pass
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with open(root + heard, "rb") as file:
        samples = memoryview(file.read()[44:])
    samples = samples[: len(samples) // 800 * 800].cast("h")  # blocks of 50 ms
    loud = [max(samples[n : n + 400]) > 2000 for n in range(0, len(samples), 400)]
    if True not in loud:
        return None
    start = loud.index(True) + 80  # four seconds into the tone, one before the step
    if not all(loud[start - 60 : start - 20]) or len(loud) < start + 200:
        return None
    return round(0.05 * loud[start : start + 240].count(False), 1)

cases = {"none": {}, "sequence -100": {"sequence": -100}, "sequence -1000": {"sequence": -1000},
         "sequence and timestamp -1000 packets": {"sequence": -1000, "timestamp": -1000},
         "sequence +1000": {"sequence": 1000}, "other SSRC": {"ssrc": 2, "sequence": -29000, "timestamp": 5}}
results = {}
threads = [threading.Thread(target=lambda name=name, case=case: results.update({name: silence(name, **case)})) for name, case in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for name in cases:
    print(f"{name}: {results.get(name)}")
if results.get("none") is None or results["none"] > 0.5 or None in results.values() or len(results) < len(cases):
    sys.exit(2)
back = results["sequence -100"] > 1 and results["sequence -1000"] > 3
others = all(results[name] < 1 for name in ("sequence and timestamp -1000 packets", "sequence +1000", "other SSRC"))
sys.exit(0 if back and others else 1)
PY
timeout 90 python3 "$work/try.py" "$work/root" "$work/mediastream.log"
