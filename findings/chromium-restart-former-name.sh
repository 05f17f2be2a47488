#!/usr/bin/env bash
# Chromium 156.0.8078.108 (Debian 12, 156.0.8078.108-1~deb12u1), Linux.
#
# Guessed: after an ICE restart (createOffer({ iceRestart: true }), setLocalDescription) Chromium has nothing to ask with
#          until the answer gives it the peer's new ufrag and password; then it asks with those.
# Seen:    it asks at once, from its new port: USERNAME is the peer's former ufrag and its own new one, keyed with the former
#          password. Where the peer says yes to that (the former generation is to be answered until the new one is settled,
#          RFC 8445 section 9), the pair is Chromium's for good: 5 s after the answer it still asks under the former name, and never
#          once under the one of the answer. Where such a check gets 401, the new name is used as soon as the answer is there.
# So an agent that keeps the former generation alive by its own ufrag alone never sees a valid pair of the new one: media from
# the new port is let in by nobody, and no state of the page says so. It has to look at both halves of the USERNAME. In a
# laboratory, where the answer comes within some 50 ms, it goes well most of the time.
#
# Output seen (the peer's former or answered name : Chromium's first or second):
#   answer: {"before": ["former:first", "former:second"], "after": ["former:second"]} ice connected
#   refuse: {"before": ["again1:second", "former:first", "former:second"], "after": ["again1:second"]} ice connected
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (a network
# namespace of its own), python3, and Debian 12's package lists.
set -u
version=156.0.8078.108-1~deb12u1
work=$(mktemp -d) || exit 2
space=chromium-restart-$$
cleanup() {
  ip netns pids "$space" 2>/dev/null | xargs -r kill -9 2>/dev/null
  sleep 1
  ip netns delete "$space" 2>/dev/null
  rm -rf "$work" 2>/dev/null
}
trap cleanup EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }

(cd "$work" && apt-get -q download "chromium=$version" "chromium-common=$version") >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/chromium*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
program=$work/root/usr/lib/chromium/chromium
[ -x "$program" ] || exit 2
if ldd "$program" | grep -q 'not found'; then echo "libraries of chromium are missing"; exit 2; fi

ip netns add "$space" || exit 2
ip -n "$space" link set lo up
ip -n "$space" link add media0 type veth peer name media1 || exit 2
for address in 10.0.0.1 10.0.0.2; do ip -n "$space" address add "$address/24" dev media0; done
ip -n "$space" link set media0 up
ip -n "$space" link set media1 up
ip -n "$space" route add default via 10.0.0.254

# The page's peer: a lite agent, which answers checks under any of its names, or under `former:own new` with 401.
cat >"$work/peer.py" <<'PYTHON'
import hashlib, hmac, http.server, json, socket, struct, sys, threading, zlib

folder, mixed = sys.argv[1], sys.argv[2]
PASSWORDS = {"former": "formerformerformerformer", "again1": "again1again1again1again1"}
names, done = [], threading.Event()


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind, transaction, body, password):
    def head(extra):
        return struct.pack("!HHI", kind, len(body) + extra, 0x2112A442) + transaction

    if password is not None:
        digest = hmac.new(password.encode(), head(24) + body, hashlib.sha1).digest()
        body += attribute(0x0008, digest)
    checksum = zlib.crc32(head(8) + body) ^ 0x5354554E
    return head(8) + body + attribute(0x8028, struct.pack("!I", checksum))


def username(packet):
    at = 20
    while at + 4 <= len(packet):
        kind, size = struct.unpack_from("!HH", packet, at)
        if kind == 0x0006:
            return packet[at + 4 : at + 4 + size].decode()
        at += 4 + size + (-size % 4)
    return ""


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("10.0.0.2", 40000))


