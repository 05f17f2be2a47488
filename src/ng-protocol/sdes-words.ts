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
  /** Of two sections that are one medium, plain and secure, one is taken: the secure one of an offer. */
  readonly acceptsTwins: boolean;
  /** Each secure section is offered in the clear as well, as before RFC 8643. */
  readonly offersTwins: boolean;
}

const notOpportunistic: OpportunisticWords = Object.freeze({
  offers: false,
  acceptsTwins: false,
  offersTwins: false,
});

export const opportunistic: Reader<OpportunisticWords> = {
  empty: notOpportunistic,
  read: (value, request, before) => {
    const words = { ...before };
    for (const word of wordsOf(value)) {
      const isTold = request.command === 'offer' || request.command === 'answer';
      if (isSignalling(request) && (word === 'offer' || word === 'offer-RFC')) words.offers = true;
      else if (isTold && (word === 'accept' || word === 'accept-legacy')) words.acceptsTwins = true;
      else if (request.command === 'offer' && word === 'offer-legacy') words.offersTwins = true;
      else if (word === 'offer-legacy' && isSignalling(request) && !isTold) {
        noteUnsupported(request, `OSRTP=${word}`);
      } else if (offWords.has(word) || /^(?:accept|offer)(?:-RFC|-legacy)?$/.test(word)) {
        noteIdle(request, `OSRTP=${word}`);
      } else noteUnknownWord(request, 'OSRTP', word);
    }
    const { offers, acceptsTwins, offersTwins } = words;
    return offers || acceptsTwins || offersTwins ? words : notOpportunistic;
  },
};
