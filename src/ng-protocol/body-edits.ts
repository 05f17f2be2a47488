/** Keys and flag words that change the body for the other side: sdp-attr, sdp-media-remove, codec, extmap, ptime. */
import { isList } from './bencode.js';
import { isDictionary, type NgValue } from './dictionary.js';
import {
  isSignalling,
  noteIdle,
  noteUnknown,
  noteUnknownWord,
  noteUnsupported,
  type NotedRequest,
} from './notes.js';
import { integerOf, wordsOf } from './values.js';
import { newBodyEdits, newCodecLists, type BodyEdits, type CodecLists } from '../sdp/edits.js';
import type { AttributeEdits } from '../sdp/types.js';

/** A request that is being read; `edits` is null until something asks for changes. */
export interface EditedRequest extends NotedRequest {
  edits: BodyEdits | null;
}

type KeyReader = (request: EditedRequest, value: NgValue) => void;

function editsOf(request: EditedRequest): BodyEdits {
  return (request.edits ??= newBodyEdits());
}

/** What stands for `=` and for a blank in flag words (§4.4). */
const unescaped = (text: string): string => text.replaceAll('--', '=').replaceAll('..', ' ');

/** As many words of one kind as a request may have: each is compared with each line of the body. */
const maxWords = 100;

// --- sdp-attr

const sessionSections: ReadonlySet<string> = new Set(['none', 'global']);
const mediaSections: ReadonlySet<string> = new Set([
  ...['audio', 'video', 'image', 'message', 'application', 'text'],
]);

/** The section's name in the edits; null: no such section. */
function sectionOf(spelled: string): string | null {
  if (sessionSections.has(spelled)) return 'session';
  return mediaSections.has(spelled) ? spelled : null;
}

const noteManipulation = (request: EditedRequest, text: string): void =>
  noteUnknown(request, `SDP manipulations: ${text}`);

/** A line must not end before its end: what follows would be a line of its own. */
const isWritable = (text: string): boolean =>
  text !== '' && text.length <= maxText && !/[\r\n\0]/.test(text);

/**
 * Characters of one text, and of all of a request: a body of thousands of lines may have them in each of its
 * sections or in place of each of its lines.
 */
const maxText = 1024;
const maxTexts = 8192;

/** Whether the request may have this much text besides; counts it. */
function hasRoom(request: EditedRequest, text: string): boolean {
  const edits = editsOf(request);
  edits.attributeText += text.length;
  if (edits.attributeText <= maxTexts) return true;
  noteManipulation(request, `more than ${maxTexts} characters, the others are left out`);
  return false;
}

/** A text; words in brackets of their own are parted by blanks. null: neither. */
function lineText(value: NgValue): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (!isList(value)) return null;
  const words = value.map((word) => (typeof word === 'string' ? word : null));
  return words.includes(null) ? null : words.join(' ');
}

/** The members of a list; of a dictionary, into which `rtpp-flags` may have made it, its `key=value`. */
function membersOf(value: NgValue): readonly NgValue[] | null {
  if (typeof value === 'string') return [value];
  if (isList(value)) return value;
  if (!isDictionary(value)) return null;
  return [...value].map(([name, text]) => (typeof text === 'string' ? `${name}=${text}` : name));
}

function addTexts(request: EditedRequest, list: string[], value: NgValue): void {
  const members = membersOf(value);
  if (members === null) {
    noteManipulation(request, 'wrong type used for a list of attributes');
    return;
  }
  for (const member of members) {
    const text = lineText(member);
    if (text === null || !isWritable(text)) noteManipulation(request, 'invalid token given');
    else if (list.length >= maxWords) {
      noteManipulation(request, `more than ${maxWords} attributes, the others are left out`);
    } else if (hasRoom(request, text)) list.push(text);
  }
}

function addPair(request: EditedRequest, edits: AttributeEdits, pair: readonly NgValue[]): void {
  const [from, to, more] = pair;
  const old = from === undefined ? null : lineText(from);
  const wanted = to === undefined ? null : lineText(to);
  if (old === null || wanted === null || more !== undefined) {
    noteManipulation(request, 'wrong content given for a substitution');
  } else if (!isWritable(old) || !isWritable(wanted)) {
    noteManipulation(request, 'invalid token given');
  } else if (edits.substitute.length >= maxWords) {
    noteManipulation(request, `more than ${maxWords} substitutions, the others are left out`);
  } else if (hasRoom(request, old + wanted)) edits.substitute.push([old, wanted]);
}