def answer():
    first = None
    while True:
        packet, source = udp.recvfrom(2048)
        if len(packet) < 20 or packet[0] > 3 or struct.unpack_from("!H", packet)[0] != 0x0001:
            continue
        ours, _, theirs = username(packet).partition(":")
        first = first or theirs
        label = ours + ":" + ("first" if theirs == first else "second")
        names.append(label)
        if label == "former:second" and mixed == "refuse":
            reply = message(0x0111, packet[8:20], attribute(0x0009, bytes([0, 0, 4, 1])), None)
        else:
            port, address = source[1] ^ 0x2112, bytes(a ^ b for a, b in zip(socket.inet_aton(source[0]), b"\x21\x12\xa4\x42"))
            mapped = attribute(0x0020, struct.pack("!BBH", 0, 1, port) + address)
            reply = message(0x0101, packet[8:20], mapped, PASSWORDS.get(ours))
        udp.sendto(reply, source)


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        with open(folder + "/page.html", "rb") as page:
            self.wfile.write(page.read())

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(204)
        self.end_headers()
        if text == "mark":
            names.append("ANSWER")
        else:
            print(text, file=sys.stderr)
            done.set()

    def log_message(self, *_):
        pass


threading.Thread(target=answer, daemon=True).start()
web = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Pages)
threading.Thread(target=web.serve_forever, daemon=True).start()
done.wait(60)
at = names.index("ANSWER") if "ANSWER" in names else len(names)
print(json.dumps({"before": sorted(set(names[:at])), "after": sorted(set(names[at + 1 :]))}))
PYTHON

cat >"$work/page.html" <<'HTML'
<!doctype html><script>
const post = (text) => fetch('/', { method: 'POST', body: text });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const connection = new RTCPeerConnection();
connection.addTransceiver('audio');
const answer = (ufrag, password) => ({ type: 'answer', sdp: [
  'v=0', 'o=- 1 1 IN IP4 10.0.0.2', 's=-', 't=0 0', 'a=ice-lite', 'm=audio 40000 UDP/TLS/RTP/SAVPF 0', 'c=IN IP4 10.0.0.2',
  'a=rtpmap:0 PCMU/8000', 'a=mid:0', 'a=recvonly', 'a=rtcp-mux', 'a=setup:passive', `a=ice-ufrag:${ufrag}`, `a=ice-pwd:${password}`,
  `a=fingerprint:sha-256 ${Array(32).fill('AB').join(':')}`, 'a=candidate:1 1 udp 2130706431 10.0.0.2 40000 typ host', ''].join('\r\n') });
(async () => {
  await connection.setLocalDescription(await connection.createOffer());
  await connection.setRemoteDescription(answer('former', 'former'.repeat(4)));
  await pause(3000);
  await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
  await pause(1000);
  await connection.setRemoteDescription(answer('again1', 'again1'.repeat(4)));
  await pause(300);
  await post('mark');
  await pause(5000);
  await post(`ice ${connection.iceConnectionState}`);
})().catch((error) => post(String(error)));
</script>
HTML

# try WHAT: the names that Chromium asks under before and after the answer, where a mixture of both generations is answered or refused.
try() {
  timeout 70 ip netns exec "$space" python3 "$work/peer.py" "$work" "$1" >"$work/$1.json" 2>"$work/$1.log" &
  peer=$!
  sleep 1
  timeout 60 ip netns exec "$space" "$program" --headless=new --no-sandbox --disable-gpu --no-first-run \
    --user-data-dir="$work/profile-$1" http://127.0.0.1:8080/ >"$work/chromium.log" 2>&1 &
  browser=$!
  wait "$peer"
  kill "$browser" 2>/dev/null
  wait "$browser" 2>/dev/null
  echo "$1: $(cat "$work/$1.json") $(cat "$work/$1.log")"
}
try answer
try refuse
grep -q '"before": \[' "$work/answer.json" && grep -q '"before": \[' "$work/refuse.json" || exit 2
for way in answer refuse; do grep -q '"before": .*"former:second"' "$work/$way.json" || exit 1; done
grep -qF '"after": ["former:second"]' "$work/answer.json" && grep -qF '"after": ["again1:second"]' "$work/refuse.json" || exit 1
