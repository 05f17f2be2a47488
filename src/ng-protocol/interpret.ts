/** Reads the keys and flag words of a request, in the order they stand. */
import { applyAttributeWord, applyCodecWord, bodyKeys, removeExtensions } from './body-edits.js';
import type { NgDictionary, NgValue } from './dictionary.js';
import { flagMeaning, flagRow, type RequestFlag } from './flags.js';
import {
  isSignalling,
  makesOffer,
  noteIdle,
  noteUnknown,
  noteUnsupported,
  type NotedRequest,
} from './notes.js';
import { flowWords, requestKeys, type RequestFields } from './request-table.js';
import type { RequestKey } from './readers.js';
import { parseRtppFlags, type RtppWord } from './rtpp-flags.js';
import { unsupportedKeys } from './unsupported-keys.js';
import { wordsOf } from './values.js';

/** Transport words of `rtpp-flags` (§5.2), which take effect after all others. */
interface TransportBits {
  secure: boolean;
  feedback: boolean;
  dtls: boolean;
}

/** Strings of flags by name, as the configuration has them (ng-protocol.md §5.3). */
export type Templates = ReadonlyMap<string, string>;

export const noTemplates: Templates = new Map();

/** A request as its keys leave it; which of its fields a command has, requests.ts says. */
export interface ReadRequest extends RequestFields, NotedRequest {
  command: string;
  unknown: string[];
  unsupported: string[];
  idle: string[];
  flags: Set<RequestFlag>;
  transportBits: TransportBits | null;
  templates: Templates;
  /** How many templates are being read, each named by the one before. */
  templateDepth: number;
}

/** The same for a command of which the name is known. */
export type ReadCommand<Command extends string> = ReadRequest & { command: Command };

type KeyReader = (request: ReadRequest, value: NgValue) => void;
type Field = keyof RequestFields;
type Table = { readonly [Name in Field]: RequestKey<RequestFields[Name]> };

const table: Table = requestKeys;
const isField = (name: string): name is Field => Object.hasOwn(table, name);
const fields: readonly Field[] = Object.keys(table).filter(isField);

const readers = new Map<string, KeyReader>();

function register(names: readonly string[], read: KeyReader): void {
  for (const name of names) {
    readers.set(name, read);
    readers.set(name.replaceAll('-', ' '), read);
  }
}

function registerField<Name extends Field>(field: Name): void {
  const { names, read } = table[field];
  register(names, (request, value) => {
    const typed: RequestFields = request;
    typed[field] = read(value, request, typed[field]);
  });
}

fields.forEach(registerField);
for (const [names, read] of bodyKeys) register(names, read);
for (const [names, note] of unsupportedKeys) register(names, note);
register(['command'], () => undefined);
// One statement about both sides: it replaces what an earlier word said.
register(['direction'], (request, value) => {
  const [from, to] = wordsOf(value);
  if (from !== undefined) request.fromInterface = from;
  if (to !== undefined) request.toInterface = to;
});
// In a block of media its words may name flows instead of participants.
register(['all'], (request, value) => {
  const blocks = request.command === 'block media' || request.command === 'unblock media';
  for (const word of wordsOf(value)) {
    const flows = blocks ? flowWords.get(word) : undefined;
    if (flows !== undefined) request.flows = flows;
    else request.all = table.all.read(word, request, request.all);
  }
});
register(['flags'], (request, value) => {
  for (const word of wordsOf(value)) applyFlag(request, word);
});
register(['rtpp-flags', 'rtpp_flags'], (request, value) => {
  if (typeof value !== 'string') return;
  for (const word of parseRtppFlags(value)) applyRtppWord(request, word);
});

register(['template'], (request, value) => {
  for (const name of wordsOf(value)) {
    if (!applyTemplate(request, name)) {
      noteUnknown(request, `Templates for signalling flags '${name}' not found`);
    }
  }
});

/** Every key that is read, with its aliases. */
export const knownKeys: readonly string[] = [...readers.keys()];

const blank = {
  command: '',
  unknown: [],
  unsupported: [],
  idle: [],
  flags: new Set<RequestFlag>(),
  transportBits: null,
  templates: noTemplates,
  templateDepth: 0,
  ...Object.fromEntries(fields.map((field) => [field, table[field].empty])),
} as unknown as ReadRequest;

/**
 * A request in which nothing has been said yet. The copy comes first and every member is one of its own:
 * so all requests have one hidden class; any other way costs microseconds each.
 */
function blankRequest<Command extends string>(command: Command): ReadCommand<Command> {
  return { ...blank, command, unknown: [], unsupported: [], idle: [], flags: new Set() };
}

function applyKey(request: ReadRequest, key: string, value: NgValue): void {
  const read = readers.get(key);
  if (read === undefined) noteUnknown(request, `Unknown dictionary key encountered: '${key}'`);
  else read(request, value);
}

