/** What streams that were heard say about those who relayed them. Pure. */
import type { StreamTrace } from '../failover/trace.js';

const silentMicros = 1_000_000;

/** How many times longer than by itself work took within that time of the run, µs. */
export type Slowness = (from: number, to: number) => number;

/**
 * The longest pause of all streams, ms, and what is wrong: pauses above `boundMs`, and silence in the end. Both may
 * be longer where the machine was slow just then.
 */
export function heard(
  streams: readonly Pick<StreamTrace, 'arrived'>[],
  boundMs: number,
  endMicros: number,
  slowness: Slowness,
): [number, string[]] {
  const problems: string[] = [];
  let longest = 0;
  const silentFrom = endMicros - silentMicros * slowness(endMicros - silentMicros, endMicros);
  streams.forEach(({ arrived }, stream) => {
    let previous = 0;
    let [gap, at] = [0, 0];
    for (const moment of [...arrived.filter((each) => each >= 0), endMicros].sort(
      (a, b) => a - b,
    )) {
      if (moment - previous > gap) [gap, at] = [moment - previous, previous];
      previous = moment;
    }
    longest = Math.max(longest, gap / 1000);
    const call = `load-${stream >> 1}, ${stream % 2 === 0 ? 'a' : 'b'}`;
    if (!arrived.some((moment) => moment > silentFrom)) problems.push(`${call}: silent in the end`);
    if (gap / 1000 <= boundMs || gap / 1000 <= boundMs * slowness(at, at + gap)) return;
    problems.push(
      `${call}: not heard for ${Math.round(gap / 1000)} ms from ${(at / 1e6).toFixed(2)} s on`,
    );
  });
  return [longest, problems];
}
