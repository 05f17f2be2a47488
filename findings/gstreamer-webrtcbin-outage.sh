#!/usr/bin/env bash
# GStreamer 1.22.0 with libnice 0.1.21 (Debian 12: gstreamer1.0-plugins-bad 1.22.0-4+deb12u8, gstreamer1.0-nice
# 0.1.21-1): two webrtcbin elements that call each other, over a path that can be cut and can change a port.
#
# Guessed: consent freshness (RFC 7675) as everywhere in WebRTC: `disconnected` after some seconds without an
#          answer, `failed` after 30, nothing is sent any more and the call does not come back by itself. If the
#          port that it talks to changes, a check from the new one with a PRIORITY above all others moves its media
#          there at once.
# Seen:    no consent check is ever made, only one Binding indication in 25 s: in an outage of 35 s there is no
#          change of any state, RTP is sent at full rate all the time, and afterwards media simply goes on. If the
#          port changes, the controlled element moves at once with a check (USE-CANDIDATE, high PRIORITY). The
#          controlling one, which called, answers the check, checks the new port itself, hears what comes from
#          there, and goes on to send to the dead port. It would do so for ever, since nothing tells it that nobody
#          answers.
# So such a peer is the most patient one in a takeover on the same address, and the only sign of its end is
# signalling or silence; on a new port, no check will fetch its media where it was the caller.
#
# Output seen:
#   cut 35 s:    states changed [], binding requests sent 0, share of RTP sent 1.00, heard afterwards True
#   controlled:  heard before a check False, afterwards True, RTP to the old port False, to the new port True
#   controlling: heard before a check False, afterwards True, RTP to the old port True, to the new port False
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder and a network namespace of its own), and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root/plugins"
: >"$work/status"
# A dozen plugins are all it takes, so the packages that hold hundreds come without what they depend on.
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install python3-gi gir1.2-gstreamer-1.0 libgstreamer-plugins-base1.0-0 libnice10 libsrtp2-1) >"$work/apt.log" 2>&1 &&
  (cd "$work/archives" && apt-get -q download gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0=1.22.0-4+deb12u8 \
    libgstreamer-plugins-bad1.0-0=1.22.0-4+deb12u8 gstreamer1.0-plugins-bad=1.22.0-4+deb12u8 \
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good=1.22.0-5+deb12u4 gstreamer1.0-nice=0.1.21-1) \
    >>"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
for plugin in alaw app audiotestsrc coreelements dtls nice rtp rtpmanager srtp webrtc; do
  cp "$work/root/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgst$plugin.so" "$work/root/plugins" || exit 2
