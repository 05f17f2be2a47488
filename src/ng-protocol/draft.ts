/** A request while its keys are being read, one after the other; commands.ts makes it final. */
import type {
  IceWord,
  OfferAnswerRequest,
  ReplaceWord,
  RequestFlag,
  RtcpMuxWord,
} from './requests.js';

/** Transport words of `rtpp-flags` (§5.2), which take effect after all others. */
export interface TransportBits {
  secure: boolean;
  feedback: boolean;
  dtls: boolean;
}

/** Mutable; lives for one `parseRequest`. */
export interface RequestDraft {
  readonly command: string;
  callId: string | null;
  fromTag: string | null;
  toTag: string | null;
  viaBranch: string | null;
  sdp: string | null;
  label: string | null;
  setLabel: string | null;
  address: string | null;
  all: boolean;
  dtmfSecurityOff: boolean;
  sdesOff: boolean;
  dtlsOff: boolean;
  fromInterface: string | null;
  toInterface: string | null;
  receivedFrom: string | null;
  addressFamily: 'IP4' | 'IP6' | null;
  mediaAddress: string | null;
  endpointLearning: OfferAnswerRequest['endpointLearning'];
  tos: number | null;
  deleteDelaySeconds: number | null;
  metadata: string | null;
  dropTraffic: 'start' | 'stop' | null;
  sipCode: number | null;
  sipMessageType: 'request' | 'reply' | null;
  transportProtocol: string | null;
  transportBits: TransportBits | null;
  ice: IceWord | null;
  recordCall: OfferAnswerRequest['recordCall'];
  supportsLoadLimit: boolean;
  discardRecording: boolean;
  rtcpMux: Set<RtcpMuxWord> | null;
  replace: Set<ReplaceWord> | null;
  flags: Set<RequestFlag> | null;
  unknown: string[] | null;
  unsupported: string[] | null;
  idle: string[] | null;
}

/** A draft in which nothing has been said yet. */
export function newDraft(command: string): RequestDraft {
  return {
    command,
    callId: null,
    fromTag: null,
    toTag: null,
    viaBranch: null,
    sdp: null,
    label: null,
    setLabel: null,
    address: null,
    all: false,
    dtmfSecurityOff: false,
    sdesOff: false,
    dtlsOff: false,
    fromInterface: null,
    toInterface: null,
    receivedFrom: null,
    addressFamily: null,
    mediaAddress: null,
    endpointLearning: null,
    tos: null,
    deleteDelaySeconds: null,
    metadata: null,
    dropTraffic: null,
    sipCode: null,
    sipMessageType: null,
    transportProtocol: null,
    transportBits: null,
    ice: null,
    recordCall: null,
    supportsLoadLimit: false,
    discardRecording: false,
    rtcpMux: null,
    replace: null,
    flags: null,
    unknown: null,
    unsupported: null,
    idle: null,
  };
}

/** Notes kept of one request, and of what each shows: a hostile one could otherwise fill the log. */
const maxNotes = 50;
const maxNoteLength = 160;

/** Adds a log text about something unknown. */
export function noteUnknown(draft: RequestDraft, text: string): void {
  draft.unknown ??= [];
  if (draft.unknown.length < maxNotes) draft.unknown.push(text.slice(0, maxNoteLength));
}

/** `Unknown 'KEY' flag encountered: 'WORD'`, the text of 10.5 (seen). */
export function noteUnknownWord(draft: RequestDraft, key: string, word: string): void {
  noteUnknown(draft, `Unknown '${key}' flag encountered: '${word}'`);
}

/** Adds something understood that this version does not honour; once each. */
export function noteUnsupported(draft: RequestDraft, what: string): void {
  draft.unsupported ??= [];
  addOnce(draft.unsupported, what);
}

/**
 * Adds something that has no effect here. Not of a `delete`, in which proxies repeat the words of their
 * offers; of those only what could mean the delete itself is noted (`noteUnsupported`).
 */
export function noteIdle(draft: RequestDraft, what: string): void {
  if (draft.command === 'delete') return;
  draft.idle ??= [];
  addOnce(draft.idle, what);
}

function addOnce(notes: string[], what: string): void {
  const note = what.slice(0, maxNoteLength);
  if (notes.length < maxNotes && !notes.includes(note)) notes.push(note);
}

/** Whether the request carries a body: an offer or an answer. */
export const isSignalling = ({ command }: RequestDraft): boolean =>
  command === 'offer' || command === 'answer';

/** Sets a flag of the call model. */
export function setFlag(draft: RequestDraft, flag: RequestFlag): void {
  draft.flags ??= new Set();
  draft.flags.add(flag);
  // The later one of the two wins (10.5 seen).
  if (flag === 'trust-address') draft.flags.delete('sip-source-address');
  else if (flag === 'sip-source-address') draft.flags.delete('trust-address');
}

/** Names the next interface: the first is the sender's, the second the receiver's (§5.2). */
export function addDirection(draft: RequestDraft, name: string): void {
  if (draft.fromInterface === null) draft.fromInterface = name;
  else if (draft.toInterface === null) draft.toInterface = name;
  else noteUnknown(draft, "Too many 'direction=...' flags encountered");
}
