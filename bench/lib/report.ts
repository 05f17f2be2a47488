/** Medians, ranges and ratios as a table and as a file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const results = fileURLToPath(new URL('../../build/bench/', import.meta.url));

/** What was measured, by daemon, one value a run. */
export type Samples = Map<string, Map<string, number[]>>;

export function addSample(samples: Samples, measure: string, daemon: string, value: number): void {
  const byDaemon = samples.get(measure) ?? new Map<string, number[]>();
  samples.set(measure, byDaemon);
  byDaemon.set(daemon, [...(byDaemon.get(daemon) ?? []), value]);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

const short = (value: number): string =>
  Number.isNaN(value) ? '-' : String(Number(value.toPrecision(value >= 1000 ? 5 : 3)));

function cell(values: readonly number[] | undefined): string {
  if (values === undefined || values.length === 0) return '-';
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${short(median(values))} (${short(low)}-${short(high)})`;
}

/** `measure | each of ours | rtpengine | ratio of each of ours`. */
function rowsOf(samples: Samples, ours: readonly string[]): string[][] {
  const ratios = ours.map((each) => `${each}/rtpengine`);
  const rows = [['measure: median (range)', ...ours, 'rtpengine', ...ratios]];
  for (const [measure, byDaemon] of samples) {
    const theirs = byDaemon.get('rtpengine');
    const ratio = (values: readonly number[] | undefined): string =>
      values === undefined || theirs === undefined ? '-' : short(median(values) / median(theirs));
    rows.push([
      measure,
      ...ours.map((each) => cell(byDaemon.get(each))),
      cell(theirs),
      ...ours.map((each) => ratio(byDaemon.get(each))),
    ]);
  }
  return rows;
}

/** The same for a document, with what it was measured on below. */
export function markdown(conditions: string, samples: Samples, ours: readonly string[]): string {
  const lines = rowsOf(samples, ours).map((row) => `| ${row.join(' | ')} |`);
  lines.splice(1, 0, `|${'---|'.repeat(2 * ours.length + 2)}`);
  return `${lines.join('\n')}\n\n${conditions}.`;
}

/**
 * Prints `measure | each of ours | rtpengine | ratio of each of ours` and writes build/bench/NAME.json.
 * @param ours what is compared with rtpengine.
 */
export function report(
  name: string,
  machine: string,
  samples: Samples,
  ours: readonly string[] = ['rtprelayd'],
): void {
  const rows = rowsOf(samples, ours);
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  console.log(`\n${name} on ${machine}`);
  for (const row of rows) {
    console.log(row.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  '));
  }
  mkdirSync(results, { recursive: true });
  const figures = Object.fromEntries(
    [...samples].map(([measure, byDaemon]) => [measure, Object.fromEntries(byDaemon)]),
  );
  const file = `${results}${name}.json`;
  writeFileSync(file, `${JSON.stringify({ machine, figures }, null, 2)}\n`);
  console.log(`\nall values: build/bench/${name}.json`);
}