function addPairs(request: EditedRequest, edits: AttributeEdits, value: NgValue): void {
  if (isDictionary(value)) {
    for (const pair of value) addPair(request, edits, pair);
  } else if (!isList(value)) {
    noteManipulation(request, 'wrong type used for a list of substitutions');
  } else {
    for (const member of value) {
      if (isList(member)) addPair(request, edits, member);
      // As in a flag word (12.5 seen).
      else if (typeof member === 'string' && member.includes('>')) {
        addPair(request, edits, member.split('>'));
      } else noteManipulation(request, 'wrong content given for a substitution');
    }
  }
}

function attributeEditsOf(request: EditedRequest, spelled: string): AttributeEdits | null {
  const section = sectionOf(spelled);
  if (section === null) {
    noteManipulation(request, `unsupported SDP section '${spelled}'`);
    return null;
  }
  const table = (editsOf(request).attributes ??= new Map());
  let edits = table.get(section);
  if (edits === undefined) {
    edits = { add: [], remove: [], substitute: [] };
    table.set(section, edits);
  }
  return edits;
}

function applyManipulation(
  request: EditedRequest,
  edits: AttributeEdits,
  command: string,
  value: NgValue,
): void {
  if (command === 'add') addTexts(request, edits.add, value);
  else if (command === 'remove') addTexts(request, edits.remove, value);
  else if (command === 'substitute') addPairs(request, edits, value);
  else noteManipulation(request, `unknown manipulation command '${command}'`);
}

const readSdpAttr: KeyReader = (request, value) => {
  if (!isSignalling(request)) noteIdle(request, 'sdp-attr');
  else if (!isDictionary(value)) noteManipulation(request, 'wrong type used');
  else {
    for (const [section, commands] of value) {
      const edits = attributeEditsOf(request, section);
      if (edits === null) continue;
      if (!isDictionary(commands)) noteManipulation(request, `wrong type used for '${section}'`);
      else for (const [command, list] of commands) applyManipulation(request, edits, command, list);
    }
  }
};

const attributeWord = /^sdp-attr-(add|remove|substitute)-([a-z]+)-([^]+)$/;

/** `sdp-attr-add-SECTION-LINE`, `…-remove-…`, `sdp-attr-substitute-SECTION-OLD>NEW`. */
export function applyAttributeWord(request: EditedRequest, word: string): void {
  const [, command = '', section = '', text = ''] = attributeWord.exec(word) ?? [];
  if (command === '') {
    noteUnknown(request, `Unknown flag encountered: '${word}'`);
    return;
  }
  if (!isSignalling(request)) {
    noteIdle(request, word);
    return;
  }
  const edits = attributeEditsOf(request, section);
  if (edits === null) return;
  const value = command === 'substitute' ? [text.split('>').map(unescaped)] : [unescaped(text)];
  applyManipulation(request, edits, command, value);
}

// --- sdp-media-remove, extmap, ptime

const readMediaRemove: KeyReader = (request, value) => {
  for (const type of wordsOf(value)) {
    if (isSignalling(request)) (editsOf(request).removedMedia ??= new Set()).add(type);
    else noteIdle(request, 'sdp-media-remove');
  }
};

/** Leaves header extensions out of the body; flag `strip-extmap`: all of them. */
export function removeExtensions(request: EditedRequest, uris: readonly string[]): void {
  for (const uri of uris.slice(0, maxWords)) {
    if (!isSignalling(request)) {
      noteIdle(request, `extmap=${uri}`);
      continue;
    }
    (editsOf(request).extensions ??= new Set()).add(uri);
  }
}

const readExtmap: KeyReader = (request, value) => {
  if (!isDictionary(value)) {
    noteUnknownWord(request, 'extmap', wordsOf(value).join(','));
    return;
  }
  for (const [list, uris] of value) {
    if (list === 'strip' || list === 'mask') removeExtensions(request, wordsOf(uris));
    else noteUnknownWord(request, 'extmap', list);
  }
};

