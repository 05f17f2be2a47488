/**
 * The rows of README.md and bench/README.md, from what `bench:failover` has written.
 *
 *     npx tsx bench/failover-table.ts build/bench/failover [FURTHER-FOLDER...]
 */
import { readFileSync } from 'node:fs';
import type { Conditions, PhaseSummary } from './failover/summary.js';
import { short, three } from './failover/summary.js';
import type { DaemonName } from './lib/rig.js';

interface StoredRun {
  readonly callsSilent: number;
  readonly callsUnknown: number;
  readonly figures: Readonly<Record<string, number>>;
}

interface StoredEntry {
  readonly scenario: string;
  readonly daemon: DaemonName;
  readonly skipped: string | null;
  readonly errors: readonly string[];
  readonly phases: readonly PhaseSummary[];
  readonly runs: readonly StoredRun[];
}

interface Stored {
  readonly conditions: Conditions;
  readonly entries: readonly StoredEntry[];
}

const columns: readonly DaemonName[] = ['rtprelayd', 'rtpengine'];

function topology({ redis, stack, mover, advertMs, store, replay }: Conditions): string {
  const words = [
    redis === 'each' ? 'a Redis on each node' : '',
    stack === 'dual' ? 'IPv4 and IPv6' : '',
    mover === 'keepalived' ? `keepalived, ${advertMs} ms` : '',
    store === 'systemd' ? 'store systemd' : '',
    replay ? 'replay' : '',
  ].filter((word) => word !== '');
  return words.length === 0 ? '' : ` (${words.join(', ')})`;
}

function cells(entry: StoredEntry | undefined, phase: string): readonly string[] {
  const found = entry?.phases.find(({ name }) => name === phase);
  if (entry === undefined || found === undefined)
    return [entry?.skipped ?? entry?.errors[0] ?? '-', ''];
  const [low, high] = found.gapMsByRun.map(short);
  const most = (pick: (run: StoredRun) => number): number => Math.max(...entry.runs.map(pick));
  const [silent, unknown] = [most((run) => run.callsSilent), most((run) => run.callsUnknown)];
  const lostCalls = silent + unknown === 0 ? '' : `, calls: ${silent} silent, ${unknown} unknown`;
  const failed = entry.errors.length === 0 ? '' : `, ${entry.errors.length} runs failed`;
  return [
    `${three(found.lost)}${lostCalls}${failed}`,
    `${three(found.gapMs)} (${low ?? ''}-${high ?? ''})`,
  ];
}

function rowsOf({ conditions, entries }: Stored): readonly string[] {
  const rows: string[] = [];
  for (const scenario of new Set(entries.map((entry) => entry.scenario))) {
    const byDaemon = columns.map((daemon) =>
      entries.find((entry) => entry.scenario === scenario && entry.daemon === daemon),
    );
    const phases = new Set(
      byDaemon.flatMap((entry) => entry?.phases.map(({ name }) => name) ?? []),
    );
    for (const phase of phases) {
      const name = phase === scenario || phases.size === 1 ? scenario : `${scenario}: ${phase}`;
      const values = byDaemon.flatMap((entry) => cells(entry, phase));
      rows.push(`| ${[`${name}${topology(conditions)}`, ...values].join(' | ')} |`);
    }
  }
  return rows;
}

const folders = process.argv.slice(2);
if (folders.length === 0) throw new Error('which folders?');
const stored = folders.map(
  (folder) => JSON.parse(readFileSync(`${folder}/failover.json`, 'utf8')) as Stored,
);
const [first] = stored;
console.log(`${first?.conditions.machine ?? ''}, ${first?.conditions.runs ?? 0} runs\n`);
console.log('| | rtprelayd: lost | gap, ms | rtpengine: lost | gap, ms |\n|---|---|---|---|---|');
for (const each of stored) for (const row of rowsOf(each)) console.log(row);
