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

type Compare = (a: CallTrack, b: CallTrack) => number;

const byId: Compare = (a, b) => (a.callId < b.callId ? -1 : a.callId > b.callId ? 1 : 0);

/** @param descending the greatest first; of equal ones the oldest is first. */
function compare(sort: SortKey, descending: boolean): Compare {
  const sign = descending ? -1 : 1;
  if (sort === 'id') return (a, b) => sign * byId(a, b);
  const valueOf = sortValues[sort];
  return (a, b) => {
    const [x, y] = [valueOf(a), valueOf(b)];
    if (x !== y) {
      if (x === null) return 1;
      if (y === null) return -1;
      return sign * (x - y);
    }
    return a.createdMicros - b.createdMicros || byId(a, b);
  };
}

const passes = ({ condition }: CallTrack, filter: Filter): boolean =>
  filter === 'all' || (filter === 'trouble' ? isTrouble(condition) : condition === filter);

/** Merges two sorted runs that lie side by side in `from` into the same place of `to`; a step each time it yields. */
function* merge(
  from: readonly CallTrack[],
  to: CallTrack[],
  [start, middle, end]: readonly [number, number, number],
  order: Compare,
): Generator<undefined> {
  let [left, right] = [start, middle];
  for (let at = start; at < end; at += 1) {
    const [a, b] = [from[left], from[right]];
    const first = right >= end || (left < middle && a && b && order(a, b) <= 0) ? a : b;
    if (first === undefined) return;
    to[at] = first;
    if (first === a && left < middle) left += 1;
    else right += 1;
    if (at % stepsInOneGo === 0) yield;
  }
}

/** Sorts `tracks`; a step each time it yields. */
function* sorting(tracks: CallTrack[], order: Compare): Generator<undefined> {
  const { length } = tracks;
  for (let start = 0; start < length; start += stepsInOneGo) {
    const run = tracks.slice(start, start + stepsInOneGo).sort(order);
    run.forEach((track, at) => (tracks[start + at] = track));
    yield;
  }
  let [from, to] = [tracks, tracks.slice()];
  for (let width = stepsInOneGo; width < length; width *= 2) {
    for (let start = 0; start < length; start += 2 * width) {
      const [middle, end] = [start + width, start + 2 * width];
      yield* merge(from, to, [start, Math.min(middle, length), Math.min(end, length)], order);
    }
    [from, to] = [to, from];
  }
  if (from === tracks) return;
  for (let at = 0; at < length; at += 1) {
    const track = from[at];
    if (track !== undefined) tracks[at] = track;
  }
}

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
    if (all.size <= fewCalls) {
      const tracks = [...all.values()].filter(isWanted).sort(compare(sort, descending));
      this.#keep(key, tracks, nowMs);
      return tracks;
    }
    if (this.#making !== key)
      void this.#make(key, { all, isWanted, order: compare(sort, descending) }, nowMs);
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
      readonly order: Compare;
    },
    nowMs: number,
  ): Promise<void> {
    this.#making = key;
    const isFirst = key !== this.#key;
    const tracks: CallTrack[] = [];
    await inSlices(of.all.values(), (track) => {
      if (this.#making === key && of.isWanted(track)) tracks.push(track);
    });
    await inSlices(sorting(tracks, of.order), () => undefined);
    if (this.#making !== key) return;
    this.#keep(key, tracks, nowMs);
    if (isFirst) this.#onMade();
  }
}
