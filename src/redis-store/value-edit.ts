/**
 * A stored value that is continued. JSON objects are open at their end: members that are written behind the others
 * count instead of earlier ones of the same name, for rtpengine's readers as for ours. So a command on a call of hundreds
 * of branches adds what it has changed, a few kilobytes, and the megabyte before it stays where it is. When too much of a
 * value is out of date it is written whole.
 */
import { createHash } from 'node:crypto';

/** What comes in place of the brace that ends a value. */
export interface ValueEdit {
  /** What has to be there, or nothing may be added. */
  readonly before: ValueMark;
  readonly bytes: Buffer;
}

/** Tells a value from others of its call, without its bulk. */
export interface ValueMark {
  readonly length: number;
  /** Bytes at its beginning and at its end, and the SHA-1 (hex) of both. */
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

/** Shorter values are written whole: that takes no longer. */
const leastBytes = 48 * 1024;
/** So much of the end of a value is compared. */
const tailBytes = 512;

const endOf = (bytes: Buffer): Buffer => bytes.subarray(Math.max(0, bytes.length - tailBytes));

/** The value of one call as it is in a database. */
export class ContinuedValue {
  /** What was written whole, and how much has been added since. */
  #whole = 0;
  #added = 0;
  #head: Buffer = Buffer.alloc(0);
  #tail: Buffer = Buffer.alloc(0);
  #receipt: ValueReceipt | null = null;

  /**
   * @param stored what the database is known to have. @param members without braces; last the one that every command
   * changes.
   */
  add(stored: ValueReceipt | null, members: string): NextValue | null {
    if (stored === null || stored !== this.#receipt || this.#whole < leastBytes) return null;
    if (this.#added + members.length > this.#whole / 2) return null;
    const digest = createHash('sha1').update(this.#head).update(this.#tail).digest('hex');
    const [head, tail] = [this.#head.length, this.#tail.length];
    const before = { length: this.#whole + this.#added, head, tail, digest };
    const bytes = Buffer.from(`,${members}}`, 'latin1');
    this.#tail = endOf(bytes);
    this.#added += bytes.length - 1;
    this.#receipt = {};
    return { value: { before, bytes }, receipt: this.#receipt };
  }

  /** @param head length of its beginning, in which is what every command changes. */
  begin(value: Buffer, head: number): NextValue {
    this.#whole = value.length;
    this.#added = 0;
    this.#head = value.subarray(0, head);
    this.#tail = endOf(value);
    this.#receipt = {};
    return { value, receipt: this.#receipt };
  }
}
