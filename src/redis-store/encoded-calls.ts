/**
 * What was written last of the calls with many branches. Of the next value only the groups are made that may have
 * changed; what stands between them is copied as bytes.
 */
import type { CallState } from '../media/call-state.js';
import { forgetOldest } from '../media/remembered.js';
import { keepsPlaces } from '../media/state-changes.js';
import { changedGroups, type ChangedGroups } from './changed-groups.js';
import {
  groupKinds,
  type DependsOn,
  type GroupKind,
  type Members,
  type Output,
} from './encode-output.js';
import { ItemList, KnownLists } from './item-list.js';
import type { Member, StoredFormat } from './schema.js';
import type { StoredCounters } from './store.js';
import { AllOfEach, type StoredIndex } from './subscriptions.js';
import {
  ContinuedValue,
  type AddedMember,
  type NextValue,
  type ValueReceipt,
} from './value-edit.js';
import { bencodeText, jsonText, type ValueText } from './value-text.js';

/** Compares what groups depend on with what they depended on last time, without a list of its own for each. */
class Comparison {
  #known: unknown[] = [];
  #seen = 0;
  #isSame = true;
  readonly #see = (value: unknown): void => {
    if (this.#known[this.#seen] !== value || this.#seen >= this.#known.length) {
      this.#isSame = false;
      this.#known[this.#seen] = value;
    }
    this.#seen += 1;
  };

  /** `known` is what it depends on, from now on. */
  isSame(known: unknown[], on: DependsOn): boolean {
    this.#known = known;
    this.#seen = 0;
    this.#isSame = true;
    on(this.#see);
    if (this.#seen < known.length) {
      known.length = this.#seen;
      this.#isSame = false;
    }
    return this.#isSame;
  }
}

const comparison = new Comparison();

interface Fact {
  readonly on: unknown[];
  value: boolean;
}

/** One kind of group: what each depends on, and how many bytes of the value it is, the comma before it included. */
class KindMemory {
  readonly on: unknown[][] = [];
  readonly lengths: number[] = [];
  readonly facts: Fact[] = [];
  /** Positions of those with a list that is or was long. */
  readonly long = new Set<number>();
  /** Made since the value was put together, by their positions. */
  readonly made = new Map<number, string>();

  /** @param separator length of what comes before a group. @returns what the kind grows by. */
  growth(separator: number): number {
    let growth = 0;
    for (const [at, text] of this.made) growth += separator + text.length - (this.lengths[at] ?? 0);
    return growth;
  }

  /** In ascending order. */
  inOrder(): readonly (readonly [at: number, text: string])[] {
    return [...this.made].sort(([a], [b]) => a - b);
  }
}

/** What was written of one call, in one format and by one clock. */
class CallMemory {
  readonly #kinds = groupKinds.map((kind) => [kind, new KindMemory()] as const);
  readonly #byName = new Map<GroupKind, KindMemory>(this.#kinds);

  constructor(
    /** Whatever all groups depend on. */
    readonly basis: string,
    readonly text: ValueText,
  ) {
    this.continued = new ContinuedValue(text);
    this.lists = new KnownLists(text.item);
  }

  state: CallState | null = null;
  /** As it was put together last, and how long its beginning is that belongs to no group. */
  value: Buffer = Buffer.alloc(0);
  headLength = 0;
  /** Where its groups begin; null: nobody has asked yet. */
  starts: ReadonlyMap<GroupKind, readonly number[]> | null = null;
  /** Bytes of it that are used; behind them is room, and its end. */
  used = 0;
  readonly continued: ContinuedValue;
  readonly lists: KnownLists;
  /** `StoredIndex.places`, `allTold` and `named`, from state to state. */
  places = 0;
  readonly allTold = new AllOfEach();
  readonly named = new AllOfEach();
  /** Streams of which it says more than their state does: counters. */
  counted: ReadonlySet<number> = new Set();
  /** Positions of what may have to be written anew; null: of all. */
  changed: ChangedGroups | null = null;
  /** Every group has been made: the last value was not left half written. */
  isWhole = true;

  of(kind: GroupKind): KindMemory {
    const memory = this.#byName.get(kind);
    if (memory === undefined) throw new RangeError(kind);
    return memory;
  }

  /** Where a group is in the value that was put together last; null: it is not there. */
  groupOf(kind: GroupKind, at: number): { readonly bytes: Buffer; readonly start: number } | null {
    this.starts ??= this.#placed();
    const start = this.starts.get(kind)?.[at];
    const length = this.of(kind).lengths[at];
    if (start === undefined || length === undefined) return null;
    return { bytes: this.value.subarray(start, start + length), start };
  }

