#!/usr/bin/env bash
# JsSIP 3.13.8 and SIP.js 0.21.2 (npm), the SIP stacks of browser phones; Node 20.
#
# Guessed: a request whose From or To is a `tel:` URI (RFC 3966; RFC 3261 section 25.1 has any absoluteURI there, and what
#          comes from the public network through an IMS has them) is taken as one with `sip:`, or answered with 416
#          (Unsupported URI Scheme), section 8.2.2.1.
# Seen:    both drop the whole message and answer nothing, not even 100. With `sip:` in both headers they answer.
# So a call from such a number rings nowhere, and the caller hears nothing until a timer of the proxy ends the branch.
# Whoever puts browsers behind a trunk has the proxy write sip:NUMBER@domain;user=phone.
#
# Output seen (what was answered to an INVITE; no WebRTC in Node, hence JsSIP's 405):
#   JsSIP sip: 100 405
#   JsSIP tel in From: nothing
#   JsSIP tel in To: nothing
#   SIP.js sip: 100 180 480
#   SIP.js tel in From: nothing
#   SIP.js tel in To: nothing
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
npm init -y >/dev/null 2>&1 &&
  npm install --ignore-scripts --no-audit --no-fund jssip@3.13.8 sip.js@0.21.2 >npm.log 2>&1 || { tail -n 3 npm.log; exit 2; }
cat >tel.mjs <<'JS'
import JsSIP from 'jssip';
import { UserAgent } from 'sip.js';

const pause = () => new Promise((resolve) => setTimeout(resolve, 500));
const request = (from, to, id) =>
  [
    'INVITE sip:b@b.example SIP/2.0',
    `Via: SIP/2.0/WS proxy.example;branch=z9hG4bK${id}`,
    `From: <${from}>;tag=${id}`,
    `To: <${to}>`,
    `Call-ID: ${id}@a.example`,
    'CSeq: 1 INVITE',
    'Contact: <sip:a@a.example>',
    'Max-Forwards: 70',
    'Content-Length: 0',
    '\r\n',
  ].join('\r\n');
const cases = {
  sip: ['sip:a@a.example', 'sip:b@b.example'],
  'tel in From': ['tel:+4930123', 'sip:b@b.example'],
  'tel in To': ['sip:a@a.example', 'tel:+4930123'],
};
let sent = [];
const note = (message) => sent.push(message.split(' ')[1]);

const socket = {
  ...{ via_transport: 'WS', url: 'ws://proxy.example', sip_uri: 'sip:proxy.example;transport=ws' },
  connect: () => setTimeout(() => socket.onconnect(), 0),
  disconnect: () => {},
  isConnected: () => true,
  isConnecting: () => false,
  send: (message) => note(message) > 0,
};
const jssip = new JsSIP.UA({ sockets: [socket], uri: 'sip:b@b.example', register: false });
jssip.start();

let transport;
class Transport {
  constructor() {
    Object.assign(this, { protocol: 'WS', state: 'Connected', stateChange: { addListener() {}, removeListener() {} } });
    transport = this;
  }
  isConnected() { return true; }
  async connect() { this.onConnect?.(); }
  async disconnect() {}
  async dispose() {}
  async send(message) { note(message); }
}
const sipjs = new UserAgent({
  uri: UserAgent.makeURI('sip:b@b.example'),
  transportConstructor: Transport,
  logBuiltinEnabled: false,
  sessionDescriptionHandlerFactory: () => ({ close() {} }),
  delegate: { onInvite: (invitation) => void invitation.reject() },
});
await sipjs.start();
await pause();

const seen = {};
const stacks = { JsSIP: (text) => socket.ondata(text), 'SIP.js': (text) => transport.onMessage(text) };
let id = 0;
for (const [stack, receive] of Object.entries(stacks))
  for (const [name, uris] of Object.entries(cases)) {
    sent = [];
    receive(request(...uris, `c${++id}`));
    await pause();
    seen[`${stack} ${name}`] = sent.join(' ') || 'nothing';
    console.log(`${stack} ${name}: ${sent.join(' ') || 'nothing'}`);
  }
const answered = (name) => seen[name].startsWith('100 ');
const both = (name) => [seen[`JsSIP ${name}`], seen[`SIP.js ${name}`]];
if (!answered('JsSIP sip') || !answered('SIP.js sip')) process.exit(2);
process.exit([...both('tel in From'), ...both('tel in To')].every((each) => each === 'nothing') ? 0 : 1);
JS
timeout 60 node tel.mjs
