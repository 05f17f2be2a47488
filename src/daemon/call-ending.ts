/** When a call ends by itself, and what is counted at its end. Pure. */
import type { LimitConfig } from '../config/config.js';
import type { CallState } from '../media/call-state.js';
import type { CallStatistics, StreamStatistics } from '../media/relay.js';
import type { CloseReason, Counters } from '../observe/counters.js';

/** Counts streams that were never heard, and calls of which only one side was. */
export function countWays(counters: Counters, state: CallState, statistics: CallStatistics): void {
  const received = new Map(statistics.streams.map(({ streamId, packets }) => [streamId, packets]));
  for (const stream of state.streams) {
    if (stream.component !== 1 || stream.selectedSocket === null) continue;
    if ((received.get(stream.id) ?? 0) === 0) counters.zeroWayStreams += 1;
  }
  const rtp = state.streams.filter(
    ({ component, selectedSocket }) => component === 1 && selectedSocket !== null,
  );
  const heard = rtp.filter(({ id }) => (received.get(id) ?? 0) > 0).length;
  if (heard > 0 && heard < rtp.length) counters.oneWayStreams += 1;
}

/** Whether every stream has been silent for longer than it may be (options.md §3). */
export function timeoutOf(
  state: CallState,
  statistics: CallStatistics,
  limits: LimitConfig,
  now: number,
): CloseReason | null {
  const figures = new Map<number, StreamStatistics>(
    statistics.streams.map((entry) => [entry.streamId, entry]),
  );
  const answered = state.streams.some(
    ({ flags, component, mediaId }) =>
      component === 1 && flags.has('filled') && mediaId !== firstFilledMedia(state),
  );
  if (!answered) {
    const idle = now - Math.max(state.lastSignalMicros, lastOf(figures));
    return idle >= limits.offerTimeoutSeconds * 1e6 ? 'offer-timeout' : null;
  }
  let reason: CloseReason = 'silent-timeout';
  for (const stream of state.streams) {
    if (stream.component !== 1 || stream.selectedSocket === null) continue;
    const media = state.medias.find(({ id }) => id === stream.mediaId);
    const receiving = media?.flags.has('recv') === true;
    const limit = receiving ? limits.timeoutSeconds : limits.silentTimeoutSeconds;
    const last = Math.max(figures.get(stream.id)?.lastPacketMicros ?? 0, state.lastSignalMicros);
    if (now - last < limit * 1e6) return null;
    if (receiving) reason = 'timeout';
  }
  return reason;
}

const lastOf = (figures: ReadonlyMap<number, StreamStatistics>): number =>
  Math.max(0, ...[...figures.values()].map(({ lastPacketMicros }) => lastPacketMicros));

const firstFilledMedia = (state: CallState): number | undefined =>
  state.streams.find(({ flags, component }) => component === 1 && flags.has('filled'))?.mediaId;
