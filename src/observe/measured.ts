/** What the relay itself has counted of a stream's RTP (`--measure-rtp`), all its sources together. */
import type { StreamStatistics } from '../media/relay.js';

export interface Measured {
  readonly lost: number;
  readonly duplicates: number;
  /** Of all that were sent; 0 when nothing was. */
  readonly lossPercent: number;
  /** Of the source that is the latest; null: its clock is not known. */
  readonly jitterMs: number | null;
}

/** null: nothing is counted. */
export function measuredOf(
  { sources, ssrc }: Pick<StreamStatistics, 'sources' | 'ssrc'>,
  clockRate: number,
): Measured | null {
  const counted = sources.flatMap(({ counts }) => (counts === null ? [] : [counts]));
  if (counted.length === 0) return null;
  const sum = (of: (counts: (typeof counted)[number]) => number): number =>
    counted.reduce((total, counts) => total + of(counts), 0);
  const [lost, duplicates] = [sum((counts) => counts.lost), sum((counts) => counts.duplicates)];
  const sent = sum((counts) => counts.packets) - duplicates + lost;
  const latest = sources.find((source) => source.ssrc === ssrc)?.counts ?? null;
  return {
    lost,
    duplicates,
    lossPercent: sent <= 0 ? 0 : (lost * 100) / sent,
    jitterMs: latest === null || clockRate === 0 ? null : (latest.jitter * 1000) / clockRate,
  };
}
