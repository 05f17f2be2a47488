/**
 * From a decoded dictionary to a typed request (ng-protocol.md §3). Import this file; the others
 * (draft, interpret, keys, later-keys, flags, rtpp-flags) are its parts.
 */
import type { NgDictionary } from './dictionary.js';
import { newDraft, type RequestDraft } from './draft.js';
import { NgError } from './errors.js';
import { applyDictionary } from './interpret.js';
import type {
  DeleteRequest,
  ListRequest,
  NgCommandName,
  NgRequest,
  OfferAnswerRequest,
  QueryRequest,
  ReplaceWord,
  RestrictionCommand,
  RestrictionRequest,
  RequestFlag,
  RequestNotes,
  RtcpMuxWord,
} from './requests.js';
import { integerOf, stringOf } from './values.js';

export type * from './requests.js';

/** Call-ids that `list` gives when no limit is named. */
const defaultListLimit = 32;

/** Commands of rtpengine that this version answers with `Unrecognized command`. */
const laterCommands: ReadonlySet<string> = new Set([
  'start recording',
  'stop recording',
  'pause recording',
  'start forwarding',
  'stop forwarding',
  'play media',
  'stop media',
  'play DTMF',
  'publish',
  'subscribe request',
  'subscribe answer',
  'unsubscribe',
  'inject start',
  'inject stop',
  'connect',
  'create',
  'create answer',
  'mesh',
  'transform',
  'cli',
  'CLI',
]);

const ownCommands: ReadonlySet<string> = new Set<NgCommandName>([
  ...(['ping', 'offer', 'answer', 'delete', 'query', 'list', 'statistics'] as const),
  ...(['block media', 'unblock media', 'block DTMF', 'unblock DTMF'] as const),
  ...(['silence media', 'unsilence media'] as const),
]);

// Most requests have none of these; sharing the empty ones spares allocations.
const nothing: readonly string[] = [];
const noNotes: RequestNotes = { unknown: nothing, unsupported: nothing, idle: nothing };

const noRtcpMux: ReadonlySet<RtcpMuxWord> = new Set();
const noReplace: ReadonlySet<ReplaceWord> = new Set();
const noFlags: ReadonlySet<RequestFlag> = new Set();

const flagsOf = (draft: RequestDraft): ReadonlySet<RequestFlag> => draft.flags ?? noFlags;

/** Whether rtpengine has the command, whether this version has it or not. */
export function isCommandName(command: string): boolean {
  return ownCommands.has(command) || laterCommands.has(command);
}

/** Whether rtpengine has the command and this version does not. */
export function isLaterCommand(command: string): boolean {
  return laterCommands.has(command);
}

/**
 * The command's name.
 * @throws NgError `no-command`.
 */
export function commandOf(dictionary: NgDictionary): string {
  const command = dictionary.get('command');
  if (typeof command === 'string') return command;
  throw new NgError('no-command', 'Dictionary contains no key "command"');
}

/** The call-id, for log lines, before the request has been parsed; null: there is none. */
export function callIdOf(dictionary: NgDictionary): string | null {
  return (
    stringOf(dictionary.get('call-id')) ??
    stringOf(dictionary.get('call-ID')) ??
    stringOf(dictionary.get('call id')) ??
    stringOf(dictionary.get('call ID'))
  );
}

function required(value: string | null, name: string): string {
  if (value !== null) return value;
  throw new NgError('missing-key', `No ${name} in message`);
}

/** Checked in the order of §3.2. An empty string counts as given (10.5 seen). */
function requiredKeys(draft: RequestDraft): {
  sdp: string;
  callId: string;
  fromTag: string;
  toTag: string | null;
} {
  const sdp = required(draft.sdp, 'SDP body');
  const callId = required(draft.callId, 'call-id');
  const fromTag = required(draft.fromTag, 'from-tag');
  const toTag = draft.command === 'answer' ? required(draft.toTag, 'to-tag') : draft.toTag;
  return { sdp, callId, fromTag, toTag };
}

