/**
 * Request keys of ng-protocol.md §4 that this version knows but does not act on: each is named in the
 * request's `unsupported`, or in `idle` when it asks for nothing that would be done.
 */
import type { NgValue } from './dictionary.js';
import { noteIdle, noteUnsupported, type NotedRequest } from './notes.js';
import { describeValue, offWords, wordsOf } from './values.js';

/** Notes what a key asks for. */
type Noting = (request: NotedRequest, value: NgValue) => void;

/** Reports the key with its value; as idle when it only switches something off. */
const unsupported =
  (name: string, commands: readonly string[] = ['offer', 'answer']): Noting =>
  (request, value) => {
    const isOff = typeof value === 'string' && offWords.has(value);
    const note = commands.includes(request.command) && !isOff ? noteUnsupported : noteIdle;
    note(request, `${name}=${describeValue(value)}`);
  };

/** Reports each word of a list that does not switch something off. */
const unsupportedList =
  (name: string, commands: readonly string[] = ['offer', 'answer']): Noting =>
  (request, value) => {
    const isHere = commands.includes(request.command);
    for (const word of wordsOf(value)) {
      const note = isHere && !offWords.has(word) ? noteUnsupported : noteIdle;
      note(request, `${name}=${word}`);
    }
  };

const idle =
  (name: string): Noting =>
  (request) =>
    noteIdle(request, name);

/** Selection keys and those of commands to come: no meaning in the commands that run now. */
const elsewhere: readonly string[] = [
  'limit',
  'repeat-times',
  'repeat-duration',
  'start-pos',
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

const unsupportedByName: readonly (readonly [
  names: readonly string[],
  commands?: readonly string[],
])[] = [
  [['inbound-peer']],
  [['outbound-peer']],
  [['peer']],
  [['T.38-version', 'T38-version'], ['offer']],
  [['moh']],
  [['audio-player', 'player']],
  [['repacketize']],
  [['DTMF-security-trigger'], dtmfBlocking],
  [['DTMF-security-trigger-end'], dtmfBlocking],
  [['DTMF-delay'], dtmfBlocking],
  [['delay-buffer'], dtmfBlocking],
  [['trigger'], dtmfBlocking],
];

/** The keys of this file, each with its aliases; a space may stand for each hyphen. */
export const unsupportedKeys: readonly (readonly [names: readonly string[], note: Noting])[] = [
  [['T.38', 'T38'], unsupportedList('T.38', ['offer'])],
  ...unsupportedByName.map(
    ([names, commands]) => [names, unsupported(names[0] ?? '', commands)] as const,
  ),
  ...recordingCodes.map((name) => [[name], unsupported(name)] as const),
  ...[...elsewhere, ...recordingPlaces].map((name) => [[name], idle(name)] as const),
];
