/**
 * Strict bencode codec for what comes off the wire: linear in the input's length, bounded in
 * depth, reads nothing beyond the buffer. Byte strings are latin1, one character per byte.
 */
import { isDictionary, Members, type NgDictionary, type NgValue } from './dictionary.js';
import { BencodeError } from './errors.js';

/** Containers within containers; the reference daemon takes at least 60 (10.5 seen). */
export const maxBencodeDepth = 64;

/** Digits of a string's length: a message has at most 64 KiB, a TCP one some MiB. */
const maxLengthDigits = 9;
/** Digits of an integer: those of a 64-bit one. */
const maxIntegerDigits = 20;
/** V8 copies shorter slices; longer ones would keep the whole message alive. */
const minSlicedLength = 13;

/** The keys that were read last, each in the place that its length and letters say. */
const keptKeys = new Array<string>(251).fill('');
const maxKeptKeyLength = 32;

const codeOfColon = 0x3a;
const codeOfD = 0x64;
const codeOfE = 0x65;
const codeOfI = 0x69;
const codeOfL = 0x6c;
const codeOfMinus = 0x2d;
const codeOfPlus = 0x2b;
const codeOfPoint = 0x2e;
const codeOf0 = 0x30;
const codeOf9 = 0x39;

/** How strictly to read. */
export interface BencodeOptions {
  /**
   * Read as rtpengine 10.5 does (seen): the end of the input closes every open container, bytes
   * after the value are ignored, `i+5e` and `i-0e` are integers. Default false.
   */
  readonly lenient?: boolean;
}

class Decoder {
  readonly #bytes: Buffer;
  readonly #text: string;
  readonly #lenient: boolean;
  #at = 0;
  #depth = 0;

  constructor(bytes: Buffer, lenient: boolean) {
    this.#bytes = bytes;
    this.#text = bytes.toString('latin1');
    this.#lenient = lenient;
  }

  decode(): NgValue {
    const value = this.#value();
    if (!this.#lenient && this.#at < this.#bytes.length) this.#fail('trailing bytes');
    return value;
  }

  #fail(reason: string): never {
    throw new BencodeError(reason, this.#at);
  }

  #value(): NgValue {
    const code = this.#bytes[this.#at];
    if (code === undefined) this.#fail('unexpected end');
    if (code >= codeOf0 && code <= codeOf9) return this.#string();
    if (code === codeOfI) return this.#integer();
    if (code !== codeOfD && code !== codeOfL) this.#fail('neither a string nor i, l, d');
    if (this.#depth >= maxBencodeDepth) this.#fail('nested too deeply');
    this.#depth += 1;
    this.#at += 1;
    const value = code === codeOfD ? this.#dictionary() : this.#list();
    this.#depth -= 1;
    return value;
  }

  /** Whether the open container ends here; consumes its `e`. */
  #closed(): boolean {
    const code = this.#bytes[this.#at];
    if (code === codeOfE) {
      this.#at += 1;
      return true;
    }
    if (code !== undefined) return false;
    if (!this.#lenient) this.#fail('unexpected end');
    return true;
  }

  #list(): readonly NgValue[] {
    const list: NgValue[] = [];
    while (!this.#closed()) list.push(this.#value());
    return list;
  }

  #dictionary(): NgDictionary {
    const dictionary = new Map<string, NgValue>();
    while (!this.#closed()) {
      const code = this.#bytes[this.#at];
      if (code === undefined || code < codeOf0 || code > codeOf9) this.#fail('key is no string');
      const key = this.#key();
      const value = this.#value();
      // The first of several equal keys counts, as with 10.5 (seen).
      if (!dictionary.has(key)) dictionary.set(key, value);
    }
    return dictionary;
  }

