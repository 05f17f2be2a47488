/** Mutated datagrams through the whole NG layer: every one gets one reply or none, quickly. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { NgDictionary } from '../../../src/ng-protocol/dictionary.js';
import { NgEndpoint } from '../../../src/ng-protocol/endpoint.js';
import { ReplyCache } from '../../../src/ng-protocol/reply-cache.js';

const rounds = 20_000;
/** Far above what any datagram needs (microseconds), far below what a loop would take. */
const limitMs = 250;

/** mulberry32: small, seeded, good enough to choose mutations. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

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
  ...['d', 'l', 'e', 'i', ':', '-', '0:', 'i-1e', 'l-3:', 'd-3:i1e', '99999999999:', ' ', '{', '}'],
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
    } else mutated = mutated.slice(0, at) + token.repeat(pick(3000)) + mutated.slice(at);
  }
  return mutated;
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
    cache: new ReplyCache({ nowMs: () => 0, maxBytesPerGeneration: 1_000_000 }),
    nowMicros: () => 0,
  });
  const send = (text: string): void => {
    replies = [];
    const datagram = Buffer.from(text, 'latin1').subarray(0, 65_507);
    const started = performance.now();
    endpoint.handleMessage(datagram, { address: '::1', port: 1 }, (bytes) => replies.push(bytes));
    const tookMs = performance.now() - started;
    expect(tookMs, `ms for ${text.slice(0, 200)}`).to.be.lessThan(limitMs);
  };

  it(`gives ${rounds} of them one reply each, or none without a cookie`, function () {
    this.timeout(60_000);
    const pick = generator(20_261_123);
    let oks = 0;
    for (let round = 0; round < rounds; round += 1) {
      const original = corpus[pick(corpus.length)] ?? '';
      // A cookie of its own, or the cache would answer.
      const body = original.slice(original.indexOf(' ') + 1);
      const before = withoutCookie;
      send(mutate(`${round} ${body}`, pick));
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

  const killers: readonly (readonly [name: string, body: string])[] = [
    ['a negative length', 'd1:al-3:ee'],
    ['a negative key length', 'd-3:i1e'],
    ['64 KiB of l', 'l'.repeat(65_000)],
    ['64 KiB of d', 'd'.repeat(65_000)],
    ['nested lists', `d1:a${'l'.repeat(65_000)}`],
    ['nested dictionaries', 'd1:a'.repeat(16_000)],
    ['a huge length', 'd1:a99999999999999999999:ee'],
    ['a length of many digits', `d1:a${'9'.repeat(60_000)}:e`],
    ['an integer of many digits', `d1:ai${'9'.repeat(60_000)}ee`],
    ['nested JSON', `{"a":${'['.repeat(60_000)}`],
    ['closed nested JSON', `{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`],
    ['JSON of backslashes', `{"a":"${'\\'.repeat(60_000)}u"}`],
  ];
  for (const [name, body] of killers) {
    it(`answers ${name} with an error`, () => {
      send(`kill-${name.replaceAll(' ', '_')} ${body}`);
      expect(replies[0]?.toString('latin1')).to.match(/error/);
      expect(internalErrors).to.equal(0);
    });
  }

  it('reads 30,000 small members and nested rtpp-flags quickly', () => {
    const flags = 'a=['.repeat(20_000);
    send(`m1 d5:flagsl${'1:x'.repeat(20_000)}e7:command5:offere`);
    send(`m2 d10:rtpp-flags${flags.length}:${flags}7:command5:offere`);
    const brackets = ']'.repeat(60_000);
    send(`m3 d10:rtpp-flags${brackets.length}:${brackets}7:command5:offere`);
    expect(internalErrors).to.equal(0);
  });
});
