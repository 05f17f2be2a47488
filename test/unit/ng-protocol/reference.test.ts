/** Every command, key, flag and word of the reference's tables (docs/reference/ng-protocol.md) is known, as written there. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { parseRequest } from '../../../src/ng-protocol/commands.js';
import { dictionary, parsed, type Plain } from '../../support/unit/ng-protocol.js';

const text = readFileSync(
  new URL('../../../docs/reference/ng-protocol.md', import.meta.url),
  'utf8',
);

/** Text of a section, from its heading to the next one. */
function section(number: string): string {
  const start = text.search(new RegExp(`^#+ ${number.replaceAll('.', '\\.')} `, 'm'));
  if (start < 0) throw new Error(`no section ${number}`);
  const rest = text.slice(text.indexOf('\n', start) + 1);
  const end = rest.search(/^#/m);
  return end < 0 ? rest : rest.slice(0, end);
}

/** The cells of the tables' rows, without headings. */
const rowsOf = (number: string): readonly (readonly string[])[] =>
  section(number)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|')));

/** `a/-b` are two names with one beginning, `a(b)` is with and without. */
function spelledOut(word: string): readonly string[] {
  const optional = /^(.*)\((\w+)\)(.*)$/.exec(word);
  if (optional !== null) {
    const [, before = '', middle = '', after = ''] = optional;
    return [...spelledOut(before + after), ...spelledOut(before + middle + after)];
  }
  const [first = '', ...others] = word.split('/-');
  if (others.length === 0) return [word];
  const beginning = first.slice(0, first.lastIndexOf('-') + 1);
  return [first, ...others.map((other) => beginning + other)];
}

const quoted = (cell = ''): readonly string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, word = '']) => spelledOut(word));

const unknownKeys = (keys: Readonly<Record<string, Plain>>): readonly string[] =>
  parsed(keys).unknown.filter((note) => note.includes('dictionary key'));

const keysOf = (number: string): readonly string[] =>
  rowsOf(number).flatMap(([, names]) => quoted(names));