  #integer(): number {
    const bytes = this.#bytes;
    const start = this.#at + 1;
    let at = start;
    const sign = bytes[at];
    if (sign === codeOfMinus || (sign === codeOfPlus && this.#lenient)) at += 1;
    const digits = at;
    let code = bytes[at];
    while (code !== undefined && code >= codeOf0 && code <= codeOf9) {
      if (at - digits >= maxIntegerDigits) this.#fail('integer too long');
      code = bytes[(at += 1)];
    }
    if (code !== codeOfE || at === digits) this.#fail('not an integer');
    if (bytes[digits] === codeOf0 && at - digits > 1) this.#fail('leading zero');
    const value = Number(this.#text.substring(start, at));
    if (Object.is(value, -0)) {
      if (!this.#lenient) this.#fail('negative zero');
      this.#at = at + 1;
      return 0;
    }
    this.#at = at + 1;
    return value;
  }

  #string(): string {
    const start = this.#span();
    const end = this.#at;
    return end - start < minSlicedLength
      ? this.#text.substring(start, end)
      : this.#bytes.toString('latin1', start, end);
  }

  /** Requests have few keys, the same again and again: one string each, which maps know at sight. */
  #key(): string {
    const bytes = this.#bytes;
    const start = this.#span();
    const end = this.#at;
    const length = end - start;
    if (length === 0 || length > maxKeptKeyLength) return bytes.toString('latin1', start, end);
    const place =
      (length * 37 + (bytes[start] ?? 0) * 5 + (bytes[end - 1] ?? 0) * 11) % keptKeys.length;
    const kept = keptKeys[place] ?? '';
    let at = kept.length === length ? 0 : length + 1;
    while (at < length && kept.charCodeAt(at) === bytes[start + at]) at += 1;
    if (at === length) return kept;
    const key = bytes.toString('latin1', start, end);
    keptKeys[place] = key;
    return key;
  }

  /** Goes past a string; returns where its bytes begin. They end where the next value begins. */
  #span(): number {
    const bytes = this.#bytes;
    const digits = this.#at;
    let at = digits;
    let length = 0;
    let code = bytes[at];
    while (code !== undefined && code >= codeOf0 && code <= codeOf9) {
      if (at - digits >= maxLengthDigits) this.#fail('length too long');
      length = length * 10 + (code - codeOf0);
      code = bytes[(at += 1)];
    }
    if (code !== codeOfColon) this.#fail('no colon after the length');
    if (bytes[digits] === codeOf0 && at - digits > 1) this.#fail('leading zero');
    const start = at + 1;
    const end = start + length;
    if (end > bytes.length) this.#fail('string longer than the input');
    this.#at = end;
    return start;
  }
}

/**
 * Reads one bencode value that fills `bytes`.
 * @throws BencodeError on anything else, unless `lenient` allows it.
 */
export function decodeBencode(bytes: Buffer, options?: BencodeOptions): NgValue {
  return new Decoder(bytes, options?.lenient === true).decode();
}

/** Longest string that is copied byte by byte; a call into the runtime costs about as much. */
const maxInlineLength = 32;
/** Greatest number that `#digits` writes, and its digits. */
const maxSmall = 0x7fff_ffff;
const maxDigits = 10;

/** Writes values into a buffer that grows and is used again for the next message. */
class Encoder {
  #bytes = Buffer.allocUnsafeSlow(8192);
  #at = 0;