function parseOfferAnswer(
  command: 'offer' | 'answer',
  dictionary: NgDictionary,
): OfferAnswerRequest {
  const draft = newDraft(command);
  applyDictionary(draft, dictionary);
  const { sdp, callId, fromTag, toTag } = requiredKeys(draft);
  // Written out, as in the others: a spread behind other members makes a new hidden class each time, and
  // whatever reads the request then looks each member up.
  return {
    command,
    sdp,
    callId,
    fromTag,
    toTag,
    viaBranch: draft.viaBranch,
    label: draft.label,
    fromInterface: draft.fromInterface,
    toInterface: draft.toInterface,
    receivedFrom: draft.receivedFrom,
    addressFamily: draft.addressFamily,
    mediaAddress: draft.mediaAddress,
    endpointLearning: draft.endpointLearning,
    tos: draft.tos,
    deleteDelaySeconds: draft.deleteDelaySeconds,
    metadata: draft.metadata,
    dropTraffic: draft.dropTraffic,
    sipCode: draft.sipCode,
    sipMessageType: draft.sipMessageType,
    transportProtocol: draft.transportProtocol,
    ice: draft.ice,
    rtcpMux: draft.rtcpMux ?? noRtcpMux,
    replace: draft.replace ?? noReplace,
    flags: draft.flags ?? noFlags,
    supportsLoadLimit: draft.supportsLoadLimit,
    recordCall: draft.recordCall,
    debug: flagsOf(draft).has('debug'),
    unknown: draft.unknown ?? nothing,
    unsupported: draft.unsupported ?? nothing,
    idle: draft.idle ?? nothing,
  };
}

function parseDelete(dictionary: NgDictionary): DeleteRequest {
  const draft = newDraft('delete');
  applyDictionary(draft, dictionary);
  const flags = draft.flags ?? noFlags;
  return {
    command: 'delete',
    callId: required(draft.callId, 'call-id'),
    fromTag: draft.fromTag,
    toTag: draft.toTag,
    viaBranch: draft.viaBranch,
    deleteDelaySeconds: draft.deleteDelaySeconds,
    metadata: draft.metadata,
    fatal: flags.has('fatal'),
    fast: flags.has('fast'),
    toTagFlag: flags.has('to-tag'),
    discardRecording: draft.discardRecording,
    debug: flags.has('debug'),
    unknown: draft.unknown ?? nothing,
    unsupported: draft.unsupported ?? nothing,
    idle: draft.idle ?? nothing,
  };
}

function parseRestriction(
  command: RestrictionCommand,
  dictionary: NgDictionary,
): RestrictionRequest {
  const draft = newDraft(command);
  applyDictionary(draft, dictionary);
  return {
    command: draft.dtmfSecurityOff ? 'unblock DTMF' : command,
    callId: required(draft.callId, 'call-id'),
    label: draft.label,
    address: draft.address,
    fromTag: draft.fromTag,
    all: draft.all,
    setLabel: draft.setLabel,
    debug: flagsOf(draft).has('debug'),
    unknown: draft.unknown ?? nothing,
    unsupported: draft.unsupported ?? nothing,
    idle: draft.idle ?? nothing,
  };
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
 * ignored, never an error (§1.1).
 * @throws NgError for missing keys, an invalid limit and commands that do not run (codes
 *   `command-not-supported` for those rtpengine has, `unknown-command` for others; same text).
 */
export function parseRequest(command: string, dictionary: NgDictionary): NgRequest {
  switch (command) {
    case 'offer':
    case 'answer':
      return parseOfferAnswer(command, dictionary);
    case 'delete':
      return parseDelete(dictionary);
    case 'block media':
    case 'unblock media':
    case 'block DTMF':
    case 'unblock DTMF':
    case 'silence media':
    case 'unsilence media':
      return parseRestriction(command, dictionary);
    case 'query':
      return parseQuery(dictionary);
    case 'list':
      return parseList(dictionary);
    case 'ping':
    case 'statistics':
      return { command, ...noNotes };
    default:
      throw new NgError(
        isLaterCommand(command) ? 'command-not-supported' : 'unknown-command',
        'Unrecognized command',
      );
  }
}
