/**
 * From a decoded dictionary to a typed request (ng-protocol.md §3). Import this file; the others
 * (interpret, request-table, readers, unsupported-keys, flags, rtpp-flags, notes) are its parts.
 */
import { noteWhatTheBodyAsks } from './body-notes.js';
import type { NgDictionary } from './dictionary.js';
import { NgError } from './errors.js';
import { noteUnsupported } from './notes.js';
import { noTemplates, readRequest, type ReadCommand, type Templates } from './interpret.js';
import { noteIdleWords } from './one-sided.js';
import { requestKeys } from './request-table.js';
import type {
  CliRequest,
  ConnectRequest,
  CreateAnswerRequest,
  DeleteRequest,
  ForwardingRequest,
  ListRequest,
  NgRequest,
  OfferAnswerRequest,
  PublishRequest,
  QueryRequest,
  RecordingRequest,
  RequestNotes,
  RestrictionCommand,
  RestrictionRequest,
  SoundRequest,
  UnsubscribeRequest,
} from './requests.js';
import { transformMedias } from './transform.js';
import { integerOf, stringOf } from './values.js';

export type * from './requests.js';

/** Call-ids that `list` gives when no limit is named. */
const defaultListLimit = 32;

const supportedCommands: ReadonlySet<string> = new Set<NgRequest['command']>([
  ...(['ping', 'offer', 'answer', 'delete', 'query', 'list', 'statistics'] as const),
  ...(['block media', 'unblock media', 'block DTMF', 'unblock DTMF'] as const),
  ...(['silence media', 'unsilence media'] as const),
  ...(['publish', 'subscribe request', 'subscribe answer', 'unsubscribe'] as const),
  ...(['connect', 'mesh', 'create', 'create answer', 'transform'] as const),
  ...(['start forwarding', 'stop forwarding'] as const),
  ...(['start recording', 'stop recording', 'pause recording'] as const),
  ...(['play media', 'stop media', 'play DTMF', 'inject start', 'inject stop', 'cli'] as const),
]);

/** The same names as strings of ours, which compare faster than what came off the wire. */
const ownNames: ReadonlyMap<string, string> = new Map(
  [...supportedCommands].map((name) => [name, name]),
);

// Most requests have none of these; sharing the empty ones spares allocations.
const nothing: readonly string[] = [];
const noNotes: RequestNotes = { unknown: nothing, unsupported: nothing, idle: nothing };

/** Whether there is such a command. */
export function isCommandName(command: string): boolean {
  return supportedCommands.has(command) || command === 'CLI';
}

/**
 * The command's name.
 * @throws NgError `no-command`.
 */
export function commandOf(dictionary: NgDictionary): string {
  const command = dictionary.get('command');
  if (typeof command === 'string') return ownNames.get(command) ?? command;
  throw new NgError('no-command', 'Dictionary contains no key "command"');
}

const callIdKeys = requestKeys.callId.names.flatMap((name) => [name, name.replaceAll('-', ' ')]);

/** The call-id, for log lines, before the request has been parsed; null: there is none. */
export function callIdOf(dictionary: NgDictionary): string | null {
  for (const key of callIdKeys) {
    const callId = dictionary.get(key);
    if (typeof callId === 'string') return callId;
  }
  return null;
}

function required(value: string | null, name: string): string {
  if (value !== null) return value;
  throw new NgError('missing-key', `No ${name} in message`);
}

interface Called {
  callId: string;
}

interface Signalled extends Called {
  sdp: string;
  fromTag: string;
}

function assertCalled<Read extends ReadCommand<string>>(
  request: Read,
): asserts request is Read & Called {
  required(request.callId, 'call-id');
}

/** Checked in the order of §3.2. An empty string counts as given (10.5 seen). */
function assertSignalled<Read extends ReadCommand<string>>(
  request: Read,
): asserts request is Read & Signalled {
  required(request.sdp, 'SDP body');
  required(request.callId, 'call-id');
  required(request.fromTag, 'from-tag');
  if (request.command === 'answer') required(request.toTag, 'to-tag');
}

