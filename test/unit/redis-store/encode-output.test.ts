/** The value as text is what JSON.stringify makes of the tree, whatever the strings in it are. */
import { expect } from 'chai';
import { assert, array, dictionary, oneof, property, string } from 'fast-check';
import {
  onlyOn,
  TextOutput,
  TreeOutput,
  type Output,
} from '../../../src/redis-store/encode-output.js';
import type { Member } from '../../../src/redis-store/schema.js';

/** Wire text: each character is a byte. */
const bytes = string({ unit: 'binary', maxLength: 8 }).map((text) =>
  Buffer.from(text, 'utf8').toString('latin1'),
);
const fields = dictionary(bytes, bytes, { maxKeys: 4 });
const member = oneof(fields, array(bytes, { maxLength: 4 }), array(fields, { maxLength: 3 }));

function put(out: Output, members: Readonly<Record<string, Member>>): void {
  out.member('json', { a: '"\\\u0000' });
  for (const [at, [name, value]] of Object.entries(members).entries())
    out.group('media', at, onlyOn(value), () => [[name, value]]);
}

describe('the stored value as text', () => {
  it('is what JSON says of the tree', () => {
    assert(
      property(
        dictionary(
          bytes.map((name) => `m-${name}`),
          member,
          { maxKeys: 5 },
        ),
        (members) => {
          const text = new TextOutput();
          const tree = new TreeOutput();
          put(text, members);
          put(tree, members);
          expect(text.bytes.toString('latin1')).to.equal(JSON.stringify(tree.tree));
        },
      ),
    );
  });
});
