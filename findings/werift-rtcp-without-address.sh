#!/usr/bin/env bash
# werift 0.25.2 (npm), a WebRTC stack in TypeScript; Node 20.
#
# Guessed: as browsers do it: `a=rtcp:PORT`, whose address is optional (RFC 3605 §2.1: "rtcp:" port [nettype ...]), is read, or
#          passed over, since RTCP goes with RTP.
# Seen:    setRemoteDescription rejects the whole body, with no other word than "exception". With ` IN IP4 ADDRESS` behind
#          the port it takes the same body.
# A relay that is asked for it has to write the address as well (rtpengine's flag full-rtcp-attribute).
#
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
npm init -y >/dev/null 2>&1 && npm install --ignore-scripts --no-audit --no-fund werift@0.25.2 >npm.log 2>&1 ||
  { tail -n 3 npm.log; exit 2; }
cat >rtcp.mjs <<'JS'
import { RTCPeerConnection, RTCRtpCodecParameters } from 'werift';

const codec = { mimeType: 'audio/PCMA', clockRate: 8000, channels: 1, payloadType: 8 };
const connection = () =>
  new RTCPeerConnection({
    ...{ iceServers: [], iceUseIpv6: false },
    codecs: { audio: [new RTCRtpCodecParameters(codec)] },
  });
const caller = connection();
caller.addTransceiver('audio', { direction: 'sendrecv' });
const { sdp } = await caller.createOffer();
const plain = sdp.split('\r\n').filter((line) => !line.startsWith('a=rtcp:'));
async function takes(...lines) {
  const callee = connection();
  const at = plain.findIndex((line) => line.startsWith('m=audio'));
  const body = plain.toSpliced(at + 2, 0, ...lines).join('\r\n');
  const result = await callee.setRemoteDescription({ type: 'offer', sdp: body }).then(
    () => 'taken',
    (error) => `refused: ${error.message}`,
  );
  await callee.close();
  return result;
}
const seen = {
  none: await takes(),
  withAddress: await takes('a=rtcp:9 IN IP4 0.0.0.0'),
  withoutAddress: await takes('a=rtcp:9'),
};
console.log(JSON.stringify(seen));
const same =
  seen.none === 'taken' && seen.withAddress === 'taken' && seen.withoutAddress === 'refused: exception';
process.exit(same ? 0 : 1);
JS
timeout 60 node rtcp.mjs
