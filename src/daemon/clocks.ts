/**
 * Time as the daemon counts it. All moments that it keeps are µs since the epoch by a clock that the
 * machine's settings do not move; on their way to Redis, to a reply or to the operator they become the
 * wall clock's.
 */
import { draftOf, type CallState } from '../media/call-state.js';
import type { CallStatistics, MosEntry } from '../media/relay.js';

/** Smaller differences are the clocks' granularity, and slewing, which both of them follow. */
const smallestStepMicros = 100_000;

/** CLOCK_MONOTONIC, ms. Both functions read it; that with big integers costs several times as much. */
export function monotonicMs(): () => number {
  const startedMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return () => startedMs + performance.now();
}

/** The wall clock as it was at the start, going on without steps. */
export class SteadyClock {
  readonly #wallMs: () => number;
  readonly #monotonicMs: () => number;
  /** The moment at which the monotonic clock began, µs since the epoch. */
  readonly epochMicros: number;
  #wallOffset = 0;

  /**
   * @param wallMs e.g. `Date.now`.
   * @param monotonicMs CLOCK_MONOTONIC, ms.
   */
  constructor(wallMs: () => number, monotonicMs: () => number) {
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
    this.epochMicros = Math.round((wallMs() - monotonicMs()) * 1000);
  }

  /** µs since the epoch. */
  readonly nowMicros = (): number => Math.floor(this.#monotonicMs() * 1000) + this.epochMicros;

  /** How far the wall clock has been set forward (or back, then negative) since the start, µs. */
  wallOffsetMicros(): number {
    const offset = Math.round(this.#wallMs() * 1000) - this.nowMicros();
    // The same moment is always written as the same number, unless the clock was really set.
    if (Math.abs(offset - this.#wallOffset) >= smallestStepMicros) this.#wallOffset = offset;
    return this.#wallOffset;
  }
}

/** What the call service needs of a `SteadyClock`. */
export type Clock = Pick<SteadyClock, 'nowMicros' | 'wallOffsetMicros'>;

const later = (micros: number, by: number): number => (micros === 0 ? 0 : micros + by);

/** The call with all its moments moved by `micros`; 0, which stands for never, stays. */
export function shiftedState(state: CallState, micros: number): CallState {
  if (micros === 0) return state;
  const draft = draftOf(state);
  draft.createdMicros = later(draft.createdMicros, micros);
  draft.lastSignalMicros = later(draft.lastSignalMicros, micros);
  draft.deletedMicros = later(draft.deletedMicros, micros);
  draft.participantDeletedMicros = later(draft.participantDeletedMicros, micros);
  for (const participant of draft.participants) {
    participant.createdMicros = later(participant.createdMicros, micros);
    participant.deletedMicros = later(participant.deletedMicros, micros);
  }
  for (const stream of draft.streams) {
    stream.lastPacketMicros = later(stream.lastPacketMicros, micros);
  }
  return draft;
}

/** As `shiftedState`. */
export function shiftedStatistics(statistics: CallStatistics, micros: number): CallStatistics {
  if (micros === 0) return statistics;
  const entry = <E extends MosEntry>(mos: E): E => ({
    ...mos,
    reportedAtSeconds: Math.round(mos.reportedAtSeconds + micros / 1e6),
  });
  return {
    ...statistics,
    streams: statistics.streams.map((stream) => ({
      ...stream,
      lastPacketMicros: later(stream.lastPacketMicros, micros),
      lastUserPacketMicros: later(stream.lastUserPacketMicros ?? stream.lastPacketMicros, micros),
      lastKernelPacketMicros: later(stream.lastKernelPacketMicros ?? 0, micros),
    })),
    ssrcs: statistics.ssrcs.map((ssrc) => ({
      ...ssrc,
      lowest: ssrc.lowest === null ? null : entry(ssrc.lowest),
      highest: ssrc.highest === null ? null : entry(ssrc.highest),
      progression: ssrc.progression.map(entry),
      ...(ssrc.latest === undefined ? {} : { latest: entry(ssrc.latest) }),
    })),
  };
}

/** A longer pause between two ticks means that the process did not run: it was stopped, or its machine. */
const longestTickMicros = 2e6;
const maxGaps = 32;

interface Gap {
  from: number;
  readonly to: number;
}

/**
 * How much of a span of time the process has lived through. While it is stopped (SIGSTOP, a virtual
 * machine's snapshot) nothing reaches it, and that must not count as silence.
 */
export class LivedTime {
  /** Oldest first, without overlap. */
  readonly #gaps: Gap[] = [];
  #last: number;

  constructor(now: number) {
    this.#last = now;
  }

  /** To be called once a second. Returns how long the process had not run, µs. */
  tick(now: number): number {
    const from = this.#last;
    this.#last = Math.max(now, from);
    if (now - from <= longestTickMicros) return 0;
    this.#gaps.push({ from, to: now });
    const [first, second] = this.#gaps;
    if (this.#gaps.length > maxGaps && first !== undefined && second !== undefined) {
      second.from = first.from;
      this.#gaps.shift();
    }
    return now - from;
  }

  /** When the process began to run again, 0: it was never stopped. */
  get awakeSince(): number {
    return this.#gaps.at(-1)?.to ?? 0;
  }

  /** What of the time from `from` to `to` the process has lived through, µs. */
  between(from: number, to: number): number {
    let lived = to - from;
    for (const gap of this.#gaps) {
      lived -= Math.max(0, Math.min(gap.to, to) - Math.max(gap.from, from));
    }
    return lived;
  }
}