  #placed(): ReadonlyMap<GroupKind, readonly number[]> {
    const starts = new Map<GroupKind, readonly number[]>();
    let start = this.headLength;
    for (const [kind, { lengths }] of this.#kinds) {
      const placed: number[] = [];
      for (const length of lengths) {
        placed.push(start);
        start += length;
      }
      starts.set(kind, placed);
    }
    return starts;
  }

  /** In the order in which they are written. */
  *inOrder(): Generator<KindMemory> {
    for (const [, memory] of this.#kinds) yield memory;
  }
}

const blank = 0x20;

/** A value from the one before it: what was made anew, and between that the bytes that stay. */
class Splice {
  readonly #before: Buffer;
  readonly value: Buffer;
  #to = 0;
  /** From where on the bytes before stay, and how far they have been looked at. */
  #start: number;
  #from: number;

  /** @param start of the groups in `before`, `end` of what is used of it. @param room at its end, for more. */
  constructor(
    before: Buffer,
    { start, end }: { readonly start: number; readonly end: number },
    head: string,
    growth: number,
    readonly text: ValueText,
    roomFor: (used: number) => number,
  ) {
    this.#before = before;
    this.#start = start;
    this.#from = start;
    const used = head.length + Math.max(0, end - start) + growth;
    this.value = Buffer.allocUnsafeSlow(used + roomFor(used) + 1);
    this.#to = this.value.write(head, 0, 'latin1');
  }

  groups(memory: KindMemory): void {
    const { lengths } = memory;
    let at = 0;
    for (const [next, text] of memory.inOrder()) {
      for (; at < next; at += 1) this.#from += lengths[at] ?? 0;
      this.#stay();
      const { separator } = this.text;
      this.#to += this.value.write(separator, this.#to, 'latin1');
      this.#to += this.value.write(text, this.#to, 'latin1');
      this.#from += lengths[at] ?? 0;
      this.#start = this.#from;
      lengths[at] = separator.length + text.length;
      at += 1;
    }
    for (; at < lengths.length; at += 1) this.#from += lengths[at] ?? 0;
  }

  #stay(): void {
    if (this.#from > this.#start)
      this.#to += this.#before.copy(this.value, this.#to, this.#start, this.#from);
  }

