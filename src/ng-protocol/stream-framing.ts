/**
 * Where one NG message ends in a stream of them (ng-protocol.md §1.3): a cookie up to the first space,
 * then exactly one dictionary, nothing between two messages. Reads each byte once.
 */

/** The stream does not hold NG messages, or one that is too long: the connection cannot go on. */
export class StreamFramingError extends Error {
  override readonly name = 'StreamFramingError';
}

/** Construction parameters of NgStreamFramer. */
export interface StreamFramerOptions {
  /** Longest message, cookie included. */
  readonly maxBytes: number;
  /** Messages may be dictionaries without a cookie, as Kamailio writes to Unix sockets. */
  readonly bareAllowed: boolean;
}

/** One message as it stood in the stream. */
export interface FramedMessage {
  /** `COOKIE SP DICT`, or `DICT` when it is `bare`. */
  readonly bytes: Buffer;
  readonly bare: boolean;
}

const maxCookieBytes = 1024;
const maxDepth = 64;
/** No string of a message is that long, so neither is its length. */
const maxLengthDigits = 8;

const code = (character: string): number => character.charCodeAt(0);
const [space, colon, quote, backslash] = [code(' '), code(':'), code('"'), code('\\')];
const [brace, braceEnd] = [code('{'), code('}')];
const [letterD, letterE, letterI, letterL] = [code('d'), code('e'), code('i'), code('l')];
const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;
const isLineEnd = (byte: number): boolean => byte === 10 || byte === 13;

/** Takes bytes of a value; tells when it has ended, and throws when it cannot be one. */
interface ValueScanner {
  /** Number of bytes of `bytes` from `from` that belong to the value; `done` when it is whole. */
  scan(bytes: Buffer, from: number): { readonly next: number; readonly done: boolean };
}

/** Depth, string lengths and integers of a bencode dictionary; what it says is the decoder's matter. */
class BencodeScanner implements ValueScanner {
  #depth = 0;
  #skip = 0;
  #length = -1;
  #digits = 0;
  #integer = false;

  scan(bytes: Buffer, from: number): { readonly next: number; readonly done: boolean } {
    let at = from;
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, bytes.length - at);
        this.#skip -= step;
        at += step;
        continue;
      }
      this.#take(bytes[at] ?? 0);
      at += 1;
      if (this.#depth === 0) return { next: at, done: true };
    }
    return { next: at, done: false };
  }

  #take(byte: number): void {
    if (this.#integer) {
      if (byte === letterE) this.#integer = false;
      else if (!isDigit(byte) && byte !== code('-')) throw new StreamFramingError('no integer');
      return;
    }
    if (this.#length >= 0) {
      this.#takeLength(byte);
      return;
    }
    if (isDigit(byte) && this.#depth > 0) {
      this.#length = byte - 48;
      this.#digits = 1;
    } else if (byte === letterD || (byte === letterL && this.#depth > 0)) {
      this.#depth += 1;
      if (this.#depth > maxDepth) throw new StreamFramingError('nested too deeply');
    } else if (byte === letterE && this.#depth > 0) {
      this.#depth -= 1;
    } else if (byte === letterI && this.#depth > 0) {
      this.#integer = true;
    } else {
      throw new StreamFramingError('no bencode dictionary');
    }
  }

  #takeLength(byte: number): void {
    if (byte === colon) {
      this.#skip = this.#length;
      this.#length = -1;
      return;
    }
    this.#digits += 1;
    if (!isDigit(byte) || this.#digits > maxLengthDigits) {
      throw new StreamFramingError('no string length');
    }
    this.#length = this.#length * 10 + byte - 48;
  }
}

/** Braces and strings of a JSON object. */
class JsonScanner implements ValueScanner {
  #depth = 0;
  #inString = false;
  #escaped = false;

  scan(bytes: Buffer, from: number): { readonly next: number; readonly done: boolean } {
    for (let at = from; at < bytes.length; at++) {
      this.#take(bytes[at] ?? 0);
      if (this.#depth === 0) return { next: at + 1, done: true };
    }
    return { next: bytes.length, done: false };
  }

  #take(byte: number): void {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === backslash) this.#escaped = true;
      else if (byte === quote) this.#inString = false;
      return;
    }
    if (byte === quote) this.#inString = true;
    else if (byte === brace) this.#depth += 1;
    else if (byte === braceEnd) this.#depth -= 1;
    if (this.#depth > maxDepth) throw new StreamFramingError('nested too deeply');
  }
}