function parseOfferAnswer(
  command: 'offer' | 'answer',
  dictionary: NgDictionary,
  templates: Templates,
): OfferAnswerRequest {
  const request: ReadCommand<'offer' | 'answer'> = readRequest(command, dictionary, templates);
  noteWhatTheBodyAsks(request);
  assertSignalled(request);
  return request;
}

function parseDelete(dictionary: NgDictionary, templates: Templates): DeleteRequest {
  const request: ReadCommand<'delete'> = readRequest('delete', dictionary, templates);
  assertCalled(request);
  return request;
}

function parseRestriction(
  command: RestrictionCommand,
  dictionary: NgDictionary,
  templates: Templates,
): RestrictionRequest {
  const request: ReadCommand<RestrictionCommand> = readRequest(command, dictionary, templates);
  assertCalled(request);
  if (request.dtmfSecurity === 'off') request.command = 'unblock DTMF';
  const { toTag, toLabel } = request;
  if ((toTag ?? toLabel) !== null && !command.endsWith('block media')) {
    noteUnsupported(request, `${toTag === null ? 'to-label' : 'to-tag'} in '${command}'`);
  }
  return request;
}

/** A body that is empty is missing (§3.2). */
function assertBody<Read extends ReadCommand<string>>(
  request: Read,
): asserts request is Read & { sdp: string } {
  required(request.sdp === '' ? null : request.sdp, 'SDP body');
}

function parsePublish(dictionary: NgDictionary, templates: Templates): PublishRequest {
  const request: ReadCommand<'publish'> = readRequest('publish', dictionary, templates);
  noteWhatTheBodyAsks(request);
  noteIdleWords(request);
  assertBody(request);
  return request;
}

/** Tags and body of an answer are missed once the call is known (10.5 seen). */
function parseSubscription<Command extends 'subscribe request' | 'subscribe answer'>(
  command: Command,
  dictionary: NgDictionary,
  templates: Templates,
): ReadCommand<Command> & Called {
  const request = readRequest(command, dictionary, templates);
  if (command === 'subscribe answer') noteWhatTheBodyAsks(request);
  noteIdleWords(request);
  assertCalled(request);
  return request;
}

function parseUnsubscribe(dictionary: NgDictionary, templates: Templates): UnsubscribeRequest {
  const request: ReadCommand<'unsubscribe'> = readRequest('unsubscribe', dictionary, templates);
  assertCalled(request);
  return request;
}

function parseConnect(dictionary: NgDictionary, templates: Templates): ConnectRequest {
  const request: ReadCommand<'connect'> = readRequest('connect', dictionary, templates);
  assertCalled(request);
  return request;
}

function parseCreateAnswer(dictionary: NgDictionary, templates: Templates): CreateAnswerRequest {
  const request: ReadCommand<'create answer'> = readRequest('create answer', dictionary, templates);
  noteWhatTheBodyAsks(request);
  assertBody(request);
  assertCalled(request);
  assertFrom(request);
  return request;
}

function assertFrom<Read extends ReadCommand<string>>(
  request: Read,
): asserts request is Read & { fromTag: string } {
  required(request.fromTag, 'from-tag');
}

function parseForwarding(
  command: 'start forwarding' | 'stop forwarding',
  dictionary: NgDictionary,
  templates: Templates,
): ForwardingRequest {
  const request: ReadCommand<'start forwarding' | 'stop forwarding'> = readRequest(
    command,
    dictionary,
    templates,
  );
  // There is no daemon that would take it; so it is with rtpengine without one (10.5 seen).
  if (command === 'start forwarding') noteUnsupported(request, command);
  assertCalled(request);
  return request;
}

/** Nothing is recorded; so it is with rtpengine without a folder for it (10.5 and 12.5 seen). */
function parseRecording(
  command: RecordingRequest['command'],
  dictionary: NgDictionary,
  templates: Templates,
): RecordingRequest {
  const request: ReadCommand<RecordingRequest['command']> = readRequest(
    command,
    dictionary,
    templates,
  );
  if (command === 'start recording') noteUnsupported(request, command);
  assertCalled(request);
  return request;
}