  /** One for all: an iterator over a map makes a pair of each member. */
  readonly #member = (member: NgValue, key: string): void => {
    this.#string(key);
    this.#value(member);
  };

  /** The bytes are valid until the next value is written. */
  encode(value: NgValue, prefix: string): Buffer {
    this.#at = 0;
    this.#reserve(prefix.length);
    this.#text(prefix);
    this.#value(value);
    return this.#bytes.subarray(0, this.#at);
  }

  /** So many bytes more will fit. */
  #reserve(length: number): void {
    const needed = this.#at + length;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }

  #text(text: string): void {
    const { length } = text;
    if (length > maxInlineLength) {
      this.#at += this.#bytes.write(text, this.#at, length, 'latin1');
      return;
    }
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < length; i++) bytes[at++] = text.charCodeAt(i);
    this.#at = at;
  }

  /** @param value 0 to 2^31-1 */
  #digits(value: number): void {
    const bytes = this.#bytes;
    let end = this.#at + 1;
    for (let rest = value; rest >= 10; rest = (rest / 10) | 0) end += 1;
    this.#at = end;
    let rest = value;
    do {
      const shorter = (rest / 10) | 0;
      bytes[--end] = codeOf0 + rest - shorter * 10;
      rest = shorter;
    } while (rest > 0);
  }

  #string(text: string): void {
    this.#reserve(text.length + maxDigits + 1);
    this.#digits(text.length);
    this.#bytes[this.#at++] = codeOfColon;
    this.#text(text);
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value)) {
      this.#reserve(maxIntegerDigits + 3);
      this.#bytes[this.#at++] = codeOfI;
      if (value >= 0 && value <= maxSmall) this.#digits(value);
      else this.#text(String(value));
      this.#bytes[this.#at++] = codeOfE;
      return;
    }
    if (!Number.isFinite(value)) throw new RangeError(`bencode cannot express ${value}`);
    // Bencode has integers only; readers accept decimal strings for numbers.
    const micros = Math.round(value * 1e6);
    if (value > 1 && value <= maxSmall && micros / 1e6 === value) this.#decimal(micros);
    else this.#string(String(value));
  }

  /**
   * As a string, what `String` makes of `micros / 1e6`: no other number of so few digits is nearer to that. It takes a
   * microsecond to find that out for a time of day.
   */
  #decimal(micros: number): void {
    const whole = Math.floor(micros / 1e6);
    let fraction = micros - whole * 1e6;
    let digits = 6;
    while (fraction % 10 === 0) {
      fraction /= 10;
      digits -= 1;
    }
    let wholeDigits = 1;
    for (let rest = whole; rest >= 10; rest = (rest / 10) | 0) wholeDigits += 1;
    this.#reserve(maxDigits * 3);
    this.#digits(wholeDigits + 1 + digits);
    const bytes = this.#bytes;
    bytes[this.#at++] = codeOfColon;
    this.#digits(whole);
    bytes[this.#at] = codeOfPoint;
    this.#at += digits + 1;
    for (let at = this.#at - 1; digits > 0; digits -= 1, at -= 1) {
      const shorter = (fraction / 10) | 0;
      bytes[at] = codeOf0 + fraction - shorter * 10;
      fraction = shorter;
    }
  }

  #byte(code: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = code;
  }

  #value(value: NgValue): void {
    if (typeof value === 'string') this.#string(value);
    else if (typeof value === 'number') this.#number(value);
    else if (value instanceof Members) {
      const { names, list } = value;
      this.#byte(codeOfD);
      for (let at = 0; at < names.length; at++) {
        this.#string(names[at] ?? '');
        this.#value(list[at] ?? '');
      }
      this.#byte(codeOfE);
    } else if (isDictionary(value)) {
      this.#byte(codeOfD);
      value.forEach(this.#member);
      this.#byte(codeOfE);
    } else {
      this.#byte(codeOfL);
      for (const member of value) this.#value(member);
      this.#byte(codeOfE);
    }
  }
}

const encoder = new Encoder();

/** Whether `value` is a list. */
export function isList(value: NgValue | undefined): value is readonly NgValue[] {
  return Array.isArray(value);
}

/**
 * The bencode of `value` with `prefix` before it, as bytes; dictionaries keep their order.
 * Numbers that are no integers become decimal strings.
 * @throws RangeError for NaN and the infinities.
 */
export function encodeBencode(value: NgValue, prefix = ''): Buffer {
  return Buffer.from(encoder.encode(value, prefix));
}

/** As `encodeBencode`; the bytes are valid until it, or `encodeBencode`, is called again. */
export function encodeBencodeShared(value: NgValue, prefix: string): Buffer {
  return encoder.encode(value, prefix);
}
