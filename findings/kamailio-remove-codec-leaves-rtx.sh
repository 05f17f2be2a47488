#!/usr/bin/env bash
# Kamailio 5.6.3-2 (Debian 12), module sdpops: a video codec is removed from a browser's offer; and @roamhq/wrtc 0.10.0 (npm,
# libwebrtc for Node 20), which is to accept what comes out.
#
# Guessed: sdp_remove_codecs_by_name("VP8") takes away the payload type with its rtpmap, fmtp and rtcp-fb lines, as it
#          does, and the retransmission format of it (rtx, RFC 4588, `apt=96`) that is left over, naming a format that is
#          gone, is passed over by the browser like any format that it cannot use.
# Seen:    libwebrtc refuses the whole SDP, audio and all, as offer and as answer: "Failed to set remote video description
#          send parameters". The same where "rtx" is among the names that are kept, for there is one for each codec. (With
#          red for opus, RFC 2198, that is left over in the same way, it bears no grudge.)
# So a route that strips a video codec so loses every call of browsers, not the picture alone; with sdp_keep_codecs_by_name()
# and no "rtx" in it, all is well.
#
# Output seen (what libwebrtc makes of its own offer, and of its own answer, after the route has had it):
#   as it is: accepted accepted
#   remove VP8: refused refused
#   keep opus,VP8,rtx: refused refused
#   keep opus,VP8: accepted accepted
#   remove opus: accepted accepted
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, npm, and Debian 12's package lists.
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
mkdir -p "$work/root/dev" "$work/root/run/kamailio"
mknod -m 666 "$work/root/dev/null" c 1 3; mknod -m 666 "$work/root/dev/zero" c 1 5; mknod -m 666 "$work/root/dev/urandom" c 1 9
(cd "$work" && npm init -y && npm install --ignore-scripts --no-audit --no-fund @roamhq/wrtc@0.10.0) >"$work/npm.log" 2>&1 ||
  { tail -n 3 "$work/npm.log"; exit 2; }

cat >"$work/root/kamailio.cfg" <<'CFG'
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
    if ($rU == "vp8") sdp_remove_codecs_by_name("VP8");
    if ($rU == "rtx") sdp_keep_codecs_by_name("opus,VP8,rtx");
    if ($rU == "keep") sdp_keep_codecs_by_name("opus,VP8");
    if ($rU == "opus") sdp_remove_codecs_by_name("opus");
    msg_apply_changes();
    set_reply_body("$rb", "application/sdp");
    sl_send_reply("200", "ok");
    exit;
}
CFG
cat >"$work/ask.mjs" <<'JS'
import dgram from 'node:dgram';
import { once } from 'node:events';
import wrtc from '@roamhq/wrtc';

const proxy = Number(process.argv[2]);
const socket = dgram.createSocket('udp4');
socket.bind(0, '127.0.0.1');
await once(socket, 'listening');
const own = socket.address().port;
let id = 0;

/** The SDP as the proxy's route for this user leaves it. */
async function routed(user, sdp) {
  id += 1;
  const head = [
    `INVITE sip:${user}@127.0.0.1 SIP/2.0`,
    `Via: SIP/2.0/UDP 127.0.0.1:${own};branch=z9hG4bK${id}`,
    ...['From: <sip:a@a.example>;tag=1', 'To: <sip:b@b.example>', `Call-ID: ${id}`, 'CSeq: 1 INVITE'],
    ...[`Contact: <sip:a@127.0.0.1:${own}>`, 'Max-Forwards: 5', 'Content-Type: application/sdp'],
    ...[`Content-Length: ${Buffer.byteLength(sdp)}`, '', ''],
  ].join('\r\n');
  for (let attempt = 0; attempt < 30; attempt += 1) {
    socket.send(head + sdp, proxy, '127.0.0.1');
    const signal = AbortSignal.timeout(500);
    const answer = await once(socket, 'message', { signal }).catch(() => null);
    const text = answer?.[0].toString();
    if (text?.includes(`\r\nCall-ID: ${id}\r\n`)) return text.slice(text.indexOf('\r\n\r\n') + 4);
  }
  console.log('the proxy did not answer');
  process.exit(2);
}

async function exchange(user, kind) {
  const [caller, callee] = [new wrtc.RTCPeerConnection(), new wrtc.RTCPeerConnection()];
  caller.addTransceiver('audio');
  caller.addTransceiver('video');
  const offer = await caller.createOffer();
  await caller.setLocalDescription(offer);
  let outcome = 'accepted';
  try {
    await callee.setRemoteDescription({ type: 'offer', sdp: kind === 'offer' ? await routed(user, offer.sdp) : offer.sdp });
    const answer = await callee.createAnswer();
    await callee.setLocalDescription(answer);
    await caller.setRemoteDescription({ type: 'answer', sdp: kind === 'answer' ? await routed(user, answer.sdp) : answer.sdp });
  } catch (error) {
    outcome = error.message.includes('video description send parameters') ? 'refused' : `refused: ${error.message}`;
  }
  caller.close();
  callee.close();
  return outcome;
}

const cases = { 'as it is': 'none', 'remove VP8': 'vp8', 'keep opus,VP8,rtx': 'rtx', 'keep opus,VP8': 'keep', 'remove opus': 'opus' };
const seen = [];
for (const [name, user] of Object.entries(cases)) {
  const outcome = `${await exchange(user, 'offer')} ${await exchange(user, 'answer')}`;
  console.log(`${name}: ${outcome}`);
  seen.push(outcome);
}
const [accepted, refused] = ['accepted accepted', 'refused refused'];
if (seen[0] !== accepted) process.exit(2);
process.exit(seen.join() === [accepted, refused, refused, accepted, accepted].join() ? 0 : 1);
JS
sip=$(python3 -c 'import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
chroot "$work/root" /usr/sbin/kamailio -DD -E -f /kamailio.cfg -l "udp:127.0.0.1:$sip" -P /pid -Y / -w / \
  >"$work/kamailio.log" 2>&1 &
pid=$!
(cd "$work" && timeout 60 node ask.mjs "$sip")
