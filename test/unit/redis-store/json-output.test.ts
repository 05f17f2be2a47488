/** Values are written as JSON.stringify writes them. */
import { expect } from 'chai';
import fc from 'fast-check';
import { Fields } from '../../../src/redis-store/fields.js';
import { JsonOutput } from '../../../src/redis-store/json-output.js';
import type { Member } from '../../../src/redis-store/schema.js';

/** A member as JSON.stringify takes it. */
type Plain =
  Readonly<Record<string, string>> | readonly (string | Readonly<Record<string, string>>)[];

/** One character per byte. */
const byteString = fc
  .array(fc.integer({ min: 0, max: 255 }), { maxLength: 90 })
  .map((codes) => String.fromCharCode(...codes));
const fields = fc.dictionary(byteString, byteString, { maxKeys: 6 });
const member: fc.Arbitrary<Plain> = fc.oneof(
  fields,
  fc.array(byteString, { maxLength: 6 }),
  fc.array(fields, { maxLength: 3 }),
);

const isText = (item: unknown): item is string => typeof item === 'string';
const isList = (value: Plain): value is readonly (string | Readonly<Record<string, string>>)[] =>
  Array.isArray(value);

function memberOf(value: Plain): Member {
  if (!isList(value)) return Fields.of(value);
  if (value.every(isText)) return value;
  return value.flatMap((item) => (isText(item) ? [] : [Fields.of(item)]));
}

function written(tree: Readonly<Record<string, Plain>>): Buffer {
  const out = new JsonOutput();
  for (const name of Object.keys(tree)) out.member(name, memberOf(tree[name] ?? []));
  return out.bytes;
}

describe('a value written as JSON', () => {
  it('is what JSON.stringify makes of it, and stays so while others are written', () => {
    const before: [Buffer, string][] = [];
    fc.assert(
      fc.property(fc.dictionary(byteString, member, { minKeys: 1, maxKeys: 8 }), (tree) => {
        const bytes = written(tree);
        const text = JSON.stringify(tree);
        expect(bytes.toString('latin1')).to.equal(text);
        before.push([bytes, text]);
      }),
    );
    for (const [bytes, text] of before) expect(bytes.toString('latin1')).to.equal(text);
  });

  it('may be of any length', () => {
    for (const length of [40, 60, 5000, 300_000, 1_000_000]) {
      const tree = { list: ['x'.repeat(length), '"', 'y'.repeat(length)], last: { a: '\\' } };
      expect(written(tree).toString('latin1')).to.equal(JSON.stringify(tree));
    }
  });

  it('leaves nothing behind that was not finished', () => {
    const out = new JsonOutput();
    out.member('never', ['x'.repeat(100)]);
    expect(written({ a: { b: 'c' } }).toString('latin1')).to.equal('{"a":{"b":"c"}}');
  });
});
