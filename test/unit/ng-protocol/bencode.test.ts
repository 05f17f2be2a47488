import { expect } from 'chai';
import bencode from 'bencode';
import fc from 'fast-check';
import { decodeBencode, encodeBencode, maxBencodeDepth } from '../../../src/ng-protocol/bencode.js';
import { Members, type NgValue } from '../../../src/ng-protocol/dictionary.js';
import { encodeJson } from '../../../src/ng-protocol/json.js';
import { dumpText } from '../../../src/observe/dump.js';
import { BencodeError } from '../../../src/ng-protocol/errors.js';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const decode = (text: string): NgValue => decodeBencode(bytes(text));
const lenient = (text: string): NgValue => decodeBencode(bytes(text), { lenient: true });

const byteString = fc.uint8Array({ maxLength: 40 }).map((a) => Buffer.from(a).toString('latin1'));
const value: fc.Arbitrary<NgValue> = fc.letrec<{ value: NgValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    byteString,
    fc.maxSafeInteger(),
    fc.array(tie('value'), { maxLength: 5 }),
    fc
      .array(fc.tuple(byteString, tie('value')), { maxLength: 5 })
      .map((entries): NgValue => new Map(entries)),
  ),
})).value;

/** The value as the `bencode` package wants it. */
function plain(input: NgValue): unknown {
  if (typeof input === 'string') return bytes(input);
  if (typeof input === 'number') return input;
  if (input instanceof Map) {
    return new Map([...input].map(([key, member]) => [bytes(key), plain(member)]));
  }
  return (input as readonly NgValue[]).map(plain);
}

describe('bencode', () => {
  it('gives back every value it wrote, dictionaries in their order', () => {
    fc.assert(
      fc.property(value, (input) => {
        const output = decodeBencode(encodeBencode(input));
        expect(output).to.deep.equal(input);
        if (input instanceof Map && output instanceof Map) {
          expect([...output.keys()]).to.deep.equal([...input.keys()]);
        }
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('reads what the bencode package writes', () => {
    fc.assert(
      fc.property(value, (input) => {
        const written = Buffer.from(bencode.encode(plain(input)));
        expect(decodeBencode(written)).to.deep.equal(input);
      }),
      { seed: 2, numRuns: 300 },
    );
  });

  it('reads the types of the protocol', () => {
    expect(decode('d1:ai-5e1:bl1:x0:e1:cdee')).to.deep.equal(
      new Map<string, NgValue>([
        ['a', -5],
        ['b', ['x', '']],
        ['c', new Map()],
      ]),
    );
    expect(decode('3:\xff\x00e')).to.equal('\xff\x00e');
  });

  for (const text of [
    '',
    'x',
    'i',
    'ie',
    'i-e',
    'i01e',
    'i-0e',
    'i+1e',
    'i1',
    'i1x',
    'i123456789012345678901e',
    '4:abc',
    '03:abc',
    '-1:a',
    '3abc',
    '9999999999:a',
    'l',
    'l1:a',
    'd1:ae',
    'di1e1:ae',
    'd1:a1:b',
    'i1ex',
    'dexyz',
    'l-0:',
    'l-1:ae',
    'd-0:i1e',
    'd',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(() => decode(text)).to.throw(BencodeError);
    });
  }

  it('when lenient, lets the end of the input close what is open and ignores what follows', () => {
    const ping = new Map([['command', 'ping']]);
    expect(lenient('d7:command4:ping')).to.deep.equal(ping);
    expect(lenient('d7:command4:pinge\n')).to.deep.equal(ping);
    expect(lenient('d1:al')).to.deep.equal(new Map([['a', []]]));
    expect(lenient('d1:ai+5e1:bi-0ee')).to.deep.equal(
      new Map([
        ['a', 5],
        ['b', 0],
      ]),
    );
    expect(() => lenient('d7:command4:pin')).to.throw(BencodeError);
    expect(() => lenient('d7:commande')).to.throw(BencodeError);
  });

  it('keeps the first of several equal keys', () => {
    expect(decode('d1:a1:x1:a1:ye')).to.deep.equal(new Map([['a', 'x']]));
  });

  it('bounds the depth', () => {
    const nested = (depth: number): string => 'l'.repeat(depth) + 'e'.repeat(depth);
    expect(() => decode(nested(maxBencodeDepth))).not.to.throw();
    expect(() => decode(nested(maxBencodeDepth + 1))).to.throw(BencodeError, 'nested too deeply');
    for (const text of ['l'.repeat(500), 'd'.repeat(500), 'd1:a'.repeat(500)]) {
      expect(() => lenient(text)).to.throw(BencodeError);
    }
  });

  it('takes long strings and many small members', () => {
    const long = 'x'.repeat(65_000);
    expect(decode(`65000:${long}`)).to.equal(long);
    expect(decode(`l${'0:'.repeat(30_000)}e`)).to.have.length(30_000);
  });

  it('writes fractions as decimal strings and refuses NaN', () => {
    expect(encodeBencode(1.5).toString()).to.equal('3:1.5');
    expect(() => encodeBencode(Number.NaN)).to.throw(RangeError);
  });

  it('writes times of day to the microsecond as they would be written by themselves', () => {
    const texts = (value: number): void => {
      const written = `${String(value).length}:${String(value)}`;
      expect(encodeBencode(value).toString('latin1')).to.equal(written);
    };
    const micros = fc.integer({ min: 1, max: 2 ** 51 });
    fc.assert(
      fc.property(micros, (value) => {
        if (value % 1e6 !== 0) texts(value / 1e6);
      }),
      { seed: 3, numRuns: 3000 },
    );
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        if (!Number.isSafeInteger(value)) texts(value);
      }),
      { seed: 4, numRuns: 3000 },
    );
    for (const value of [1.5, 1.000001, 0.1, 1e-7, 2 ** 31 - 0.5, 2 ** 31 + 0.5, 1e21, -1.25])
      texts(value);
  });

  it('writes members that were added one by one as those of a map', () => {
    const added = (map: NgValue): NgValue => {
      if (!(map instanceof Map)) return Array.isArray(map) ? map.map(added) : map;
      const members = new Members();
      for (const [name, each] of map as ReadonlyMap<string, NgValue>)
        members.add(name, added(each));
      expect([...members]).to.have.length(members.size);
      for (const [name, each] of members) expect(members.get(name)).to.equal(each);
      expect(members.get('no such name')).to.equal(undefined);
      return members;
    };
    fc.assert(
      fc.property(value, (input) => {
        const members = added(input);
        expect(encodeBencode(members)).to.deep.equal(encodeBencode(input));
        expect(encodeJson(members)).to.deep.equal(encodeJson(input));
        expect(dumpText(members)).to.equal(dumpText(input));
      }),
      { seed: 5, numRuns: 300 },
    );
  });

  it('puts the prefix before the value', () => {
    const reply = new Map([['result', 'pong']]);
    expect(encodeBencode(reply, 'x ').toString()).to.equal('x d6:result4:ponge');
  });
});
