/** SDES between us and rtpengine 10.5 and 12.5: what a plain phone sends through both arrives, whichever encrypts. */
import { expect } from 'chai';
import { srtpSuiteNames, type SrtpSuite } from '../../src/media/sdes/suites.js';
import { plainBody, signal, talk, type Link } from '../support/chain.js';
import { MediaDaemon, references } from '../support/daemons.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { mediaTarget } from '../support/sdp.js';

/** a calls b: `first` makes SRTP of it, `second` RTP again; then both talk. */
async function callThrough(
  first: Link,
  second: Link,
  suite: SrtpSuite,
  words: readonly string[],
): Promise<void> {
  const [a, b] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
  const call = { 'call-id': `${first.name}-${suite}-${words.length}`, 'from-tag': 'a' };
  try {
    const secured = await signal(first, {
      command: 'offer',
      ...call,
      sdp: plainBody(a.port),
      'transport-protocol': 'RTP/SAVP',
      DTLS: 'off',
      SDES: [
        ...srtpSuiteNames.filter((name) => name !== suite).map((name) => `no-${name}`),
        ...words,
      ],
    });
    expect(secured.match(/^a=crypto:.*$/gm)).to.have.length(1);
    expect(secured).to.contain(suite).and.to.contain('RTP/SAVP');
    const toB = await signal(second, {
      command: 'offer',
      ...call,
      sdp: secured,
      'transport-protocol': 'RTP/AVP',
    });
    expect(toB).to.contain('RTP/AVP').and.not.to.contain('a=crypto');
    const answered = await signal(second, {
      command: 'answer',
      ...call,
      'to-tag': 'b',
      sdp: plainBody(b.port),
    });
    const toA = await signal(first, { command: 'answer', ...call, 'to-tag': 'b', sdp: answered });
    await talk(a, b, mediaTarget(toA));
    await talk(b, a, mediaTarget(toB));
    await talk(a, b, mediaTarget(toA));
  } finally {
    a.close();
    b.close();
    for (const { client } of [first, second]) {
      await client.ask({ command: 'delete', 'call-id': call['call-id'], 'delete-delay': 0 });
    }
  }
}

/** a and b speak RTP with rtpengine, once for each of them; between its two calls SRTP goes through us. */
async function callBetween(ours: Link, theirs: Link, keys: Record<string, unknown>): Promise<void> {
  const [a, b] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
  const ids = { left: 'left', middle: 'middle', right: 'right' };
  const step = (link: Link, id: string, command: string, sdp: string, more = {}): Promise<string> =>
    signal(link, {
      ...{ command, 'call-id': id, 'from-tag': 'a', sdp, DTLS: 'off' },
      ...(command === 'answer' ? { 'to-tag': 'b' } : {}),
      ...more,
    });
  try {
    const secure = { 'transport-protocol': 'RTP/SAVP' };
    const offered = await step(theirs, ids.left, 'offer', plainBody(a.port), secure);
    const between = await step(ours, ids.middle, 'offer', offered, keys);
    const toB = await step(theirs, ids.right, 'offer', between, {
      'transport-protocol': 'RTP/AVP',
    });
    const answered = await step(theirs, ids.right, 'answer', plainBody(b.port));
    const back = await step(ours, ids.middle, 'answer', answered);
    const key = /inline:(\S+)/;
    const same = key.exec(answered)?.[1] === key.exec(back)?.[1];
    expect(same, 'the key of the answer is passed on').to.equal(keys['flags'] === undefined);
    const toA = await step(theirs, ids.left, 'answer', back);
    await talk(a, b, mediaTarget(toA));
    await talk(b, a, mediaTarget(toB));
  } finally {
    a.close();
    b.close();
    for (const { client } of [ours, theirs]) {
      for (const id of Object.values(ids)) {
        await client.ask({ command: 'delete', 'call-id': id, 'delete-delay': 0 });
      }
    }
  }
}

for (const { kind: reference, release, isHere } of references)
  describe(`SRTP through rtpengine ${release} and us`, () => {
    const links: { daemon: MediaDaemon; link: Link }[] = [];

    before(async function () {
      if (!isHere()) this.skip();
      for (const kind of ['rtprelayd', reference] as const) {
        const daemon = await MediaDaemon.start(kind);
        links.push({ daemon, link: { name: kind, client: daemon.client() } });
      }
    });
    after(async () => {
      for (const { daemon, link } of links) {
        link.client.close();
        await daemon.stop();
      }
    });

    for (const [title, keys] of [
      ['is passed through', {}],
      ['is encrypted anew where that is asked for', { flags: ['recrypt'] }],
    ] as const) {
      it(`SRTP on both sides ${title}`, async () => {
        const [ours, theirs] = links;
        if (ours === undefined || theirs === undefined) throw new Error('no daemons');
        await callBetween(ours.link, theirs.link, keys);
      });
    }

    const parameters = ['unencrypted_srtp', 'unencrypted_srtcp', 'unauthenticated_srtp'];
    for (const [title, words] of [
      ['', []],
      [', with all session parameters', parameters],
    ] as const) {
      for (const suite of srtpSuiteNames) {
        if (suite.startsWith('NULL')) continue; // it does not carry them
        // GCM has nothing to leave out (RFC 7714 §14.3).
        if (words.length > 0 && suite.startsWith('AEAD')) continue;
        it(`${suite}: encrypted by us, decrypted by it${title}`, async () => {
          const [ours, theirs] = links;
          if (ours === undefined || theirs === undefined) throw new Error('no daemons');
          await callThrough(ours.link, theirs.link, suite, words);
        });
        it(`${suite}: encrypted by it, decrypted by us${title}`, async () => {
          const [ours, theirs] = links;
          if (ours === undefined || theirs === undefined) throw new Error('no daemons');
          await callThrough(theirs.link, ours.link, suite, words);
        });
      }
    }
  });
