#!/usr/bin/env bash
# Kamailio 5.6.3-2 (Debian 12), module sdpops: sdp_keep_codecs_by_name(), which many a route calls right before
# rtpengine_manage().
#
# Guessed: an m-line of which no codec is left is refused, port 0 (RFC 3264 section 6), since an m-line needs at
#          least one format (RFC 8866 section 9); the same for all of them if no name is met at all.
# Seen:    with "PCMA" on an offer of audio and video the video line loses all its formats and keeps its port:
#          `m=video 6002 RTP/AVPF`, and nothing after it, which is no SDP. But when the name is met nowhere, nothing
#          is removed at all: the offer passes as it came, with the codecs that were to be kept out. With the second
#          parameter, "audio", the video line is left alone.
# So what stands behind such a proxy gets m-lines without a format, and has to open ports for them or refuse them.
#
# Output seen:
#   keep PCMA:        m=audio 6000 RTP/AVP 8 | m=video 6002 RTP/AVPF
#   keep iLBC:        m=audio 6000 RTP/AVP 8 0 | m=video 6002 RTP/AVPF 98 99
#   keep PCMA, audio: m=audio 6000 RTP/AVP 8 | m=video 6002 RTP/AVPF 98 99
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

cat >"$work/root/run/kamailio/kamailio.cfg" <<'CFG'
#!KAMAILIO
debug=1
log_stderror=yes
children=1
auto_aliases=no
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "textopsx.so"
loadmodule "sdpops.so"
request_route {
    if ($rU == "pcma") sdp_keep_codecs_by_name("PCMA");
    if ($rU == "ilbc") sdp_keep_codecs_by_name("iLBC");
    if ($rU == "audio") sdp_keep_codecs_by_name("PCMA", "audio");
    msg_apply_changes();
    set_reply_body("$rb", "application/sdp");
    sl_send_reply("200", "ok");
    exit;
}
CFG
cat >"$work/ask.py" <<'PY'
"""Sends an INVITE with audio and video; prints the m-lines that came out of the route."""
import socket, sys, time
sdp = "\r\n".join([
    "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0",
    "m=audio 6000 RTP/AVP 8 0", "a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000",
    "m=video 6002 RTP/AVPF 98 99", "a=rtpmap:98 VP8/90000", "a=rtpmap:99 H264/90000", ""])
user, proxy = sys.argv[1], int(sys.argv[2])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("127.0.0.1", 0))
    s.settimeout(1)
    port = s.getsockname()[1]
    for attempt in range(15):
        s.sendto((f"INVITE sip:{user}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{user}\r\n"
                  f"From: <sip:a@a.example>;tag=a\r\nTo: <sip:b@b.example>\r\nCall-ID: {user}\r\nCSeq: 1 INVITE\r\n"
                  f"Contact: <sip:a@127.0.0.1:{port}>\r\nMax-Forwards: 5\r\nContent-Type: application/sdp\r\n"
                  f"Content-Length: {len(sdp)}\r\n\r\n{sdp}").encode(), ("127.0.0.1", proxy))
        try:
            body = s.recv(65536).decode().split("\r\n\r\n", 1)[1]
        except (TimeoutError, ConnectionError):
            time.sleep(0.2)
            continue
        print(" | ".join(line.rstrip() for line in body.split("\r\n") if line.startswith("m=")))
        break
PY
sip=$(python3 -c 'import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
chroot "$work/root" /usr/sbin/kamailio -DD -E -f /run/kamailio/kamailio.cfg -l "udp:127.0.0.1:$sip" -P /run/kamailio/pid -Y /run/kamailio -w /run/kamailio \
  >"$work/kamailio.log" 2>&1 &
pid=$!
pcma=$(python3 "$work/ask.py" pcma "$sip") ilbc=$(python3 "$work/ask.py" ilbc "$sip") audio=$(python3 "$work/ask.py" audio "$sip")
echo "keep PCMA:        $pcma"
echo "keep iLBC:        $ilbc"
echo "keep PCMA, audio: $audio"
[ -n "$pcma" ] && [ -n "$ilbc" ] && [ -n "$audio" ] || { tail -n 5 "$work/kamailio.log"; exit 2; }
[ "$pcma" = "m=audio 6000 RTP/AVP 8 | m=video 6002 RTP/AVPF" ] &&
  [ "$ilbc" = "m=audio 6000 RTP/AVP 8 0 | m=video 6002 RTP/AVPF 98 99" ] &&
  [ "$audio" = "m=audio 6000 RTP/AVP 8 | m=video 6002 RTP/AVPF 98 99" ]
