/** All runs of all scenarios: progress lines, the table, the JSON file and the page. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { median } from '../lib/report.js';
import type { DaemonName } from '../lib/rig.js';
import { decode, wav } from './audio.js';
import { page, picture } from './page.js';
import type { RunResult } from './run.js';
import type { Scenario } from './scenario.js';
import {
  gapMs,
  range,
  sentSamples,
  short,
  summaries,
  three,
  typicalRun,
  type Conditions,
  type Entry,
  type Summary,
} from './summary.js';
import { spread } from './trace.js';

export class Results implements Summary {
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
        ...[
          'scenario',
          'phase',
          'daemon',
          'lost per stream',
          'gap, ms',
          'late',
          'longest way, ms',
          'before',
          'runs: lost, gap',
        ],
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
          ...[three(phase.late), three(phase.wayMs), three(phase.wayBeforeMs)],
          ...[`${apart(phase.lostByRun)}, ${apart(phase.gapMsByRun)}`],
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
    const { calls, ptime, portMode, mover, store, redis, stack, replay, runs } = this.conditions;
    const title = `failover on ${this.conditions.machine}\n${calls} calls, packets of ${ptime} ms, ${runs} runs, mover ${mover}, store ${store}, redis ${redis}, stack ${stack}${replay ? ', replay' : ''}, ports ${portMode}; median / p95 / max of all streams`;
    return [title, align(this.rows()), align(this.figureRows())].join('\n\n');
  }

  #json(): unknown {
    const entries = this.entries.map((entry) => ({
      ...{ scenario: entry.scenario.name, daemon: entry.daemon },
      ...{ skipped: entry.skipped, errors: entry.errors, phases: summaries(entry) },
      runs: entry.runs.map(({ traces: _traces, heard: _heard, log: _log, ...run }) => run),
    }));
    return { conditions: this.conditions, entries };
  }

  write(folder: string): void {
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/failover.json`, `${JSON.stringify(this.#json(), null, 1)}\n`);
    writeFileSync(`${folder}/failover.txt`, `${this.table()}\n`);
    writeFileSync(`${folder}/failover.html`, page(this));
    for (const entry of this.entries) this.#writeRun(folder, entry);
    for (const scenario of new Set(this.entries.map((entry) => entry.scenario))) {
      const svg = picture(this, scenario);
      if (svg !== null) writeFileSync(`${folder}/failover-${scenario.name}.svg`, svg);
    }
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
