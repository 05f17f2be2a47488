/** Sums of what reports and the relay's own counts say of media quality, (options.md §5, §8): reports at once, the relay's counts with the end of a call. */
import type { CallState } from '../media/call-state.js';
import type { ReportSums, StreamStatistics } from '../media/relay.js';

/** In rtpengine's order: ms, µs from end to end and of one leg, percent, ms as the relay measures it. */
export const qualityNames = [
  'jitter',
  'rtt_e2e',
  'rtt_dsct',
  'packetloss',
  'jitter_measured',
] as const;
export type QualityName = (typeof qualityNames)[number];

/** What the relay's own counts say: numbers that never came and runs of them, new beginnings of the numbers (RFC 3550 A.1). */
const packetNames = [
  'packets_lost',
  'rtp_duplicates',
  'rtp_skips',
  'rtp_seq_resets',
  'rtp_reordered',
] as const;
export type PacketName = (typeof packetNames)[number];

const reported = [
  ['jitter', 'jitterMs'],
  ['rtt_e2e', 'roundTripMicros'],
  ['rtt_dsct', 'roundTripLegMicros'],
  ['packetloss', 'lossPercent'],
] as const;

interface Sum {
  total: number;
  squares: number;
  samples: number;
}

const none = (): Sum => ({ total: 0, squares: 0, samples: 0 });

/** Thread: control. */
export class QualitySums {
  readonly values: Readonly<Record<QualityName, Sum>> = {
    jitter: none(),
    rtt_e2e: none(),
    rtt_dsct: none(),
    packetloss: none(),
    jitter_measured: none(),
  };
  readonly packets: Record<PacketName, number> = {
    packets_lost: 0,
    rtp_duplicates: 0,
    rtp_skips: 0,
    rtp_seq_resets: 0,
    rtp_reordered: 0,
  };

  /** What reports have said since `before`. */
  addReports(now: ReportSums, before: ReportSums | undefined): void {
    const samples = now.reports - (before?.reports ?? 0);
    for (const [name, key] of reported) {
      const sum = this.values[name];
      sum.total += now[key].total - (before?.[key].total ?? 0);
      sum.squares += now[key].squares - (before?.[key].squares ?? 0);
      sum.samples += samples;
    }
  }

  add(name: QualityName, value: number): void {
    const sum = this.values[name];
    sum.total += value;
    sum.squares += value * value;
    sum.samples += 1;
  }

  /** A stream of an ended call. */
  addStream(state: CallState, { streamId, sources }: StreamStatistics): void {
    for (const { counts } of sources) {
      if (counts === null || counts.packets === 0) continue;
      this.packets.packets_lost += counts.lost;
      this.packets.rtp_duplicates += counts.duplicates;
      this.packets.rtp_skips += counts.skips;
      this.packets.rtp_seq_resets += counts.resets;
      this.packets.rtp_reordered += counts.reordered;
      const rate = clockRateOf(state, streamId);
      if (rate > 0) this.add('jitter_measured', (counts.jitter * 1000) / rate);
    }
  }

  /** By rtpengine's names: sums, squares, samples; then the packets. */
  *entries(): Generator<readonly [name: string, value: number]> {
    for (const name of qualityNames) {
      const { total, squares, samples } = this.values[name];
      yield [`${name}_total`, total];
      yield [`${name}2_total`, squares];
      yield [`${name}_samples_total`, samples];
    }
    for (const name of packetNames) yield [name, this.packets[name]];
  }

  /** Adds what a former process has counted. */
  goOnFrom(entries: ReadonlyMap<string, number>): void {
    for (const name of qualityNames) {
      const sum = this.values[name];
      sum.total += entries.get(`${name}_total`) ?? 0;
      sum.squares += entries.get(`${name}2_total`) ?? 0;
      sum.samples += entries.get(`${name}_samples_total`) ?? 0;
    }
    for (const name of packetNames) this.packets[name] += entries.get(name) ?? 0;
  }
}

function clockRateOf({ streams, medias }: CallState, streamId: number): number {
  const stream = streams.find(({ id }) => id === streamId);
  const media = medias.find(({ id }) => id === stream?.mediaId);
  return media?.codecs.find(({ clockRate }) => clockRate > 0)?.clockRate ?? 0;
}
