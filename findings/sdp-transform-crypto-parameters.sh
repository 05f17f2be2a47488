#!/usr/bin/env bash
# sdp-transform 3.0.0 (npm), which reads and writes SDP for most WebRTC software in JavaScript; Node 20.
#
# Guessed: an a=crypto line (RFC 4568 §9.1) with several session parameters comes back whole.
# Seen:    only the first one is kept, without a sign: read and written again, `UNENCRYPTED_SRTP
#          UNAUTHENTICATED_SRTP` is `UNENCRYPTED_SRTP`, and the two ends disagree on every packet's length.
#          Key, lifetime and MKI stay one string, `config`.
# Whoever negotiates by these parameters has to read the line himself.
#
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
npm init -y >/dev/null 2>&1 && npm install --ignore-scripts --no-audit --no-fund sdp-transform@3.0.0 >npm.log 2>&1 ||
  { tail -n 3 npm.log; exit 2; }
cat >read.mjs <<'JS'
import { createRequire } from 'node:module';
const transform = createRequire(import.meta.url)('sdp-transform');
const line =
  'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE|2^20|1:4 ' +
  'UNENCRYPTED_SRTP UNAUTHENTICATED_SRTP';
const body = ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 't=0 0', 'm=audio 6000 RTP/SAVP 0', line, ''];
const parsed = transform.parse(body.join('\r\n'));
const [crypto] = parsed.media[0].crypto;
const written = /^a=crypto.*$/m.exec(transform.write(parsed))?.[0];
console.log(`read:    ${JSON.stringify(crypto)}`);
console.log(`written: ${written}`);
process.exit(crypto.sessionConfig === 'UNENCRYPTED_SRTP' && !written.includes('UNAUTHENTICATED') ? 0 : 1);
JS
node read.mjs