describe('the reference of the NG protocol', () => {
  const commands = rowsOf('3').flatMap(([, names]) => quoted(names));
  it('has commands', () => {
    expect(commands)
      .to.have.length.above(30)
      .and.include.members(['ping', 'CLI', 'pause recording']);
  });
  for (const command of commands)
    it(`command ${command}`, () => {
      try {
        parseRequest(command, dictionary({}));
      } catch (error) {
        expect(String(error)).not.to.contain('Unrecognized');
      }
    });

  const listed = ['4.1', '4.2', '4.3', '4.4', '4.5', '4.6'].flatMap((number) =>
    number === '4.4' ? ['codec', 'codecs'] : keysOf(number),
  );
  const ofDigits = quoted(section('4.7')).filter((word) => /^[a-zD][\w-]*[a-z]( \w+)?$/.test(word));
  const values = new Set(['drop', 'silence', 'tone', 'random', 'zero', 'off', 'block DTMF']);
  // Not names, but how names may be written.
  const notation = new Set(['SIP …', '_', '-recording', 'VSC-']);
  const switches = listed.filter((word) => word.startsWith('vsc-'));
  const keys = new Set([
    ...listed.filter((word) => !notation.has(word)),
    ...['SIP message type', 'sip_message_type', 'SIP-message-type'],
    ...switches.flatMap((word) => [
      word.replace('-rec', '-recording'),
      word.replace('vsc-', 'VSC-'),
    ]),
    ...ofDigits.filter((word) => !values.has(word)),
  ]);
  it('has keys', () => {
    expect(keys.size).to.be.above(100);
  });
  for (const key of keys)
    it(`key ${key}`, () => {
      for (const spelled of [key, key.replaceAll('-', ' ')])
        expect(unknownKeys({ [spelled]: 'x' }), spelled).to.deep.equal([]);
    });

  const flags = rowsOf('4.8')
    .flatMap(([, names]) => quoted(names))
    .filter((word) => /^[\w.-]*\w$/.test(word));
  it('has flags', () => {
    expect(flags).to.have.length.above(70).and.include.members(['ICE-reject', 'RTCP-mirror']);
  });
  for (const flag of flags)
    it(`flag ${flag}`, () => {
      for (const spelled of [flag, flag.replaceAll('-', ' ')])
        expect(parsed({ flags: [spelled] }).unknown, spelled).to.deep.equal([]);
    });
  it('flags with what belongs in a list behind them', () => {
    const last = rowsOf('4.8').length;
    const cell =
      section('4.8')
        .split('\n')
        .find((line) => line.startsWith('| prefixes:')) ?? '';
    const prefixes = quoted(cell.split(/(?<!\\)\|/)[1]);
    expect(prefixes).to.have.length.above(20);
    const rest: Readonly<Record<string, string>> = {
      'endpoint-learning-': 'off',
      ...{ 'replace-': 'origin', 'rtcp-mux-': 'offer', 'BUNDLE-': 'accept', 'OSRTP-': 'offer' },
      ...{ 'T38-': 'decode', 'T.38-': 'decode', 'SDES-…': 'pad' },
    };
    for (const prefix of prefixes) {
      const word =
        prefix
          .replace('…', '')
          .replace('SECTION-V', 'audio-x')
          .replace('SECTION-A>B', 'audio-a>b') +
        (rest[prefix] ?? (prefix.endsWith('-') ? 'PCMU' : ''));
      expect(parsed({ flags: [word] }).unknown, word).to.deep.equal([]);
    }
    expect(last).to.be.above(30);
  });

  const replaced = quoted(section('4.9')).filter((word) => !word.startsWith('replace-'));
  for (const word of replaced)
    it(`replace ${word}`, () => {
      expect(parsed({ replace: [word] }).unknown).to.deep.equal([]);
    });

  /** Cells that list what a key may say. */
  const choices: readonly (readonly [number: string, key: string, column: number])[] = [
    ['4.1', 'all', 2],
    ['4.1', 'alias-key', 2],
    ['4.1', 'sip-message-type', 2],
    ['4.1', 'supports', 2],
    ['4.2', 'address-family', 2],
    ['4.2', 'endpoint-learning', 2],
    ['4.2', 'drop-traffic', 2],
    ['4.2', 'media-echo', 2],
    ['4.3', 'transport-protocol', 4],
    ['4.3', 'ICE', 4],
    ['4.3', 'ICE-lite', 4],
    ['4.3', 'DTLS', 4],
    ['4.3', 'DTLS-fingerprint', 4],
    ['4.3', 'SDES', 4],
    ['4.3', 'OSRTP', 4],
    ['4.3', 'rtcp-mux', 4],
    ['4.3', 'bundle', 4],
    ['4.5', 'T.38', 2],
    ['4.5', 'generate-RTCP', 2],
    ['4.5', 'passthrough', 2],
  ];
  const lists = new Set(['supports', 'SDES', 'OSRTP', 'rtcp-mux', 'bundle', 'T.38']);
  const notWords = new Set(['list', 'DTLS-reverse', 'passive', 'active', 'default']);
  for (const [number, key, column] of choices) {
    const row = rowsOf(number).find(([, names]) => quoted(names)[0] === key) ?? [];
    const words = quoted(row[column])
      .map((word) =>
        word
          .replace('SUITE', 'AES_CM_128_HMAC_SHA1_32')
          .replace(/S1;S2$/, 'AES_CM_128_HMAC_SHA1_80'),
      )
      .filter(
        (word) =>
          !word.includes('…') && !(key === 'DTLS' ? word === 'DTLS-reverse' : notWords.has(word)),
      );
    it(`${key} has words`, () => {
      expect(words, String(row)).to.have.length.above(0);
    });
    for (const word of words)
      it(`${key}=${word}`, () => {
        const { unknown } = parsed({ [key]: lists.has(key) ? [word] : word });
        expect(unknown).to.deep.equal([]);
      });
  }
});
