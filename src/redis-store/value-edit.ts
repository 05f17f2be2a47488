/**
 * A stored value that is continued: a command on a call of hundreds of branches adds what it has changed, a few
 * kilobytes, and the megabyte before it stays where it is. When too much of a value is out of date it is written whole.
 *
 * JSON: members that are written behind the others count instead of earlier ones of the same name, for rtpengine's
 * readers as for ours. Bencode: the first of two members of one name counts, so the names of those that are out of date are
 * spoilt where they stand. What is added takes room that a whole value has before its end, so that Redis need not enlarge
 * it: blanks in JSON, a member that nobody looks for in bencode.
 */
import { createHash } from 'node:crypto';
import type { GroupKind } from './encode-output.js';
import { leastRoom, type ValueText } from './value-text.js';

export interface ValueEdit {
  /** What has to be there, or nothing may be changed. */
  readonly before: ValueMark;
  /** Where these bytes come. */
  readonly at: number;
  readonly bytes: Buffer;
  /** Where names are spoilt, by a byte that no name begins with. */
  readonly spoilt: readonly number[];
}

/** Tells a value from others of its call, without its bulk. */
export interface ValueMark {
  readonly length: number;
  /** Bytes at its beginning, and before the place of the edit, and the SHA-1 (hex) of both. */
  readonly head: number;
  readonly tail: number;
  readonly digest: string;
}

/** What stands for a value where it is known to have been stored. */
export type ValueReceipt = object;

/** A value on its way into a database. */
export interface NextValue {
  /** Bytes of all of it, or what is to be added. */
  readonly value: Buffer | ValueEdit;
  /** null: of no use, the next value is whole. */
  readonly receipt: ValueReceipt | null;
}

/** A member that is other than in the value. */
export interface AddedMember {
  readonly name: string;
  /** Its name and what it says. */
  readonly text: string;
  /** The group that it is of; null: the beginning of the value. */
  readonly kind: GroupKind | null;
  readonly at: number;
}

/** Where the group is in the value that was written whole; null: nowhere. */
export type GroupOf = (
  kind: GroupKind,
  at: number,
) => { readonly bytes: Buffer; readonly start: number } | null;

/** Names of members begin with a letter. */
export const spoiltByte = '~';

/** Shorter values are written whole: that takes no longer. */
const leastBytes = 48 * 1024;
/** So much of the end of a value is compared. */
const tailBytes = 512;

/** The value of one call as it is in a database. */
export class ContinuedValue {
  readonly #text: ValueText;
  /** Bytes of what was written whole and is used, of all there is, and what has been added. */
  #used = 0;
  #length = 0;
  #added = 0;
  #head: Buffer = Buffer.alloc(0);
  #tail: Buffer = Buffer.alloc(0);
  #receipt: ValueReceipt | null = null;
  /** Where the names of members that were added are: of bencode. */
  readonly #names = new Map<string, number>();

  constructor(text: ValueText) {
    this.#text = text;
  }

  /** How much room a value has that uses so many bytes. */
  roomFor(used: number, share: number): number {
    return used < leastBytes ? 0 : Math.floor(used * share);
  }

  /** @param stored what the database is known to have. @param members last the one that every command changes. */
  add(
    stored: ValueReceipt | null,
    members: readonly AddedMember[],
    groupOf: GroupOf,
  ): NextValue | null {
    if (stored === null || stored !== this.#receipt || this.#used < leastBytes) return null;
    const { separator, closing, room: roomOf } = this.#text;
    let text = '';
    for (const member of members) text += separator + member.text;
    const at = this.#used + this.#added;
    const room = this.#length - 1 - at;
    const left = room - text.length;
    if (room > 0 ? left < leastRoom : this.#added + text.length > this.#used / 2) return null;
    const digest = createHash('sha1').update(this.#head).update(this.#tail).digest('hex');
    const [head, tail] = [this.#head.length, this.#tail.length];
    const before = { length: this.#length, head, tail, digest };
    const spoilt = separator === '' ? this.#spoilt(members, at, groupOf) : [];
    const bytes = Buffer.from(text + (room > 0 ? roomOf(left) : closing), 'latin1');
    this.#tail = bytes.subarray(Math.max(0, text.length - tailBytes), text.length);
    this.#added += text.length;
    if (room === 0) this.#length += text.length;
    this.#receipt = {};
    return { value: { before, at, bytes, spoilt }, receipt: this.#receipt };
  }

  /** Where the names of the members are that these come instead of. */
  #spoilt(members: readonly AddedMember[], at: number, groupOf: GroupOf): readonly number[] {
    const spoilt: number[] = [];
    let start = at;
    for (const { name, text, kind, at: position } of members) {
      const digits = String(name.length).length + 1;
      const last = this.#names.get(name) ?? this.#placeOf(name, kind, position, groupOf);
      if (last !== null) spoilt.push(last);
      this.#names.set(name, start + digits);
      start += text.length;
    }
    const byte = spoiltByte.charCodeAt(0);
    const inHead = spoilt.filter((place) => place < this.#head.length);
    if (inHead.length > 0) {
      this.#head = Buffer.from(this.#head);
      for (const place of inHead) this.#head[place] = byte;
    }
    return spoilt;
  }

  #placeOf(name: string, kind: GroupKind | null, at: number, groupOf: GroupOf): number | null {
    const group = kind === null ? { bytes: this.#head, start: 0 } : groupOf(kind, at);
    if (group === null) return null;
    const place = placeOfName(group.bytes, kind === null ? 1 : 0, name);
    return place === null ? null : group.start + place;
  }

  /** @param used how much of it is, without room and end. @param head length of its beginning, in which is what every command changes. */
  begin(value: Buffer, used: number, head: number): NextValue {
    this.#used = used;
    this.#length = value.length;
    this.#added = 0;
    this.#head = value.subarray(0, head);
    this.#tail = value.subarray(Math.max(0, used - tailBytes), used);
    this.#names.clear();
    this.#receipt = {};
    return { value, receipt: this.#receipt };
  }
}

const colon = 0x3a;
const zero = 0x30;
const closingByte = 0x65;

/** A byte string that begins there: where its text does, and how long it is. */
function textAt(bytes: Buffer, at: number): readonly [start: number, length: number] {
  let length = 0;
  let start = at;
  for (; bytes[start] !== colon && start < bytes.length; start += 1)
    length = length * 10 + (bytes[start] ?? 0) - zero;
  return [start + 1, length];
}

/** What comes behind a value: a byte string, or a list or dictionary of such. */
function behindValue(bytes: Buffer, at: number): number {
  let depth = 0;
  let next = at;
  do {
    const code = bytes[next];
    if (code === undefined) return bytes.length;
    if (code === closingByte) {
      depth -= 1;
      next += 1;
    } else if (code < zero || code > zero + 9) {
      depth += 1;
      next += 1;
    } else {
      const [start, length] = textAt(bytes, next);
      next = start + length;
    }
  } while (depth > 0);
  return next;
}

/** Where the name of a member begins among members in bencode of our own. */
function placeOfName(bytes: Buffer, from: number, name: string): number | null {
  let at = from;
  while (at < bytes.length) {
    const [start, length] = textAt(bytes, at);
    if (bytes.toString('latin1', start, start + length) === name) return start;
    at = behindValue(bytes, start + length);
  }
  return null;
}