/** Nothing is played or mixed; what rtpengine refuses for other reasons is refused for those. */
function parseSound(
  command: SoundRequest['command'],
  dictionary: NgDictionary,
  templates: Templates,
): SoundRequest {
  const request: ReadCommand<SoundRequest['command']> = readRequest(command, dictionary, templates);
  if (!command.startsWith('stop')) noteUnsupported(request, command);
  assertCalled(request);
  return request;
}

function parseCli(dictionary: NgDictionary): CliRequest {
  const line = stringOf(dictionary.get('body'));
  if (line === null) throw new NgError('missing-key', "No 'body' in message");
  return { command: 'cli', line, ...noNotes };
}

/** Only these three keys are read; others are nobody's business, not even the log's (10.5 seen). */
function parseQuery(dictionary: NgDictionary): QueryRequest {
  return {
    command: 'query',
    callId: required(stringOf(dictionary.get('call-id')), 'call-id'),
    fromTag: stringOf(dictionary.get('from-tag')),
    toTag: stringOf(dictionary.get('to-tag')),
    ...noNotes,
  };
}

function parseList(dictionary: NgDictionary): ListRequest {
  const limit = integerOf(dictionary.get('limit')) ?? defaultListLimit;
  if (limit < 0) throw new NgError('bad-value', 'invalid limit, must be >= 0');
  return { command: 'list', limit, ...noNotes };
}

/**
 * Parses a dictionary as the command it names. What is unknown or of a wrong type is noted or
 * ignored, never an error (§1.1). `templates`: flags by name (§5.3).
 * @throws NgError for missing keys, an invalid limit and commands that there are not.
 */
export function parseRequest(
  command: string,
  dictionary: NgDictionary,
  templates: Templates = noTemplates,
): NgRequest {
  switch (command) {
    case 'offer':
    case 'answer':
      return parseOfferAnswer(command, dictionary, templates);
    case 'delete':
      return parseDelete(dictionary, templates);
    case 'block media':
    case 'unblock media':
    case 'block DTMF':
    case 'unblock DTMF':
    case 'silence media':
    case 'unsilence media':
      return parseRestriction(command, dictionary, templates);
    case 'publish':
      return parsePublish(dictionary, templates);
    case 'subscribe request':
    case 'subscribe answer':
      return parseSubscription(command, dictionary, templates);
    case 'unsubscribe':
      return parseUnsubscribe(dictionary, templates);
    case 'connect':
      return parseConnect(dictionary, templates);
    case 'mesh':
      return readRequest('mesh', dictionary, templates);
    case 'create':
      return readRequest('create', dictionary, templates);
    case 'create answer':
      return parseCreateAnswer(dictionary, templates);
    case 'transform': {
      const request: ReadCommand<'transform'> = readRequest('transform', dictionary, templates);
      return Object.assign(request, { transformMedias: transformMedias(dictionary) });
    }
    case 'start forwarding':
    case 'stop forwarding':
      return parseForwarding(command, dictionary, templates);
    case 'start recording':
    case 'stop recording':
    case 'pause recording':
      return parseRecording(command, dictionary, templates);
    case 'play media':
    case 'stop media':
    case 'inject start':
    case 'inject stop':
      return parseSound(command, dictionary, templates);
    case 'play DTMF': {
      const request: ReadCommand<'play DTMF'> = readRequest(command, dictionary, templates);
      assertCalled(request);
      return request;
    }
    case 'cli':
    case 'CLI':
      return parseCli(dictionary);
    case 'query':
      return parseQuery(dictionary);
    case 'list':
      return parseList(dictionary);
    case 'ping':
    case 'statistics':
      return { command, ...noNotes };
    default:
      throw new NgError('unknown-command', 'Unrecognized command');
  }
}
