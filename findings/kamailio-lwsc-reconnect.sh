#!/usr/bin/env bash
# Kamailio 5.6.3-2 (Debian 12), modules rtpengine and lwsc over libwebsockets 4.1.6: NG over WebSocket.
#
# Guessed: the WebSocket server (a media relay) is restarted and listens again within a second; the next
#          command opens a new connection, as a TCP client would, or at the latest the one after it.
# Seen:    one attempt is made when the connection breaks. It meets the closed port, and then no further one
#          is made for about 20 seconds, whatever is asked meanwhile: each command waits two seconds
#          ("connection not ready after init timeout") and fails, though the server has long been back.
#          Over UDP the same restart costs nothing but a retransmission.
#
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root
# (chroot into a folder of its own), python3, and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
pids=()
cleanup() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done; sleep 0.5; rm -rf "$work"; }
trap cleanup EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }

mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install kamailio=5.6.3-2 kamailio-lwsc-modules=5.6.3-2) >"$work/apt.log" 2>&1 ||
  { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/tmp" "$work/root/dev" "$work/root/run/kamailio"
mknod -m 666 "$work/root/dev/null" c 1 3; mknod -m 666 "$work/root/dev/zero" c 1 5; mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/server.py" <<'PY'
"""A WebSocket server that answers each NG message `ok`; says when a connection comes."""
import base64, hashlib, socket, sys, threading, time
started = time.monotonic()
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
def serve(peer):
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(4096)
    print("connection %.1f" % (time.monotonic() - started), flush=True)
    key = [l.split(b":", 1)[1].strip() for l in head.split(b"\r\n") if l.lower().startswith(b"sec-websocket-key")][0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Protocol: ng.rtpengine.com\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    def exactly(count):
        data = b""
        while len(data) < count:
            more = peer.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data
    while True:
        first, second = exactly(2)
        length = second & 127
        if length == 126:
            length = int.from_bytes(exactly(2), "big")
        mask = exactly(4)
        text = bytes(b ^ mask[i % 4] for i, b in enumerate(exactly(length)))
        reply = text.split(b" ")[0] + (b" d6:result4:ponge" if b"4:ping" in text else b" d6:result2:oke")
        peer.sendall(bytes([0x82, len(reply)]) + reply)
def guarded(peer):
    try:
        serve(peer)
    except (EOFError, OSError):
        pass
while True:
    threading.Thread(target=guarded, args=(server.accept()[0],), daemon=True).start()
PY

cat >"$work/ask.py" <<'PY'
"""A SIP OPTIONS, which makes the proxy send an NG command; prints its reply code."""
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0)); s.settimeout(15)
n, port = sys.argv[2], s.getsockname()[1]
s.sendto(("OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%s\r\nFrom: <sip:a@a.example>;tag=%s\r\n"
          "To: <sip:b@b.example>\r\nCall-ID: c%s\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\nContent-Length: 0\r\n\r\n"
          % (port, n, n, n)).encode(), ("127.0.0.1", int(sys.argv[1])))
print(s.recv(2000).split(b" ")[1].decode())
PY

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
ng=$(free_port); sip=$(free_port)
cat >"$work/root/run/kamailio/kamailio.cfg" <<CFG
#!KAMAILIO
debug=2
log_stderror=yes
children=1
auto_aliases=no
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "lwsc.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "wsapi", "lwsc")
modparam("rtpengine", "rtpengine_sock", "ws://127.0.0.1:$ng")
request_route {
    if (rtpengine_delete()) sl_send_reply("200", "ok");
    else sl_send_reply("500", "no relay");
    exit;
}
CFG
serve() { python3 "$work/server.py" "$ng" >"$work/$1" 2>&1 & server=$!; pids+=("$server"); for _ in $(seq 50); do grep -q listening "$work/$1" && return; sleep 0.1; done; echo "no server"; exit 2; }
ask() { python3 "$work/ask.py" "$sip" "$1"; }

serve first
chroot "$work/root" /usr/sbin/kamailio -DD -E -f /run/kamailio/kamailio.cfg -l "udp:127.0.0.1:$sip" -P /run/kamailio/pid -Y /run/kamailio -w /run/kamailio \
  >"$work/kamailio.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do grep -q connection "$work/first" && break; sleep 0.1; done
before=$(ask 1)
kill "$server"; wait "$server" 2>/dev/null
sleep 1
serve second
began=$SECONDS
sleep 2
during="$(ask 2) $(ask 3)"
connected_at=""
for _ in $(seq 600); do
  connected_at=$(sed -n 's/^connection //p' "$work/second" | head -n 1)
  [ -n "$connected_at" ] && break
  sleep 0.1
done
after=$(ask 4)
echo "before: $before; server back for 2 s and more: $during; connected again after ${connected_at:-never} s; then: $after"
[ "$before" = 200 ] && [ "$during" = "500 500" ] && [ "$after" = 200 ] &&
  [ "${connected_at%.*}" -ge 10 ] && [ $((SECONDS - began)) -lt 70 ]
