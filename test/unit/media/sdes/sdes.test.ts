import { expect } from 'chai';
import fc from 'fast-check';
import {
  cryptoLineText,
  readCryptoLine,
  type CryptoLine,
} from '../../../../src/media/sdes/crypto-line.js';
import {
  agreementOf,
  linesToOffer,
  withoutKeys,
  type SdesState,
} from '../../../../src/media/sdes/negotiation.js';
import { srtpSuiteNames, srtpSuites } from '../../../../src/media/sdes/suites.js';
import { noSdesWords, type SdesWords } from '../../../../src/ng-protocol/sdes-words.js';

let seed = 0;
const random = (bytes: number): Buffer => Buffer.alloc(bytes, ++seed);
const key = 'MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE';
const otherKey = 'QkNERUYwMTIzNDU2Nzg5QUJDREVGMDEyMzQ1Njc4';

function line(text: string): CryptoLine {
  const read = readCryptoLine(text);
  if (typeof read === 'string') throw new Error(read);
  return read;
}

const theirs = line(`1 AES_CM_128_HMAC_SHA1_80 inline:${key}`);
const suitesOf = (lines: readonly CryptoLine[]): readonly string[] =>
  lines.map(({ tag, suite }) => `${tag} ${suite}`);
const offerOf = (
  received: readonly CryptoLine[],
  options: Partial<SdesWords> = {},
  previous: SdesState | null = null,
  recrypt = false,
): readonly CryptoLine[] =>
  linesToOffer({
    received,
    othersLines: () => [],
    previous,
    options: { ...noSdesWords, ...options },
    recrypt,
    random,
  });

describe('an a=crypto line', () => {
  it('is read and written as it was, lifetime and padding aside', () => {
    const suite = fc.constantFrom(...srtpSuiteNames);
    const flags = fc.tuple(fc.boolean(), fc.boolean(), fc.boolean());
    const mki = fc.option(fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 128 })));
    fc.assert(
      fc.property(fc.nat(99), suite, flags, mki, fc.boolean(), (tag, name, [a, b, c], id, pad) => {
        const { keyLength, saltLength } = srtpSuites[name];
        const written: CryptoLine = {
          tag,
          suite: name,
          key: random(keyLength + saltLength)
            .toString('base64')
            .replace(/=+$/, ''),
          mki: id === null ? null : { value: String(id[0]), length: id[1] },
          unencryptedSrtp: a,
          unencryptedSrtcp: b,
          unauthenticatedSrtp: c,
        };
        expect(line(cryptoLineText(written, { pad, lifetime: pad }))).to.deep.equal(written);
      }),
    );
  });

  it('is refused with a reason when it cannot be used', () => {
    const bad = [
      '',
      '1',
      `1 FOO inline:${key}`,
      '1 AES_CM_128_HMAC_SHA1_80 inline:short',
      `1 AES_CM_128_HMAC_SHA1_80 inline:${key};inline:${key}`,
      `1 AES_CM_128_HMAC_SHA1_80 inline:${key}|1:0`,
      `1 AES_CM_128_HMAC_SHA1_80 inline:${key}|256:1`,
      `1 AES_CM_128_HMAC_SHA1_80 inline:${key} KDR=1`,
      `-1 AES_CM_128_HMAC_SHA1_80 inline:${key}`,
    ];
    for (const text of bad) expect(readCryptoLine(text), text).to.be.a('string');
  });

  it('may have what nobody has heard of, a lifetime in either form, small letters', () => {
    expect(
      line(`7 aes_cm_128_hmac_sha1_80 inline:${key}|1048576|1:4 WSH=64 -XYZ KDR=0`),
    ).to.include({
      tag: 7,
      suite: 'AES_CM_128_HMAC_SHA1_80',
      key,
    });
  });
});

describe('keys in an offer', () => {
  it('are of all suites, in order', () => {
    expect(suitesOf(offerOf([]))).to.deep.equal(
      srtpSuiteNames.map((name, at) => `${at + 1} ${name}`),
    );
  });

  it('of the offerer are passed on, and others added behind them', () => {
    const lines = offerOf([{ ...theirs, tag: 5 }]);
    expect(lines[0]).to.deep.equal({ ...theirs, tag: 5 });
    expect(suitesOf(lines).slice(0, 2)).to.deep.equal([
      '5 AES_CM_128_HMAC_SHA1_80',
      '6 AEAD_AES_256_GCM',
    ]);
    expect(lines).to.have.length(12);
  });

  it('are left out, chosen and put in order as asked', () => {
    expect(suitesOf(offerOf([], { refused: srtpSuiteNames.slice(2) }))).to.deep.equal([
      '1 AEAD_AES_256_GCM',
      '2 AEAD_AES_128_GCM',
    ]);
    const only = { only: ['NULL_HMAC_SHA1_80'], refused: ['NULL_HMAC_SHA1_80'] };
    expect(suitesOf(offerOf([], only))).to.deep.equal(['1 NULL_HMAC_SHA1_80']);
    expect(suitesOf(offerOf([theirs], { noNew: true, ...only }))).to.deep.equal([
      '1 AES_CM_128_HMAC_SHA1_80',
    ]);
    const order = ['F8_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_80'];
    expect(suitesOf(offerOf([], { order })).slice(0, 2)).to.deep.equal([
      '9 F8_128_HMAC_SHA1_80',
      '7 AES_CM_128_HMAC_SHA1_80',
    ]);
  });

  it('that are in use stay so in a later offer; a key of the other end is never kept as ours', () => {
    const inUse = { ...theirs, tag: 7 };
    const state: SdesState = { ...withoutKeys, send: inUse, receive: theirs };
    expect(offerOf([], {}, state)[0]).to.deep.equal(inUse);
    expect(offerOf([], {}, state)).to.have.length(12);
    const passed = offerOf([], {}, { ...state, passthrough: true });
    expect(passed.some((each) => each.key === key)).to.equal(false);
  });

  it('that were not answered are offered again with their keys, but for those of others', () => {
    const first = offerOf([]);
    const unanswered: SdesState = { ...withoutKeys, own: first };
    expect(offerOf([], {}, unanswered)).to.deep.equal(first);
    const foreign: SdesState = { ...withoutKeys, own: [theirs, ...first.slice(1)] };
    const again = linesToOffer({
      ...{ received: [], previous: foreign, options: noSdesWords, recrypt: false, random },
      othersLines: () => [theirs],
    });
    expect(again.some((each) => each.key === key)).to.equal(false);
  });

  it('are our own where SRTP must end here, and where parameters differ', () => {
    expect(offerOf([theirs], {}, null, true)[0]).to.include({ tag: 1, suite: theirs.suite });
    expect(offerOf([theirs], {}, null, true).some((each) => each.key === key)).to.equal(false);
    expect(offerOf([theirs], { unencryptedSrtp: true }).some((each) => each.key === key)).to.equal(
      false,
    );
  });
});

