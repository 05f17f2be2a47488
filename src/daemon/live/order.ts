/** A viewer's list: those of the calls that it wishes to see, sorted; thousands of them in slices. */
import { inSlices } from '../../media/slices.js';
import type { CallTrack } from './call-track.js';
import type { Condition, Filter, SortKey, Wish } from './protocol.js';

/** An order is kept for so long, ms, so that rows do not dance. */
const orderMs = 2000;
/** So many calls are found and sorted in less than a millisecond, at once. */
const fewCalls = 1000;
/** Steps of merging that count as one of a slice. */
const stepsInOneGo = 128;

const weight: Readonly<Record<Condition, number>> = {
  ...({ 'one-way': 0, silent: 1, poor: 2, hold: 3, ringing: 4, ok: 5, standby: 6 } as const),
};

const isTrouble = (condition: Condition): boolean => weight[condition] <= weight.poor;

/** Numbers that a list is sorted by; the greatest first. What is not known comes last either way. */
const sortValues: Readonly<Record<Exclude<SortKey, 'id'>, (track: CallTrack) => number | null>> = {
  trouble: (track) => -weight[track.condition],
  age: ({ createdMicros }) => -createdMicros,
  rate: ({ packetsPerSecond }) => packetsPerSecond,
  loss: ({ lossPercent }) => lossPercent,
  jitter: ({ jitterMs }) => jitterMs,
  mos: ({ mos }) => mos,
};

/** Tracks and what they are compared by, side by side: of thousands, those that are looked up one by one take the time. */
class Sortable {
  readonly #tracks: CallTrack[] = [];
  readonly #values: number[] = [];
  readonly #created: number[] = [];
  readonly #sign: 1 | -1;
  readonly #valueOf: ((track: CallTrack) => number | null) | null;

  /** @param descending the greatest first; of equal ones the oldest is first. */
  constructor(sort: SortKey, descending: boolean) {
    this.#sign = descending ? -1 : 1;
    this.#valueOf = sort === 'id' ? null : sortValues[sort];
  }

  add(track: CallTrack): void {
    const value = this.#valueOf?.(track) ?? null;
    this.#tracks.push(track);
    this.#values.push(value === null ? Infinity : this.#sign * value);
    this.#created.push(track.createdMicros);
  }

  /** Of two by their places. */
  readonly #compare = (a: number, b: number): number => {
    const [x = 0, y = 0] = [this.#values[a], this.#values[b]];
    if (x !== y) return x < y ? -1 : 1;
    if (this.#valueOf === null) return this.#sign * this.#byId(a, b);
    return (this.#created[a] ?? 0) - (this.#created[b] ?? 0) || this.#byId(a, b);
  };

  #byId(a: number, b: number): number {
    const [x = '', y = ''] = [this.#tracks[a]?.callId, this.#tracks[b]?.callId];
    return x < y ? -1 : x > y ? 1 : 0;
  }

  sorted(): CallTrack[] {
    return this.#inOrder(this.#places().sort(this.#compare));
  }

  /** The same, a step each time it yields; `made` is told. */
  *sorting(made: (sorted: CallTrack[]) => void): Generator<undefined> {
    let from = this.#places();
    let to: typeof from = from.slice();
    const { length } = from;
    for (let start = 0; start < length; start += stepsInOneGo) {
      from.subarray(start, start + stepsInOneGo).sort(this.#compare);
      yield;
    }
    for (let width = stepsInOneGo; width < length; width *= 2) {
      for (let start = 0; start < length; start += 2 * width) {
        const end = Math.min(start + 2 * width, length);
        yield* this.#merge(from, to, [start, Math.min(start + width, length), end]);
      }
      [from, to] = [to, from];
    }
    made(this.#inOrder(from));
  }

  /** Merges two sorted runs that lie side by side in `from` into the same place of `to`. */
  *#merge(
    from: Uint32Array,
    to: Uint32Array,
    [start, middle, end]: readonly [number, number, number],
  ): Generator<undefined> {
    yield;
    if (middle >= end || this.#compare(from[middle - 1] ?? 0, from[middle] ?? 0) <= 0) {
      to.set(from.subarray(start, end), start);
      return;
    }
    let [left, right] = [start, middle];
    for (let at = start; at < end; at += 1) {
      const [a = 0, b = 0] = [from[left], from[right]];
      const isLeft = right >= end || (left < middle && this.#compare(a, b) <= 0);
      to[at] = isLeft ? a : b;
      if (isLeft) left += 1;
      else right += 1;
      if (at % stepsInOneGo === 0) yield;
    }
  }

  #places(): Uint32Array {
    return Uint32Array.from(this.#tracks, (_track, at) => at);
  }

  #inOrder(places: Uint32Array): CallTrack[] {
    const tracks: CallTrack[] = [];
    for (const place of places) {
      const track = this.#tracks[place];
      if (track !== undefined) tracks.push(track);
    }
    return tracks;
  }
}

const passes = ({ condition }: CallTrack, filter: Filter): boolean =>
  filter === 'all' || (filter === 'trouble' ? isTrouble(condition) : condition === filter);

/** Kept until it is too old or another one is wanted. */
export class Order {
  readonly #onMade: () => void;
  #key = '';
  #madeMs = -Infinity;
  #tracks: readonly CallTrack[] = [];
  /** The one that is being made; null: none is. */
  #making: string | null = null;

  /** `onMade`: there is the order that `of` did not have. */
  constructor(onMade: () => void) {
    this.#onMade = onMade;
  }

  /** null: it is not there yet. */
  of(wish: Wish, all: ReadonlyMap<string, CallTrack>, nowMs: number): readonly CallTrack[] | null {
    const { sort, descending, filter } = wish;
    const search = wish.search.trim().toLowerCase();
    const key = JSON.stringify([sort, descending, filter, search]);
    const isKnown = key === this.#key;
    if (isKnown && nowMs - this.#madeMs < orderMs) return this.#tracks;
    const isWanted = (track: CallTrack): boolean =>
      passes(track, filter) && (search === '' || track.matches(search));
    const wanted = new Sortable(sort, descending);
    if (all.size <= fewCalls) {
      for (const track of all.values()) if (isWanted(track)) wanted.add(track);
      const tracks = wanted.sorted();
      this.#keep(key, tracks, nowMs);
      return tracks;
    }
    if (this.#making !== key) void this.#make(key, { all, isWanted, wanted }, nowMs);
    return isKnown ? this.#tracks : null;
  }

  #keep(key: string, tracks: readonly CallTrack[], nowMs: number): void {
    this.#making = null;
    this.#key = key;
    this.#madeMs = nowMs;
    this.#tracks = tracks;
  }

  /** Makes it in slices, unless another one is wanted meanwhile. */
  async #make(
    key: string,
    of: {
      readonly all: ReadonlyMap<string, CallTrack>;
      readonly isWanted: (track: CallTrack) => boolean;
      readonly wanted: Sortable;
    },
    nowMs: number,
  ): Promise<void> {
    this.#making = key;
    const isFirst = key !== this.#key;
    const { wanted } = of;
    await inSlices(of.all.values(), (track) => {
      if (this.#making === key && of.isWanted(track)) wanted.add(track);
    });
    let tracks: readonly CallTrack[] = [];
    await inSlices(
      wanted.sorting((sorted) => (tracks = sorted)),
      () => undefined,
    );
    if (this.#making !== key) return;
    this.#keep(key, tracks, nowMs);
    if (isFirst) this.#onMade();
  }
}
