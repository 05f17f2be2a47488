/** The README's table of failures: which runs it takes, and what becomes of them. */
import type { DaemonName } from '../lib/rig.js';
import type { Settings } from './cluster.js';
import { short, summaries, three, type Entry } from './summary.js';
import { median } from '../lib/report.js';

/** What a run is made with, but for its daemon and folder. */
export type Common = Omit<Settings, 'daemon' | 'folder' | 'ownClocks'>;

export interface Row {
  readonly title: string;
  readonly scenario: string;
  readonly settings: Partial<Common>;
  /** rtpengine has no such thing, and is measured with another row. */
  readonly otherRow?: string;
}

/** The README's tables, by their marks. */
export type TableName = 'failover' | 'failover-more';

const pair: Partial<Common> = { store: 'pair', redis: 'none' };
const many: Partial<Common> = { calls: 1000, ptime: 60 };
const killed = '`kill -9`, process pair, no Redis';
const manyKilled = 'the same, 1,000 calls with packets of 60 ms';

const failures: readonly Row[] = [
  { title: killed, scenario: 'kill-restart', settings: pair },
  { title: manyKilled, scenario: 'kill-restart', settings: { ...pair, ...many } },
  {
    ...{ title: '`kill -9`, process pair in a container', scenario: 'kill-restart' },
    ...{ settings: { ...pair, store: 'container' }, otherRow: killed },
  },
  {
    ...{ title: '`kill -9`, one process, calls from Redis', scenario: 'kill-restart' },
    ...{ settings: {}, otherRow: killed },
  },
  {
    ...{ title: manyKilled, scenario: 'kill-restart' },
    ...{ settings: many, otherRow: manyKilled },
  },
  { title: 'SIGSTOP, process pair', scenario: 'freeze', settings: pair },
  { title: 'upgrade, process pair', scenario: 'upgrade', settings: pair },
  { title: 'power-off, address moved at once', scenario: 'power-off', settings: {} },
  {
    ...{ title: 'the same with replay', scenario: 'power-off' },
    ...{ settings: { replay: true }, otherRow: 'power-off, address moved at once' },
  },
  {
    ...{ title: 'power-off, keepalived adverts of 10 ms', scenario: 'power-off' },
    settings: { mover: 'keepalived' },
  },
  {
    ...{ title: 'the same with replay', scenario: 'power-off' },
    settings: { mover: 'keepalived', replay: true },
    otherRow: 'power-off, keepalived adverts of 10 ms',
  },
];

const moreFailures: readonly Row[] = [
  {
    ...{ title: '`kill -9`, sockets in systemd’s store', scenario: 'kill-restart' },
    settings: { store: 'systemd' },
  },
  {
    ...{ title: 'upgrade, sockets in systemd’s store', scenario: 'upgrade' },
    settings: { store: 'systemd' },
  },
  { title: '`kill -9`, address moved at once', scenario: 'move', settings: {} },
  {
    ...{ title: 'power-off, a Redis on each node, the second one promoted', scenario: 'power-off' },
    settings: { redis: 'each' },
  },
  {
    ...{ title: 'power-off, IPv4 and IPv6', scenario: 'power-off' },
    settings: { stack: 'dual' },
  },
  {
    title: 'the address comes 3 s after the start of a cold standby: from then on',
    ...{ scenario: 'late-address', settings: {} },
  },
  {
    ...{ title: 'Redis frozen for 3 s, 50 calls a second', scenario: 'redis-frozen' },
    settings: {},
  },
];

export const tables: Readonly<Record<TableName, readonly Row[]>> = {
  failover: failures,
  'failover-more': moreFailures,
};

/** lost; longest gap; longest way: of all streams of all runs. */
function cell(entry: Entry | undefined): string {
  if (entry === undefined) return '-';
  const [phase] = summaries(entry);
  if (phase === undefined) return entry.skipped ?? entry.errors[0] ?? '-';
  const silent = Math.max(...entry.runs.map((run) => run.callsSilent));
  const twice = median(entry.runs.map((run) => run.duplicates));
  const latencies = Object.keys(entry.runs[0]?.figures ?? {})
    .filter((name) => name.startsWith('relay latency p99'))
    .map((name) => `${name} ${short(median(entry.runs.map((run) => run.figures[name] ?? NaN)))}`);
  const notes = [
    ...latencies,
    silent === 0 ? '' : `${silent} calls silent in the end`,
    twice === 0 ? '' : `${short(twice)} packets twice`,
    entry.errors.length === 0 ? '' : `${entry.errors.length} runs failed`,
  ].filter((note) => note !== '');
  const figures = [three(phase.lost), three(phase.gapMs), three(phase.wayMs)].join('; ');
  return notes.length === 0 ? figures : `${figures} (${notes.join(', ')})`;
}

export interface Measured {
  readonly row: Row;
  readonly entries: readonly Entry[];
}

const notesOf: Readonly<Record<TableName, string>> = {
  failover:
    'rtpengine starts again with its calls from its Redis; frozen it stays so until the bench ends it after 4 s; it has no replay.',
  'failover-more': 'rtpengine has no socket store.',
};

export function readmeTable(
  name: TableName,
  conditions: string,
  measured: readonly Measured[],
): string {
  const of = (entries: readonly Entry[], daemon: DaemonName): Entry | undefined =>
    entries.find((entry) => entry.daemon === daemon);
  const lines = measured.map(({ row, entries }) => {
    const asked = measured.find(({ row: { title } }) => title === (row.otherRow ?? row.title));
    const other = of(asked?.entries ?? [], 'rtpengine');
    return `| ${row.title} | ${cell(of(entries, 'rtprelayd'))} | ${cell(other)} |`;
  });
  return [
    `| \`npm run bench:failover -- --readme=${name}\`: packets lost per stream; longest gap, ms; longest way of a packet, ms | rtprelayd | rtpengine |`,
    '|---|---|---|',
    ...lines,
    '',
    `${conditions}; median / 95th percentile / maximum of all streams. ${notesOf[name]}`,
  ].join('\n');
}
