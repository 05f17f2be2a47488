#!/usr/bin/env bash
# GStreamer 1.22.0 (Debian 12: gstreamer1.0-plugins-good 1.22.0-5+deb12u4, -bad 1.22.0-4+deb12u8) as receiver of an
# RTP stream, PCMA, 20 ms: gst-launch with rtpbin, and with sdpdemux.
#
# Guessed: a second SSRC on the port is a source that nothing was linked for; it is not heard, and the pipeline
#          waits, as it does when nothing comes.
# Seen:    its first packets end the pipeline: "streaming stopped, reason not-linked", exit status 1. Not the new
#          SSRC alone is lost but the receiver. With sdpdemux no program can prevent that by linking the new pad: it
#          gives each pad of an m-line the same name, so the second one cannot even be added. A bare rtpjitterbuffer
#          takes the new SSRC as a new start and is the one of the three that hears it.
# So a relay keeps one SSRC towards a recorder or announcer of this kind over transfers and takeovers.
#
# Output seen (packets heard of the first SSRC, of the second, receiver still there):
#   rtpjitterbuffer: 100 100 True
#   rtpbin: 100 0 False
#   sdpdemux: 100 0 False
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
# Four plugins are all it takes, so the two packages that hold two hundred come without what they depend on.
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install gstreamer1.0-tools=1.22.0-2+deb12u1 libgstreamer-plugins-base1.0-0) >"$work/apt.log" 2>&1 &&
  (cd "$work/archives" && apt-get -q download gstreamer1.0-plugins-good=1.22.0-5+deb12u4 \
    gstreamer1.0-plugins-bad=1.22.0-4+deb12u8) >>"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir "$work/root/plugins"
for plugin in coreelements rtp rtpmanager udp sdpelem; do
  cp "$work/root/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgst$plugin.so" "$work/root/plugins" || exit 2
done
mkdir -p "$work/root/tmp" "$work/root/dev" "$work/root/root"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import os, socket, struct, subprocess, sys, threading, time

root, log = sys.argv[1:]
environment = {**os.environ, "HOME": "/root", "GST_PLUGIN_SYSTEM_PATH": "/plugins"}
launch = ["chroot", root, "/usr/bin/gst-launch-1.0", "-q"]
end = "rtppcmadepay ! fdsink fd=1 sync=false"
caps = "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMA,payload=8"

def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1] & ~1

def pipeline(name, port):
    source = f"udpsrc address=127.0.0.1 port={port} caps={caps}"
    if name == "rtpjitterbuffer":
        return f"{source} ! rtpjitterbuffer ! {end}"
    if name == "rtpbin":
        return f"rtpbin name=bin {source} ! bin.recv_rtp_sink_0 bin. ! {end}"
    with open(f"{root}/stream.sdp", "w") as file:
        file.write(f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")
    return f"filesrc location=/stream.sdp ! sdpdemux ! {end}"

def one(name):
    port = free_port()
    with open(log, "a") as errors:
        receiver = subprocess.Popen([*launch, *pipeline(name, port).split()], stdout=subprocess.PIPE, stderr=errors, env=environment)
    heard = [0]
    def read():
        while chunk := os.read(receiver.stdout.fileno(), 65536):
            heard[0] += len(chunk)
    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(4)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    def send(ssrc, sequence, timestamp):
        for index in range(100):
            sender.sendto(struct.pack(">BBHII", 0x80, 8, sequence + index, timestamp + 160 * index, ssrc) + b"\xd5" * 160, ("127.0.0.1", port))
            time.sleep(0.02)
    send(1, 30000, 0)
    time.sleep(1)
    first = heard[0] // 160
    send(2, 1000, 40000)
    time.sleep(1)
    alive = receiver.poll() is None
    if alive:
        receiver.terminate()
    receiver.wait(20)
    thread.join(20)
    return first, heard[0] // 160 - first, alive

names = ["rtpjitterbuffer", "rtpbin", "sdpdemux"]
subprocess.run([*launch, "fakesrc", "num-buffers=1", "!", "fakesink"], env=environment, stderr=subprocess.DEVNULL, timeout=60)  # finds the plugins
results = [one(name) for name in names]
for name, result in zip(names, results):
    print(f"{name}:", *result)
if any(first < 90 for first, _, _ in results):
    sys.exit(2)
bare, *others = results
sys.exit(0 if bare[1] >= 90 and bare[2] and all(second == 0 and not alive for _, second, alive in others) else 1)
PY
timeout 110 python3 "$work/try.py" "$work/root" "$work/gst.log"
