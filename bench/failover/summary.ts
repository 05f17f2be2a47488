/** What all runs of a scenario come to. */
import { median } from '../lib/report.js';
import type { DaemonName } from '../lib/rig.js';
import { decode, speech } from './audio.js';
import type { PhaseResult, RunResult } from './run.js';
import type { Scenario } from './scenario.js';
import { spread, type Spread } from './trace.js';

export interface Conditions {
  readonly store: string;
  readonly mover: string;
  readonly advertMs: number;
  readonly redis: string;
  readonly stack: string;
  readonly replay: boolean;
  readonly portMode: string;
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
  /** Longest way of a packet around the event, and in the undisturbed time before it. */
  readonly wayMs: Spread;
  readonly wayBeforeMs: Spread;
  /** Median of each run, lowest and highest: how far the runs lie apart. */
  readonly lostByRun: readonly [number, number];
  readonly gapMsByRun: readonly [number, number];
  readonly detectionMs: number;
  readonly addressMoveMs: number;
  readonly takeoverMs: number;
  readonly allStreamsMs: number;
}

export const gapMs = (phase: PhaseResult): readonly number[] =>
  phase.streams.map(({ gap }) => (gap.to - gap.from) / 1000);

const inMs = (micros: readonly number[]): Spread => spread(micros.map((each) => each / 1000));

export function range(values: readonly number[]): readonly [number, number] {
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
      wayMs: inMs(phases.flatMap((phase) => phase.ways)),
      wayBeforeMs: inMs(phases.flatMap((phase) => phase.waysBefore)),
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
export const three = ({ median: middle, p95, max }: Spread): string =>
  `${short(middle)} / ${short(p95)} / ${short(max)}`;

/** What the page shows. */
export interface Summary {
  readonly conditions: Conditions;
  readonly entries: readonly Entry[];
  rows(): readonly (readonly string[])[];
  figureRows(): readonly (readonly string[])[];
}

const voice = decode(speech(4));

/** What the first stream carried: the same four seconds again and again. */
export function sentSamples(length: number): Int16Array {
  return Int16Array.from({ length }, (_, at) => voice[at % voice.length] ?? 0);
}
