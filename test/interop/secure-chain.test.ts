/** ICE and DTLS-SRTP between us and rtpengine 10.5 and 12.5: what a plain phone sends through both arrives, in both roles. */
import { expect } from 'chai';
import { plainBody, signal, talk, type Link } from '../support/chain.js';
import { MediaDaemon, references } from '../support/daemons.js';
import { RtpEndpoint, type Destination } from '../support/rtp-endpoint.js';
import { mediaTarget } from '../support/sdp.js';
import { pause } from '../support/wait.js';

type Keys = Readonly<Record<string, unknown>>;

/** Until checks and handshake are done nothing comes through; then everything does. */
async function talkOnceKeyed(
  from: RtpEndpoint,
  to: RtpEndpoint,
  target: Destination,
): Promise<void> {
  to.clear();
  const deadline = Date.now() + 15_000;
  while (to.rtp.length === 0 && Date.now() < deadline) {
    from.sendNext(target);
    await pause(20);
  }
  expect(to.rtp.length, 'the first packet').to.be.above(0);
  await to.settled();
  await talk(from, to, target);
}

interface Case {
  readonly name: string;
  /** Of the offer that makes it secure, of the answer of the second daemon. */
  readonly offer: Keys;
  readonly answer?: Keys;
  readonly expected: readonly RegExp[];
  /**
   * Not with rtpengine as the answerer: it sends a ClientHello before it becomes the server, and our answer to
   * that confuses it.
   */
  readonly notToRtpengine?: boolean;
}

const dtls = { 'transport-protocol': 'UDP/TLS/RTP/SAVPF', SDES: ['off'] };
const cases: readonly Case[] = [
  { name: 'ICE', offer: { ICE: 'force' }, expected: [/a=candidate:/] },
  {
    name: 'ICE and DTLS, multiplexed',
    offer: { ...dtls, ICE: 'force', 'rtcp-mux': ['offer', 'require'] },
    expected: [/a=candidate:/, /a=fingerprint:/, /a=rtcp-mux/],
  },
  { name: 'DTLS on two ports', offer: dtls, expected: [/a=fingerprint:/] },
  {
    name: 'DTLS with the roles turned round',
    offer: dtls,
    answer: { DTLS: 'passive' },
    notToRtpengine: true,
    expected: [/a=fingerprint:/],
  },
  {
    name: 'ICE with a lite agent',
    offer: { ICE: 'force', 'ICE-lite': 'forward' },
    expected: [/a=ice-lite/],
  },
];

/** a calls b: `first` secures it, `second` makes it plain again; then both talk. */
async function callThrough(first: Link, second: Link, each: Case): Promise<void> {
  const [a, b] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
  const call = { 'call-id': `${first.name} ${each.name}`, 'from-tag': 'a' };
  const onwards = { ...call, 'call-id': `${call['call-id']} onwards` };
  try {
    const secured = await signal(first, {
      ...{ command: 'offer', ...call, sdp: plainBody(a.port) },
      ...each.offer,
    });
    for (const line of each.expected) expect(secured).to.match(line);
    const toB = await signal(second, {
      ...{ command: 'offer', ...onwards, sdp: secured },
      ...{ 'transport-protocol': 'RTP/AVP', ICE: 'remove', 'rtcp-mux': ['demux'] },
    });
    expect(toB)
      .to.contain('RTP/AVP')
      .and.not.to.match(/a=(?:fingerprint|candidate|rtcp-mux)/);
    const answered = await signal(second, {
      ...{ command: 'answer', ...onwards, 'to-tag': 'b', sdp: plainBody(b.port) },
      ...each.answer,
    });
    const toA = await signal(first, { command: 'answer', ...call, 'to-tag': 'b', sdp: answered });
    await talkOnceKeyed(a, b, mediaTarget(toA));
    await talkOnceKeyed(b, a, mediaTarget(toB));
    await first.client.ask({ command: 'delete', ...call });
    await second.client.ask({ command: 'delete', ...onwards });
  } finally {
    a.close();
    b.close();
  }
}

for (const { kind: theirs, release, isHere } of references)
  describe(`ICE and DTLS between us and rtpengine ${release}`, function () {
    this.timeout(60_000);
    const daemons: MediaDaemon[] = [];
    const links: Link[] = [];

    before(async function () {
      if (!isHere()) this.skip();
      for (const kind of ['rtprelayd', theirs] as const) {
        const daemon = await MediaDaemon.start(kind);
        daemons.push(daemon);
        links.push({ name: kind, client: daemon.client() });
      }
    });

    after(async () => {
      for (const { client } of links) client.close();
      for (const daemon of daemons) await daemon.stop();
    });

    for (const each of cases) {
      for (const [from, to] of [
        [0, 1],
        [1, 0],
        [0, 0],
      ] as const) {
        if (to === 1 && each.notToRtpengine === true) continue;
        if (from === to && theirs !== 'rtpengine') continue; // it takes no part
        it(`${each.name}, ${from === 0 ? 'we offer' : 'it offers'}${from === to ? ' and we answer' : ''}`, async () => {
          const [first, second] = [links[from], links[to]];
          if (first === undefined || second === undefined) throw new Error('no daemon');
          await callThrough(first, second, each);
        });
      }
    }
  });