const longestPtimeMs = 1000;

const readPtime =
  (name: string, field: 'ptimeMs' | 'ptimeReverseMs'): KeyReader =>
  (request, value) => {
    const ptimeMs = integerOf(value);
    if (request.command !== 'offer') noteIdle(request, name);
    else if (ptimeMs === null || ptimeMs < 0 || ptimeMs > longestPtimeMs) {
      noteUnknown(request, `Ignoring '${name}' that is no packet time`);
    } else if (ptimeMs === 0) noteIdle(request, `${name}=0`);
    else {
      editsOf(request)[field] = ptimeMs;
      noteUnsupported(request, `${name}=${ptimeMs} (in the SDP alone, packets keep their length)`);
    }
  };

// --- codec

type ActedOn = keyof CodecLists;
const actedOn: readonly ActedOn[] = [
  ...(['strip', 'except', 'offer', 'mask', 'consume', 'transcode', 'accept'] as const),
];
const isActedOn = (list: string): list is ActedOn => actedOn.some((known) => known === list);

/** Lists that want a codec to be run, wholly or in part. */
const transcoding: ReadonlySet<string> = new Set(['transcode', 'consume', 'accept', 'ignore']);
/** How what is encoded here is encoded: nothing is. */
const encoding = 'set';
/** In answers only these count (§4.4). */
const answerLists: ReadonlySet<string> = new Set(['strip', 'except', 'offer', 'ignore']);
const knownLists: ReadonlySet<string> = new Set([...actedOn, ...transcoding, encoding]);

/** What is done of it all the same. */
const doneOf = (list: string): string =>
  list === 'consume' ? ' (hidden, and nothing is transcoded)' : '';

/** Whether the list counts in this command. */
function countsIn({ command }: EditedRequest, list: string): boolean {
  if (command === 'answer' || command === 'subscribe answer') return answerLists.has(list);
  return (
    command === 'offer' ||
    command === 'publish' ||
    command === 'subscribe request' ||
    (command === 'create' && list === 'offer')
  );
}

function addCodec(request: EditedRequest, list: string, codec: string): void {
  if (!countsIn(request, list) || list === encoding) {
    noteIdle(request, `codec-${list}-${codec}`);
    return;
  }
  const chosen = list === 'accept' && request.command === 'publish';
  if (transcoding.has(list) && !chosen)
    noteUnsupported(request, `codec-${list}-${codec}${doneOf(list)}`);
  if (!isActedOn(list)) return;
  const edits = editsOf(request);
  edits.codecs ??= newCodecLists();
  if (edits.codecs[list].length < maxWords) edits.codecs[list].push(codec);
  else noteUnknown(request, `More than ${maxWords} codecs in the list '${list}'`);
}

const readCodec: KeyReader = (request, value) => {
  if (!isDictionary(value)) return;
  for (const [list, codecs] of value) {
    if (!knownLists.has(list)) noteUnknownWord(request, 'codec', list);
    else for (const codec of wordsOf(codecs)) addCodec(request, list, unescaped(codec));
  }
};

const codecWord = /^codec-([a-z]+)-([^]+)$/;

/** `codec-LIST-CODEC`, `transcode-CODEC`. */
export function applyCodecWord(request: EditedRequest, word: string): void {
  const [, list = 'transcode', codec = word.replace(/^transcode-/, '')] =
    codecWord.exec(word) ?? [];
  // These count wherever they stand as flags (§4.4); nothing of theirs is done without a codec.
  const run = list === 'accept' && request.command !== 'publish';
  if (isSignalling(request) && run) noteUnsupported(request, word);
  else addCodec(request, list, unescaped(codec));
}

/** The keys of this file, each with its aliases; a space may stand for each hyphen. */
export const bodyKeys: readonly (readonly [names: readonly string[], read: KeyReader])[] = [
  [['sdp-attr'], readSdpAttr],
  [['sdp-media-remove'], readMediaRemove],
  [['extmap'], readExtmap],
  [['ptime'], readPtime('ptime', 'ptimeMs')],
  [['ptime-reverse', 'reverse-ptime'], readPtime('ptime-reverse', 'ptimeReverseMs')],
  [['codec', 'codecs'], readCodec],
];
