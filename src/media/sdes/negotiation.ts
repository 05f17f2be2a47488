/**
 * SDES (RFC 4568) and opportunistic SRTP (RFC 8643) between the two sides of a relay: which keys are
 * offered, which ones an answer settles on, and whether SRTP ends here or is passed through. Pure; the
 * rules are rtpengine's (sdp-rules.md §6, 10.5 seen), but that no key of somebody else ever encrypts
 * what we send ourselves.
 */
import type { SdesWords } from '../../ng-protocol/requests.js';
import {
  lineKey,
  newKey,
  sameParameters,
  type CryptoLine,
  type SrtpParameters,
} from './crypto-line.js';
import { srtpSuiteNames, type SrtpSuite } from './suites.js';

/** SDES and OSRTP of one media. */
export interface SdesState {
  /** What its side offered last; none while it answers. */
  readonly offered: readonly CryptoLine[];
  /** What was offered to its side last. */
  readonly own: readonly CryptoLine[];
  /** What its side encrypts with, and what is sent to it is encrypted with; null: nothing is agreed on. */
  readonly receive: CryptoLine | null;
  readonly send: CryptoLine | null;
  /** Both are keys of the two ends: SRTP is passed on as it is. */
  readonly passthrough: boolean;
  /** It was offered SRTP, and not just the choice: plain RTP is not taken from it. */
  readonly required: boolean;
}

const nothing: SrtpParameters = {
  unencryptedSrtp: false,
  unencryptedSrtcp: false,
  unauthenticatedSrtp: false,
};

const parametersBy = (options: SdesWords, line: SrtpParameters): SrtpParameters => ({
  unencryptedSrtp: options.unencryptedSrtp ?? line.unencryptedSrtp,
  unencryptedSrtcp: options.unencryptedSrtcp ?? line.unencryptedSrtcp,
  unauthenticatedSrtp: options.unauthenticatedSrtp ?? line.unauthenticatedSrtp,
});

function isAllowed(suite: SrtpSuite, options: SdesWords): boolean {
  if (options.only.length > 0) return options.only.includes(suite);
  return !options.refused.includes(suite);
}

/** Those that are named first, in that order, then the others. */
function ordered<T>(
  items: readonly T[],
  order: readonly string[],
  suiteOf: (item: T) => string,
): T[] {
  const rank = (item: T): number => {
    const at = order.indexOf(suiteOf(item));
    return at < 0 ? order.length : at;
  };
  return [...items].sort((a, b) => rank(a) - rank(b));
}

/** The lines of an offerer that its answer may take: restricted and sorted as its request has it (12.5 seen). */
export function linesToChooseFrom(
  received: readonly CryptoLine[],
  options: SdesWords,
): readonly CryptoLine[] {
  const allowed = options.noNew ? [] : received.filter(({ suite }) => isAllowed(suite, options));
  const usable = allowed.length > 0 ? allowed : received;
  return ordered(usable, options.offererPreference, ({ suite }) => suite);
}

export interface OfferInput {
  /** Lines of the offerer; none when it speaks plain RTP. */
  readonly received: readonly CryptoLine[];
  /** What the receiver of the offer has had so far. */
  readonly previous: SdesState | null;
  /** What the sides of the call have offered: of these keys none is ours. */
  readonly othersLines: () => readonly CryptoLine[];
  readonly options: SdesWords;
  /** SRTP must end here: keys of the offerer are not passed on. */
  readonly recrypt: boolean;
  readonly random: (bytes: number) => Buffer;
}

/**
 * Lines of ours that were offered and not answered: the answer may be to either offer, so the next one has the
 * same keys (12.5 seen).
 */
function pendingLines({ previous, othersLines }: OfferInput): readonly CryptoLine[] {
  if (previous === null || previous.send !== null || previous.receive !== null) return [];
  if (previous.own.length === 0) return [];
  const others = new Set(othersLines().map(({ key }) => key));
  return previous.own.filter(({ key }) => !others.has(key));
}

/**
 * The lines that are offered to the other side: those received, with their keys, and others for the
 * suites that they lack. Without any received the line that is in use comes first, with its key.
 */
export function linesToOffer(input: OfferInput): readonly CryptoLine[] {
  const { received, options, random } = input;
  const inUse = input.previous?.passthrough === true ? null : (input.previous?.send ?? null);
  const pending = pendingLines(input);
  const ours = (tag: number, suite: SrtpSuite, parameters: SrtpParameters): CryptoLine => {
    const known = [...(inUse === null ? [] : [inUse]), ...pending].find(
      (line) => line.suite === suite && sameParameters(line, parameters),
    );
    return { tag, suite, key: known?.key ?? newKey(suite, random), mki: null, ...parameters };
  };
  const passedOn = (line: CryptoLine): CryptoLine => {
    const parameters = parametersBy(options, line);
    return input.recrypt || !sameParameters(parameters, line)
      ? ours(line.tag, line.suite, parameters)
      : line;
  };
  const usable = options.noNew
    ? received
    : received.filter(({ suite }) => isAllowed(suite, options));
  const first =
    received.length > 0
      ? usable.map(passedOn)
      : inUse !== null && isAllowed(inUse.suite, options)
        ? [inUse]
        : [];
  if (options.noNew) return first;
  const missing = srtpSuiteNames.filter(
    (suite) => isAllowed(suite, options) && !first.some((line) => line.suite === suite),
  );
  let tag = first.reduce((highest, line) => Math.max(highest, line.tag), 0);
  // Tags are given before anything is sorted (12.5 seen).
  const added = missing.map((suite) => ours(++tag, suite, parametersBy(options, nothing)));
  return ordered([...first, ...added], options.order, ({ suite }) => suite);
}

