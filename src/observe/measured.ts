/** How a stream's RTP arrives: as its receivers report, and as the relay itself has counted (`--measure-rtp`). */
import type { CallIndex } from '../media/call-index.js';
import type { Media } from '../media/call-state.js';
import type { CallStatistics, MosEntry, StreamStatistics } from '../media/relay.js';

/** All sources of a stream together. */
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

/** What each of those who get the media's RTP reported of it last. */
export function reportsAbout(
  index: CallIndex,
  media: Media,
  { ssrcs }: CallStatistics,
): readonly MosEntry[] {
  if (ssrcs.length === 0) return [];
  const subscribers = index.subscriberStreamsOf(media.id);
  return ssrcs
    .filter(({ streamId }) => subscribers.has(streamId))
    .flatMap(({ latest, progression }) => latest ?? progression.slice(-1));
}

const latestOf = (reports: readonly MosEntry[]): MosEntry | null =>
  reports.reduce<MosEntry | null>(
    (latest, each) =>
      latest === null || each.reportedAtSeconds > latest.reportedAtSeconds ? each : latest,
    null,
  );

/** What is not known is null. */
export interface Quality {
  /** As reported, else as it arrives here. */
  readonly lossPercent: number | null;
  readonly jitterMs: number | null;
  readonly arrivedLossPercent: number | null;
  readonly mos: number | null;
}

/** Of what a section sends. @param entry of its RTP stream. */
export function heardQuality(
  index: CallIndex,
  media: Media,
  statistics: CallStatistics,
  entry: StreamStatistics | undefined,
): Quality {
  const reported = latestOf(reportsAbout(index, media, statistics));
  const clockRate = media.codecs.find((codec) => codec.clockRate > 0)?.clockRate ?? 0;
  const measured = entry === undefined ? null : measuredOf(entry, clockRate);
  return {
    lossPercent: reported?.packetLossPercent ?? measured?.lossPercent ?? null,
    jitterMs: reported?.jitterMs ?? measured?.jitterMs ?? null,
    arrivedLossPercent: measured?.lossPercent ?? null,
    mos: reported === null || reported.mos === 0 ? null : reported.mos / 10,
  };
}
