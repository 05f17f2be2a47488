/** All calls as the live page lists them, looked at in turn. */
import type { CallState, LocalSocket } from '../../media/call-state.js';
import type { StreamGlance } from '../../media/relay.js';
import { CallTrack } from './call-track.js';
import { isShortName } from './names.js';
import type { Condition, Row, Wish } from './protocol.js';

/** Where calls come from. */
export interface CallSource {
  readonly calls: () => ReadonlyMap<string, CallState>;
  readonly glance: (callId: string) => readonly StreamGlance[] | null;
  readonly localAddressOf: (socket: LocalSocket) => string;
  /** µs, by the clock of the states. */
  readonly nowMicros: () => number;
  /** ms, of a clock that measures what a turn costs. */
  readonly costMs: () => number;
}

/** The whole list is looked at once in so many turns, if that is not too dear: two seconds. */
export const turnMs = 100;
const turnsPerRound = 20;
/** What a turn may cost: 0.5 % of a processor. */
const maxMsPerTurn = 0.5;
/** The same while there are calls that it does not know yet, e.g. after a restore. */
const maxMsForNew = 2;
/** Between two readings of the clock. */
const callsPerLook = 10;
/** Calls in sight are looked at this often, µs. */
const freshMicros = 900_000;
/** Thread: control. Memory is that of the calls there are: about 1 KB a stream. */
export class CallList {
  readonly #source: CallSource;
  readonly #tracks = new Map<string, CallTrack>();
  /** Call-ids of the present round that have not been looked at yet, the next one last. */
  #round: string[] = [];
  #perTurn = 0;
  /** Calls that are not known yet. */
  #unknown: string[] = [];

  constructor(source: CallSource) {
    this.#source = source;
  }

  get size(): number {
    return this.#tracks.size;
  }

  all(): ReadonlyMap<string, CallTrack> {
    return this.#tracks;
  }

  /** New calls will be there with the next turns, ended ones are not. To be called every second. */
  compare(): void {
    const calls = this.#source.calls();
    this.#unknown = [];
    for (const callId of calls.keys()) {
      if (!this.#tracks.has(callId)) this.#unknown.push(callId);
    }
    this.#unknown.reverse();
    if (this.#tracks.size + this.#unknown.length === calls.size) return;
    for (const callId of this.#tracks.keys()) {
      if (!calls.has(callId)) this.#tracks.delete(callId);
    }
  }

  #begin(callId: string, state: CallState): CallTrack {
    const track = new CallTrack(state, this.#source.localAddressOf);
    this.#tracks.set(callId, track);
    this.#look(track, state);
    return track;
  }

  /** Looks at the next few calls; as many as keep within the cost. To be called every `turnMs`. */
  turn(): void {
    this.#work(this.#unknown, Infinity, maxMsForNew);
    if (this.#round.length === 0) {
      this.#round = [...this.#tracks.keys()].reverse();
      this.#perTurn = Math.ceil(this.#round.length / turnsPerRound);
    }
    this.#work(this.#round, this.#perTurn, maxMsPerTurn);
  }

  /** Looks at the last ones of `waiting`, at most so many and for so long. */
  #work(waiting: string[], most: number, maxMs: number): void {
    const { calls, costMs } = this.#source;
    const startMs = costMs();
    for (let count = 0; count < most && waiting.length > 0; count += 1) {
      if (count % callsPerLook === callsPerLook - 1 && costMs() - startMs > maxMs) return;
      const callId = waiting.pop() ?? '';
      const state = calls().get(callId);
      if (state === undefined) continue;
      const track = this.#tracks.get(callId);
      if (track === undefined) this.#begin(callId, state);
      else this.#look(track, state);
    }
  }

  #look(track: CallTrack, state: CallState): void {
    const glances = this.#source.glance(state.callId);
    if (glances !== null) track.look(state, glances, this.#source.nowMicros());
  }

  /** A call that is looked at now, unless that was a moment ago; null: there is none. */
  fresh(callId: string): CallTrack | null {
    const state = this.#source.calls().get(callId);
    if (state === undefined) return null;
    const track = this.#tracks.get(callId) ?? this.#begin(callId, state);
    if (this.#source.nowMicros() - track.atMicros > freshMicros) this.#look(track, state);
    return track;
  }

  /** The call-id of what a row is called. */
  idOf(name: string): string {
    if (!isShortName(name) || this.#tracks.has(name)) return name;
    for (const track of this.#tracks.values()) if (track.name === name) return track.callId;
    return name;
  }

  /** The rows in sight. Calls that have ended since the order was made are left out. */
  rows(order: readonly CallTrack[], { from, count }: Pick<Wish, 'from' | 'count'>): Row[] {
    const nowMicros = this.#source.nowMicros();
    return order
      .slice(from, from + count)
      .flatMap(({ callId }) => this.fresh(callId)?.row(nowMicros) ?? []);
  }

  conditions(): Record<Condition, number> {
    const counts: Record<Condition, number> = {
      ...{ 'one-way': 0, silent: 0, poor: 0, hold: 0, ringing: 0, ok: 0, standby: 0 },
    };
    for (const { condition } of this.#tracks.values()) counts[condition] += 1;
    return counts;
  }

  /** The worst loss and the mean MOS of all calls; null: nobody has reported any. */
  quality(): { readonly worstLossPercent: number | null; readonly meanMos: number | null } {
    let worstLossPercent: number | null = null;
    let [sum, count] = [0, 0];
    for (const { lossPercent, mos } of this.#tracks.values()) {
      if (lossPercent !== null) worstLossPercent = Math.max(worstLossPercent ?? 0, lossPercent);
      if (mos === null) continue;
      sum += mos;
      count += 1;
    }
    return { worstLossPercent, meanMos: count === 0 ? null : sum / count };
  }
}