export interface AnswerInput {
  /** The side that answers, and what its answer has. */
  readonly answerer: SdesState | null;
  readonly answered: readonly CryptoLine[];
  /** What it was offered was plain RTP with keys (OSRTP): it may answer without. */
  readonly answererMayBePlain: boolean;
  readonly offerer: SdesState | null;
  readonly offererMayBePlain: boolean;
  readonly options: SdesWords;
  readonly recrypt: boolean;
  readonly random: (bytes: number) => Buffer;
}

export interface Agreement {
  readonly answerer: SdesState | null;
  readonly offerer: SdesState | null;
}

const unsettled: SdesState = {
  offered: [],
  own: [],
  receive: null,
  send: null,
  passthrough: false,
  required: false,
};

/** A media that has to be secured, with nobody's keys: nothing comes and nothing goes. */
export const withoutKeys = unsettled;

/** The line of the offerer that `own` is a copy of; null: it is one of ours. */
function originalOf(own: CryptoLine, offerer: SdesState | null): CryptoLine | null {
  return (
    offerer?.offered.find(
      ({ tag, suite, key }) => tag === own.tag && suite === own.suite && key === own.key,
    ) ?? null
  );
}

/** What of `own` an answer takes: a line by its tag and suite, and else the only one of a suite. */
function takenOf(
  own: readonly CryptoLine[],
  answered: readonly CryptoLine[],
): { readonly receive: CryptoLine; readonly send: CryptoLine } | null {
  for (const receive of answered) {
    const send = own.find(({ tag, suite }) => tag === receive.tag && suite === receive.suite);
    if (send !== undefined) return { receive, send };
  }
  // There are phones that number their own lines; the suite says which key they have taken.
  for (const receive of answered) {
    const [send, ...more] = own.filter(({ suite }) => suite === receive.suite);
    if (send !== undefined && more.length === 0) return { receive, send };
  }
  return null;
}

function agreementWithAnswerer(input: AnswerInput): SdesState | null {
  const { answerer, answered } = input;
  if (answerer === null) return null;
  const taken = takenOf(answerer.own, answered);
  if (taken !== null) return { ...unsettled, own: answerer.own, ...taken };
  if (answered.length === 0 && input.answererMayBePlain) return null;
  return { ...unsettled, own: answerer.own };
}

/** `static`: the offerer's line that is in use and still there. */
const keptLine = (offerer: SdesState, { keep }: SdesWords): CryptoLine | null =>
  (keep
    ? offerer.offered.find(
        ({ tag, suite }) => tag === offerer.receive?.tag && suite === offerer.receive.suite,
      )
    : undefined) ?? null;

/** The offerer's line that the answer takes: of the answerer's suite, if there is one. */
function chosenOf(
  offerer: SdesState,
  answered: CryptoLine | null,
  options: SdesWords,
): CryptoLine | null {
  const alike = offerer.offered.find(({ suite }) => suite === answered?.suite);
  const [first = null] = ordered(offerer.offered, options.offererPreference, ({ suite }) => suite);
  return keptLine(offerer, options) ?? alike ?? first;
}

function agreementWithOfferer(input: AnswerInput, answererIsPlain: boolean): SdesState | null {
  const { offerer, options, random } = input;
  if (offerer === null) return null;
  // Opportunistic all the way: who was answered without keys answers without.
  if (input.offererMayBePlain && answererIsPlain && input.answerer !== null) return null;
  const chosen = chosenOf(offerer, input.answerer?.receive ?? null, options);
  if (chosen === null) return { ...unsettled };
  const { tag, suite } = chosen;
  const inUse = offerer.passthrough ? null : offerer.send;
  // Whoever goes on with his key under another tag would not show whether he has taken another one of ours.
  const goesOn = inUse?.tag === tag || lineKey(offerer.receive) === lineKey(chosen);
  const stays = goesOn && inUse?.suite === suite && sameParameters(inUse, chosen);
  const key = stays ? inUse.key : newKey(suite, random);
  const send = stays && inUse.tag === tag ? inUse : { ...chosen, key, mki: null };
  return { ...unsettled, offered: offerer.offered, receive: chosen, send };
}

/** The line in use stays, and no key of it is what the answerer took. */
const staysApart = (kept: CryptoLine | null, taken: CryptoLine): boolean =>
  kept !== null && kept.tag !== taken.tag && kept.key !== taken.key;

/** What an answer settles on. The offerer is told `offerer.send`. */
export function agreementOf(input: AnswerInput): Agreement {
  const answerer = agreementWithAnswerer(input);
  const own = answerer?.send ?? null;
  const original = own === null ? null : originalOf(own, input.offerer);
  if (
    answerer?.receive !== undefined &&
    answerer.receive !== null &&
    original !== null &&
    input.offerer !== null &&
    !staysApart(keptLine(input.offerer, input.options), original)
  ) {
    // Its key is the offerer's: whoever does not let SRTP through must not use it.
    return {
      answerer: { ...answerer, passthrough: true },
      offerer: {
        ...unsettled,
        offered: input.offerer.offered,
        receive: original,
        send: { ...answerer.receive, tag: original.tag },
        passthrough: true,
      },
    };
  }
  return { answerer, offerer: agreementWithOfferer(input, answerer === null) };
}
