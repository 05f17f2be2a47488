/** The `rtpp-flags` string (ng-protocol.md §5.2), which newer Kamailio sends instead of lists. */
import type { NgValue } from './dictionary.js';

/** One word of the string: a bare word has the value null. */
export interface RtppWord {
  readonly name: string;
  readonly value: NgValue | null;
}

/** Brackets within brackets; deeper ones are read as text. */
const maxDepth = 16;

class RtppReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  words(): readonly RtppWord[] {
    const words: RtppWord[] = [];
    for (;;) {
      const word = this.#word(0);
      if (word === null) {
        if (this.#at >= this.#text.length) return words;
        // A `]` that closes nothing.
        this.#at += 1;
      } else {
        words.push(word);
      }
    }
  }

  #isSpace(): boolean {
    const code = this.#text.charCodeAt(this.#at);
    return code === 0x20 || (code >= 0x09 && code <= 0x0d);
  }

  /** The next word, or null at the end or (inside brackets) before `]`. */
  #word(depth: number): RtppWord | null {
    while (this.#isSpace()) this.#at += 1;
    const start = this.#at;
    let equals = -1;
    for (; this.#at < this.#text.length; this.#at += 1) {
      if (this.#isSpace()) break;
      const char = this.#text[this.#at];
      if (char === ']' && depth > 0) break;
      if (char === '=' && equals < 0 && this.#at > start) {
        equals = this.#at;
        if (this.#text[equals + 1] === '[' && depth < maxDepth) {
          this.#at += 2;
          return { name: this.#text.slice(start, equals), value: this.#brackets(depth + 1) };
        }
      }
    }
    if (this.#at === start) return null;
    if (equals < 0) return { name: this.#text.slice(start, this.#at), value: null };
    return {
      name: this.#text.slice(start, equals),
      value: this.#text.slice(equals + 1, this.#at),
    };
  }

  /**
   * What stands in brackets: a dictionary if its first member has a value, else a list. Brackets that
   * stand for themselves are lists within it.
   */
  #brackets(depth: number): NgValue {
    const members: (RtppWord | NgValue)[] = [];
    for (let next = this.#member(depth); next !== null; next = this.#member(depth)) {
      members.push(next);
    }
    if (this.#text[this.#at] === ']') this.#at += 1;
    const [first] = members;
    const isDictionary = isWord(first) && first.value !== null && first.value !== '';
    if (isDictionary) {
      return new Map(members.filter(isWord).map(({ name, value }) => [name, value ?? '']));
    }
    return members.map((member) => {
      if (!isWord(member)) return member;
      const { name, value } = member;
      return typeof value === 'string' ? `${name}=${value}` : name;
    });
  }

  /** The next word or list within brackets; null: their end. */
  #member(depth: number): RtppWord | NgValue | null {
    while (this.#isSpace()) this.#at += 1;
    if (this.#text[this.#at] !== '[' || depth >= maxDepth) return this.#word(depth);
    this.#at += 1;
    return this.#brackets(depth + 1);
  }
}

const isWord = (member: RtppWord | NgValue | undefined): member is RtppWord =>
  typeof member === 'object' && 'name' in member;

/** Splits the string into its words, in order. Never fails: brackets left open close at the end. */
export function parseRtppFlags(text: string): readonly RtppWord[] {
  return new RtppReader(text).words();
}
