/** Applies the keys and flag words of a request to its draft, in the order they stand. */
import type { NgDictionary, NgValue } from './dictionary.js';
import {
  addDirection,
  isSignalling,
  noteIdle,
  noteUnknown,
  noteUnsupported,
  setFlag,
  type RequestDraft,
  type TransportBits,
} from './draft.js';
import { flagMeaning } from './flags.js';
import { coreKeys, readDirectionWord, type KeyReader } from './keys.js';
import { noteWhatTheBodyAsks } from './body-notes.js';
import { laterTierKeys } from './later-keys.js';
import { parseRtppFlags, type RtppWord } from './rtpp-flags.js';
import type { RequestFlag } from './requests.js';
import { wordsOf } from './values.js';

const readers = new Map<string, KeyReader>();

function register(names: readonly string[], read: KeyReader): void {
  for (const name of names) {
    readers.set(name, read);
    readers.set(name.replaceAll('-', ' '), read);
  }
}

for (const [names, read] of coreKeys) register(names, read);
for (const [names, read] of laterTierKeys) register(names, read);
register(['flags'], (draft, value) => {
  for (const word of wordsOf(value)) applyFlag(draft, word);
});
register(['rtpp-flags', 'rtpp_flags'], (draft, value) => {
  if (typeof value !== 'string') return;
  for (const word of parseRtppFlags(value)) applyRtppWord(draft, word);
});

/** Every key that is read, with its aliases. */
export const knownKeys: readonly string[] = [...readers.keys()];

function applyKey(draft: RequestDraft, key: string, value: NgValue): void {
  const read = readers.get(key);
  if (read === undefined) noteUnknown(draft, `Unknown dictionary key encountered: '${key}'`);
  else read(draft, value);
}

function applyFlag(draft: RequestDraft, word: string): void {
  const meaning = flagMeaning(word, draft.command);
  if (meaning === null) {
    noteUnknown(draft, `Unknown flag encountered: '${word}'`);
    return;
  }
  switch (meaning.kind) {
    case 'model':
      setFlag(draft, meaning.flag);
      noteModelFlag(draft, meaning.flag);
      return;
    case 'key':
      applyKey(draft, meaning.key, meaning.value);
      return;
    case 'discard-recording':
      draft.discardRecording = true;
      noteUnsupported(draft, word);
      return;
    case 'later':
      if (draft.command !== 'delete') noteUnsupported(draft, word);
      return;
    case 'accepted':
      noteIdle(draft, word);
  }
}

/** Flags that only a `delete` acts on. */
const idleInOffers: ReadonlySet<RequestFlag> = new Set(['to-tag', 'fatal', 'fast']);

/** A flag of the call model in a command that does not look at it. */
function noteModelFlag(draft: RequestDraft, flag: RequestFlag): void {
  if (flag === 'debug') return;
  if (draft.command === 'delete') {
    // The value leaves Redis with the call.
    if (flag === 'no-redis-update') noteUnsupported(draft, `${flag} in a delete`);
  } else if (!isSignalling(draft) || idleInOffers.has(flag)) noteIdle(draft, flag);
}

const transportBit: Readonly<Record<string, (bits: TransportBits) => void>> = {
  RTP: (bits) => void (bits.secure = false),
  AVP: (bits) => void (bits.feedback = false),
  SRTP: (bits) => void (bits.secure = true),
  AVPF: (bits) => void (bits.feedback = true),
  DTLS: (bits) => void (bits.dtls = true),
};

function applyTransportBit(draft: RequestDraft, word: string): boolean {
  if (!Object.hasOwn(transportBit, word)) return false;
  draft.transportBits ??= { secure: false, feedback: false, dtls: false };
  transportBit[word]?.(draft.transportBits);
  return true;
}

/** The protocol that the transport words amount to; null: a combination that is ignored. */
function protocolOfBits({ secure, feedback, dtls }: TransportBits): string | null {
  if (dtls && feedback) return 'UDP/TLS/RTP/SAVPF';
  if (dtls) return secure ? null : 'UDP/TLS/RTP/SAVP';
  if (secure) return feedback ? 'RTP/SAVPF' : 'RTP/SAVP';
  return feedback ? 'RTP/AVPF' : 'RTP/AVP';
}

function applyBareWord(draft: RequestDraft, word: string): void {
  if (applyTransportBit(draft, word)) return;
  if (word === 'internal' || word === 'external') addDirection(draft, word);
  else applyFlag(draft, word);
}

const codecWord = /^(?:codec-[a-z]+|transcode)$/;

function applyRtppWord(draft: RequestDraft, { name, value }: RtppWord): void {
  if (value === null) {
    applyBareWord(draft, name);
    return;
  }
  if (name === 'direction') {
    readDirectionWord(draft, value);
    return;
  }
  if (codecWord.test(name)) {
    for (const codec of wordsOf(value)) applyFlag(draft, `${name}-${codec}`);
    return;
  }
  applyKey(draft, name, value);
  // A to-tag given by hand selects a participant, rather than describing the SIP message.
  if (name === 'to-tag') setFlag(draft, 'to-tag');
}

/** Reads every key of the request into the draft. */
export function applyDictionary(draft: RequestDraft, dictionary: NgDictionary): void {
  for (const [key, value] of dictionary) applyKey(draft, key, value);
  if (draft.transportBits !== null) {
    draft.transportProtocol = protocolOfBits(draft.transportBits) ?? draft.transportProtocol;
  }
  noteWhatTheBodyAsks(draft);
}
