/** Which sources each media of a call has heard, and which it was sent (RFC 3550 §3), for the `query` reply. */
import type { CallState, Media } from '../media/call-state.js';
import type { StreamStatistics } from '../media/relay.js';

/** One source; null: not known of it alone. */
export interface Source {
  readonly ssrc: number;
  /** Of its last packet. */
  readonly payloadType: number | null;
  readonly packets: number | null;
  readonly bytes: number | null;
  /** Of its last packet. */
  readonly lastTimestamp: number | null;
  readonly lastSequence: number | null;
  /** Counted from its RTP (RFC 3550 A.3, A.8); jitter in units of the clock rate. */
  readonly lost: number | null;
  readonly duplicates: number | null;
  readonly reordered: number | null;
  readonly jitter: number | null;
}

/** The sources of a media in one direction, in the order of its streams, the one heard last first. */
export type SourcesOf = (media: Media, direction: 'ingress' | 'egress') => readonly Source[];

const uncounted = {
  ...({ packets: null, bytes: null, lastTimestamp: null, lastSequence: null } as const),
  ...({ lost: null, duplicates: null, reordered: null, jitter: null } as const),
} as const;

const nothing: readonly Source[] = [];

/** Those that have sent RTP. All packets are of the only one; of several, what was counted. */
function sourcesOfStream(counters: StreamStatistics | undefined): readonly Source[] {
  if (counters === undefined) return nothing;
  const { packets, bytes, ssrc } = counters;
  if (counters.sources.length === 0 && (ssrc === null || packets === 0)) return nothing;
  const known = counters.sources.filter(({ payloadType }) => payloadType !== null);
  if (known.length === 0) {
    // What the kernel has forwarded.
    return ssrc === null || packets === 0
      ? []
      : [{ ...uncounted, ssrc, payloadType: null, packets, bytes }];
  }
  // Counted ones come in the order in which they began.
  const latestFirst = known.some(({ counts }) => counts !== null) ? known.toReversed() : known;
  const now = latestFirst.filter((source) => source.ssrc === ssrc);
  const earlier = latestFirst.filter((source) => source.ssrc !== ssrc);
  return [...now, ...earlier].map(({ ssrc: each, payloadType, counts }) => {
    if (counts !== null) return { ssrc: each, payloadType, ...counts };
    const alone = known.length === 1 ? { packets, bytes } : {};
    return { ...uncounted, ...alone, ssrc: each, payloadType };
  });
}

/** Of the last packet of RTP; null: not known of what the kernel has forwarded, nor of a former process. */
export function latestPayloadType(counters: StreamStatistics | undefined): number | null {
  return sourcesOfStream(counters)[0]?.payloadType ?? null;
}

/** RTP passes through with its SSRC: what a media is sent are the sources of those it is subscribed to. */
export function sourcesIn(
  state: CallState,
  byStream: ReadonlyMap<number, StreamStatistics>,
): SourcesOf {
  const rtp = new Set<number>();
  for (const stream of state.streams) if (stream.component === 1) rtp.add(stream.id);
  const heard = ({ streams }: Media): readonly Source[] => {
    let sources = nothing;
    for (const id of streams) {
      const more = rtp.has(id) ? sourcesOfStream(byStream.get(id)) : nothing;
      if (more.length > 0) sources = sources.length === 0 ? more : [...sources, ...more];
    }
    return sources;
  };
  const sent = ({ subscriptions, streams }: Media): readonly Source[] => {
    const out = byStream.get(streams[0] ?? -1);
    if (out === undefined || out.packetsOut === 0) return nothing;
    const from = subscriptions.flatMap(({ mediaId, rtcpOnly }) => {
      const media = rtcpOnly ? undefined : state.medias.find(({ id }) => id === mediaId);
      return media === undefined ? [] : heard(media);
    });
    if (from.length !== 1) return from;
    return from.map((source) => ({ ...source, packets: out.packetsOut, bytes: out.bytesOut }));
  };
  return (media, direction) => (direction === 'ingress' ? heard(media) : sent(media));
}
