/** All runs of all scenarios: progress lines, the table, the JSON file and the page. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { median } from '../lib/report.js';
import type { DaemonName } from '../lib/rig.js';
import { decode, speech, wav } from './audio.js';
import { page } from './page.js';
import type { PhaseResult, RunResult } from './run.js';
import type { Scenario } from './scenario.js';
import { spread, type Spread } from './trace.js';

export interface Conditions {
  readonly store: string;
  readonly mover: string;
  readonly advertMs: number;
  readonly calls: number;
  readonly ptime: number;
  readonly runs: number;
  readonly machine: string;
}

/** All runs of a scenario with a daemon. */
export interface Entry {
  readonly scenario: Scenario;
  readonly daemon: DaemonName;
  readonly runs: RunResult[];
  readonly errors: string[];
  skipped: string | null;
}

/** A phase over all runs, their streams taken together. */
export interface PhaseSummary {
  readonly name: string;
  readonly lost: Spread;
  readonly gapMs: Spread;
  readonly late: Spread;
  /** Median of each run, lowest and highest: how far the runs lie apart. */
  readonly lostByRun: readonly [number, number];
  readonly gapMsByRun: readonly [number, number];
  readonly detectionMs: number;
  readonly addressMoveMs: number;
  readonly takeoverMs: number;
  readonly allStreamsMs: number;
}

const gapMs = (phase: PhaseResult): readonly number[] =>
  phase.streams.map(({ gap }) => (gap.to - gap.from) / 1000);

function range(values: readonly number[]): readonly [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

export function summaries(entry: Entry): readonly PhaseSummary[] {
  const names = entry.runs[0]?.phases.map((phase) => phase.name) ?? [];
  return names.map((name, index) => {
    const phases = entry.runs.flatMap((run) => run.phases[index] ?? []);
    const lost = phases.map((phase) => phase.streams.map((stream) => stream.lost));
    const gaps = phases.map(gapMs);
    const middle = (pick: (phase: PhaseResult) => number): number => median(phases.map(pick));
    return {
      name,
      lost: spread(lost.flat()),
      gapMs: spread(gaps.flat()),
      late: spread(phases.flatMap((phase) => phase.streams.map((stream) => stream.late))),
      lostByRun: range(lost.map((values) => spread(values).median)),
      gapMsByRun: range(gaps.map((values) => spread(values).median)),
      detectionMs: middle((phase) => phase.detectionMs),
      addressMoveMs: middle((phase) => phase.addressMoveMs),
      takeoverMs: middle((phase) => phase.takeoverMs),
      allStreamsMs: middle((phase) => phase.allStreamsMs),
    };
  });
}

/** The run in the middle by packets lost, which plots and sound are made of. */
export function typicalRun(entry: Entry): RunResult | undefined {
  const lost = (run: RunResult): number =>
    run.phases.reduce((sum, phase) => sum + phase.streams.reduce((all, s) => all + s.lost, 0), 0);
  return [...entry.runs].sort((a, b) => lost(a) - lost(b))[(entry.runs.length - 1) >> 1];
}

export const short = (value: number): string => {
  if (!Number.isFinite(value)) return '-';
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(2)));
};
const three = ({ median: middle, p95, max }: Spread): string =>
  `${short(middle)} / ${short(p95)} / ${short(max)}`;

export class Results {
  readonly entries: Entry[] = [];

  constructor(readonly conditions: Conditions) {}

  get failed(): boolean {
    return this.entries.some((entry) => entry.errors.length > 0);
  }

