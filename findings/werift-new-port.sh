#!/usr/bin/env bash
# werift 0.25.2 (npm), a WebRTC stack in TypeScript; Node 20.
#
# Guessed: when its peer's packets come from a new port (a NAT that lost its state, a relay that was taken over), it
#          does what browsers do: nothing is heard from there before an authenticated check (RFC 8445) was; a check
#          from there with USE-CANDIDATE and a PRIORITY above all others moves its own media there at once.
# Seen:    the other way round. Media from the new port is heard without any check. But its own packets never move,
#          neither as controlled side (checks with USE-CANDIDATE and PRIORITY 0x7fffffff) nor as controlling one: it
#          answers each check at the new port, makes one check of its own there, which succeeds, and goes on to send
#          RTP, RTCP and consent checks to the old port, until it says `failed` 27 s later.
# So a relay keeps address and port towards such a peer; no check will fetch its media, nor will an ICE restart
# (werift-ice-restart-silence.sh).
#
# Output seen (Node 20.20):
#   controlled:  heard from the new port before a check true, success responses at the new port true,
#                RTP to the old port true, to the new port 0, in the end failed
#   controlling: the same
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Takes 40 s.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
npm init -y >/dev/null 2>&1 && npm install --ignore-scripts --no-audit --no-fund werift@0.25.2 >npm.log 2>&1 ||
  { tail -n 3 npm.log; exit 2; }
cat >port.mjs <<'JS'
import { createHmac, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket } from 'werift';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const codec = { mimeType: 'audio/PCMA', clockRate: 8000, channels: 1, payloadType: 8 };

/** A socket of the path between the two: `side` is the peer that it faces. */
async function face(path, side) {
  const socket = dgram.createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const seen = { rtp: 0, successes: 0 };
  path.faces[side].push({ socket, seen });
  socket.on('message', (message, { address, port }) => {
    path.peers[side] = { address, port };
    if (message[0] >= 128 && (message[1] & 0x7f) === 8) seen.rtp += 1;
    if (message[0] < 4 && message.readUInt16BE(0) === 0x0101) seen.successes += 1;
    // What comes to an old port is lost.
    if (path.faces[side].at(-1).socket !== socket) return;
    const to = path.peers[1 - side];
    if (to !== null) path.faces[1 - side].at(-1).socket.send(message, to.port, to.address);
  });
}

/** The SDP of one side, its candidates replaced by the socket that faces the other. */
function through(path, sdp, side) {
  let port = path.faces[1 - side][0].socket.address().port;
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

const value = (sdp, name) => new RegExp(`^a=${name}:(\\S+)`, 'm').exec(sdp)[1];
function crc32(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return ~sum >>> 0;
}
/** A binding request as a full agent sends it (RFC 8445 section 7.1). */
function check(user, password, isControlling) {
  const attribute = (type, content) => {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(content.length, 2);
    return Buffer.concat([head, content, Buffer.alloc(-content.length & 3)]);
  };
  const id = randomBytes(12);
  const head = (length) => {
    const bytes = Buffer.from('000100002112a442', 'hex');
    bytes.writeUInt16BE(length, 2);
    return Buffer.concat([bytes, id]);
  };
  let body = Buffer.concat([
    attribute(0x0006, Buffer.from(user)),
    ...(isControlling ? [attribute(0x0025, Buffer.alloc(0))] : []),
    attribute(0x0024, Buffer.from('7fffffff', 'hex')),
    attribute(isControlling ? 0x802a : 0x8029, Buffer.alloc(8, isControlling ? 0xff : 0)),
  ]);
  const mac = createHmac('sha1', password).update(head(body.length + 24)).update(body).digest();
  body = Buffer.concat([body, attribute(0x0008, mac)]);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(Buffer.concat([head(body.length + 8), body])) ^ 0x5354554e) >>> 0);
  return Buffer.concat([head(body.length + 8), body, attribute(0x8028, fingerprint)]);
}

