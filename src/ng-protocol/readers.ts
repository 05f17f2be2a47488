/** How the value of a key is read: what `request-table.ts` is written with. */
import type { NgValue } from './dictionary.js';
import {
  isSignalling,
  noteIdle,
  noteUnknown,
  noteUnknownWord,
  type NotedRequest,
} from './notes.js';
import { integerOf, stringOf, wordsOf } from './values.js';

/** Reads the values of one key. */
export interface Reader<Value> {
  /** What the field holds when the key is not there. */
  readonly empty: Value;
  /** The field's next value; `before` where this one says nothing (§1.1: a wrong type reads as absent). */
  readonly read: (value: NgValue, request: NotedRequest, before: Value) => Value;
}

/** A key of the requests: its reader and its names, a space for each hyphen allowed in all of them. */
export interface RequestKey<Value> extends Reader<Value> {
  readonly names: readonly string[];
}

/** A row of the table: the key, its aliases, its reader. */
export function key<Value>(reader: Reader<Value>, ...names: readonly string[]): RequestKey<Value> {
  return { names, empty: reader.empty, read: reader.read };
}

/** Any string. */
export const text: Reader<string | null> = {
  empty: null,
  read: (value, _request, before) => stringOf(value) ?? before,
};

/** A reader of one value that may be absent. `read` gives `undefined` where it says nothing. */
export const optional = <Value>(
  read: (value: NgValue, request: NotedRequest) => Value | null | undefined,
): Reader<Value | null> => ({
  empty: null,
  read: (value, request, before) => {
    const next = read(value, request);
    return next === undefined ? before : next;
  },
});

/** An integer or a decimal string of that range; others say nothing. */
export const integer = (least: number, greatest: number): Reader<number | null> =>
  optional((value) => {
    const number = integerOf(value);
    return number !== null && number >= least && number <= greatest ? number : undefined;
  });

/** Spellings and what each means. */
export type Words<Word extends string> = Readonly<Record<string, Word>>;

/** The value of an own property: words come off the wire and may be `constructor`. */
export function lookUp<Value>(table: Readonly<Record<string, Value>>, word: string): Value | null {
  return Object.hasOwn(table, word) ? (table[word] ?? null) : null;
}

/** A list of words; the last one of them that is known counts, others are noted under `name`. */
export const lastWord = <Word extends string>(
  name: string,
  words: Words<Word>,
): Reader<Word | null> => ({
  empty: null,
  read: (value, request, before) => {
    let last = before;
    for (const spelled of wordsOf(value)) {
      const word = lookUp(words, spelled);
      if (word === null) noteUnknownWord(request, name, spelled);
      else last = word;
    }
    return last;
  },
});

/** A list of words, all of which count; unknown ones are noted under `name`. Spaces are hyphens. */
export const wordSet = <Word extends string>(
  name: string,
  words: Words<Word>,
): Reader<ReadonlySet<Word>> => ({
  empty: new Set<Word>(),
  read: (value, request, before) => {
    const set = new Set(before);
    for (const spelled of wordsOf(value)) {
      const word = lookUp(words, spelled.includes(' ') ? spelled.replaceAll(' ', '-') : spelled);
      if (word === null) noteUnknownWord(request, name, spelled);
      else set.add(word);
    }
    return set;
  },
});

/** The same key, named in the log as one that changes nothing, in every command or in those given. */
export const idle = <Value>(
  name: string,
  reader: Reader<Value>,
  where: (request: NotedRequest) => boolean = () => true,
): Reader<Value> => ({
  empty: reader.empty,
  read: (value, request, before) => {
    if (where(request)) noteIdle(request, name);
    return reader.read(value, request, before);
  },
});

/** A key of the commands about a participant: in an offer or answer it changes nothing. */
export const selecting = <Value>(name: string, reader: Reader<Value>): Reader<Value> =>
  idle(name, reader, (request) => isSignalling(request) && request.command !== 'subscribe request');

/** A key of these commands; in others it changes nothing. */
export const only = <Value>(
  name: string,
  commands: readonly string[],
  reader: Reader<Value>,
): Reader<Value> => idle(name, reader, ({ command }) => !commands.includes(command));

/** All strings of a list, most of them `most`. */
export const strings = (most: number): Reader<readonly string[]> => ({
  empty: [],
  read: (value, request, before) => {
    const all = [...before, ...wordsOf(value)];
    if (all.length > most) noteUnknown(request, `More than ${most} words in a list`);
    return all.slice(0, most);
  },
});