/** Cuts a stream into messages. Holds at most `maxBytes` of one that is not whole yet. */
export class NgStreamFramer {
  readonly #options: StreamFramerOptions;
  #held: Buffer = Buffer.alloc(0);
  #used = 0;
  /** Bytes of the held message that have been looked at. */
  #at = 0;
  /** null: the cookie is being read. */
  #value: ValueScanner | null = null;
  #bare = false;
  /** The beginning did not fit a dictionary without a cookie. */
  #cookied = false;

  constructor(options: StreamFramerOptions) {
    this.#options = options;
  }

  /** Bytes of a message that is not whole yet. */
  get pending(): number {
    return this.#used;
  }

  /**
   * Takes what has been received and gives the messages that are whole now.
   * @throws StreamFramingError; the framer is of no use afterwards.
   */
  push(chunk: Buffer): readonly FramedMessage[] {
    this.#hold(chunk);
    const messages: FramedMessage[] = [];
    let start = 0;
    for (;;) {
      start = this.#skipLineEnds(start);
      const end = this.#advance(start);
      if (end === null) break;
      messages.push({ bytes: Buffer.from(this.#held.subarray(start, end)), bare: this.#bare });
      start = end;
      this.#at = end;
      this.#value = null;
      this.#bare = false;
      this.#cookied = false;
    }
    this.#drop(start);
    if (this.#used > this.#options.maxBytes) {
      throw new StreamFramingError(`message of more than ${this.#options.maxBytes} bytes`);
    }
    return messages;
  }

  #hold(chunk: Buffer): void {
    const needed = this.#used + chunk.length;
    if (needed > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#held.length));
      this.#held.copy(larger, 0, 0, this.#used);
      this.#held = larger;
    }
    chunk.copy(this.#held, this.#used);
    this.#used = needed;
  }

  /** Forgets what is before `start`, and the room that a long message has needed. */
  #drop(start: number): void {
    const rest = this.#held.subarray(start, this.#used);
    if (rest.length === 0) this.#held = Buffer.alloc(0);
    else if (start > 0) this.#held = Buffer.from(rest);
    this.#used = rest.length;
    this.#at -= start;
  }

  /** People at a terminal end a message with a line end. */
  #skipLineEnds(start: number): number {
    if (this.#value !== null || this.#at > start) return start;
    let at = start;
    while (at < this.#used && isLineEnd(this.#held[at] ?? 0)) at += 1;
    this.#at = at;
    return at;
  }

  /** The end of the message that begins at `start`; null: not there yet. */
  #advance(start: number): number | null {
    const bytes = this.#held.subarray(0, this.#used);
    if (this.#value === null && !this.#findValue(bytes, start)) return null;
    if (this.#value === null) return null;
    try {
      const { next, done } = this.#value.scan(bytes, this.#at);
      this.#at = next;
      return done ? next : null;
    } catch (error) {
      if (!this.#bare) throw error;
      // A cookie may begin like a dictionary.
      this.#bare = false;
      this.#cookied = true;
      this.#value = null;
      this.#at = start;
      return this.#advance(start);
    }
  }

  /** Chooses the scanner; false while the cookie has not ended. */
  #findValue(bytes: Buffer, start: number): boolean {
    const first = bytes[start];
    if (first === undefined) return false;
    if (this.#options.bareAllowed && !this.#cookied && (first === letterD || first === brace)) {
      const second = bytes[start + 1];
      if (second === undefined) return false;
      // A dictionary begins with a key or a quote; a cookie may be `de`, which is one without keys.
      if (first === brace || isDigit(second)) {
        this.#bare = true;
        this.#value = first === brace ? new JsonScanner() : new BencodeScanner();
        return true;
      }
    }
    const end = bytes.indexOf(space, this.#at);
    if (end < 0 || end + 1 >= bytes.length) {
      this.#at = end < 0 ? bytes.length : end;
      if (this.#at - start > maxCookieBytes) throw new StreamFramingError('no cookie');
      return false;
    }
    if (end === start || end - start > maxCookieBytes) throw new StreamFramingError('no cookie');
    this.#at = end + 1;
    this.#value = bytes[end + 1] === brace ? new JsonScanner() : new BencodeScanner();
    return true;
  }
}
