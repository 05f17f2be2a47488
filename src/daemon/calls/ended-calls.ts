/** Calls that have ended lately, for `explain`: how, and what was known of them then. Bounded. */
import type { CallState } from '../../media/call-state.js';
import type { CallStatistics, StreamTrace } from '../../media/relay.js';
import type { CloseReason } from '../../observe/counters.js';

export interface EndedCall {
  readonly reason: CloseReason;
  readonly atMicros: number;
  readonly state: CallState;
  readonly statistics: CallStatistics;
  readonly traces: readonly StreamTrace[];
}

/** Those that time has ended are asked about; the others are mostly as they should be. */
const mostTimedOut = 200;
const mostRegular = 100;

/** Thread: control. */
export class EndedCalls {
  readonly #timedOut = new Map<string, EndedCall>();
  readonly #regular = new Map<string, EndedCall>();

  add(call: EndedCall): void {
    const { callId } = call.state;
    const usual = call.reason === 'regular' || call.reason === 'forced';
    const [calls, most] = usual ? [this.#regular, mostRegular] : [this.#timedOut, mostTimedOut];
    this.#timedOut.delete(callId);
    this.#regular.delete(callId);
    calls.set(callId, call);
    const [oldest] = calls.keys();
    if (calls.size > most && oldest !== undefined) calls.delete(oldest);
  }

  find(callId: string): EndedCall | null {
    return this.#timedOut.get(callId) ?? this.#regular.get(callId) ?? null;
  }
}
