/** Spellings of addresses (RFC 4291 §2.2, RFC 5952). */
import { expect } from 'chai';
import fc from 'fast-check';
import { canonicalAddress } from '../../../src/sdp/address.js';

describe('an address', () => {
  const spellings: readonly (readonly [string, readonly string[]])[] = [
    ['192.0.2.10', ['192.0.2.10', '192.000.002.010', '::ffff:192.0.2.10', '::FFFF:c000:20a']],
    ['0.0.0.0', ['0.0.0.0', '000.000.000.000', '::ffff:0.0.0.0', '[::ffff:0:0]']],
    [
      '2001:db8::5',
      [
        '2001:db8::5',
        '2001:DB8::5',
        '2001:0db8:0000::0005',
        '[2001:db8::5]',
        '2001:db8:0:0:0:0:0:5',
      ],
    ],
    ['fe80::1', ['fe80::1', 'fe80::1%lo', 'FE80::1%eth0.100', '[fe80::1%2]']],
    ['::', ['::', '0:0:0:0:0:0:0:0', '[::]', '0::0']],
    ['::1', ['::1', '0:0::1']],
    ['::192.0.2.1', ['::192.0.2.1', '::c000:201']],
  ];
  for (const [address, texts] of spellings) {
    for (const text of texts) {
      it(`${text} is ${address}`, () => {
        expect(canonicalAddress(text)).to.equal(address);
      });
    }
  }

  const others = [
    ...[
      '',
      'foo',
      '1.2.3',
      '1.2.3.4.5',
      '1.2.3.256',
      'a.b.c.d',
      '1.2.3.4/24',
      '[1.2.3.4]',
      ' 1.2.3.4',
    ],
    ...['0xC0.0.2.1', '1.2.3.0004', '1..2.3', '1.2.3.4%lo', '1:2:3', ':::', '1::2::3', '12345::1'],
    ...[
      '2001:db8::5/64',
      '[2001:db8::5',
      '2001:db8::5]',
      '::1%',
      '::1%a b',
      `::1%${'x'.repeat(60)}`,
    ],
    ...['::ffff:192.0.2.010', '::1\0', ':'.repeat(30_000), `::${'0'.repeat(30_000)}`],
  ];
  for (const text of others) {
    it(`${JSON.stringify(text.slice(0, 40))} is none`, () => {
      expect(canonicalAddress(text)).to.equal(null);
    });
  }

  it('stays what it is when it is spelled once more', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const address = canonicalAddress(text);
        expect(address).to.be.a('string');
        expect(canonicalAddress(address ?? '')).to.equal(address);
      }),
    );
  });
});
