/** When a call ends by itself, and what is counted at its end. Pure. */
import type { LimitConfig } from '../../config/config.js';
import type { CallState, Media, Stream } from '../../media/call-state.js';
import { receivesFrom } from '../../media/media-attributes.js';
import type { CallStatistics } from '../../media/relay.js';
import type { CloseReason, Counters } from '../../observe/counters.js';
import { isUdpProtocol } from '../../sdp/view.js';

/** Counts streams that were never heard, and calls of which only one side was. */
export function countWays(counters: Counters, state: CallState, statistics: CallStatistics): void {
  const received = new Set<number>();
  for (const { streamId, packets } of statistics.streams) if (packets > 0) received.add(streamId);
  let rtp = 0;
  let heard = 0;
  for (const { id, component, selectedSocket } of state.streams) {
    if (component !== 1 || selectedSocket === null) continue;
    rtp += 1;
    if (received.has(id)) heard += 1;
  }
  counters.zeroWayStreams += rtp - heard;
  if (heard > 0 && heard < rtp) counters.oneWayStreams += 1;
}

/** How silence is counted. */
export interface SilenceCount {
  /** Silence begins here at the earliest: signalling, restore, takeover, arrival of the address. µs */
  readonly from: number;
  /** Silence since a moment not before `from`, µs. */
  readonly since: (micros: number) => number;
}

/** Why the call ends now, or how long it lives on at least, µs. */
export type Silence = CloseReason | number;

/**
 * Whether the call has been silent for too long. As rtpengine 10.5: a stream may be silent for `timeout`; for
 * `silent-timeout` where nothing is to be sent (on hold, or the section closed by port 0); for
 * `offer-timeout` where no answer has come. The call lives while one of its streams may.
 */
export function timeoutOf(
  state: CallState,
  statistics: CallStatistics,
  limits: LimitConfig,
  silence: SilenceCount,
): Silence {
  const statisticsOf = new Map(statistics.streams.map((entry) => [entry.streamId, entry]));
  const medias = new Map(state.medias.map((media) => [media.id, media]));
  let reason: CloseReason = 'silent-timeout';
  for (const stream of state.streams) {
    if (stream.component !== 1) continue;
    const kind = silenceOf(stream, medias.get(stream.mediaId));
    const last = Math.max(statisticsOf.get(stream.id)?.lastPacketMicros ?? 0, silence.from);
    const left = secondsOf(kind, limits) * 1e6 - silence.since(last);
    if (left > 0) return left;
    if (kind === 'timeout') reason = 'timeout';
  }
  return isAnswered(state, medias) ? reason : 'offer-timeout';
}

type SilenceKind = 'timeout' | 'silent-timeout' | 'offer-timeout';

function silenceOf(stream: Stream, media: Media | undefined): SilenceKind {
  if (stream.selectedSocket === null) {
    // What is not carried over UDP has no socket, closed or not.
    const closed = media === undefined || isUdpProtocol(media.protocol);
    return closed || stream.advertisedEndpoint?.port === 0 ? 'silent-timeout' : 'timeout';
  }
  if (media === undefined || !receivesFrom(media.direction)) return 'silent-timeout';
  return stream.flags.has('filled') ? 'timeout' : 'offer-timeout';
}

function secondsOf(kind: SilenceKind, limits: LimitConfig): number {
  switch (kind) {
    case 'timeout':
      return limits.timeoutSeconds;
    case 'silent-timeout':
      return limits.silentTimeoutSeconds;
    case 'offer-timeout':
      return limits.offerTimeoutSeconds;
  }
}

/** Whether more than one participant has said where it is. */
function isAnswered({ streams }: CallState, medias: ReadonlyMap<number, Media>): boolean {
  const filled = streams.filter(({ flags, component }) => component === 1 && flags.has('filled'));
  return new Set(filled.map(({ mediaId }) => medias.get(mediaId)?.participantId)).size > 1;
}