describe('keys in an answer', () => {
  const answer = (
    offerer: SdesState | null,
    answerer: SdesState | null,
    answered: readonly CryptoLine[],
    plain: { readonly answerer?: boolean; readonly offerer?: boolean } = {},
  ): ReturnType<typeof agreementOf> =>
    agreementOf({
      offerer,
      answerer,
      answered,
      answererMayBePlain: plain.answerer === true,
      offererMayBePlain: plain.offerer === true,
      options: noSdesWords,
      recrypt: false,
      random,
    });
  const offered: SdesState = { ...withoutKeys, offered: [theirs] };

  it('pass SRTP through when a key of the offerer is taken', () => {
    const own = offerOf([theirs]);
    const reply = { ...theirs, key: otherKey };
    const { offerer, answerer } = answer(offered, { ...withoutKeys, own }, [reply]);
    expect(offerer).to.deep.include({ receive: theirs, send: reply, passthrough: true });
    expect(answerer).to.deep.include({ receive: reply, send: theirs, passthrough: true });
  });

  it('of ours are taken: each side has keys of its own', () => {
    const own = offerOf([theirs]);
    const gcm = own.find(({ suite }) => suite === 'AEAD_AES_128_GCM');
    if (gcm === undefined) throw new Error('no such line');
    const reply = { ...gcm, key: random(28).toString('base64').replace(/=+$/, '') };
    const { offerer, answerer } = answer(offered, { ...withoutKeys, own }, [reply]);
    expect(answerer).to.deep.include({ receive: reply, send: gcm, passthrough: false });
    expect(offerer).to.deep.include({ receive: theirs, passthrough: false });
    expect(offerer?.send).to.include({ tag: 1, suite: theirs.suite });
    expect(offerer?.send?.key).not.to.equal(key);
  });

  it('count by their suite where the tag is of another line, or of none', () => {
    const own = offerOf([]);
    const taken = own.find(({ suite }) => suite === theirs.suite);
    for (const tag of [1, 99]) {
      const reply = { ...theirs, tag };
      const { answerer } = answer(null, { ...withoutKeys, own }, [reply]);
      expect(answerer).to.deep.include({ receive: reply, send: taken });
    }
    // The offerer is told the tag that it has offered.
    const passed = answer(offered, { ...withoutKeys, own: offerOf([theirs]) }, [
      { ...theirs, tag: 9, key: otherKey },
    ]);
    expect(passed.offerer).to.deep.include({ send: { ...theirs, key: otherKey } });
    // A line that is right goes before one that is not.
    const [first = theirs] = own;
    const right = { ...first, key: otherKey };
    const { answerer } = answer(null, { ...withoutKeys, own }, [theirs, right]);
    expect(answerer).to.deep.include({ receive: right, send: first });
  });

  it('of an unknown suite are none, and never plain RTP where SRTP was offered', () => {
    const own = offerOf([], { only: ['AEAD_AES_128_GCM'] });
    for (const answered of [[], [{ ...theirs, tag: 99 }], [theirs]]) {
      const { answerer } = answer(null, { ...withoutKeys, own }, answered);
      expect(answerer).to.deep.include({ receive: null, send: null });
    }
  });

  it('may be missing where they were only offered', () => {
    const own = offerOf([theirs]);
    const plain = { answerer: true, offerer: true };
    expect(answer(offered, { ...withoutKeys, own }, [], plain)).to.deep.equal({
      offerer: null,
      answerer: null,
    });
  });

  it('stay what they were for the same tag or key, and are new for another of both', () => {
    const first = answer(offered, null, []).offerer;
    if (first === null) throw new Error('no keys');
    const again = answer({ ...first, offered: [theirs] }, null, []).offerer;
    expect(again?.send).to.deep.equal(first.send);
    const renumbered = answer({ ...first, offered: [{ ...theirs, tag: 2 }] }, null, []).offerer;
    expect(renumbered?.send).to.deep.equal({ ...first.send, tag: 2 });
    const another = [{ ...theirs, tag: 2, key: Buffer.alloc(30, 8).toString('base64') }];
    const renewed = answer({ ...first, offered: another }, null, []).offerer;
    expect(renewed?.send?.key).not.to.equal(first.send?.key);
  });
});