  /** @returns how much of the value is used. */
  end(): number {
    this.#stay();
    const end = this.value.length - 1;
    this.value.fill(blank, this.#to, end);
    if (end > this.#to) this.value.write(this.text.room(end - this.#to), this.#to, 'latin1');
    this.value.write(this.text.closing, end, 'latin1');
    return this.#to;
  }
}

/**
 * The value, from what is remembered as far as it holds; each character is a byte. Something that is no group's
 * comes first. What has not changed is not looked at.
 */
export class RememberingOutput implements Output {
  readonly #memory: CallMemory;
  #head = '';
  /** Made now. */
  readonly #added: AddedMember[] = [];
  readonly #heads: AddedMember[] = [];

  readonly #roomShare: number;

  /** @param roomShare of a value that is written whole, for what will be added. */
  constructor(memory: CallMemory, roomShare = 0) {
    this.#memory = memory;
    this.#roomShare = roomShare;
    memory.isWhole = false;
  }

  member(name: string, value: Member): void {
    const { text: as } = this.#memory;
    const text = as.key(name) + as.value(value);
    this.#head += `${this.#head === '' ? '' : as.separator}${text}`;
    this.#heads.push({ name, text, kind: null, at: 0 });
  }

  each(kind: GroupKind, count: number, visit: (at: number) => void): void {
    const changed = this.#memory.changed?.[kind] ?? null;
    if (changed === null) {
      for (let at = 0; at < count; at += 1) visit(at);
      return;
    }
    for (const at of changed) visit(at);
  }

  group(kind: GroupKind, at: number, on: DependsOn, make: () => Members): void {
    const memory = this.#memory.of(kind);
    const known = memory.on[at];
    const seen = known ?? (memory.on[at] = []);
    const isSame = comparison.isSame(seen, on);
    if (isSame && known !== undefined) return;
    memory.made.set(at, this.#textOf(kind, at, make()));
  }

  /** The members of a group; those that are others than before are to be added to the value. */
  #textOf(kind: GroupKind, at: number, members: Members): string {
    const { text: as, lists } = this.#memory;
    const { long } = this.#memory.of(kind);
    let all = '';
    for (const [name, value] of members) {
      let text = as.key(name);
      let isSame = false;
      if (value instanceof ItemList) {
        const list = lists.bodyOf(name, value);
        ({ isSame } = list);
        long.add(at);
        text += as.list(list.body);
      } else {
        if (long.has(at)) lists.forget(name);
        text += as.value(value);
      }
      all += `${all === '' ? '' : as.separator}${text}`;
      if (!isSame) this.#added.push({ name, text, kind, at });
    }
    return all;
  }

  fact(kind: GroupKind, at: number, on: DependsOn, make: () => boolean): boolean {
    const { facts } = this.#memory.of(kind);
    const known = facts[at];
    if (known === undefined) {
      const fact = { on: [], value: make() };
      comparison.isSame(fact.on, on);
      facts[at] = fact;
      return fact.value;
    }
    if (!comparison.isSame(known.on, on)) known.value = make();
    return known.value;
  }

  /**
   * @param state what was written. @param stored the value of this call that a database is known to have.
   * The bytes are never written again.
   */
  valueOf(state: CallState, stored: ValueReceipt | null): NextValue {
    const memory = this.#memory;
    memory.state = state;
    memory.isWhole = true;
    const added = memory.continued.add(stored, [...this.#added, ...this.#heads], (kind, at) =>
      memory.groupOf(kind, at),
    );
    if (added !== null) return added;
    const { text } = memory;
    const head = `${text.opening}${this.#head}`;
    let growth = 0;
    for (const kind of memory.inOrder()) growth += kind.growth(text.separator.length);
    const { headLength: start, used: end, continued } = memory;
    const splice = new Splice(memory.value, { start, end }, head, growth, text, (used) =>
      continued.roomFor(used, this.#roomShare),
    );
    for (const kind of memory.inOrder()) {
      splice.groups(kind);
      kind.made.clear();
    }
    memory.used = splice.end();
    memory.value = splice.value;
    memory.headLength = head.length;
    memory.starts = null;
    return memory.continued.begin(memory.value, memory.used, head.length);
  }
}

const kinds = ['participants', 'medias', 'streams', 'sockets', 'endpointMaps'] as const;

/** Groups name entities by their places: whatever was there is where it was. */
const allKeepPlaces = (before: CallState, now: CallState): boolean =>
  kinds.every((kind) => keepsPlaces(before, now, kind));

/** Calls with fewer medias are written whole: remembering them would cost more memory than it saves time. */
const leastMedias = 12;
/** Calls that are remembered. */
const maxCalls = 16;

export class EncodedCalls {
  /** The one written last is the last. */
  readonly #calls = new Map<string, CallMemory>();

  /** @param roomShare how much room a value that is written whole has for what will be added, as a part of it. */
  constructor(readonly roomShare = 0) {}

  /** Whether what was written of such a call is kept in mind. */
  static remembers({ medias }: CallState): boolean {
    return medias.length >= leastMedias;
  }

  /**
   * @param clock what is written of times and secrets depends on it. @param counters of streams, by their ids.
   * @returns null for a call that is not worth it.
   */
  of(
    index: StoredIndex,
    format: StoredFormat,
    clock: string,
    counters: ReadonlyMap<number, StoredCounters>,
  ): CallMemory | null {
    const basis = `${format} ${clock}`;
    const { callId } = index.state;
    const known = this.#calls.get(callId);
    this.#calls.delete(callId);
    if (!EncodedCalls.remembers(index.state)) return null;
    const goesOn =
      known?.basis === basis &&
      known.isWhole &&
      known.state !== null &&
      allKeepPlaces(known.state, index.state);
    const text = format === 'bencode' ? bencodeText : jsonText;
    const memory = goesOn ? known : new CallMemory(basis, text);
    const counted = new Set(counters.keys());
    memory.changed = null;
    if (memory.state !== null) {
      const changed = changedGroups(memory.state, index, [memory.counted, counted]);
      memory.changed = changed.groups;
      if (changed.placesMoved) memory.places += 1;
    }
    index.places = memory.places;
    index.allTold = memory.allTold;
    index.named = memory.named;
    memory.counted = counted;
    this.#calls.set(callId, memory);
    forgetOldest(this.#calls, maxCalls);
    return memory;
  }

  forget(callId: string): void {
    this.#calls.delete(callId);
  }
}
