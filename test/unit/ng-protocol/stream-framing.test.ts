import { expect } from 'chai';
import fc from 'fast-check';
import { encodeBencode } from '../../../src/ng-protocol/bencode.js';
import { NgStreamFramer, StreamFramingError } from '../../../src/ng-protocol/stream-framing.js';

const framer = (bareAllowed = false): NgStreamFramer =>
  new NgStreamFramer({ maxBytes: 10_000, bareAllowed });
const texts = (of: NgStreamFramer, ...chunks: readonly string[]): readonly string[] =>
  chunks.flatMap((chunk) =>
    of
      .push(Buffer.from(chunk, 'latin1'))
      .map(({ bytes, bare }) => `${bare ? 'bare ' : ''}${bytes.toString('latin1')}`),
  );
const ping = 'd7:command4:pinge';

describe('NG messages in a stream', () => {
  it('follow each other without a separator', () => {
    expect(texts(framer(), `1 ${ping}2 ${ping}`)).to.deep.equal([`1 ${ping}`, `2 ${ping}`]);
    expect(texts(framer(), `1 ${ping}\r\n\n2 ${ping}\n`)).to.deep.equal([`1 ${ping}`, `2 ${ping}`]);
    expect(texts(framer(), `1 {"a":"}\\"{"}2 ${ping}`)).to.deep.equal([
      '1 {"a":"}\\"{"}',
      `2 ${ping}`,
    ]);
  });

  it('may be cut anywhere', () => {
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        fc.integer(),
        fc.string({ maxLength: 30 }),
        fc.array(tie('value'), { maxLength: 3 }),
      ),
    })).value;
    const message = fc
      .tuple(fc.stringMatching(/^[0-9a-z_]{1,12}$/), fc.dictionary(fc.string(), value))
      .map(([cookie, entries]) =>
        encodeBencode(new Map(Object.entries(entries)) as never, `${cookie} `),
      );
    const messages = fc.array(message, { minLength: 1, maxLength: 5 });
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(messages, cuts, fc.boolean(), (sent, lengths, bare) => {
        const stream = Buffer.concat(sent);
        const of = framer(bare);
        const found: Buffer[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const length = lengths[turn % lengths.length] ?? 1;
          found.push(...of.push(stream.subarray(at, at + length)).map(({ bytes }) => bytes));
          at += length;
        }
        expect(found.map(String)).to.deep.equal(sent.map(String));
        expect(of.pending).to.equal(0);
      }),
      { numRuns: 200 },
    );
  });

  it('have no cookie where that is allowed', () => {
    const cookies = ['d41', 'de', 'd', 'dle'];
    for (const cookie of cookies) {
      const of = framer(true);
      expect(texts(of, ping, `${cookie} ${ping}`, '{"x":1}'), cookie).to.deep.equal([
        `bare ${ping}`,
        `${cookie} ${ping}`,
        'bare {"x":1}',
      ]);
      expect(of.pending).to.equal(0);
    }
  });

  it('are refused when they are none', () => {
    for (const bytes of [
      ' x',
      `${'c'.repeat(1100)}`,
      '1 x',
      '1 di-xe',
      '1 d99999999999:',
      '1 5:abcde',
    ])
      expect(() => framer().push(Buffer.from(bytes)), bytes).to.throw(StreamFramingError);
    expect(() => framer().push(Buffer.from(`1 ${'d1:a'.repeat(70)}`))).to.throw('nested');
    const long = framer();
    long.push(Buffer.from('1 d1:a20000:'));
    expect(() => {
      for (let n = 0; n < 11; n++) long.push(Buffer.alloc(1000, 'x'));
    }).to.throw('more than 10000 bytes');
  });

  it('are read once, however small the pieces', () => {
    const of = new NgStreamFramer({ maxBytes: 1_000_000, bareAllowed: false });
    const stream = Buffer.from(`1 d1:a400000:${'x'.repeat(400_000)}e`);
    let found = 0;
    for (let at = 0; at < stream.length; at += 1000) {
      found += of.push(stream.subarray(at, at + 1000)).length;
    }
    expect(found).to.equal(1);
  });
});