/** Two connected peers; the port that one of them talks to changes: what it does then. */
async function portChanges(movedSide) {
  const path = { faces: [[], []], peers: [null, null] };
  await face(path, 0);
  await face(path, 1);
  const peers = [0, 1].map(() => {
    const connection = new RTCPeerConnection({
      iceServers: [],
      iceUseIpv6: false,
      codecs: { audio: [new RTCRtpCodecParameters(codec)] },
    });
    const peer = { connection, track: new MediaStreamTrack({ kind: 'audio' }), heard: 0 };
    connection.onTrack.subscribe((track) => track.onReceiveRtp.subscribe(() => (peer.heard += 1)));
    return peer;
  });
  const [offerer, answerer] = peers.map(({ connection }) => connection);
  offerer.addTransceiver(peers[0].track, { direction: 'sendrecv' });
  await offerer.setLocalDescription(await offerer.createOffer());
  const offer = offerer.localDescription.sdp;
  await answerer.setRemoteDescription({ type: 'offer', sdp: through(path, offer, 0) });
  const [transceiver] = answerer.getTransceivers();
  await transceiver.sender.replaceTrack(peers[1].track);
  transceiver.setDirection?.('sendrecv');
  transceiver.direction = 'sendrecv';
  await answerer.setLocalDescription(await answerer.createAnswer());
  const answer = answerer.localDescription.sdp;
  await offerer.setRemoteDescription({ type: 'answer', sdp: through(path, answer, 1) });
  for (let n = 0; n < 100 && peers.some(({ connection }) => connection.connectionState !== 'connected'); n += 1) {
    await sleep(100);
  }
  let sequence = 0;
  const timer = setInterval(() => {
    sequence += 1;
    for (const [side, { track, connection }] of peers.entries()) {
      const { ssrc } = connection.getTransceivers()[0].sender;
      track.writeRtp(new RtpPacket(
        new RtpHeader({ payloadType: 8, sequenceNumber: sequence, timestamp: sequence * 160, ssrc: ssrc ?? side + 1 }),
        Buffer.alloc(160, 0xd5),
      ));
    }
  }, 20);
  await sleep(2000);

  const moved = peers[movedSide];
  const usable = moved.heard > 50 && path.faces[movedSide][0].seen.rtp > 50;
  await face(path, movedSide);
  const [before, after] = path.faces[movedSide];
  await sleep(100);
  const heardBefore = moved.heard;
  await sleep(500);
  const heardWithoutCheck = moved.heard - heardBefore > 10 && after.seen.successes === 0;
  const [own, other] = movedSide === 0 ? [offer, answer] : [answer, offer];
  const user = `${value(own, 'ice-ufrag')}:${value(other, 'ice-ufrag')}`;
  for (let n = 0; n < 5; n += 1) {
    const { address, port } = path.peers[movedSide];
    after.socket.send(check(user, value(own, 'ice-pwd'), movedSide === 1), port, address);
    await sleep(200);
  }
  const old = before.seen.rtp;
  await sleep(5000);
  const toOld = before.seen.rtp - old;
  for (let n = 0; n < 300 && moved.connection.connectionState === 'connected'; n += 1) await sleep(100);
  clearInterval(timer);
  return {
    usable,
    heardWithoutCheck,
    successesAtNewPort: after.seen.successes > 0,
    rtpToOldPort: toOld > 100,
    rtpToNewPort: after.seen.rtp,
    inTheEnd: moved.connection.connectionState,
  };
}

const [controlled, controlling] = await Promise.all([portChanges(1), portChanges(0)]);
console.log(`controlled:  ${JSON.stringify(controlled)}`);
console.log(`controlling: ${JSON.stringify(controlling)}`);
if (!controlled.usable || !controlling.usable) process.exit(2);
const same = [controlled, controlling].every(
  (each) =>
    each.heardWithoutCheck && each.successesAtNewPort && each.rtpToOldPort && each.rtpToNewPort === 0 && each.inTheEnd === 'failed',
);
process.exit(same ? 0 : 1);
JS
timeout 100 node port.mjs
