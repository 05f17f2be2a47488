import { expect } from 'chai';
import { parseCommandLine } from '../../../src/config/command-line.js';
import { options } from '../../../src/config/options.js';
import { configError } from '../../support/unit/config.js';

function value(argv: readonly string[], name: string): unknown {
  return parseCommandLine(argv).values.get(name);
}

function message(argv: readonly string[]): string {
  return configError(() => parseCommandLine(argv)).message;
}

describe('command line', () => {
  it('takes a value behind = or as the next word, for long names and letters', () => {
    expect(value(['--timeout=7'], 'timeout')).to.equal(7);
    expect(value(['--timeout', '7'], 'timeout')).to.equal(7);
    expect(value(['-o', '7'], 'timeout')).to.equal(7);
    expect(value(['-o7'], 'timeout')).to.equal(7);
    expect(value(['-o=7'], 'timeout')).to.equal(7);
  });

  it('takes a negative value in every form', () => {
    expect(value(['--table', '-1'], 'table')).to.equal(-1);
    expect(value(['--table=-1'], 'table')).to.equal(-1);
    expect(value(['-t', '-1'], 'table')).to.equal(-1);
    expect(value(['-t-1'], 'table')).to.equal(-1);
  });

  it('takes joined letters, the last of which may want a value', () => {
    const { values } = parseCommandLine(['-fEt', '-1']);
    expect([values.get('foreground'), values.get('log-stderr'), values.get('table')]).to.deep.equal(
      [true, true, -1],
    );
  });

  it('collects the values of a list option and keeps the last of any other', () => {
    expect(value(['-i', 'a/1.2.3.4', '--interface=b/1.2.3.5'], 'interface')).to.deep.equal([
      'a/1.2.3.4',
      'b/1.2.3.5',
    ]);
    expect(value(['--timeout=3', '--timeout=4'], 'timeout')).to.equal(4);
  });

  it('reads whole numbers as strtol does: 0x10 and 010', () => {
    expect(value(['--tos=0x10'], 'tos')).to.equal(16);
    expect(value(['--tos=010'], 'tos')).to.equal(8);
    expect(message(['--tos=08'])).to.include("'08'");
  });

  it('takes a switch with and without a value', () => {
    expect(value(['--sip-source'], 'sip-source')).to.equal(true);
    expect(value(['--sip-source=false'], 'sip-source')).to.equal(false);
    expect(message(['--sip-source=maybe'])).to.include('maybe');
  });

  it('ends the options at -- and hands back the words that are none', () => {
    const { values, ignoredWords } = parseCommandLine(['x', '-f', '--', '--timeout=3']);
    expect(ignoredWords).to.deep.equal(['x', '--timeout=3']);
    expect([...values.keys()]).to.deep.equal(['foreground']);
  });

  it('does not take shortened names, as rtpengine does not', () => {
    expect(message(['--tim=3'])).to.equal('Bad command line: Unknown option --tim');
  });

  it('names what is wrong', () => {
    expect(message(['--nosuch'])).to.equal('Bad command line: Unknown option --nosuch');
    expect(message(['-Z'])).to.equal('Bad command line: Unknown option -Z');
    expect(message(['--timeout'])).to.equal('Bad command line: Missing argument for --timeout');
    for (const text of ['abc', '12abc', '', '1.5', '99999999999', '-5']) {
      expect(message([`--timeout=${text}`])).to.match(
        /^Bad command line: Value '.*' of --timeout /,
      );
    }
    for (const text of ['abc', '1.5x', '', 'Infinity', 'NaN']) {
      expect(message([`--max-load=${text}`])).to.include('of --max-load is not a number');
    }
    expect(message(['--port-min=70000'])).to.include('greater than 65535');
  });

  it('takes rates of more than 32 bits', () => {
    expect(value(['--max-bandwidth=12000000000'], 'max-bandwidth')).to.equal(12e9);
  });
});

describe('option table', () => {
  it('has each name and each letter once', () => {
    const names = options.map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
    const letters = options.flatMap(({ short }) => short ?? []);
    expect(new Set(letters).size).to.equal(letters.length);
  });

  it('has a default that lies within the accepted values', () => {
    for (const { name, default: fallback, choices, minimum, maximum } of options) {
      if (typeof fallback === 'string' && choices !== null) expect(choices).to.include(fallback);
      if (typeof fallback !== 'number') continue;
      if (minimum !== null) expect(fallback, name).to.be.at.least(minimum);
      if (maximum !== null) expect(fallback, name).to.be.at.most(maximum);
    }
  });

  it('marks our own options', () => {
    const own = options.filter((option) => option.extension).map(({ name }) => name);
    expect(own.filter((name) => !name.startsWith('redis-'))).to.have.members([
      'capture-decrypt',
      'check',
      'control-allow',
      'drain-timeout',
      'kernel-forward',
      'kernel-forward-interface',
      'kernel-forward-pins',
      'kernel-forward-set-forwarding',
      'port-mode',
      'replay-interface',
      'replay-listen',
      'replay-peer',
      'replay-key-file',
      'replay-window',
      'socket-store',
      'pair',
      'media-cpus',
      'coalesce-usecs',
      'no-pair',
      'live-page',
    ]);
    expect(own.filter((name) => name.startsWith('redis-'))).to.deep.equal(
      ['commit-timeout', 'wait-replicas', 'sentinel-user', 'sentinel-password']
        .concat(['tls-ca', 'tls-cert', 'tls-key', 'tls-insecure', 'encrypt-keys'])
        .map((name) => `redis-${name}`),
    );
  });
});