  #entry(scenario: Scenario, daemon: DaemonName): Entry {
    const same = (entry: Entry): boolean => entry.scenario === scenario && entry.daemon === daemon;
    const found = this.entries.find(same);
    if (found !== undefined) return found;
    const entry: Entry = { scenario, daemon, runs: [], errors: [], skipped: null };
    this.entries.push(entry);
    return entry;
  }

  add(scenario: Scenario, daemon: DaemonName, run: RunResult): void {
    this.#entry(scenario, daemon).runs.push(run);
  }

  fail(scenario: Scenario, daemon: DaemonName, why: string): void {
    this.#entry(scenario, daemon).errors.push(why);
  }

  skip(scenario: Scenario, daemon: DaemonName, why: string): void {
    this.#entry(scenario, daemon).skipped = why;
  }

  /** One line on the run that has just ended. */
  progress(scenario: Scenario, daemon: DaemonName, run: number): void {
    const entry = this.#entry(scenario, daemon);
    const last = entry.runs.at(-1);
    const before = `${scenario.name} ${run}/${this.conditions.runs} ${daemon}:`;
    if (entry.skipped !== null) console.log(before, entry.skipped);
    else if (last === undefined || entry.runs.length + entry.errors.length > run)
      console.log(before, entry.errors.at(-1));
    else {
      const phases = last.phases.map((phase) => {
        const lost = spread(phase.streams.map((stream) => stream.lost));
        return `${phase.name}: lost ${three(lost)}, gap ${three(spread(gapMs(phase)))} ms`;
      });
      console.log(before, phases.join('; '), `calls silent ${last.callsSilent}`);
    }
  }

  /** One row for each scenario, phase and daemon. */
  rows(): readonly (readonly string[])[] {
    const rows = [
      [
        ...['scenario', 'phase', 'daemon', 'lost per stream', 'gap, ms', 'late', 'runs: lost, gap'],
        ...['calls lost: silent, unknown', 'ICMP', 'detection', 'move', 'takeover', 'all back, ms'],
      ],
    ];
    for (const entry of this.entries) {
      const { scenario, daemon, runs } = entry;
      const why = entry.skipped ?? entry.errors[0];
      if (runs.length === 0) rows.push([scenario.name, '', daemon, why ?? 'not run']);
      const most = (pick: (run: RunResult) => number): string => short(Math.max(...runs.map(pick)));
      for (const phase of summaries(entry)) {
        const apart = ([low, high]: readonly [number, number]): string =>
          `${short(low)}-${short(high)}`;
        rows.push([
          ...[scenario.name, phase.name, daemon, three(phase.lost), three(phase.gapMs)],
          ...[three(phase.late), `${apart(phase.lostByRun)}, ${apart(phase.gapMsByRun)}`],
          `${most((run) => run.callsSilent)}, ${most((run) => run.callsUnknown)}`,
          short(median(runs.map((run) => run.portUnreachable))),
          ...[short(phase.detectionMs), short(phase.addressMoveMs), short(phase.takeoverMs)],
          short(phase.allStreamsMs),
        ]);
      }
      if (runs.length > 0 && entry.errors.length > 0)
        rows.push([scenario.name, '', daemon, `${entry.errors.length} runs failed: ${why ?? ''}`]);
    }
    return rows;
  }

  /** Further figures: scenario, what, daemon, median (range). */
  figureRows(): readonly (readonly string[])[] {
    return this.entries.flatMap((entry) =>
      Object.keys(entry.runs[0]?.figures ?? {}).map((name) => {
        const values = entry.runs.map((run) => run.figures[name] ?? Number.NaN);
        const [low, high] = range(values);
        const text = `${short(median(values))} (${short(low)}-${short(high)})`;
        return [entry.scenario.name, name, entry.daemon, text];
      }),
    );
  }

  table(): string {
    const { calls, ptime, mover, store, runs } = this.conditions;
    const title = `failover on ${this.conditions.machine}\n${calls} calls, packets of ${ptime} ms, ${runs} runs, mover ${mover}, store ${store}; median / p95 / max of all streams`;
    return [title, align(this.rows()), align(this.figureRows())].join('\n\n');
  }

  #json(): unknown {
    const entries = this.entries.map((entry) => ({
      ...{ scenario: entry.scenario.name, daemon: entry.daemon },
      ...{ skipped: entry.skipped, errors: entry.errors, phases: summaries(entry) },
      runs: entry.runs.map(({ traces: _traces, heard: _heard, log: _log, phases, ...run }) => ({
        ...run,
        phases: phases.map((phase) => ({ ...phase, streams: phase.streams })),
      })),
    }));
    return { conditions: this.conditions, entries };
  }

  write(folder: string): void {
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/failover.json`, `${JSON.stringify(this.#json(), null, 1)}\n`);
    writeFileSync(`${folder}/failover.txt`, `${this.table()}\n`);
    writeFileSync(`${folder}/failover.html`, page(this));
    for (const entry of this.entries) this.#writeRun(folder, entry);
  }

  #writeRun(folder: string, entry: Entry): void {
    const run = typicalRun(entry);
    if (run === undefined) return;
    const own = `${folder}/${entry.scenario.name}-${entry.daemon}`;
    mkdirSync(own, { recursive: true });
    writeFileSync(`${own}/sent.wav`, wav(sentSamples(run.heard.length)));
    writeFileSync(`${own}/received.wav`, wav(decode(run.heard)));
    writeFileSync(`${own}/daemons.log`, run.log);
  }
}

const voice = decode(speech(4));

/** What the first stream carried: the same four seconds again and again. */
export function sentSamples(length: number): Int16Array {
  return Int16Array.from({ length }, (_, at) => voice[at % voice.length] ?? 0);
}

function align(rows: readonly (readonly string[])[]): string {
  // A reason instead of figures does not widen the columns.
  const full = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: full }, (_, column) =>
    Math.max(
      0,
      ...rows.filter((row) => row.length === full).map((row) => (row[column] ?? '').length),
    ),
  );
  return rows
    .map((row) =>
      row
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
