/** A stored value as JSON, written byte by byte as it is made: a tree of it and its text would cost as much again. */
import { FreshOutput } from './encode-output.js';
import { Fields } from './fields.js';
import type { Member } from './schema.js';

const codeOfQuote = 0x22;
const codeOfComma = 0x2c;
const codeOfColon = 0x3a;
const codeOfBackslash = 0x5c;
const codeOfOpen = 0x7b;
const codeOfClose = 0x7d;
const codeOfOpenList = 0x5b;
const codeOfCloseList = 0x5d;

/** What JSON writes otherwise (RFC 8259 §7). */
const escaped = /["\\\x00-\x1f]/;
/** The same by code: 1. */
const isEscaped = Uint8Array.from({ length: 256 }, (_, code) =>
  code < 0x20 || code === codeOfQuote || code === codeOfBackslash ? 1 : 0,
);
/** Longest string that is copied byte by byte; a call into the runtime costs about as much. */
const maxInlineLength = 48;

/** Memory for many values, one behind the other; let go of when none of them is in use. */
const slabBytes = 256 * 1024;
let slab = Buffer.allocUnsafeSlow(0);
let used = 0;

/** Thread: control. One value at a time. Strings are byte strings: one character each. */
export class JsonOutput extends FreshOutput {
  readonly #start: number;
  #from: number;
  #bytes: Buffer;
  #at: number;

  constructor() {
    super();
    this.#bytes = slab;
    this.#start = used;
    this.#from = used;
    this.#at = used;
  }

  member(name: string, value: Member): void {
    this.#reserve(1);
    this.#bytes[this.#at] = this.#at === this.#from ? codeOfOpen : codeOfComma;
    this.#at += 1;
    this.#string(name);
    this.#reserve(1);
    this.#bytes[this.#at++] = codeOfColon;
    this.#value(value);
  }

  /** The whole value, in memory that is never written again. */
  get bytes(): Buffer {
    this.#reserve(1);
    this.#bytes[this.#at++] = codeOfClose;
    if (this.#bytes === slab) used = this.#at;
    return this.#bytes.subarray(this.#from, this.#at);
  }

  /** So many bytes more will fit. */
  #reserve(length: number): void {
    if (this.#at + length <= this.#bytes.length) return;
    const written = this.#at - this.#from;
    const grown = Buffer.allocUnsafeSlow(Math.max(slabBytes, 2 * (written + length)));
    this.#bytes.copy(grown, 0, this.#from, this.#at);
    // A value that failed on its way leaves the slab as it was.
    if (this.#bytes === slab && this.#start === used) {
      slab = grown;
      used = 0;
    }
    this.#bytes = grown;
    this.#from = 0;
    this.#at = written;
  }

  #value(value: Member): void {
    if (!isList(value)) {
      this.#fields(value);
      return;
    }
    this.#reserve(1);
    this.#bytes[this.#at++] = codeOfOpenList;
    for (let at = 0; at < value.length; at += 1) {
      const item = value[at];
      if (item === undefined) continue;
      this.#reserve(1);
      if (at > 0) this.#bytes[this.#at++] = codeOfComma;
      if (typeof item === 'string') this.#string(item);
      else this.#fields(item);
    }
    this.#reserve(1);
    this.#bytes[this.#at++] = codeOfCloseList;
  }

  #fields(fields: Fields): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = codeOfOpen;
    const { names, values } = fields;
    for (let at = 0; at < names.length; at += 1) {
      this.#reserve(1);
      if (at > 0) this.#bytes[this.#at++] = codeOfComma;
      this.#string(names[at] ?? '');
      this.#reserve(1);
      this.#bytes[this.#at++] = codeOfColon;
      this.#string(values[at] ?? '');
    }
    this.#reserve(1);
    this.#bytes[this.#at++] = codeOfClose;
  }

  #string(text: string): void {
    const { length } = text;
    this.#reserve(length + 2);
    const bytes = this.#bytes;
    if (length > maxInlineLength) {
      if (escaped.test(text)) {
        this.#escaped(text);
        return;
      }
      bytes[this.#at] = codeOfQuote;
      const end = this.#at + 1 + bytes.write(text, this.#at + 1, length, 'latin1');
      bytes[end] = codeOfQuote;
      this.#at = end + 1;
      return;
    }
    let at = this.#at;
    bytes[at++] = codeOfQuote;
    let other = 0;
    for (let i = 0; i < length; i += 1) {
      const code = text.charCodeAt(i);
      other |= isEscaped[code] ?? 0;
      bytes[at++] = code;
    }
    if (other !== 0) {
      this.#escaped(text);
      return;
    }
    bytes[at++] = codeOfQuote;
    this.#at = at;
  }

  #escaped(text: string): void {
    const json = JSON.stringify(text);
    this.#reserve(json.length);
    this.#at += this.#bytes.write(json, this.#at, json.length, 'latin1');
  }
}

const isList = (value: Member): value is readonly string[] | readonly Fields[] =>
  !(value instanceof Fields);
