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

export const turnMs = 100;
/**
 * The whole list is looked at once in so many turns, if that is not too dear: two seconds. While nobody looks, in sixty turns of a second:
 * the slots of the histories in between get the mean of all.
 */
const turnsPerRound = { watched: 20, unwatched: 60 } as const;
/** What a turn may cost: 0.5 % of a processor. */
const maxMsPerTurn = 0.5;
/** The same while there are calls that it does not know yet, e.g. after a restore. */
const maxMsForNew = 2;
/** Between two readings of the clock. */
const callsPerLook = 10;
/** Calls in sight are looked at this often, µs. */
const freshMicros = 900_000;

const worse = (a: number | null, b: number | null): number | null =>
  a === null || (b !== null && b > a) ? b : a;

/** Sums over all tracks, kept up as they are looked at. */
class Sums {
  readonly conditions: Record<Condition, number> = {
    ...{ 'one-way': 0, silent: 0, poor: 0, hold: 0, ringing: 0, ok: 0, standby: 0 },
  };
  /** MOS in tenths, as they are reported: sums of whole numbers stay exact. */
  #mosTenths = 0;
  #mosCount = 0;

  /** @param sign 1: a track as it is now counts; -1: no more. */
  count({ condition, mos }: CallTrack, sign: 1 | -1): void {
    this.conditions[condition] += sign;
    if (mos === null) return;
    this.#mosTenths += sign * Math.round(10 * mos);
    this.#mosCount += sign;
  }

  get meanMos(): number | null {
    return this.#mosCount === 0 ? null : this.#mosTenths / 10 / this.#mosCount;
  }
}

/** Thread: control. Memory is that of the calls there are, and while nobody looks of the last minute's: about 1 KB a stream. */
export class CallList {
  readonly #source: CallSource;
  readonly #tracks = new Map<string, CallTrack>();
  readonly #sums = new Sums();
  /** The worst loss of the last round, and of the present one so far. */
  #worstBefore: number | null = null;
  #worstNow: number | null = null;
  /** Calls that the present round has not come to yet, those that come meanwhile among them; null: it is over. */
  #round: Iterator<CallState> | null = null;
  /** Calls that are not known yet, the next one last. */
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

  /**
   * New calls will be there with the next turns, ended ones are not. To be called every second. A round meets new ones by itself: as many
   * calls as before may be others no longer than that.
   */
  compare(): void {
    const calls = this.#source.calls();
    if (calls.size === this.#tracks.size) return;
    this.#unknown = [];
    for (const callId of calls.keys()) {
      if (!this.#tracks.has(callId)) this.#unknown.push(callId);
    }
    this.#unknown.reverse();
    if (this.#tracks.size + this.#unknown.length === calls.size) return;
    for (const [callId, track] of this.#tracks) {
      if (calls.has(callId)) continue;
      this.#sums.count(track, -1);
      this.#tracks.delete(callId);
    }
  }

  #begin(state: CallState): CallTrack {
    const track = new CallTrack(state, this.#source.localAddressOf);
    this.#tracks.set(state.callId, track);
    this.#sums.count(track, 1);
    this.#look(track, state);
    return track;
  }

  /** In place of `compare` and `turn` while nobody looks: to be called every second. */
  unwatched(): void {
    if (this.#round === null) this.compare();
    this.#turn(turnsPerRound.unwatched);
  }

  /** Looks at the next few calls; as many as keep within the cost. To be called every `turnMs`. */
  turn(): void {
    this.#turn(turnsPerRound.watched);
  }

  #turn(turns: number): void {
    this.#work(() => this.#nextUnknown(), Infinity, maxMsForNew);
    if (this.#round === null) {
      this.#round = this.#source.calls().values();
      [this.#worstBefore, this.#worstNow] = [this.#worstNow, null];
    }
    const count = Math.max(1, Math.ceil(this.#source.calls().size / turns));
    this.#work(() => this.#nextOfRound(), count, maxMsPerTurn);
  }

  #nextUnknown(): CallState | null {
    for (let callId = this.#unknown.pop(); callId !== undefined; callId = this.#unknown.pop()) {
      const state = this.#source.calls().get(callId);
      if (state !== undefined) return state;
    }
    return null;
  }

  #nextOfRound(): CallState | null {
    const next = this.#round?.next();
    if (next !== undefined && next.done !== true) return next.value;
    this.#round = null;
    return null;
  }

  /** Looks at the next calls, at most so many and for so long. */
  #work(next: () => CallState | null, most: number, maxMs: number): void {
    const { costMs } = this.#source;
    let startMs: number | null = null;
    for (let count = 0; count < most; count += 1) {
      if (startMs !== null && count % callsPerLook === callsPerLook - 1) {
        if (costMs() - startMs > maxMs) return;
      }
      const state = next();
      if (state === null) return;
      startMs ??= costMs();
      const track = this.#tracks.get(state.callId);
      if (track === undefined) this.#begin(state);
      else this.#look(track, state);
    }
  }

  #look(track: CallTrack, state: CallState): void {
    const glances = this.#source.glance(state.callId);
    if (glances === null) return;
    this.#sums.count(track, -1);
    track.look(state, glances, this.#source.nowMicros());
    this.#sums.count(track, 1);
    this.#worstNow = worse(this.#worstNow, track.lossPercent);
  }

  /** A call that is looked at now, unless that was a moment ago; null: there is none. */
  fresh(callId: string): CallTrack | null {
    const state = this.#source.calls().get(callId);
    if (state === undefined) return null;
    const track = this.#tracks.get(callId) ?? this.#begin(state);
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
    return { ...this.#sums.conditions };
  }

  /** The worst loss of the calls that were looked at last, and the mean MOS of all; null: nobody has reported any. */
  quality(): { readonly worstLossPercent: number | null; readonly meanMos: number | null } {
    return {
      worstLossPercent: worse(this.#worstBefore, this.#worstNow),
      meanMos: this.#sums.meanMos,
    };
  }
}