done
mkdir -p "$work/root/tmp" "$work/root/dev" "$work/root/root"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/root/try.py" <<'PY'
import hashlib, hmac, os, re, select, socket, struct, threading, time, zlib
import gi
for name in ("Gst", "GstSdp", "GstWebRTC"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC

Gst.init(None)
threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
ADDRESS = "10.0.0.1"

class Peer:
    """A webrtcbin that sends one stream of PCMA and counts what it hears."""
    def __init__(self):
        self.heard, self.states, self.kept = 0, [], []
        self.pipeline = Gst.parse_launch(
            "webrtcbin name=peer bundle-policy=max-bundle audiotestsrc is-live=true samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1"
            " ! alawenc ! rtppcmapay min-ptime=20000000 max-ptime=20000000"
            " ! application/x-rtp,media=audio,encoding-name=PCMA,payload=8,clock-rate=8000 ! peer.")
        self.element = self.pipeline.get_by_name("peer")
        self.element.connect("pad-added", self.add)
        for name in ("connection-state", "ice-connection-state"):
            self.element.connect(f"notify::{name}", lambda element, _, name=name: self.states.append(element.get_property(name).value_nick))
        self.pipeline.set_state(Gst.State.PLAYING)

    def add(self, _, pad):
        def count(*_):
            self.heard += 1
            return Gst.PadProbeReturn.OK
        if pad.direction == Gst.PadDirection.SRC:
            pad.add_probe(Gst.PadProbeType.BUFFER, count)
            sink = Gst.ElementFactory.make("fakesink")
            sink.set_property("async", False)
            self.pipeline.add(sink)
            sink.sync_state_with_parent()
            pad.link(sink.get_static_pad("sink"))

    def ask(self, signal, argument):
        promise = Gst.Promise.new()
        self.element.emit(signal, argument, promise)
        promise.wait()
        self.kept.append((promise, promise.get_reply()))
        return self.kept[-1][1]

    def describe(self, kind):
        self.ask("set-local-description", self.ask(f"create-{kind}", None).get_value(kind))
        for _ in range(100):
            if self.element.get_property("ice-gathering-state").value_nick == "complete":
                break
            time.sleep(0.1)
        return self.element.get_property("local-description").sdp.as_text()

    def take(self, kind, text):
        _, message = GstSdp.SDPMessage.new_from_text(text)
        self.ask("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(getattr(GstWebRTC.WebRTCSDPType, kind.upper()), message))

    def connected(self):
        return self.element.get_property("connection-state").value_nick == "connected"

class Path:
    """Sockets that hand on what comes: faces[side] face that peer; what reaches a former one is lost."""
    def __init__(self):
        self.faces, self.peers, self.cut, self.seen = [[], []], [None, None], False, [{}, {}]
        self.face(0), self.face(1)
        threading.Thread(target=self.run, daemon=True).start()

    def face(self, side):
        face = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        face.bind((ADDRESS, 0))
        self.faces[side].append(face)
        return face

    def run(self):
        while True:
            places = {face: (side, number) for side in (0, 1) for number, face in enumerate(self.faces[side])}
            for face in select.select(list(places), [], [], 0.05)[0]:
                (side, number), (message, self_peer) = places[face], face.recvfrom(4096)
                self.peers[side] = self_peer
                kind = {0x0001: "request", 0x0101: "success"}.get(int.from_bytes(message[:2], "big"))
                if message[0] >= 128 and message[1] & 127 == 8:
                    kind = "rtp"
                self.seen[side][kind, number] = self.seen[side].get((kind, number), 0) + 1
                if not self.cut and face is self.faces[side][-1] and self.peers[1 - side]:
                    self.faces[1 - side][-1].sendto(message, self.peers[1 - side])

    def count(self, side, kind, number):
        return self.seen[side].get((kind, number), 0)

    def through(self, sdp, side):
        port, lines = self.faces[1 - side][0].getsockname()[1], []
        for line in sdp.split("\r\n"):
            if line.startswith("a=candidate:"):
                fields = line.split(" ")
                if port is None or fields[2] != "UDP" or fields[4] != ADDRESS:
                    continue
                fields[5], port = str(port), None
                line = " ".join(fields)
            lines.append(line)
        return "\r\n".join(lines)

def check(user, password, controlling):
    """A binding request as a full agent sends it (RFC 8445 section 7.1)."""
    identity = os.urandom(12)
    head = lambda length: struct.pack(">HHI", 1, length, 0x2112A442) + identity
    attribute = lambda kind, value: struct.pack(">HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)
    body = attribute(0x0006, user.encode()) + (attribute(0x0025, b"") if controlling else b"") + attribute(0x0024, b"\x7f\xff\xff\xff")
    body += attribute(0x802A, b"\xff" * 8) if controlling else attribute(0x8029, b"\0" * 8)
    body += attribute(0x0008, hmac.new(password.encode(), head(len(body) + 24) + body, hashlib.sha1).digest())
    return head(len(body) + 8) + body + attribute(0x8028, struct.pack(">I", zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E))

def call():
    peers, path = (Peer(), Peer()), Path()
    offer = peers[0].describe("offer")
    peers[1].take("offer", path.through(offer, 0))
    answer = peers[1].describe("answer")
    peers[0].take("answer", path.through(answer, 1))
    for _ in range(200):
        if all(peer.connected() and peer.heard > 50 for peer in peers):
            return peers, path, (offer, answer)
        time.sleep(0.1)
    print("not connected")
    os._exit(2)

def outage(seconds):
    peers, path, _ = call()
    time.sleep(2)
    path.cut = True
    before, rtp, states = sum(path.count(side, "request", 0) for side in (0, 1)), path.count(0, "rtp", 0), [len(peer.states) for peer in peers]
    began = time.monotonic()
    time.sleep(seconds)
    share = (path.count(0, "rtp", 0) - rtp) / ((time.monotonic() - began) * 50)
    requests = sum(path.count(side, "request", 0) for side in (0, 1)) - before
    path.cut = False
    heard = [peer.heard for peer in peers]
    time.sleep(4)
    changed = [state for peer, known in zip(peers, states) for state in peer.states[known:]]
    return changed, requests, share, all(peer.heard - known > 100 for peer, known in zip(peers, heard))

def new_port(side):
    peers, path, descriptions = call()
    time.sleep(1)
    peer, face = peers[side], path.face(side)
    time.sleep(0.5)
    heard = peer.heard
    time.sleep(1)
    early = peer.heard - heard > 10
    value = lambda text, name: re.search(rf"^a={name}:(\S+)", text, re.M).group(1)
    own, other = descriptions[side], descriptions[1 - side]
    for _ in range(5):
        face.sendto(check(f"{value(own, 'ice-ufrag')}:{value(other, 'ice-ufrag')}", value(own, "ice-pwd"), side == 1), path.peers[side])
        time.sleep(0.2)
    if not path.count(side, "success", 1):
        print("the check was not answered")
    heard, old, new = peer.heard, path.count(side, "rtp", 0), path.count(side, "rtp", 1)
    time.sleep(20)
    return early, peer.heard - heard > 500, path.count(side, "rtp", 0) - old > 500, path.count(side, "rtp", 1) - new > 500

results = {}
def keep(name, function, argument):
    results[name] = function(argument)
threads = [threading.Thread(target=keep, args=each) for each in (("cut", outage, 35), ("controlled", new_port, 1), ("controlling", new_port, 0))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
changed, requests, share, after = results["cut"]
print(f"cut 35 s:    states changed {changed}, binding requests sent {requests}, share of RTP sent {share:.2f}, heard afterwards {after}")
for name in ("controlled:", "controlling:"):
    print(f"{name:12} heard before a check {{}}, afterwards {{}}, RTP to the old port {{}}, to the new port {{}}".format(*results[name[:-1]]))
same = (changed, requests, after) == ([], 0, True) and share > 0.9
same = same and results["controlled"] == (False, True, False, True) and results["controlling"] == (False, True, True, False)
os._exit(0 if same else 1)
PY
timeout 100 unshare -n sh -c 'ip link set lo up && ip link add media0 type veth peer name media1 && ip link set media1 up &&
  ip address add 10.0.0.1/24 dev media0 && ip link set media0 up || exit 2
  HOME=/root GST_PLUGIN_SYSTEM_PATH=/plugins exec chroot "$1" /usr/bin/python3 -u /try.py' sh "$work/root" 2>"$work/errors"
code=$?
[ "$code" -ne 1 ] && [ "$code" -ne 0 ] && tail -n 5 "$work/errors"
exit "$code"
