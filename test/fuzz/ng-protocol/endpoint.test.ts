/**
 * Mutated datagrams through the whole NG layer: every one gets one reply or none, for work that grows no
 * faster than the datagram. None of them hangs the npm decoder or crashes rtpengine 10.5 (nested 20,000
 * deep they would): see support/harmless.ts.
 */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import type { NgDictionary } from '../../../src/ng-protocol/dictionary.js';
import { NgEndpoint } from '../../../src/ng-protocol/endpoint.js';
import { ReplyCache } from '../../../src/ng-protocol/reply-cache.js';
import { costRatio } from '../../support/cost.js';
import { withoutTheDeadly } from '../../support/harmless.js';
import { randomSource } from '../../support/random.js';

const rounds = 20_000;
/** Deeper than what is taken (64), and far from what overflows the stack of another program. */
const tooDeep = 500;

const recorded: readonly { request: string }[] = JSON.parse(
  readFileSync(new URL('../../unit/ng-protocol/kamailio-5.6.json', import.meta.url), 'utf8'),
);
const corpus: readonly string[] = [
  ...recorded.map(({ request }) => request),
  'j {"command":"offer","sdp":"v=0","call-id":"c","from-tag":"f","flags":["trust-address"]}',
  'j {"command":"list","limit":"\\u0033","x":{"y":[1,true,null,{"z":1.5}]}}',
  'r d3:sdp3:v=07:call-id1:c8:from-tag1:f10:rtpp-flags37:a=[b c=[d e]] RTP DTLS direction=x SDES-off7:command5:offere',
];
const tokens: readonly string[] = [
  ...['d', 'l', 'e', 'i', ':', '-', '0:', 'i-1e', 'l-0:', 'd-0:i1e', '99999999999:', ' ', '{', '}'],
  ...['[', ']', '"', '\\u', '\\ud83d', '\0', '\xff', '=', '=[', ','],
];

function mutate(text: string, pick: (below: number) => number): string {
  let mutated = text;
  for (let i = pick(6); i >= 0; i -= 1) {
    const at = pick(mutated.length + 1);
    const token = tokens[pick(tokens.length)] ?? '';
    const kind = pick(6);
    if (kind === 0) mutated = mutated.slice(0, at) + token + mutated.slice(at);
    else if (kind === 1) mutated = mutated.slice(0, at) + mutated.slice(at + 1 + pick(20));
    else if (kind === 2) mutated = mutated.slice(0, at);
    else if (kind === 3) {
      mutated = mutated.slice(0, at) + String.fromCharCode(pick(256)) + mutated.slice(at + 1);
    } else if (kind === 4) {
      const end = Math.min(mutated.length, at + pick(60));
      mutated = mutated.slice(0, end) + mutated.slice(at);
    } else mutated = mutated.slice(0, at) + token.repeat(pick(tooDeep)) + mutated.slice(at);
  }
  return withoutTheDeadly(mutated);
}

/** Number `round` of the mutated messages; `pick` must have gone through those before it. */
function mutatedMessage(round: number, pick: (below: number) => number): string {
  const original = corpus[pick(corpus.length)] ?? '';
  // A cookie of its own, or the cache would answer.
  return mutate(`${round} ${original.slice(original.indexOf(' ') + 1)}`, pick);
}

