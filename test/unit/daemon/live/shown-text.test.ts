/** Call-ids and tags off the wire on the live page: read as text, never as what they would do to it. */
import { expect } from 'chai';
import { isShortName, shortName } from '../../../../src/daemon/live/names.js';
import { shown } from '../../../../web/live/format.js';

/** As it comes off the wire: a character for each byte. */
const wire = (text: string): string => Buffer.from(text).toString('latin1');

describe('text of the wire on the live page', () => {
  it('is UTF-8 where it can be, else its bytes', () => {
    expect(shown(wire('Jürgen ✓ 𝄞'))).to.equal('Jürgen ✓ 𝄞');
    expect(shown('a\xffb')).to.equal('aÿb');
  });

  it('shows what has no look of its own by its number', () => {
    for (const [character, number] of [
      ...(['\x00', '\x1b', '\x7f'] as const).map((each) => [each, each] as const),
      ...['\x85', '\x9b'].map((each) => [each, each] as const),
      // Marks of direction, of Arabic too; widthless ones; a hyphen that is not seen; fillers; tags.
      ...[
        '\u061c',
        '\u200b',
        '\u200d',
        '\u200e',
        '\u202e',
        '\u2060',
        '\u2066',
        '\u00ad',
        '\ufeff',
      ].map((each) => [wire(each), each] as const),
      ...['\u3164', '\u115f', '\u{e0041}'].map((each) => [wire(each), each] as const),
    ]) {
      const hex = number.codePointAt(0)?.toString(16).padStart(4, '0') ?? '';
      expect(shown(`a${character}b`)).to.equal(`a\\u${hex}b`);
    }
  });
});

describe('names of calls on the live page', () => {
  it('are the call-ids, as long as they are not very long', () => {
    for (const id of ['', 'a', 'x'.repeat(400)]) {
      expect(shortName(id)).to.equal(id);
    }
    expect(isShortName('x'.repeat(400))).to.equal(false);
  });

  it('tell very long ones apart that begin alike, and end with a whole letter', () => {
    const long = wire('é'.repeat(4000));
    const names = ['1', '2', ''].map((end) => shortName(long + end));
    expect(new Set(names).size).to.equal(3);
    for (const name of [...names, shortName(`a${long}`)]) {
      expect(name.length).to.be.at.most(400);
      expect(isShortName(name)).to.equal(true);
      expect(shown(name)).to.match(/^a?é+\.\.\.[0-9a-f]{16}$/);
    }
  });
});
