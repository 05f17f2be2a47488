#!/usr/bin/env bash
# GStreamer 1.22.0 (Debian 12: gstreamer1.0-plugins-good 1.22.0-5+deb12u4) as receiver of an RTP stream, PCMA, 20 ms: udpsrc,
# rtpjitterbuffer with its defaults (latency=200), and a sink that plays by the clock (sync=true), as each loudspeaker does.
#
# Guessed: a step costs the more the larger it is: one packet's worth of numbers or a tenth of a second of timestamps goes unnoticed, some
#          seconds are a hole or a new start.
# Seen:    the other way round. Timestamps that step forward by 0.5 s or 0.9 s (numbers without a gap) are 0.5 s and 0.9 s of silence, and
#          what comes after is played that much late, slowly less; by 1.1 s, 5 s, or back: nothing is missing. Numbers and
#          timestamps back by 50 packets: 50 are dropped; by 90: 90; from 101 on it is a new start after a few.
# So a relay or gateway that goes on after a takeover with a small margin, or a little behind, picks the worst of all steps for
# such a receiver: more than 1 s forward in the timestamps costs nothing.
#
# Output seen (packets of 400 not played in the 8 s after the step, and in the first second after it):
#   none: 0 0
#   timestamps 0.5 s on: 0 21
#   timestamps 0.9 s on: 0 39
#   timestamps 1.1 s on: 0 0
#   timestamps 5 s on: 0 0
#   timestamps 0.9 s back: 0 0
#   all 50 back: 50 39
#   all 90 back: 90 39
#   all 150 back: 6 6
#   all 1000 back: 6 6
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
# Three plugins are all it takes, so the package that holds a hundred comes without what it depends on.
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install gstreamer1.0-tools=1.22.0-2+deb12u1 libgstreamer-plugins-base1.0-0) >"$work/apt.log" 2>&1 &&
  (cd "$work/archives" && apt-get -q download gstreamer1.0-plugins-good=1.22.0-5+deb12u4) >>"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir "$work/root/plugins"
for plugin in coreelements rtp rtpmanager udp; do
  cp "$work/root/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgst$plugin.so" "$work/root/plugins" || exit 2
done
mkdir -p "$work/root/dev" "$work/root/root"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import os, socket, struct, subprocess, sys, threading, time

root, log = sys.argv[1:]
environment = {**os.environ, "HOME": "/root", "GST_PLUGIN_SYSTEM_PATH": "/plugins"}
launch = ["chroot", root, "/usr/bin/gst-launch-1.0", "-q"]
caps = "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMA,payload=8"

def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

def one(name, numbers, packets):
    """Plays 3 s, steps by numbers and by the time of so many packets, plays 8 s."""
    with udp() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pipeline = f"udpsrc address=127.0.0.1 port={port} caps={caps} ! rtpjitterbuffer ! rtppcmadepay ! fdsink fd=1 sync=true"
    with open(log, "a") as errors:
        process = subprocess.Popen([*launch, *pipeline.split()], stdout=subprocess.PIPE, stderr=errors, env=environment)
    played = [0]
    def read():
        while chunk := os.read(process.stdout.fileno(), 65536):
            played[0] += len(chunk)
    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(6)
    at = time.monotonic()
    counts = {}
    with udp() as sender:
        for sent in range(550):
            late = sent >= 150
            if sent in (150, 200):
                counts[sent] = played[0]
            number = 1000 + sent + late * numbers
            sender.sendto(struct.pack(">BBHII", 0x80, 8, number, 1000000 + 160 * (sent + late * packets), 1) + b"\xd5" * 160, ("127.0.0.1", port))
            at += 0.02
            time.sleep(max(0, at - time.monotonic()))
    time.sleep(2)
    # What is in the buffer (200 ms) at the step is played after it.
    results[name] = counts[150] // 160, (played[0] // 160, counts[200] // 160)
    process.terminate()
    process.wait(20)
    thread.join(20)

subprocess.run([*launch, "fakesrc", "num-buffers=1", "!", "fakesink"], env=environment, stderr=subprocess.DEVNULL, timeout=60)  # finds the plugins
cases = {"none": (0, 0), "timestamps 0.5 s on": (0, 25), "timestamps 0.9 s on": (0, 45), "timestamps 1.1 s on": (0, 55), "timestamps 5 s on": (0, 250),
         "timestamps 0.9 s back": (0, -45), "all 50 back": (-50, -50), "all 90 back": (-90, -90), "all 150 back": (-150, -150),
         "all 1000 back": (-1000, -1000)}
results = {}
threads = [threading.Thread(target=one, args=(name, *case)) for name, case in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if len(results) < len(cases):
    sys.exit(2)
whole, second = results["none"][1][0], results["none"][1][1]
missing = {name: (whole - played, second - early) for name, (_, (played, early)) in results.items()}
for name in cases:
    print(f"  {name}: {missing[name][0]} {missing[name][1]}")
if whole < 545 or any(before < 130 for before, _ in results.values()):
    sys.exit(2)
lost, silent = ({name: pair[place] for name, pair in missing.items()} for place in (0, 1))
same = silent["timestamps 0.5 s on"] > 15 and silent["timestamps 0.9 s on"] > 30
same = same and all(abs(silent[name]) < 10 for name in ("timestamps 1.1 s on", "timestamps 5 s on", "timestamps 0.9 s back"))
sys.exit(0 if same and lost["all 50 back"] > 40 and lost["all 90 back"] > 80 and lost["all 150 back"] < 20 and lost["all 1000 back"] < 20 else 1)
PY
timeout 110 python3 "$work/try.py" "$work/root" "$work/gst.log"
