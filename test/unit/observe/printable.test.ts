import { expect } from 'chai';
import fc from 'fast-check';
import {
  printable,
  printableJson,
  printableLines,
  unprintable,
} from '../../../src/observe/printable.js';

const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('text from the network', () => {
  const rows: readonly (readonly [what: string, wire: string, shown: string])[] = [
    ['letters of any language stay', utf8('Zoë “Ünï” 漢字 😀'), utf8('Zoë “Ünï” 漢字 😀')],
    ['letters of latin1 stay', 'Zo\xeb', 'Zo\xeb'],
    ['escape sequences show', '\x1b[31mred\x1b]0;title\x07', '\\x1b[31mred\\x1b]0;title\\x07'],
    ['line ends show, a tab is a blank', 'a\nb\r\tc\0', 'a\\nb\\r c\\x00'],
    ['DEL shows', 'a\x7f', 'a\\x7f'],
    ['C1 as a byte shows (CSI, OSC, NEL)', '\x9b31m\x9d0;x\x9c\x85', '\\x9b31m\\x9d0;x\\x9c\\x85'],
    ['C1 in UTF-8 shows', utf8('\u009b31m'), '\xc2\\x9b31m'],
    ['a direction mark shows', utf8('a\u202eb'), 'a\xe2\\x80\xaeb'],
    ['a line separator shows', utf8('a\u2028b'), 'a\xe2\\x80\xa8b'],
    ['a broken sequence shows', '\xe2\x80', '\xe2\\x80'],
    ['an overlong one shows', '\xe0\x80\x8a', '\xe0\\x80\\x8a'],
    ['wide characters of our own stay, marks do not', 'a → b\u202e', 'a → b\\u202e'],
  ];
  for (const [what, wire, shown] of rows) {
    it(`${what}: ${JSON.stringify(shown)}`, () => expect(printable(wire)).to.equal(shown));
  }

  it('keeps the line ends of our own texts', () => {
    expect(printableLines('a\n\tb\x1b\x9b\n')).to.equal('a\n\tb\\x1b\\x9b\n');
  });

  it('never leaves a control character, and is read back from what an operator copies', () => {
    const bytes = fc
      .array(fc.integer({ min: 0, max: 255 }))
      .map((codes) => String.fromCharCode(...codes.filter((code) => code !== 9 && code !== 0x5c)));
    fc.assert(
      fc.property(bytes, (wire) => {
        const shown = printable(wire);
        // As a terminal of either kind reads it.
        expect(/[\x00-\x1f\x7f]/.test(shown)).to.equal(false);
        expect(Buffer.from(shown, 'latin1').toString('utf8')).to.not.match(/[\x7f-\x9f\u202e]/);
        expect(unprintable(shown)).to.equal(wire);
      }),
    );
  });

  it('is valid UTF-8 and JSON in JSON lines, with nothing lost', () => {
    const bytes = fc
      .array(fc.integer({ min: 0, max: 255 }))
      .map((codes) => String.fromCharCode(...codes));
    fc.assert(
      fc.property(bytes, (wire) => {
        const json = printableJson(JSON.stringify({ wire }));
        expect(/[\x00-\x1f\x7f]/.test(json)).to.equal(false);
        const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(json, 'latin1'));
        const parsed: unknown = JSON.parse(text);
        const expected = Buffer.from(wire, 'latin1').toString('utf8');
        // What is no UTF-8 comes as one character per byte.
        if (
          !expected.includes('\ufffd') &&
          !/[\x80-\x9f\u200e-\u202e\u2066-\u2069\ufeff]/.test(expected)
        )
          expect(parsed).to.deep.equal({ wire: expected });
      }),
    );
    expect(printableJson(JSON.stringify(utf8('Zoë')))).to.equal(utf8('"Zoë"'));
    expect(printableJson(JSON.stringify('\x9b'))).to.equal('"\\u009b"');
  });
});
