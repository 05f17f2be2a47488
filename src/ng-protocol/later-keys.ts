/**
 * Request keys of ng-protocol.md §4 that this version knows but does not act on: each is either
 * harmless or named in the request's `unsupported`.
 */
import { isDictionary } from './bencode.js';
import { noteUnknownWord, noteUnsupported } from './draft.js';
import type { KeyReader } from './keys.js';
import { describeValue, stringOf, wordsOf } from './values.js';

const off: ReadonlySet<string> = new Set(['off', 'no', 'none', 'disable', 'disabled', 'reject']);

const isMediaCommand = (command: string): boolean => command === 'offer' || command === 'answer';

/** Reports the key with its value, unless it only switches something off. */
const later =
  (name: string, commands: readonly string[] = ['offer', 'answer']): KeyReader =>
  (draft, value) => {
    if (!commands.includes(draft.command)) return;
    if (typeof value === 'string' && off.has(value)) return;
    noteUnsupported(draft, `${name}=${describeValue(value)}`);
  };

/** Reports each word of a list that does not switch something off. */
const laterList =
  (name: string, commands: readonly string[] = ['offer', 'answer']): KeyReader =>
  (draft, value) => {
    if (!commands.includes(draft.command)) return;
    for (const word of wordsOf(value))
      if (!off.has(word)) noteUnsupported(draft, `${name}=${word}`);
  };

const sdesWord =
  /^(?:(?:no|only)-.+|nonew|order:.+|offerer_pref:.+|(?:un)?encrypted_srtc?p|(?:un)?authenticated_srtp|pad|lifetime|static|prefer|priority)$/;

const readSdes: KeyReader = (draft, value) => {
  for (const word of wordsOf(value)) {
    if (off.has(word)) continue;
    if (!sdesWord.test(word)) noteUnknownWord(draft, 'SDES', word);
    else if (isMediaCommand(draft.command)) noteUnsupported(draft, `SDES=${word}`);
  }
};

const dtlsWords: ReadonlySet<string> = new Set(['passive', 'active']);

const readDtls =
  (name: string): KeyReader =>
  (draft, value) => {
    const word = stringOf(value);
    if (word === null || off.has(word)) return;
    if (!dtlsWords.has(word)) noteUnknownWord(draft, name, word);
    else if (isMediaCommand(draft.command)) noteUnsupported(draft, `${name}=${word}`);
  };

/** In answers only these count; the others are ignored without a word (§4.4). */
const answerCodecLists: ReadonlySet<string> = new Set(['strip', 'except', 'offer', 'ignore']);
const codecLists: ReadonlySet<string> = new Set([
  ...answerCodecLists,
  'transcode',
  'mask',
  'consume',
  'accept',
  'set',
]);

const readCodec: KeyReader = (draft, value) => {
  if (!isDictionary(value) || !isMediaCommand(draft.command)) return;
  for (const [list, codecs] of value) {
    if (!codecLists.has(list)) noteUnknownWord(draft, 'codec', list);
    else if (draft.command === 'offer' || answerCodecLists.has(list)) {
      for (const codec of wordsOf(codecs)) noteUnsupported(draft, `codec-${list}-${codec}`);
    }
  }
};

const ignore: KeyReader = () => undefined;

/** Selection keys and those of commands to come: no meaning in the commands that run now. */
const elsewhere: readonly string[] = [
  'to-label',
  'from-tags',
  'to-call-id',
  'source-tag',
  'source-call-id',
  'calls',
  'tags',
  'instance',
  'interface',
  'media',
  'medias',
  'limit',
  'body',
  'file',
  'blob',
  'blob64',
  'db-id',
  'repeat-times',
  'repeat-duration',
  'start-pos',
  'code',
  'digit',
  'duration',
  'pause',
  'volume',
  'frequency',
  'frequencies',
  'trigger-end',
  'end-trigger',
  'trigger-end-time',
  'trigger-end-digits',
  'recording-media-slot-offer',
  'recording-media-slot-answer',
  'recording-media-slots',
];

/** Where a recording goes: nothing to say as long as nothing is recorded. */
const recordingPlaces: readonly string[] = [
  ...['destination', 'dest', 'file', 'path', 'dir', 'directory', 'folder', 'pattern'],
].flatMap((name) => [`output-${name}`, `recording-${name}`]);

const recordingCodes: readonly string[] = [
  ...['start-rec', 'stop-rec', 'pause-rec', 'start-stop-rec'],
  ...['pause-resume-rec', 'start-pause-resume-rec'],
].flatMap((name) => [`vsc-${name}`, `VSC-${name}`, `vsc-${name}ording`, `VSC-${name}ording`]);

/** Commands in which DTMF can be given special treatment. */
const dtmfBlocking: readonly string[] = ['offer', 'answer', 'block DTMF'];

const laterKeys: readonly (readonly [names: readonly string[], commands?: readonly string[]])[] = [
  [['alias-key']],
  [['template']],
  [['inbound-peer']],
  [['outbound-peer']],
  [['peer']],
  [['xmlrpc-callback']],
  [['media-echo']],
  [['ICE-lite']],
  [['DTLS-fingerprint']],
  [['extmap']],
  [['ptime'], ['offer']],
  [['ptime-reverse', 'reverse-ptime'], ['offer']],
  [['sdp-attr']],
  [['sdp-media-remove']],
  [['T.38-version', 'T38-version'], ['offer']],
  [['generate-RTCP']],
  [['moh']],
  [['audio-player', 'player']],
  [['passthrough', 'passthru']],
  [['repacketize']],
  [['DTMF-security-trigger'], dtmfBlocking],
  [['DTMF-security-trigger-end'], dtmfBlocking],
  [['DTMF-delay'], dtmfBlocking],
  [['delay-buffer'], dtmfBlocking],
  [['trigger'], dtmfBlocking],
  [['DTMF-log-dest', 'dtmf-log-dest', 'DTMF-log-destination', 'dtmf-log-destination']],
];

/** The keys of this file, each with its aliases; a space may stand for each hyphen. */
export const laterTierKeys: readonly (readonly [names: readonly string[], read: KeyReader])[] = [
  [['codec', 'codecs'], readCodec],
  [['SDES', 'sdes'], readSdes],
  [['DTLS'], readDtls('DTLS')],
  [['DTLS-reverse'], readDtls('DTLS-reverse')],
  [['OSRTP', 'osrtp'], laterList('OSRTP')],
  [['bundle', 'BUNDLE'], laterList('bundle')],
  [['T.38', 'T38'], laterList('T.38', ['offer'])],
  ...laterKeys.map(([names, commands]) => [names, later(names[0] ?? '', commands)] as const),
  ...recordingCodes.map((name) => [[name], later(name)] as const),
  ...[...elsewhere, ...recordingPlaces].map((name) => [[name], ignore] as const),
];
