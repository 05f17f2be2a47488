/** Which sources each media of a call has heard, and which it was sent (RFC 3550 §3), for the `query` reply. */
import type { CallState, Media } from '../media/call-state.js';
import type { CallStatistics, SourceStatistics, StreamStatistics } from '../media/relay.js';

type Direction = SourceStatistics['direction'];

/** The sources of a media in one direction, in the order of its streams. */
export type SourcesOf = (media: Media, direction: Direction) => readonly SourceStatistics[];

/** What of a stream's figures is known of the source heard last; null: none was. */
function lastSource(figures: StreamStatistics | undefined): SourceStatistics | null {
  if (figures === undefined || figures.ssrc === null || figures.packets === 0) return null;
  return {
    streamId: figures.streamId,
    ssrc: figures.ssrc,
    direction: 'ingress',
    packets: figures.packets,
    bytes: figures.bytes,
    lastTimestamp: null,
    lastSequence: null,
  };
}

/** RTP passes through with its SSRC: what a media is sent are the sources of those it is subscribed to. */
export function sourcesIn(
  state: CallState,
  { sources }: CallStatistics,
  byStream: ReadonlyMap<number, StreamStatistics>,
): SourcesOf {
  if (sources !== undefined) {
    return ({ streams }, direction) =>
      sources.filter(
        (source) => source.direction === direction && streams.includes(source.streamId),
      );
  }
  const rtp = new Set<number>();
  for (const stream of state.streams) if (stream.component === 1) rtp.add(stream.id);
  const heard = ({ streams }: Media): readonly SourceStatistics[] =>
    streams.flatMap((id) => {
      const source = rtp.has(id) ? lastSource(byStream.get(id)) : null;
      return source === null ? [] : [source];
    });
  const sent = ({ subscriptions, streams }: Media): readonly SourceStatistics[] => {
    const out = byStream.get(streams[0] ?? -1);
    if (out === undefined || out.packetsOut === 0) return [];
    const from = subscriptions.flatMap(({ mediaId, rtcpOnly }) => {
      const media = rtcpOnly ? undefined : state.medias.find(({ id }) => id === mediaId);
      return media === undefined ? [] : heard(media);
    });
    const [only] = from;
    const counted =
      from.length === 1 && only !== undefined
        ? [{ ...only, packets: out.packetsOut, bytes: out.bytesOut }]
        : from;
    return counted.map((source) => ({ ...source, direction: 'egress' as const }));
  };
  return (media, direction) => (direction === 'ingress' ? heard(media) : sent(media));
}