function applyFlag(request: ReadRequest, word: string): void {
  const meaning = flagMeaning(word, request.command);
  if (meaning === null) {
    noteUnknown(request, `Unknown flag encountered: '${word}'`);
    return;
  }
  switch (meaning.kind) {
    case 'model':
      setFlag(request, meaning.flag);
      noteModelFlag(request, meaning.flag);
      return;
    case 'key':
      applyKey(request, meaning.key, meaning.value);
      return;
    case 'keys':
      for (const [key, value] of meaning.keys) applyKey(request, key, value);
      return;
    case 'codec':
      applyCodecWord(request, word.replaceAll(' ', '-'));
      return;
    case 'attribute':
      // A line may have blanks in it.
      applyAttributeWord(request, word);
      return;
    case 'strip-extmap':
      removeExtensions(request, ['all']);
      return;
    case 'unsupported':
      if (request.command !== 'delete' || meaning.inDelete) noteUnsupported(request, word);
      return;
    case 'accepted':
      noteIdle(request, word);
  }
}

function setFlag({ flags }: ReadRequest, flag: RequestFlag): void {
  flags.add(flag);
  const { instead } = flagRow(flag);
  for (const other of flags) if (other === instead) flags.delete(other);
}

/** A flag of the call model in a command that does not look at it. */
function noteModelFlag(request: ReadRequest, flag: RequestFlag): void {
  const { where, unsupportedInDelete } = flagRow(flag);
  if (where === 'everywhere') return;
  if (typeof where !== 'string') {
    if (!where.includes(request.command)) noteIdle(request, flag);
    return;
  }
  if (request.command === 'delete') {
    if (unsupportedInDelete) noteUnsupported(request, `${flag} in a delete`);
  } else if (!isSignalling(request) || where === 'delete') noteIdle(request, flag);
  else if (where === 'answer' && makesOffer(request)) noteIdle(request, flag);
}

const transportBit: Readonly<Record<string, (bits: TransportBits) => void>> = {
  RTP: (bits) => void (bits.secure = false),
  AVP: (bits) => void (bits.feedback = false),
  SRTP: (bits) => void (bits.secure = true),
  AVPF: (bits) => void (bits.feedback = true),
  DTLS: (bits) => void (bits.dtls = true),
};

function applyTransportBit(request: ReadRequest, word: string): boolean {
  if (!Object.hasOwn(transportBit, word)) return false;
  request.transportBits ??= { secure: false, feedback: false, dtls: false };
  transportBit[word]?.(request.transportBits);
  return true;
}

/** The protocol that the transport words amount to; null: a combination that is ignored. */
function protocolOfBits({ secure, feedback, dtls }: TransportBits): string | null {
  if (dtls && feedback) return 'UDP/TLS/RTP/SAVPF';
  if (dtls) return secure ? null : 'UDP/TLS/RTP/SAVP';
  if (secure) return feedback ? 'RTP/SAVPF' : 'RTP/SAVP';
  return feedback ? 'RTP/AVPF' : 'RTP/AVP';
}

/** Names the next interface: the first is the sender's, the second the receiver's (§5.2). */
function addDirection(request: ReadRequest, name: string): void {
  if (request.fromInterface === null) request.fromInterface = name;
  else if (request.toInterface === null) request.toInterface = name;
  else noteUnknown(request, "Too many 'direction=...' flags encountered");
}

function applyBareWord(request: ReadRequest, word: string): void {
  if (applyTransportBit(request, word)) return;
  if (word === 'internal' || word === 'external') addDirection(request, word);
  else applyFlag(request, word);
}

const codecWord = /^(?:codec-[a-z]+|transcode)$/;

function applyRtppWord(request: ReadRequest, { name, value }: RtppWord): void {
  if (value === null) {
    applyBareWord(request, name);
    return;
  }
  if (name === 'direction') {
    for (const word of wordsOf(value)) addDirection(request, word);
    return;
  }
  if (codecWord.test(name)) {
    for (const codec of wordsOf(value)) applyFlag(request, `${name}-${codec}`);
    return;
  }
  applyKey(request, name, value);
  // A tag given by hand selects a participant, rather than describing the SIP message.
  if (name === 'to-tag') setFlag(request, 'to-tag');
  else if (name === 'from-tag') setFlag(request, 'directional');
}

/** Templates may name each other, and themselves. */
const maxTemplateDepth = 8;

/** Whether there is one of that name. */
function applyTemplate(request: ReadRequest, name: string): boolean {
  const flags = request.templates.get(name);
  if (flags === undefined) return false;
  if (request.templateDepth >= maxTemplateDepth) {
    noteUnknown(request, `Template '${name}' left out: too many name each other`);
    return true;
  }
  request.templateDepth += 1;
  for (const word of parseRtppFlags(flags)) applyRtppWord(request, word);
  request.templateDepth -= 1;
  return true;
}

/** Reads every key and flag of a request. Nothing of it is an error; what is unknown is noted. */
export function readRequest<Command extends string>(
  command: Command,
  dictionary: NgDictionary,
  templates: Templates = noTemplates,
): ReadCommand<Command> {
  const request = blankRequest(command);
  if (templates.size > 0) {
    request.templates = templates;
    applyTemplate(request, 'default');
    applyTemplate(request, command);
  }
  for (const [key, value] of dictionary) applyKey(request, key, value);
  if (request.transportBits !== null) {
    request.transportProtocol = protocolOfBits(request.transportBits) ?? request.transportProtocol;
  }
  return request;
}
