#!/usr/bin/env bash
# Kamailio 5.6.3-2 (Debian 12), module rtpengine: which of two relays gets the commands of a long call.
#
# Guessed: the module remembers the node of a call in a hash table for hash_table_tout seconds (3600 by default)
#          from its last command on, so a call that is offered anew now and then (session timers, RFC 4028) keeps
#          its node for good.
# Seen:    the time runs from the first offer, a re-INVITE does not prolong it. What is too old goes when some other
#          call of the same bucket is looked up, not before. Then the node is selected anew from the call-id: for a
#          call that was placed on the second node because the first was away, it is the first, which is back and
#          has never heard of it. BYE is sent there, and the call stays on the second; a re-INVITE would get ports
#          on the first.
# So with two relays, hash_table_tout has to be longer than the longest call, or each relay has to know the calls of
# the other.
#
# Output seen (hash_table_tout 6; the first node was away when the three calls came):
#   placed on: B B B
#   BYE after 1 s: B
#   re-INVITE after 4 s: B
#   BYE of that call after 8 s: A
#   BYE of the third after 8 s: A
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
pid=""
cleanup() { [ -z "$pid" ] || kill "$pid" 2>/dev/null; [ -z "$pid" ] || wait "$pid" 2>/dev/null; rm -rf "$work"; }
trap cleanup EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install kamailio=5.6.3-2) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/tmp" "$work/root/dev" "$work/root/run/kamailio"
mknod -m 666 "$work/root/dev/null" c 1 3; mknod -m 666 "$work/root/dev/zero" c 1 5; mknod -m 666 "$work/root/dev/urandom" c 1 9

ports=($(python3 -c 'import socket
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
for each in sockets: each.bind(("127.0.0.1", 0))
print(*[each.getsockname()[1] for each in sockets])'))
sip=${ports[0]} first=${ports[1]} second=${ports[2]}
# One bucket, so that every other call is one of the same bucket.
cat >"$work/root/run/kamailio/kamailio.cfg" <<CFG
#!KAMAILIO
debug=1
log_stderror=yes
children=1
auto_aliases=no
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:$first udp:127.0.0.1:$second")
modparam("rtpengine", "rtpengine_disable_tout", 1)
modparam("rtpengine", "rtpengine_tout_ms", 200)
modparam("rtpengine", "rtpengine_retr", 1)
modparam("rtpengine", "hash_table_tout", 6)
modparam("rtpengine", "hash_table_size", 1)
request_route {
    if (is_method("INVITE")) rtpengine_offer();
    else rtpengine_delete();
    sl_send_reply("200", "ok");
    exit;
}
CFG
cat >"$work/try.py" <<'PY'
"""Two NG servers, the first of which can be away, and the calls; prints which server got which command."""
import random, re, socket, sys, threading, time
sip, *ports = map(int, sys.argv[1:])
names, away, got = dict(zip(ports, "AB")), {each: False for each in ports}, []

def serve(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port))
    while True:
        message, peer = server.recvfrom(65536)
        if away[port]:
            continue
        cookie = message.split(b" ")[0]
        length = re.search(rb"7:command(\d+):", message)
        command = message[length.end() : length.end() + int(length[1])].decode()
        sdp = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"
        reply = {"ping": b"d6:result4:ponge", "offer": b"d6:result2:ok3:sdp%d:%se" % (len(sdp), sdp)}.get(command, b"d6:result2:oke")
        if command != "ping":
            got.append(names[port])
        server.sendto(cookie + b" " + reply, peer)

def request(method, call):
    """Which node got the command that this request leads to; None without an answer of the proxy."""
    sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8\r\n" if method == "INVITE" else ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(2)
        port = client.getsockname()[1]
        got.clear()
        client.sendto((f"{method} sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{random.getrandbits(60):x}\r\n"
                       f"From: <sip:a@a.example>;tag=1\r\nTo: <sip:b@b.example>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n"
                       f"Contact: <sip:a@127.0.0.1:{port}>\r\nMax-Forwards: 5\r\n" + ("Content-Type: application/sdp\r\n" if sdp else "")
                       + f"Content-Length: {len(sdp)}\r\n\r\n{sdp}").encode(), ("127.0.0.1", sip))
        try:
            client.recv(65536)
        except OSError:
            return None
    return got[-1] if got else "none"

for port in ports:
    threading.Thread(target=serve, args=(port,), daemon=True).start()
for _ in range(15):
    if request("INVITE", "up") in ("A", "B"):
        break
    time.sleep(0.5)
# The node is selected by the sum of the call-id's bytes: anagrams of one have the same.
base = next((each for each in ("call1", "call2") if request("INVITE", each) == "A"), None)
if base is None:
    print("the proxy did not come up")
    sys.exit(2)
calls = [base[n:] + base[:n] for n in (1, 2, 3)]
away[ports[0]] = True
placed = [request("INVITE", call) for call in calls]
began = time.monotonic()
away[ports[0]] = False
def at(seconds):
    time.sleep(max(0, began + seconds - time.monotonic()))
at(1)
control = request("BYE", calls[0])
at(4)
again = request("INVITE", calls[1])
in_time = time.monotonic() - began < 5.5
at(8)
request("INVITE", "other")
late = [request("BYE", calls[1]), request("BYE", calls[2])]
print("placed on:", *placed)
print("BYE after 1 s:", control)
print("re-INVITE after 4 s:", again)
print("BYE of that call after 8 s:", late[0])
print("BYE of the third after 8 s:", late[1])
if placed != ["B"] * 3 or (control, again) != ("B", "B") or not in_time:
    sys.exit(2)
sys.exit(0 if late == ["A", "A"] else 1)
PY
timeout 60 python3 "$work/try.py" "$sip" "$first" "$second" &
try=$!
sleep 0.5
chroot "$work/root" /usr/sbin/kamailio -DD -E -f /run/kamailio/kamailio.cfg -l "udp:127.0.0.1:$sip" -P /run/kamailio/pid -Y /run/kamailio -w /run/kamailio \
  >"$work/kamailio.log" 2>&1 &
pid=$!
wait "$try"
