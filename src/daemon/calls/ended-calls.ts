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
const maxTimedOut = 200;
const maxRegular = 100;
/** Of those that end as they should: with more of them each would be gone before anybody can ask. */
const regularPerSecond = 20;

const isUsual = (reason: CloseReason): boolean => reason === 'regular' || reason === 'forced';

/** Thread: control. */
export class EndedCalls {
  readonly #timedOut = new Map<string, EndedCall>();
  readonly #regular = new Map<string, EndedCall>();
  /** The second that the latest regular ones ended in, and how many. */
  #second = 0;
  #inSecond = 0;

  /** Whether a call that ends now is to be added; to be asked once for each. */
  wants(reason: CloseReason, nowMicros: number): boolean {
    if (!isUsual(reason)) return true;
    const second = Math.floor(nowMicros / 1e6);
    if (second !== this.#second) {
      this.#second = second;
      this.#inSecond = 0;
    }
    this.#inSecond += 1;
    return this.#inSecond <= regularPerSecond;
  }

  add(call: EndedCall): void {
    const { callId } = call.state;
    const [calls, most] = isUsual(call.reason)
      ? [this.#regular, maxRegular]
      : [this.#timedOut, maxTimedOut];
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
