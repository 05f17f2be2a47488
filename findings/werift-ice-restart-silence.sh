#!/usr/bin/env bash
# werift 0.25.2 (npm), a WebRTC stack in TypeScript; Node 20.
#
# Guessed: an ICE restart (RFC 8445 section 9; its README names it) between two of its peer connections leaves the
#          call as it was, with media on the former pair until the new checks are done.
# Seen:    offer and answer are made with new credentials and new candidates, iceConnectionState is `completed` at
#          once on both sides, before a check was sent. None ever is: from that moment on not one packet arrives in
#          either direction, and 40 s later connectionState is still `connected` on both sides. A new offer without
#          a restart does no harm.
# So an ICE restart, the remedy towards browsers after a relay has changed its address, ends such a call, and
# nothing tells the application. It needs a new peer connection.
#
# Output seen (packets heard in 3 s by each, of 150):
#   before: heard true true
#   offered anew: heard true true
#   restarted, after 4 s: heard 0 0, connected completed, connected completed
#   restarted, after 40 s: heard 0 0, connected completed, connected completed
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Takes a minute.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
npm init -y >/dev/null 2>&1 && npm install --ignore-scripts --no-audit --no-fund werift@0.25.2 >npm.log 2>&1 ||
  { tail -n 3 npm.log; exit 2; }
cat >restart.mjs <<'JS'
import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket } from 'werift';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const codec = { mimeType: 'audio/PCMA', clockRate: 8000, channels: 1, payloadType: 8 };
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

/** Offer and answer, each with all candidates in it. */
async function negotiate(options) {
  await offerer.setLocalDescription(await offerer.createOffer(options));
  await sleep(500);
  await answerer.setRemoteDescription(offerer.localDescription);
  const [transceiver] = answerer.getTransceivers();
  if (transceiver.sender.track !== peers[1].track) {
    await transceiver.sender.replaceTrack(peers[1].track);
    transceiver.setDirection?.('sendrecv');
    transceiver.direction = 'sendrecv';
  }
  await answerer.setLocalDescription(await answerer.createAnswer());
  await sleep(500);
  await offerer.setRemoteDescription(answerer.localDescription);
  return [offerer, answerer].map(({ localDescription: { sdp } }) => ({
    fragment: /^a=ice-ufrag:(\S+)/m.exec(sdp)[1],
    candidates: (sdp.match(/^a=candidate:/gm) ?? []).length,
  }));
}
async function heardNow() {
  const before = peers.map(({ heard }) => heard);
  await sleep(3000);
  return peers.map(({ heard }, side) => heard - before[side]);
}
const states = () =>
  [offerer, answerer].map(({ connectionState, iceConnectionState }) => `${connectionState} ${iceConnectionState}`).join(', ');

offerer.addTransceiver(peers[0].track, { direction: 'sendrecv' });
const [first] = await negotiate();
for (let n = 0; n < 200 && [offerer, answerer].some((each) => each.connectionState !== 'connected'); n += 1) await sleep(100);
let sequence = 0;
const timer = setInterval(() => {
  sequence += 1;
  for (const { track } of peers) {
    const header = new RtpHeader({ payloadType: 8, sequenceNumber: sequence, timestamp: sequence * 160, ssrc: 7 });
    track.writeRtp(new RtpPacket(header, Buffer.alloc(160, 0xd5)));
  }
}, 20);
await sleep(500);
const isHeard = (counts) => counts.map((count) => count > 50);
const before = isHeard(await heardNow());
console.log('before: heard', ...before);
await negotiate();
const again = isHeard(await heardNow());
console.log('offered anew: heard', ...again);
const [second, third] = await negotiate({ iceRestart: true });
const usable =
  ![...before, ...again].includes(false) && second.fragment !== first.fragment && second.candidates > 0 && third.candidates > 0;
await sleep(1000);
const early = await heardNow();
const earlyStates = states();
console.log(`restarted, after 4 s: heard ${early.join(' ')}, ${earlyStates}`);
await sleep(33000);
const late = await heardNow();
console.log(`restarted, after 40 s: heard ${late.join(' ')}, ${states()}`);
clearInterval(timer);
if (!usable) process.exit(2);
const isSilent = [...early, ...late].every((count) => count === 0);
process.exit(isSilent && new Set([earlyStates, states(), 'connected completed, connected completed']).size === 1 ? 0 : 1);
JS
timeout 100 node restart.mjs
