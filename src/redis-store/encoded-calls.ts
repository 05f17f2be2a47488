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
import { Fields } from './fields.js';
import type { Member } from './schema.js';
import type { StoredCounters } from './store.js';
import type { StoredIndex } from './subscriptions.js';
import { ContinuedValue, type NextValue, type ValueReceipt } from './value-edit.js';

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
  /** Made since the value was put together, by their positions. */
  readonly made = new Map<number, string>();

  /** @returns what the kind grows by. */
  get growth(): number {
    let growth = 0;
    for (const [at, text] of this.made) growth += 1 + text.length - (this.lengths[at] ?? 0);
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
  ) {}

  state: CallState | null = null;
  /** As it was put together last, and how long its beginning is that belongs to no group. */
  value: Buffer = Buffer.alloc(0);
  headLength = 0;
  readonly continued = new ContinuedValue();
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

  /** In the order in which they are written. */
  *inOrder(): Generator<KindMemory> {
    for (const [, memory] of this.#kinds) yield memory;
  }
}

const comma = 0x2c;
const closing = 0x7d;

/** A value from the one before it: what was made anew, and between that the bytes that stay. */
class Splice {
  readonly #before: Buffer;
  readonly value: Buffer;
  #to = 0;
  /** From where on the bytes before stay, and how far they have been looked at. */
  #start: number;
  #from: number;

  /** @param start of the groups in `before`. */
  constructor(before: Buffer, start: number, head: string, growth: number) {
    this.#before = before;
    this.#start = start;
    this.#from = start;
    const groups = Math.max(0, before.length - start - 1);
    this.value = Buffer.allocUnsafeSlow(head.length + groups + growth + 1);
    this.#to = this.value.write(head, 0, 'latin1');
  }

  groups(memory: KindMemory): void {
    const { lengths } = memory;
    let at = 0;
    for (const [next, text] of memory.inOrder()) {
      for (; at < next; at += 1) this.#from += lengths[at] ?? 0;
      this.#stay();
      this.value[this.#to] = comma;
      this.#to += 1 + this.value.write(text, this.#to + 1, 'latin1');
      this.#from += lengths[at] ?? 0;
      this.#start = this.#from;
      lengths[at] = 1 + text.length;
      at += 1;
    }
    for (; at < lengths.length; at += 1) this.#from += lengths[at] ?? 0;
  }

  #stay(): void {
    if (this.#from > this.#start)
      this.#to += this.#before.copy(this.value, this.#to, this.#start, this.#from);
  }

  end(): Buffer {
    this.#stay();
    this.value[this.#to] = closing;
    return this.value;
  }
}

/**
 * The value as JSON, from what is remembered as far as it holds; each character is a byte. Something that is no group's
 * comes first. What has not changed is not looked at.
 */
export class RememberingOutput implements Output {
  readonly #memory: CallMemory;
  #head = '';
  /** Made now. */
  readonly #texts: string[] = [];

  constructor(memory: CallMemory) {
    this.#memory = memory;
    memory.isWhole = false;
  }

  member(name: string, value: Member): void {
    this.#head += `${this.#head === '' ? '' : ','}${textOf([[name, value]])}`;
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
    const text = textOf(make());
    memory.made.set(at, text);
    this.#texts.push(text);
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
    const members = this.#texts.length === 0 ? this.#head : [...this.#texts, this.#head].join(',');
    const added = memory.continued.add(stored, members);
    if (added !== null) return added;
    const head = `{${this.#head}`;
    let growth = 0;
    for (const kind of memory.inOrder()) growth += kind.growth;
    const splice = new Splice(memory.value, memory.headLength, head, growth);
    for (const kind of memory.inOrder()) {
      splice.groups(kind);
      kind.made.clear();
    }
    memory.value = splice.end();
    memory.headLength = head.length;
    return memory.continued.begin(memory.value, head.length);
  }
}

/** What JSON writes otherwise (RFC 8259 §7). */
const escaped = /["\\\x00-\x1f]/;
/** As JSON.stringify writes it. */
const quoted = (text: string): string => (escaped.test(text) ? JSON.stringify(text) : `"${text}"`);

const isTexts = (list: readonly string[] | readonly Fields[]): list is readonly string[] =>
  typeof list[0] === 'string';

function jsonOf(value: Member): string {
  if (value instanceof Fields) return jsonOfFields(value);
  return isTexts(value) ? JSON.stringify(value) : `[${value.map(jsonOfFields).join(',')}]`;
}

function jsonOfFields({ names, values }: Fields): string {
  let text = '{';
  for (let at = 0; at < names.length; at += 1)
    text += `${at === 0 ? '' : ','}${quoted(names[at] ?? '')}:${quoted(values[at] ?? '')}`;
  return `${text}}`;
}

function textOf(members: Members): string {
  let text = '';
  for (const [name, value] of members) {
    text += `${text === '' ? '' : ','}"${name}":${jsonOf(value)}`;
  }
  return text;
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

  /** Whether what was written of such a call is kept in mind. */
  static remembers({ medias }: CallState): boolean {
    return medias.length >= leastMedias;
  }

  /**
   * @param basis format and clock. @param counters of streams, by their ids.
   * @returns null for a call that is not worth it.
   */
  of(
    index: StoredIndex,
    basis: string,
    counters: ReadonlyMap<number, StoredCounters>,
  ): CallMemory | null {
    const { callId } = index.state;
    const known = this.#calls.get(callId);
    this.#calls.delete(callId);
    if (!EncodedCalls.remembers(index.state)) return null;
    const goesOn =
      known?.basis === basis &&
      known.isWhole &&
      known.state !== null &&
      allKeepPlaces(known.state, index.state);
    const memory = goesOn ? known : new CallMemory(basis);
    const counted = new Set(counters.keys());
    memory.changed =
      memory.state === null ? null : changedGroups(memory.state, index, [memory.counted, counted]);
    memory.counted = counted;
    this.#calls.set(callId, memory);
    forgetOldest(this.#calls, maxCalls);
    return memory;
  }

  forget(callId: string): void {
    this.#calls.delete(callId);
  }
}
