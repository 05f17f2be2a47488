#!/usr/bin/env bash
# werift 0.25.2 (npm), a WebRTC stack in TypeScript; Node 20.
#
# Guessed: as browsers do it: the path between two of its peer connections is cut; after some seconds without an
#          answered consent check (RFC 7675) the state is `disconnected`, a sender stops or a `failed` follows
#          after 30 s, and both sides agree soon after the path is back. iceConnectionState is `new` until there
#          is a remote description.
# Seen:    `disconnected` never comes, on either side, in an outage of 12 s or of 40 s: there is no sign at all
#          before `failed`, and RTP is sent at full rate into the cut path until then. After 12 s media simply
#          goes on. After `failed` nothing is sent any more, though the path is back. And iceConnectionState is
#          `completed` as soon as candidates were gathered, before there is a remote description.
# A relay that is taken over cannot wait for a state of such a peer; its RTP is a sign of life for half a minute.
#
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
npm init -y >/dev/null 2>&1 && npm install --ignore-scripts --no-audit --no-fund werift@0.25.2 >npm.log 2>&1 ||
  { tail -n 3 npm.log; exit 2; }
cat >outage.mjs <<'JS'
import { once } from 'node:events';
import dgram from 'node:dgram';
import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket } from 'werift';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const codec = { mimeType: 'audio/PCMA', clockRate: 8000, channels: 1, payloadType: 8 };
const connection = () =>
  new RTCPeerConnection({
    iceServers: [],
    iceUseIpv6: false,
    codecs: { audio: [new RTCRtpCodecParameters(codec)] },
  });

// Two sockets that hand on to each other what their peer sends: the path that can be cut.
const path = { cut: false, fromA: 0, peers: [null, null], sockets: [] };
for (const side of [0, 1]) {
  const socket = dgram.createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  path.sockets.push(socket);
  socket.on('message', (message, { address, port }) => {
    path.peers[side] = { address, port };
    const isRtp = message[0] >= 128 && message[0] < 192 && (message[1] & 0x7f) === 8;
    if (side === 0 && isRtp) path.fromA += 1;
    const to = path.peers[1 - side];
    if (!path.cut && to !== null) path.sockets[1 - side].send(message, to.port, to.address);
  });
}
/** The SDP of one side, its candidates replaced by the socket that faces the other. */
function through(sdp, side) {
  let port = path.sockets[1 - side].address().port;
  return sdp
    .split('\r\n')
    .flatMap((line) => {
      if (!line.startsWith('a=candidate:')) return [line];
      if (port === null) return [];
      const fields = line.split(' ');
      path.peers[side] ??= { address: fields[4], port: Number(fields[5]) };
      [fields[4], fields[5]] = ['127.0.0.1', String(port)];
      port = null;
      return [fields.join(' ')];
    })
    .join('\r\n');
}

const [a, b] = [connection(), connection()];
const states = { a: [], b: [] };
let received = 0;
for (const [name, each] of [['a', a], ['b', b]]) {
  each.connectionStateChange.subscribe((state) => states[name].push(state));
  each.iceConnectionStateChange.subscribe((state) => states[name].push(`ice ${state}`));
}
b.onTrack.subscribe((track) => track.onReceiveRtp.subscribe(() => (received += 1)));
const track = new MediaStreamTrack({ kind: 'audio' });
a.addTransceiver(track, { direction: 'sendrecv' });
await a.setLocalDescription(await a.createOffer());
const early = a.iceConnectionState;
await b.setRemoteDescription({ type: 'offer', sdp: through(a.localDescription.sdp, 0) });
await b.setLocalDescription(await b.createAnswer());
await a.setRemoteDescription({ type: 'answer', sdp: through(b.localDescription.sdp, 1) });
for (let n = 0; n < 100 && b.connectionState !== 'connected'; n++) await sleep(100);

let sequence = 0;
const timer = setInterval(() => {
  sequence += 1;
  const header = new RtpHeader({ payloadType: 8, sequenceNumber: sequence & 0xffff, timestamp: sequence * 160, ssrc: 7 });
  track.writeRtp(new RtpPacket(header, Buffer.alloc(160, 0xd5)));
}, 20);
await sleep(1000);

async function outage(seconds) {
  const before = { sent: path.fromA, a: states.a.length, b: states.b.length, asked: sequence };
  path.cut = true;
  await sleep(5000);
  const early5 = (path.fromA - before.sent) / (sequence - before.asked);
  await sleep(seconds * 1000 - 5000);
  path.cut = false;
  const [heard, sent, asked] = [received, path.fromA, sequence];
  await sleep(4000);
  return {
    seconds,
    sentInFirst5: Number(early5.toFixed(2)),
    heardAfter: Number(((received - heard) / (sequence - asked)).toFixed(2)),
    sentAfter: Number(((path.fromA - sent) / (sequence - asked)).toFixed(2)),
    statesOfA: states.a.slice(before.a),
    statesOfB: states.b.slice(before.b),
  };
}
const short = await outage(12);
const long = await outage(40);
clearInterval(timer);
console.log(JSON.stringify({ early, short, long }));
const all = [...states.a, ...states.b].join();
const same =
  early === 'completed' &&
  !all.includes('disconnected') &&
  short.statesOfA.length + short.statesOfB.length === 0 &&
  short.sentInFirst5 > 0.9 &&
  short.heardAfter > 0.8 &&
  long.sentInFirst5 > 0.9 &&
  long.statesOfA.includes('failed') &&
  long.statesOfB.includes('failed') &&
  long.sentAfter === 0;
process.exit(same ? 0 : 1);
JS
timeout 150 node outage.mjs
