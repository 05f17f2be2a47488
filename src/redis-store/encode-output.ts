/**
 * Where the encoders put what they write. A value is made of groups: the members that belong to one entity.
 * Of a call with many of them, each group is made anew only when something that it depends on is another
 * object (or number) than last time: entities are never changed in place, so what is the same object says the
 * same. Of other entities a group depends on the members that it is made of, not on the whole: in a call of
 * hundreds of branches the offerer changes with each of them.
 */
import type { Member, Tree } from './schema.js';
import type { StoredIndex } from './subscriptions.js';

/** The groups, in the order in which they are written. */
export type GroupKind =
  | 'socket'
  | 'stream'
  | 'stream lists'
  | 'participant'
  | 'participant lists'
  | 'told'
  | 'media'
  | 'media lists'
  | 'map'
  | 'map lists';

/** Names and values. */
export type Members = readonly (readonly [name: string, value: Member])[];

/** Tells, one after the other, what a group depends on: objects, numbers, words. */
export type DependsOn = (see: (value: unknown) => void) => void;

/** It depends on one entity. */
export const onlyOn =
  (entity: unknown): DependsOn =>
  (see) => {
    see(entity);
  };

interface Remembered<T> {
  readonly on: unknown[];
  /** undefined: it could not be made. */
  value: T | undefined;
}

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

/** Groups that are one piece of the value: a change in one of them has all of them joined again. */
const pieceSize = 32;

/** What was made for one kind of group. */
class KindMemory {
  readonly texts: Remembered<string>[] = [];
  readonly facts: Remembered<boolean>[] = [];
  /** The bytes of `pieceSize` groups each, and how many they were. */
  readonly pieces: { readonly groups: number; readonly bytes: Buffer }[] = [];
}

/** @returns whether the value had to be made. */
function recall<T>(list: Remembered<T>[], at: number, on: DependsOn, make: () => T): boolean {
  const known = (list[at] ??= { on: [], value: undefined });
  if (comparison.isSame(known.on, on) && known.value !== undefined) return false;
  known.value = undefined;
  known.value = make();
  return true;
}

/** What was made for the groups of one call, in one format and by one clock. */
class GroupMemory {
  readonly #kinds = new Map<GroupKind, KindMemory>();

  constructor(
    /** Whatever all groups depend on. */
    readonly basis: string,
    /** Entities of the call; one of a kind that is gone may be named by any group. */
    public counts: readonly number[],
  ) {}

  of(kind: GroupKind): KindMemory {
    let memory = this.#kinds.get(kind);
    if (memory === undefined) {
      memory = new KindMemory();
      this.#kinds.set(kind, memory);
    }
    return memory;
  }
}

export interface Output {
  /** The members that are no entity's. */
  member(name: string, value: Member): void;
  /** @param on what `make` depends on, the entity itself included; compared by identity. */
  group(kind: GroupKind, at: number, on: DependsOn, make: () => Members): void;
  fact(kind: GroupKind, at: number, on: DependsOn, make: () => boolean): boolean;
}

/** The value as a tree, all of it made anew. */
export class TreeOutput implements Output {
  readonly tree: Tree = {};

  member(name: string, value: Member): void {
    this.tree[name] = value;
  }

  group(_kind: GroupKind, _at: number, _on: DependsOn, make: () => Members): void {
    for (const [name, value] of make()) this.tree[name] = value;
  }

  fact(_kind: GroupKind, _at: number, _on: DependsOn, make: () => boolean): boolean {
    return make();
  }
}

/** The value as JSON, from what is remembered as far as it holds; each character is a byte. Something that is no group's comes first. */
export class RememberingOutput implements Output {
  readonly #memory: GroupMemory;
  readonly #pieces: Buffer[] = [];
  /** The groups that are being written. */
  #kind: GroupKind = 'socket';
  #current: KindMemory;
  #first = 0;
  #groups = 0;
  #isNew = false;

  constructor(memory: GroupMemory) {
    this.#memory = memory;
    this.#current = memory.of(this.#kind);
  }

  member(name: string, value: Member): void {
    this.#flush();
    const separator = this.#pieces.length === 0 ? '{' : ',';
    this.#pieces.push(Buffer.from(`${separator}${textOf([[name, value]])}`, 'latin1'));
  }

  group(kind: GroupKind, at: number, on: DependsOn, make: () => Members): void {
    if (kind !== this.#kind || at >= this.#first + pieceSize) {
      this.#flush();
      if (kind !== this.#kind) {
        this.#kind = kind;
        this.#current = this.#memory.of(kind);
      }
      this.#first = at - (at % pieceSize);
    }
    if (recall(this.#current.texts, at, on, () => textOf(make()))) this.#isNew = true;
    this.#groups += 1;
  }

  fact(kind: GroupKind, at: number, on: DependsOn, make: () => boolean): boolean {
    const { facts } = this.#memory.of(kind);
    recall(facts, at, on, make);
    return facts[at]?.value ?? make();
  }

  #flush(): void {
    const groups = this.#groups;
    const isNew = this.#isNew;
    this.#groups = 0;
    this.#isNew = false;
    if (groups === 0) return;
    const { texts, pieces } = this.#current;
    const number = this.#first / pieceSize;
    const known = pieces[number];
    if (!isNew && known?.groups === groups) {
      this.#pieces.push(known.bytes);
      return;
    }
    let text = '';
    for (let at = this.#first; at < this.#first + groups; at += 1)
      text += `,${texts[at]?.value ?? ''}`;
    const bytes = Buffer.from(text, 'latin1');
    pieces[number] = { groups, bytes };
    this.#pieces.push(bytes);
  }

  get bytes(): Buffer {
    this.#flush();
    return Buffer.concat([...this.#pieces, closing]);
  }
}

const closing = Buffer.from('}');

function textOf(members: Members): string {
  let text = '';
  for (const [name, value] of members) {
    text += `${text === '' ? '' : ','}"${name}":${JSON.stringify(value)}`;
  }
  return text;
}

/** Calls with fewer medias are written whole: remembering them would cost more memory than it saves time. */
const leastMedias = 12;
/** Calls that are remembered. */
const maxCalls = 16;

/** What was written last of the calls with many branches. */
export class EncodedCalls {
  /** The one written last is the last. */
  readonly #calls = new Map<string, GroupMemory>();

  /** @param basis format and clock. @returns null for a call that is not worth it. */
  of(index: StoredIndex, basis: string): GroupMemory | null {
    const { callId, medias } = index.state;
    const known = this.#calls.get(callId);
    this.#calls.delete(callId);
    if (medias.length < leastMedias) return null;
    const whole = `${basis} ${index.shape}`;
    const { counts } = index;
    const goesOn =
      known?.basis === whole && counts.every((count, at) => count >= (known.counts[at] ?? 0));
    const memory = goesOn ? known : new GroupMemory(whole, counts);
    memory.counts = counts;
    this.#calls.set(callId, memory);
    for (const oldest of this.#calls.keys()) {
      if (this.#calls.size <= maxCalls) break;
      this.#calls.delete(oldest);
    }
    return memory;
  }

  forget(callId: string): void {
    this.#calls.delete(callId);
  }
}
