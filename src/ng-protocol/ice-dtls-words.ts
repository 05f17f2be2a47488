/** The keys `ICE`, `ICE-lite`, `DTLS`, `DTLS-reverse`, `DTLS-fingerprint` and `passthrough` (ng-protocol.md §4.3). */
import {
  isSignalling,
  noteIdle,
  noteUnknownWord,
  noteUnsupported,
  type NotedRequest,
} from './notes.js';
import { lookUp, optional, type Reader } from './readers.js';
import { offWords, stringOf, wordsOf } from './values.js';

/** Whether the word is acted on: there is a side that it can be about. */
function isActedOn(request: NotedRequest, word: string): boolean {
  if (isSignalling(request)) return true;
  noteIdle(request, word);
  return false;
}

/** Whether there are two sides, to which it can be left. */
function isBetweenTwo(request: NotedRequest, word: string): boolean {
  if (request.command === 'offer' || request.command === 'answer') return true;
  (isSignalling(request) ? noteUnsupported : noteIdle)(request, word);
  return false;
}

const modes = {
  remove: 'remove',
  force: 'force',
  default: 'default',
  optional: 'optional',
  'force-relay': 'force-relay',
  force_relay: 'force-relay',
  'force relay': 'force-relay',
} as const;

/** What is done about ICE towards the receiver. */
export type IceWord = (typeof modes)[keyof typeof modes];

const liteSides = {
  forward: 'forward',
  offer: 'forward',
  fwd: 'forward',
  fw: 'forward',
  fwrd: 'forward',
  backward: 'backward',
  backwards: 'backward',
  reverse: 'backward',
  answer: 'backward',
  back: 'backward',
  bkw: 'backward',
  bk: 'backward',
  both: 'both',
  off: 'off',
  none: 'off',
  no: 'off',
} as const;

/** Towards the receiver of the body (forward), its sender (backward), both, nobody. */
export type IceLiteWord = (typeof liteSides)[keyof typeof liteSides];

/** The value of `ICE`: 26.3 takes several words. */
export interface IceWords {
  /** null: not said. */
  readonly mode: IceWord | null;
  readonly lite: IceLiteWord | null;
  /** a=ice-options:trickle, and :ice2. */
  readonly trickle: boolean;
  readonly ice2: boolean;
}

/** Nothing is said. */
export const noIceWords: IceWords = Object.freeze({
  mode: null,
  lite: null,
  trickle: false,
  ice2: false,
});

function iceChange(word: string): Partial<IceWords> | null {
  const mode = lookUp<IceWord>(modes, word);
  if (mode !== null) return { mode };
  if (word === 'trickle' || word === 'ice2') return { [word]: true };
  if (word === 'lite') return { lite: 'forward' };
  if (word === 'no-lite') return { lite: 'off' };
  const side = word.startsWith('lite-') ? lookUp<IceLiteWord>(liteSides, word.slice(5)) : null;
  return side === null ? null : { lite: side };
}

export const ice: Reader<IceWords> = {
  empty: noIceWords,
  read: (value, request, before) => {
    let words = before;
    for (const word of wordsOf(value)) {
      const change = iceChange(word);
      if (change === null) noteUnknownWord(request, 'ICE', word);
      else if (isActedOn(request, `ICE=${word}`)) words = { ...words, ...change };
    }
    return words;
  },
};

export const iceLite = optional<IceLiteWord>((value, request) => {
  const word = stringOf(value);
  if (word === null) return undefined;
  const side = lookUp<IceLiteWord>(liteSides, word);
  if (side === null) noteUnknownWord(request, 'ICE-lite', word);
  else if (isActedOn(request, `ICE-lite=${word}`)) return side;
  return undefined;
});

/** DTLS is not spoken with a side, or in this role (RFC 5763 §5). */
export type DtlsWord = 'off' | 'passive' | 'active';

function dtlsWord(name: string, word: string, request: NotedRequest): DtlsWord | undefined {
  const known = offWords.has(word) ? 'off' : word;
  if (known !== 'off' && known !== 'passive' && known !== 'active') {
    noteUnknownWord(request, name, word);
    return undefined;
  }
  return isActedOn(request, `${name}=${word}`) ? known : undefined;
}

export const dtls = (name: string): Reader<DtlsWord | null> =>
  optional<DtlsWord>((value, request) => {
    const word = stringOf(value);
    return word === null ? undefined : dtlsWord(name, word, request);
  });

/** Hashes of fingerprints (RFC 8122 §5) in their spelling. */
const fingerprintHashes = {
  'sha-1': 'sha-1',
  'sha-224': 'sha-224',
  'sha-256': 'sha-256',
  'sha-384': 'sha-384',
  'sha-512': 'sha-512',
} as const;

export const passthrough = optional<boolean>((value, request) => {
  const word = typeof value === 'number' ? String(value) : stringOf(value);
  if (word === null) return undefined;
  const on = ['on', 'yes', '1', 'true'].includes(word);
  if (!on && word !== '0' && !offWords.has(word)) {
    noteUnknownWord(request, 'passthrough', word);
    return undefined;
  }
  if (!on) noteIdle(request, 'passthrough=off');
  return on && isBetweenTwo(request, 'passthrough=on') ? true : undefined;
});

export const fingerprintHash = optional<keyof typeof fingerprintHashes>((value, request) => {
  const word = stringOf(value);
  if (word === null) return undefined;
  const hash = lookUp(fingerprintHashes, word.toLowerCase());
  if (hash === null) noteUnknownWord(request, 'DTLS-fingerprint', word);
  else if (isActedOn(request, `DTLS-fingerprint=${word}`)) return hash;
  return undefined;
});
