#!/usr/bin/env bash
# GStreamer 1.22.0 (Debian 12: gstreamer1.0-plugins-good 1.22.0-5+deb12u4) as receiver of an RTP stream, PCMA, 20 ms:
# gst-launch with udpsrc and rtpbin.
#
# Guessed: when the stream goes on from another port, with the SSRC, the numbers and the timestamps it had (a NAT that
#          lost its state, a relay that was taken over or got a new port), it is heard on, for a receiver goes by the
#          SSRC; RFC 3550 section 8.2 has its collision and loop rules for receivers as something that may be left out.
# Seen:    the new port is taken for another source that happens to have the same SSRC, and is not heard, without a
#          word, for 23 to 25 s, though not one packet has come from the former port meanwhile. Then it is. If the
#          stream goes back to the former port, it is heard at once. A bare rtpjitterbuffer hears all.
# So towards such a recorder or announcer a relay has to keep its address and port, or to change the SSRC with them,
# which costs the receiver another way (gstreamer-new-ssrc-ends.sh): moved media is a gap of 24 s, not of a moment.
#
# Output seen (packets heard from the first port, and then of each two seconds, 100 packets, from the second):
#   rtpjitterbuffer: 100, then 100
#   rtpbin: 100, then 0 0 0 0 0 0 0 0 0 0 0 76 100
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
end = "rtppcmadepay ! fdsink fd=1 sync=false"
caps = "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMA,payload=8"

def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

def one(receiver):
    """How many packets are heard from the first port, and of each hundred from the second."""
    with udp() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = f"udpsrc address=127.0.0.1 port={port} caps={caps}"
    pipeline = {"rtpjitterbuffer": f"{source} ! rtpjitterbuffer ! {end}",
                "rtpbin": f"rtpbin name=bin {source} ! bin.recv_rtp_sink_0 bin. ! {end}"}[receiver]
    with open(log, "a") as errors:
        process = subprocess.Popen([*launch, *pipeline.split()], stdout=subprocess.PIPE, stderr=errors, env=environment)
    heard = [0]
    def read():
        while chunk := os.read(process.stdout.fileno(), 65536):
            heard[0] += len(chunk)
    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(4)
    sent = 0
    def hundred(sender):
        nonlocal sent
        before = heard[0]
        for _ in range(100):
            sender.sendto(struct.pack(">BBHII", 0x80, 8, sent, 160 * sent, 1) + b"\xd5" * 160, ("127.0.0.1", port))
            sent += 1
            time.sleep(0.02)
        time.sleep(0.3)
        return (heard[0] - before) // 160
    result = []
    with udp() as first, udp() as second:
        result.append(hundred(first))
        while len(result) < 20:
            result.append(hundred(second))
            if result[-1] >= 90:
                break
    process.terminate()
    process.wait(20)
    thread.join(20)
    return result

subprocess.run([*launch, "fakesrc", "num-buffers=1", "!", "fakesink"], env=environment, stderr=subprocess.DEVNULL, timeout=60)  # finds the plugins
bare, bin = one("rtpjitterbuffer"), one("rtpbin")
for name, (first, *then) in {"rtpjitterbuffer": bare, "rtpbin": bin}.items():
    print(f"{name}: {first}, then", *then)
if bare[0] < 90 or bin[0] < 90:
    sys.exit(2)
sys.exit(0 if bare[1] >= 90 and sum(bin[1:6]) == 0 else 1)
PY
timeout 110 python3 "$work/try.py" "$work/root" "$work/gst.log"