describe('NG endpoint under mutated datagrams', () => {
  const ok: NgDictionary = new Map([['result', 'ok']]);
  let replies: Buffer[] = [];
  let internalErrors = 0;
  let withoutCookie = 0;
  const endpoint = new NgEndpoint({
    handler: () => ok,
    observer: {
      received: () => undefined,
      replied: () => undefined,
      protocolError: () => undefined,
      noCookie: () => (withoutCookie += 1),
      duplicate: () => undefined,
      notes: () => undefined,
      internalError: () => (internalErrors += 1),
    },
    cache: new ReplyCache({ nowMs: () => 0, maxBytes: 1_000_000 }),
    shorten: () => null,
    nowMicros: () => 0,
  });
  const send = (text: string): void => {
    replies = [];
    const datagram = Buffer.from(text, 'latin1').subarray(0, 65_507);
    endpoint.handleMessage(datagram, { address: '::1', port: 1 }, 65_507, (bytes) =>
      replies.push(bytes),
    );
  };

  it(`gives ${rounds} of them one reply each, or none without a cookie`, function () {
    this.timeout(60_000);
    const pick = randomSource(20_261_123);
    let oks = 0;
    for (let round = 0; round < rounds; round += 1) {
      const before = withoutCookie;
      send(mutatedMessage(round, pick));
      expect(replies.length + withoutCookie - before).to.equal(1);
      const reply = replies[0];
      if (reply !== undefined) {
        expect(reply.toString('latin1')).to.match(/^[^ ]+ [d{]/);
        if (reply.includes('6:result2:ok') || reply.includes('"result":"ok"')) oks += 1;
      }
    }
    expect(internalErrors).to.equal(0);
    // The mutations must reach beyond the decoder, and not pass unnoticed either.
    expect(oks).to.be.greaterThan(rounds / 50);
    expect(oks).to.be.lessThan(rounds);
  });

  it('takes none that the npm decoder neither reads nor refuses', async function () {
    this.timeout(60_000);
    const pick = randomSource(20_261_123);
    const messages = Array.from({ length: rounds }, (_, round) => mutatedMessage(round, pick));
    const decoder = `
      const { parentPort, workerData } = require('node:worker_threads');
      import('bencode').then(({ default: bencode }) => {
        for (const text of workerData) {
          try { bencode.decode(Buffer.from(text.slice(text.indexOf(' ') + 1), 'latin1')); } catch {}
        }
        parentPort.postMessage(workerData.length);
      });`;
    const worker = new Worker(decoder, { eval: true, execArgv: [], workerData: messages });
    try {
      const decoded = await new Promise((resolve, reject) => {
        worker.once('message', resolve).once('error', reject);
      });
      expect(decoded).to.equal(rounds);
    } finally {
      await worker.terminate();
    }
  });

  const refused: readonly (readonly [name: string, body: string])[] = [
    ['a negative length', 'd1:al-0:ee'],
    ['a negative length and what it would go back to', 'd1:al-1:aee'],
    ['a negative key length', 'd-0:i1e'],
    ['nested lists', `d1:a${'l'.repeat(tooDeep)}`],
    ['nested dictionaries', 'd1:a'.repeat(tooDeep)],
    ['a huge length', 'd1:a99999999999999999999:ee'],
    ['nested JSON', `{"a":${'['.repeat(tooDeep)}`],
    ['closed nested JSON', `{"a":${'['.repeat(tooDeep)}${']'.repeat(tooDeep)}}`],
  ];
  for (const [name, body] of refused) {
    it(`answers ${name} with an error`, () => {
      send(`refused-${name.replaceAll(' ', '_')} ${body}`);
      expect(replies[0]?.toString('latin1')).to.match(/error/);
      expect(internalErrors).to.equal(0);
    });
  }

  const string = (text: string): string => `${text.length}:${text}`;
  const long: readonly (readonly [name: string, body: (size: number) => string])[] = [
    ['l only', (size) => 'l'.repeat(size)],
    ['a length of many digits', (size) => `d1:a${'9'.repeat(size)}:e`],
    ['an integer of many digits', (size) => `d1:ai${'9'.repeat(size)}ee`],
    ['JSON of backslashes', (size) => `{"a":"${'\\'.repeat(size)}u"}`],
    ['small members', (size) => `d5:flagsl${'1:x'.repeat(size / 3)}e7:command5:offere`],
    ['nested flags', (size) => `d10:rtpp-flags${string('a=['.repeat(size / 3))}7:command5:offere`],
    ['closing brackets', (size) => `d10:rtpp-flags${string(']'.repeat(size))}7:command5:offere`],
  ];
  for (const [name, body] of long) {
    it(`works no more per byte for 60,000 bytes of ${name} than for 6,000`, () => {
      let number = 0;
      const work = (text: string) => (): void => {
        // Never from the cache.
        send(`${name.replaceAll(' ', '_')}-${(number += 1)} ${text}`);
      };
      // Ten is linear, a hundred quadratic.
      expect(costRatio(work(body(6000)), work(body(60_000)))).to.be.lessThan(40);
      expect(internalErrors).to.equal(0);
    });
  }
});
