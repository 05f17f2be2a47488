#!/usr/bin/env bash
# werift 0.25.2 (npm), a WebRTC stack in TypeScript; Node 20.
#
# Guessed: SDP without a=ssrc lines (RFC 5576 makes them optional, SIP phones and many gateways omit them) leaves
#          the MID header extension and, without that, the payload type to go by (RFC 9143 section 9.2), so the
#          audio of a call with one m-line is heard, as browsers hear it, and by MID in any case.
# Seen:    connected, and every packet is dropped without a sign, with the MID extension negotiated and in the
#          packets, too: the track is there, nothing comes out of it. With the a=ssrc line in place, all is heard.
# So whoever takes a=ssrc out of an SDP, or changes the SSRC without signalling it, silences such a peer.
#
# Output seen:
#   a=ssrc:        all heard
#   neither:       none heard
#   MID extension: none heard
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
npm init -y >/dev/null 2>&1 && npm install --ignore-scripts --no-audit --no-fund werift@0.25.2 >npm.log 2>&1 ||
  { tail -n 3 npm.log; exit 2; }
cat >ssrc.mjs <<'JS'
import {
  MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket, useSdesMid,
} from 'werift';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const codec = { mimeType: 'audio/PCMA', clockRate: 8000, channels: 1, payloadType: 8 };

/** Calls from one to the other, the offer changed underway; the share of packets that was heard. */
async function call(withMid, change) {
  const connection = () =>
    new RTCPeerConnection({
      iceServers: [],
      iceUseIpv6: false,
      codecs: { audio: [new RTCRtpCodecParameters(codec)] },
      headerExtensions: withMid ? { audio: [useSdesMid()] } : {},
    });
  const [sender, receiver] = [connection(), connection()];
  let heard = 0;
  receiver.onTrack.subscribe((track) => track.onReceiveRtp.subscribe(() => (heard += 1)));
  const track = new MediaStreamTrack({ kind: 'audio' });
  sender.addTransceiver(track, { direction: 'sendonly' });
  await sender.setLocalDescription(await sender.createOffer());
  await receiver.setRemoteDescription({ type: 'offer', sdp: change(sender.localDescription.sdp) });
  await receiver.setLocalDescription(await receiver.createAnswer());
  await sender.setRemoteDescription({ type: 'answer', sdp: receiver.localDescription.sdp });
  for (let n = 0; n < 100 && sender.connectionState !== 'connected'; n += 1) await sleep(100);
  await sleep(500);
  for (let n = 1; n <= 100; n += 1) {
    track.writeRtp(new RtpPacket(
      new RtpHeader({ payloadType: 8, sequenceNumber: n, timestamp: n * 160, ssrc: 7 }),
      Buffer.alloc(160, 0xd5),
    ));
    await sleep(20);
  }
  await sleep(300);
  const state = receiver.connectionState;
  await Promise.all([sender.close(), receiver.close()]);
  return state !== 'connected' ? state : heard === 0 ? 'none heard' : heard > 95 ? 'all heard' : `${heard} heard`;
}

const without = (sdp) => sdp.split('\r\n').filter((line) => !line.startsWith('a=ssrc:')).join('\r\n');
const results = [await call(false, (sdp) => sdp), await call(false, without), await call(true, without)];
for (const [n, name] of ['a=ssrc:       ', 'neither:      ', 'MID extension:'].entries()) console.log(name, results[n]);
if (results[0] !== 'all heard') process.exit(2);
process.exit(results[1] === 'none heard' && results[2] === 'none heard' ? 0 : 1);
JS
timeout 60 node ssrc.mjs
