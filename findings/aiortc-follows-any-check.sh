#!/usr/bin/env bash
# aiortc 1.4.0 with aioice 0.8.0 (Debian 12: python3-aiortc 1.4.0-2), a WebRTC stack in Python.
#
# Guessed: a check (RFC 8445) from a new address moves its media there only if the PRIORITY is above that of the
#          pair in use, as browsers have it (a relay lets its standby check with a low PRIORITY, which changes
#          nothing); and nothing is heard from an address that has not been checked.
# Seen:    PRIORITY counts for nothing. As controlling agent (whoever calls an ice-lite relay) it moves to whatever
#          address an authenticated check came from last, PRIORITY 1 is enough; as controlled one likewise, if the
#          check has USE-CANDIDATE. And media is heard from a new port before any check.
# So for such a peer a check is a takeover: of two relays only the one that serves may send any.
#
# Output seen (where its RTP goes within 4 s of a check with PRIORITY 1 from a new port):
#   controlling: heard before the check True, RTP to the new port True, to the old False
#   controlled, USE-CANDIDATE: heard before the check True, RTP to the new port True, to the old False
#   controlled, without: heard before the check True, RTP to the new port False, to the old True
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder and a network namespace of its own), and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install python3-aiortc=1.4.0-2 python3-aioice=0.8.0-1) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/tmp" "$work/root/dev" "$work/root/root"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/root/try.py" <<'PY'
import asyncio, hashlib, hmac, os, re, struct, time, zlib
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

ADDRESS = "10.0.0.1"

class Peer:
    """One side of a call with one audio stream; counts the frames that it hears."""
    def __init__(self):
        self.connection, self.heard = RTCPeerConnection(RTCConfiguration(iceServers=[])), 0
        self.connection.on("track", lambda track: asyncio.ensure_future(self.listen(track)))
        self.connection.addTrack(AudioStreamTrack())

    async def listen(self, track):
        try:
            while True:
                await track.recv()
                self.heard += 1
        except MediaStreamError:
            pass

class Face(asyncio.DatagramProtocol):
    """A socket of the path between the two; what reaches a former one is lost."""
    def __init__(self, path, side):
        self.path, self.side, self.rtp, self.successes = path, side, 0, 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, message, peer):
        path, side = self.path, self.side
        path.peers[side] = peer
        if message[0] >= 128 and not 64 <= message[1] & 127 < 96:
            self.rtp += 1
        if message[:2] == b"\x01\x01":
            self.successes += 1
        if path.faces[side][-1] is self and path.peers[1 - side]:
            path.faces[1 - side][-1].transport.sendto(message, path.peers[1 - side])

class Path:
    def __init__(self):
        self.faces, self.peers = [[], []], [None, None]

    async def face(self, side):
        loop = asyncio.get_event_loop()
        _, face = await loop.create_datagram_endpoint(lambda: Face(self, side), local_addr=(ADDRESS, 0))
        self.faces[side].append(face)
        return face

    def through(self, sdp, side):
        port, lines = self.faces[1 - side][0].transport.get_extra_info("sockname")[1], []
        for line in sdp.split("\r\n"):
            if line.startswith("a=candidate:"):
                fields = line.split(" ")
                if port is None or fields[4] != ADDRESS:
                    continue
                fields[5], port = str(port), None
                line = " ".join(fields)
            lines.append(line)
        return "\r\n".join(lines)

def check(user, password, controlling, nominates):
    """A binding request as a full agent sends it (RFC 8445 section 7.1), with PRIORITY 1."""
    identity = os.urandom(12)
    head = lambda length: struct.pack(">HHI", 1, length, 0x2112A442) + identity
    attribute = lambda kind, value: struct.pack(">HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)
    body = attribute(0x0006, user.encode()) + (attribute(0x0025, b"") if nominates else b"") + attribute(0x0024, b"\0\0\0\x01")
    body += attribute(0x802A, b"\xff" * 8) if controlling else attribute(0x8029, b"\0" * 8)
    body += attribute(0x0008, hmac.new(password.encode(), head(len(body) + 24) + body, hashlib.sha1).digest())
    return head(len(body) + 8) + body + attribute(0x8028, struct.pack(">I", zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E))

async def new_port(side, nominates):
    """A call; the port that one side talks to changes, and a check comes from the new one."""
    peers, path = (Peer(), Peer()), Path()
    await path.face(0), await path.face(1)
    offerer, answerer = (peer.connection for peer in peers)
    await offerer.setLocalDescription(await offerer.createOffer())
    offer = offerer.localDescription.sdp
    await answerer.setRemoteDescription(RTCSessionDescription(path.through(offer, 0), "offer"))
    await answerer.setLocalDescription(await answerer.createAnswer())
    answer = answerer.localDescription.sdp
    await offerer.setRemoteDescription(RTCSessionDescription(path.through(answer, 1), "answer"))
    for _ in range(200):
        if all(peer.connection.connectionState == "connected" and peer.heard > 50 for peer in peers):
            break
        await asyncio.sleep(0.1)
    else:
        return None
    peer, old = peers[side], path.faces[side][0]
    face = await path.face(side)
    await asyncio.sleep(0.3)
    heard = peer.heard
    await asyncio.sleep(0.7)
    early = peer.heard - heard > 15 and face.successes == 0
    value = lambda sdp, name: re.search(rf"^a={name}:(\S+)", sdp, re.M).group(1)
    own, other = (offer, answer) if side == 0 else (answer, offer)
    for _ in range(5):
        message = check(f"{value(own, 'ice-ufrag')}:{value(other, 'ice-ufrag')}", value(own, "ice-pwd"), side == 1, nominates)
        face.transport.sendto(message, path.peers[side])
        await asyncio.sleep(0.2)
    if face.successes == 0:
        return None
    before = old.rtp, face.rtp
    await asyncio.sleep(3)
    return early, face.rtp - before[1] > 100, old.rtp - before[0] > 100

async def main():
    cases = [("controlling", 0, False), ("controlled, USE-CANDIDATE", 1, True), ("controlled, without", 1, False)]
    results = [await new_port(side, nominates) for _, side, nominates in cases]
    for (name, _, _), result in zip(cases, results):
        print(f"{name}: heard before the check {{}}, RTP to the new port {{}}, to the old {{}}".format(*result) if result else f"{name}: no call", flush=True)
    if None in results:
        os._exit(2)
    os._exit(0 if [result[1:] for result in results] == [(True, False), (True, False), (False, True)] else 1)

asyncio.get_event_loop().run_until_complete(main())
PY
timeout 100 unshare -n sh -c 'ip link set lo up && ip link add media0 type veth peer name media1 && ip link set media1 up &&
  ip address add 10.0.0.1/24 dev media0 && ip link set media0 up || exit 2
  libraries=/usr/lib/x86_64-linux-gnu
  HOME=/root LD_LIBRARY_PATH=$libraries/blas:$libraries/lapack:$libraries/pulseaudio \
    exec chroot "$1" /usr/bin/python3 -W ignore /try.py' sh "$work/root" 2>"$work/errors"
code=$?
[ "$code" -ne 1 ] && [ "$code" -ne 0 ] && tail -n 5 "$work/errors"
exit "$code"
