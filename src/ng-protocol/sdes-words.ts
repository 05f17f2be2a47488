/** The keys `SDES` and `OSRTP` (ng-protocol.md §4.3). */
import { isSignalling, noteIdle, noteUnknownWord, noteUnsupported } from './notes.js';
import type { Reader } from './readers.js';
import { offWords, wordsOf } from './values.js';

/** What is asked for of keys. Suites by name in upper case. */
export interface SdesWords {
  readonly off: boolean;
  /** Before DTLS, where an offerer can do both. */
  readonly preferred: boolean;
  readonly refused: readonly string[];
  /** Empty: all. Counts before `refused`. */
  readonly only: readonly string[];
  /** Lines of the offer are passed on as they are, and none are added. Counts before the other two. */
  readonly noNew: boolean;
  /** Keys that are in use stay in use towards the other side. */
  readonly keep: boolean;
  /** Preference in offers, and for what an offerer is answered. */
  readonly order: readonly string[];
  readonly offererPreference: readonly string[];
  readonly pad: boolean;
  readonly lifetime: boolean;
  /** null: as the line has it. */
  readonly unencryptedSrtp: boolean | null;
  readonly unencryptedSrtcp: boolean | null;
  readonly unauthenticatedSrtp: boolean | null;
}

/** Nothing is said. */
export const noSdesWords: SdesWords = Object.freeze({
  off: false,
  preferred: false,
  refused: [],
  only: [],
  noNew: false,
  keep: false,
  order: [],
  offererPreference: [],
  pad: false,
  lifetime: false,
  unencryptedSrtp: null,
  unencryptedSrtcp: null,
  unauthenticatedSrtp: null,
});

const plainWords: ReadonlyMap<string, Partial<SdesWords>> = new Map([
  ['prefer', { preferred: true }],
  ['priority', { preferred: true }],
  ['nonew', { noNew: true }],
  ['static', { keep: true }],
  ['pad', { pad: true }],
  ['lifetime', { lifetime: true }],
  ['unencrypted_srtp', { unencryptedSrtp: true }],
  ['encrypted_srtp', { unencryptedSrtp: false }],
  ['unencrypted_srtcp', { unencryptedSrtcp: true }],
  ['encrypted_srtcp', { unencryptedSrtcp: false }],
  ['unauthenticated_srtp', { unauthenticatedSrtp: true }],
  ['authenticated_srtp', { unauthenticatedSrtp: false }],
]);

const suitesOf = (list: string): readonly string[] =>
  list
    .toUpperCase()
    .split(';')
    .filter((name) => name !== '');

/** null: the word is unknown. */
function changeBy(word: string, before: SdesWords): Partial<SdesWords> | null {
  if (offWords.has(word)) return { off: true };
  const change = plainWords.get(word);
  if (change !== undefined) return change;
  const [, kind, names = ''] = /^(no-|only-|order:|offerer_pref:)(.+)$/.exec(word) ?? [];
  const suites = suitesOf(names);
  switch (kind) {
    case 'no-':
      return { refused: [...before.refused, ...suites] };
    case 'only-':
      return { only: [...before.only, ...suites] };
    case 'order:':
      return { order: suites };
    case 'offerer_pref:':
      return { offererPreference: suites };
    default:
      return null;
  }
}

export const sdes: Reader<SdesWords> = {
  empty: noSdesWords,
  read: (value, request, before) => {
    let words = before;
    for (const word of wordsOf(value)) {
      const change = changeBy(word, words);
      if (change !== null && isSignalling(request)) words = { ...words, ...change };
      else if (change !== null) noteIdle(request, `SDES=${word}`);
      else noteUnknownWord(request, 'SDES', word);
    }
    return words;
  },
};

/** Opportunistic SRTP. */
export interface OpportunisticWords {
  /** Keys are offered with plain RTP (RFC 8643); from others they are taken in any case (10.5 seen). */
  readonly offers: boolean;
  /** Of two sections of an offer that are one medium, plain and secure, the secure one is taken. */
  readonly acceptsTwins: boolean;
}

const notOpportunistic: OpportunisticWords = Object.freeze({ offers: false, acceptsTwins: false });

export const opportunistic: Reader<OpportunisticWords> = {
  empty: notOpportunistic,
  read: (value, request, before) => {
    let { offers, acceptsTwins } = before;
    for (const word of wordsOf(value)) {
      const makes = isSignalling(request) && (word === 'offer' || word === 'offer-RFC');
      const takes = request.command === 'offer' && (word === 'accept' || word === 'accept-legacy');
      if (makes) offers = true;
      else if (takes) acceptsTwins = true;
      else if (word === 'offer-legacy' && isSignalling(request)) {
        noteUnsupported(request, `OSRTP=${word}`);
      } else if (offWords.has(word) || /^(?:accept|offer)(?:-RFC|-legacy)?$/.test(word)) {
        noteIdle(request, `OSRTP=${word}`);
      } else noteUnknownWord(request, 'OSRTP', word);
    }
    if (offers === before.offers && acceptsTwins === before.acceptsTwins) return before;
    return { offers, acceptsTwins };
  },
};
