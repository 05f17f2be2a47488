#!/usr/bin/env bash
# node-datachannel 0.33.4 (npm), which is libdatachannel 0.24.5 with libjuice, a WebRTC stack in C++; Node 20.
#
# Guessed: when its peer's packets come from a new port (a NAT that lost its state, a relay that was taken over), an
#          authenticated check (RFC 8445) from there with a PRIORITY above all others moves its media there at once,
#          whichever role it has: both browsers do so, and all it takes of a controlling agent is a triggered check.
#          Media from there is heard in any case, SRTP being authenticated.
# Seen:    only as controlled agent, and only if the check has USE-CANDIDATE as well: then within 0.1 s. A
#          controlling one (whoever calls an ice-lite relay) answers the checks and hears what comes from the new
#          port after the first of them, but sends all of its own to the old one, until it says `failed` and in the
#          same moment `closed` 27 s later: there is nothing left that could restart ICE. Before the first check it
#          hears nothing from the new port.
# So a relay that may have to move wants to be the controlling side towards such a peer; else it keeps address and
# port.
#
# Output seen (Node 20.20):
#   controlled:  heard from the new port before a check false, afterwards true,
#                RTP to the old port false, to the new port true, in the end connected
#   controlling: heard from the new port before a check false, afterwards true,
#                RTP to the old port true, to the new port false, in the end closed
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Takes 40 s.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
npm init -y >/dev/null 2>&1 && npm install --ignore-scripts --no-audit --no-fund node-datachannel@0.33.4 >npm.log 2>&1 ||
  { tail -n 3 npm.log; exit 2; }
cat >port.mjs <<'JS'
import { createHmac, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import nodeDataChannel from 'node-datachannel';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

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

/** One side of a call with one PCMA stream. Every track object is kept: a collected one is closed. */
function makePeer(name, ssrc) {
  const connection = new nodeDataChannel.PeerConnection(name, {
    iceServers: [],
    bindAddress: '127.0.0.1',
    disableAutoNegotiation: true,
  });
  const peer = { connection, tracks: [], heard: 0 };
  const gathered = new Promise((resolve) =>
    connection.onGatheringStateChange((state) => state === 'complete' && resolve()));
  const keep = (track) => {
    peer.tracks.push(track);
    track.onMessage((message) => (peer.heard += Buffer.from(message)[1] === 8 ? 1 : 0));
  };
  connection.onTrack(keep);
  /** The own description, an offer or an answer. */
  peer.describe = async (type) => {
    const audio = new nodeDataChannel.Audio(type === 'offer' ? '0' : peer.mid, 'SendRecv');
    audio.addAudioCodec(8, 'PCMA', '');
    audio.addSSRC(ssrc, name, name, name);
    keep(connection.addTrack(audio));
    connection.setLocalDescription(type);
    await gathered;
    return connection.localDescription().sdp;
  };
  peer.send = (sequence) => {
    const packet = Buffer.alloc(172, 0xd5);
    packet.writeUInt16BE(0x8008, 0);
    packet.writeUInt16BE(sequence, 2);
    packet.writeUInt32BE(sequence * 160, 4);
    packet.writeUInt32BE(ssrc, 8);
    const track = peer.tracks.find((each) => each.isOpen());
    if (connection.state() === 'connected') track?.sendMessageBinary(packet);
  };
  return peer;
}

/** Two connected peers; the port that one of them talks to changes: what it does then. */
async function portChanges(movedSide) {
  const path = { faces: [[], []], peers: [null, null] };
  await face(path, 0);
  await face(path, 1);
  const peers = [makePeer('offerer', 1), makePeer('answerer', 2)];
  const [{ connection: offerer }, { connection: answerer }] = peers;
  const offer = await peers[0].describe('offer');
  answerer.setRemoteDescription(through(path, offer, 0), 'offer');
  peers[1].mid = value(offer, 'mid');
  const answer = await peers[1].describe('answer');
  offerer.setRemoteDescription(through(path, answer, 1), 'answer');
  for (let n = 0; n < 100 && peers.some(({ connection }) => connection.state() !== 'connected'); n += 1) {
    await sleep(100);
  }
  let sequence = 0;
  const timer = setInterval(() => {
    sequence += 1;
    for (const peer of peers) peer.send(sequence);
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
  const earlier = { old: before.seen.rtp, new: after.seen.rtp, heard: moved.heard };
  await sleep(5000);
  const [toOld, toNew, heard] = [before.seen.rtp - earlier.old, after.seen.rtp - earlier.new, moved.heard - earlier.heard];
  for (let n = 0; n < 300 && moved.connection.state() === 'connected'; n += 1) await sleep(100);
  await sleep(500);
  clearInterval(timer);
  return {
    usable,
    heardWithoutCheck,
    heardAfterwards: heard > 100,
    successesAtNewPort: after.seen.successes > 0,
    rtpToOldPort: toOld > 100,
    rtpToNewPort: toNew > 100,
    inTheEnd: moved.connection.state(),
  };
}

const [controlled, controlling] = await Promise.all([portChanges(1), portChanges(0)]);
console.log(`controlled:  ${JSON.stringify(controlled)}`);
console.log(`controlling: ${JSON.stringify(controlling)}`);
if (!controlled.usable || !controlling.usable) process.exit(2);
const same =
  [controlled, controlling].every((each) => !each.heardWithoutCheck && each.heardAfterwards && each.successesAtNewPort) &&
  !controlled.rtpToOldPort && controlled.rtpToNewPort && controlled.inTheEnd === 'connected' &&
  controlling.rtpToOldPort && !controlling.rtpToNewPort && controlling.inTheEnd === 'closed';
process.exit(same ? 0 : 1);
JS
timeout 100 node port.mjs
