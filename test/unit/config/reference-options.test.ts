/** Every option of the reference (options.md): known, of its type, and acted on, refused, or said to do nothing. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { loadConfig } from '../../../src/config/config.js';
import { optionNamed } from '../../../src/config/options.js';
import type { OptionSpec } from '../../../src/config/option-spec.js';
import { configOf, files } from '../../support/unit/config.js';

interface Row {
  readonly name: string;
  readonly short: string;
  readonly type: string;
}

const text = readFileSync(new URL('../../../docs/reference/options.md', import.meta.url), 'utf8');
const rows: readonly Row[] = (text.split('## Appendix: all option names')[1] ?? '')
  .split('\n')
  .map((line) => /^\| ([a-z0-9-]+) \| (\w?) ?\| (\w+) \|/.exec(line))
  .filter((found) => found !== null)
  .map(([, name = '', short = '', type = '']) => ({ name, short, type }));

/** Our types that can stand for the reference's. */
const types: Readonly<Record<string, readonly string[]>> = {
  ...{ flag: ['flag'], int: ['int'], int64: ['int'], float: ['float'], str: ['string'] },
  ...{ path: ['string'], list: ['list'] },
};

/** So that each option has what it goes with. */
const beside: readonly string[] = [
  ...['--config-file=f', '--interface=127.0.0.1', '--listen-ng=127.0.0.1:2223'],
  ...['--redis=127.0.0.1:6379/1', '--graphite=127.0.0.1:2003', '--graphite-interval=7'],
  ...[
    '--homer=127.0.0.1:9060',
    '--mqtt-host=broker',
    '--mqtt-publish-topic=t',
    '--b2b-url=http://127.0.0.1/',
  ],
  ...['--kernel-forward=tc', '--listen-https=127.0.0.1:8443', '--https-cert=c', '--https-key=k'],
];
/** The others of those: a table stands for --kernel-forward. */
const without = (name: string): readonly string[] =>
  beside.filter((option) => {
    const [other = ''] = option.slice(2).split('=');
    return other !== name && !(name === 'table' && other === 'kernel-forward');
  });
const configFile =
  '[rtpengine]\ntos = 2\n[other]\ntos = 3\n[if-a]\naddress = 127.0.0.2\n[words]\nx = y\n';
const texts = { f: configFile, g: '[rtpengine]\ntos = 7\n' };

/** A value that is not the default, of options that take no arbitrary text. */
const values: Readonly<Record<string, string>> = {
  ...{ 'config-file': 'g', 'config-section': 'other', 'interfaces-config': 'if' },
  ...{ templates: 'words', interface: 'x/127.0.0.3', 'subscribe-keyspace': '5', mos: 'legacy' },
  ...{ redis: '127.0.0.1:6379/9', 'redis-write': '127.0.0.1:6379/3' },
  ...{ 'redis-subscribe': '127.0.0.1:6379/4', 'b2b-url': 'http://127.0.0.2/' },
  ...{
    table: '0',
    'port-min': '31000',
    'port-max': '32000',
    'dtls-mtu': '900',
    tos: '8',
    'log-level': '4',
  },
};

function valueOf({
  name,
  type,
  choices,
  minimum,
  maximum,
  default: fallback,
}: OptionSpec): string | null {
  if (type === 'flag') return null;
  const named = values[name];
  if (named !== undefined) return named;
  if (choices !== null) return choices.find((choice) => choice !== fallback) ?? '';
  if (type !== 'string') {
    const more = Math.max(minimum ?? 0, 0) + 6;
    return String(maximum !== null && more > maximum ? 1 : more);
  }
  const isAddress = /^(listen|graphite$|homer$|dtmf-log-dest)/.test(name);
  return isAddress ? '127.0.0.9:7777' : 'another';
}

/** What the daemon is told by an option, and what the operator is told of it. */
function outcome(argv: readonly string[]): { readonly config: string; readonly said: string } {
  const invocation = loadConfig(['--check', ...argv], {}, files(texts), { cores: 2 });
  if (invocation.kind !== 'check') throw new Error(`unexpected ${invocation.kind}`);
  const { ignored, wrong } = invocation.report;
  const said = [...wrong, ...ignored.map(({ name, reason }) => `${name}: ${reason}`)].join('\n');
  if (wrong.length > 0) return { config: '', said };
  const { given: _given, warnings: _warnings, ...config } = configOf(argv, texts);
  const written = JSON.stringify(config, (_key, value: unknown) =>
    value instanceof Map || value instanceof Set ? [...(value as Set<unknown>)] : value,
  );
  return { config: written, said };
}

describe('the options of the reference', () => {
  it('are all there, with letter and type', () => {
    expect(rows.length).to.be.greaterThan(200);
    for (const { name, short, type } of rows) {
      const option = optionNamed(name);
      expect(option, name).not.to.equal(undefined);
      // Two options have the letter y there.
      if (name !== 'redis-delete-async-interval') expect(option?.short ?? '', name).to.equal(short);
      const ours = option?.list === true ? 'list' : option?.type;
      expect(types[type] ?? [], name).to.include(ours);
    }
  });

  it('each change what the daemon does, are refused, or are said to do nothing', () => {
    const before = outcome(beside);
    expect(before.config, before.said).not.to.equal('');
    const silent: string[] = [];
    // They end before there is a configuration.
    const modes = new Set(['version', 'codecs']);
    for (const { name } of rows) {
      const option = optionNamed(name);
      if (option === undefined || modes.has(name)) continue;
      const value = valueOf(option);
      const argv = [...without(name), value === null ? `--${name}` : `--${name}=${value}`];
      const { config, said } = outcome(argv);
      const isSaid = said.split('\n').some((line) => line.includes(name));
      if (!isSaid && config === before.config) silent.push(name);
    }
    expect(silent).to.deep.equal([]);
  });
});
