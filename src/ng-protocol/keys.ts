/** The request keys of ng-protocol.md §4.1, §4.2 and those of §4.3 that steer plain forwarding. */
import { isList } from './bencode.js';
import type { NgValue } from './dictionary.js';
import {
  addDirection,
  isSignalling,
  noteIdle,
  noteUnknown,
  noteUnknownWord,
  noteUnsupported,
  type RequestDraft,
} from './draft.js';
import type { IceWord, ReplaceWord, RtcpMuxWord } from './requests.js';
import { describeValue, integerOf, stringOf, wordsOf } from './values.js';
import { canonicalAddress } from '../sdp/address.js';

/** Reads one key into the draft. */
export type KeyReader = (draft: RequestDraft, value: NgValue) => void;

const replaceWords: Readonly<Record<string, ReplaceWord>> = {
  origin: 'origin',
  'origin-full': 'origin-full',
  'session-name': 'session-name',
  'session-connection': 'session-connection',
  'SDP-version': 'sdp-version',
  'sdp-version': 'sdp-version',
  username: 'username',
  'zero-address': 'zero-address',
  'force-increment-sdp-ver': 'force-increment-sdp-ver',
};

const rtcpMuxWords: Readonly<Record<string, RtcpMuxWord>> = {
  offer: 'offer',
  require: 'require',
  demux: 'demux',
  accept: 'accept',
  reject: 'reject',
};

const iceWords: Readonly<Record<string, IceWord>> = {
  remove: 'remove',
  force: 'force',
  default: 'default',
  optional: 'optional',
  'force-relay': 'force-relay',
  force_relay: 'force-relay',
  'force relay': 'force-relay',
};

/** Values of `ICE` that only 26.3 knows; `lite…` is matched by its prefix. */
const laterIceWords: ReadonlySet<string> = new Set(['trickle', 'ice2', 'no-lite']);

/** Values of `all` that only 26.3 knows. */
const flowSelections: ReadonlySet<string> = new Set([
  ...['flows', 'offer-answer', 'except-offer-answer', 'not-offer-answer', 'non-offer-answer'],
]);

const learningWords = {
  off: 'off',
  immediate: 'immediate',
  delayed: 'delayed',
  heuristic: 'heuristic',
} as const;

const protocols: Readonly<Record<string, string>> = {
  'RTP/AVP': 'RTP/AVP',
  'RTP/AVPF': 'RTP/AVPF',
  'RTP/SAVP': 'RTP/SAVP',
  'RTP/SAVPF': 'RTP/SAVPF',
  'UDP/TLS/RTP/SAVP': 'UDP/TLS/RTP/SAVP',
  'UDP/TLS/RTP/SAVPF': 'UDP/TLS/RTP/SAVPF',
  UDPTL: 'udptl',
};

/** The value of an own property: words come off the wire and may be `constructor`. */
function lookUp<Value>(table: Readonly<Record<string, Value>>, word: string): Value | null {
  return Object.hasOwn(table, word) ? (table[word] ?? null) : null;
}

const readReplace: KeyReader = (draft, value) => {
  for (const spelled of wordsOf(value)) {
    const word = lookUp(replaceWords, spelled.replaceAll(' ', '-'));
    if (word === null) noteUnknownWord(draft, 'replace', spelled);
    else {
      (draft.replace ??= new Set()).add(word);
      // Each section gets a c= of its own, whatever is asked.
      if (word === 'session-connection') noteIdle(draft, 'replace=session-connection');
    }
  }
};

const readRtcpMux: KeyReader = (draft, value) => {
  for (const spelled of wordsOf(value)) {
    const word = lookUp(rtcpMuxWords, spelled);
    if (word === null) noteUnknownWord(draft, 'rtcp-mux', spelled);
    else (draft.rtcpMux ??= new Set()).add(word);
  }
};

const readIce: KeyReader = (draft, value) => {
  for (const spelled of wordsOf(value)) {
    const word = lookUp(iceWords, spelled);
    if (word !== null) {
      draft.ice = word;
      if (word !== 'remove' && word !== 'default') noteUnsupported(draft, `ICE=${word}`);
    } else if (laterIceWords.has(spelled) || spelled.startsWith('lite-')) {
      noteUnsupported(draft, `ICE=${spelled}`);
    } else {
      noteUnknownWord(draft, 'ICE', spelled);
    }
  }
};

const readTransportProtocol: KeyReader = (draft, value) => {
  const spelled = stringOf(value);
  if (spelled === null) return;
  const protocol = lookUp(protocols, spelled.toUpperCase());
  if (protocol === null) {
    if (spelled === 'accept') noteUnsupported(draft, 'transport-protocol=accept');
    else noteUnknownWord(draft, 'transport-protocol', spelled);
    return;
  }
  draft.transportProtocol = protocol;
};

const readDirection: KeyReader = (draft, value) => {
  // Replaces what an earlier word said: the key is one statement about both sides.
  const words = wordsOf(value).slice(0, 2);
  if (words[0] !== undefined) draft.fromInterface = words[0];
  if (words[1] !== undefined) draft.toInterface = words[1];
};

const readReceivedFrom: KeyReader = (draft, value) => {
  // [family, address]; the family may be `?`. 26.3 also takes the bare address.
  const address = isList(value) ? stringOf(value[1] ?? value[0]) : stringOf(value);
  const received = address === null ? null : canonicalAddress(address);
  if (received !== null) draft.receivedFrom = received;
  else noteUnknown(draft, `Ignoring 'received-from' without a valid address`);
};

const readAddressFamily: KeyReader = (draft, value) => {
  const family = stringOf(value);
  if (family === null) return;
  const upper = family.toUpperCase();
  if (upper === 'IP4' || upper === 'IP6') draft.addressFamily = upper;
  else noteUnknownWord(draft, 'address-family', family);
};

const readMediaAddress: KeyReader = (draft, value) => {
  const address = stringOf(value);
  if (address === null) return;
  // A zone names a link of this machine only.
  const written = address.includes('%') ? null : canonicalAddress(address);
  if (written !== null) draft.mediaAddress = written;
  else noteUnknown(draft, `Ignoring 'media-address' that is no IP address: '${address}'`);
};

const readEndpointLearning: KeyReader = (draft, value) => {
  for (const spelled of wordsOf(value)) {
    const word = lookUp(learningWords, spelled);
    if (word === null) noteUnknownWord(draft, 'endpoint-learning', spelled);
    else draft.endpointLearning = word;
  }
};

const readTos: KeyReader = (draft, value) => {
  const tos = integerOf(value);
  // 256 is rtpengine's word for "leave it".
  if (tos === null) return;
  draft.tos = tos >= 0 && tos <= 255 ? tos : null;
  if (tos < 0 || tos > 256) noteUnknown(draft, `Ignoring 'TOS' out of range: ${tos}`);
};

const readDeleteDelay: KeyReader = (draft, value) => {
  const seconds = integerOf(value);
  if (seconds !== null) draft.deleteDelaySeconds = seconds >= 0 ? seconds : null;
  noteIdle(draft, 'delete-delay');
};

const readDropTraffic: KeyReader = (draft, value) => {
  for (const word of wordsOf(value)) {
    // `stop` wins over `start` (§4.2).
    if (word === 'stop') draft.dropTraffic = 'stop';
    else if (word === 'start') draft.dropTraffic ??= 'start';
    else noteUnknownWord(draft, 'drop-traffic', word);
  }
};

const readSipMessageType: KeyReader = (draft, value) => {
  const spelled = stringOf(value);
  const word = spelled?.toLowerCase().replaceAll(/[ _]/g, '-');
  noteIdle(draft, 'sip-message-type');
  if (word === 'request' || word === 'sip-request') draft.sipMessageType = 'request';
  else if (word === 'reply' || word === 'sip-reply' || word === 'sip-response') {
    draft.sipMessageType = 'reply';
  } else if (spelled !== null) noteUnknownWord(draft, 'sip-message-type', spelled);
};

const readSipCode: KeyReader = (draft, value) => {
  const code = integerOf(value);
  if (code !== null && code >= 100 && code <= 699) draft.sipCode = code;
  // Branches are told by tags and via-branch alone, as with 10.5.
  noteIdle(draft, 'sip-code');
};

const readSupports: KeyReader = (draft, value) => {
  for (const feature of wordsOf(value)) {
    if (feature === 'load limit' || feature === 'load-limit') draft.supportsLoadLimit = true;
    else noteUnknown(draft, `Optional feature '${feature}' not supported`);
  }
};

const readRecordCall: KeyReader = (draft, value) => {
  const word = stringOf(value);
  if (word === 'yes' || word === 'on' || value === 1) {
    draft.recordCall = 'on';
    noteUnsupported(draft, 'record-call');
  } else if (word === 'no' || word === 'off' || value === 0) {
    draft.recordCall = 'off';
    noteIdle(draft, 'record-call=off');
  } else if (word === 'discard') {
    draft.recordCall = 'discard';
    noteIdle(draft, 'record-call=discard');
  } else if (word !== null) noteUnknownWord(draft, 'record-call', word);
};

const readAll: KeyReader = (draft, value) => {
  for (const word of wordsOf(value)) {
    if (isSignalling(draft)) noteIdle(draft, 'all');
    if (word === 'all') draft.all = true;
    else if (flowSelections.has(word)) noteUnsupported(draft, `all=${word}`);
    else if (word !== 'none') noteUnknownWord(draft, 'all', word);
  }
};

const dtmfSecurityWords: ReadonlySet<string> = new Set([
  ...['silence', 'tone', 'random', 'zero', 'DTMF'],
]);

/** Whatever is wanted in place of blocked DTMF, it is dropped: it must not be heard. */
const readDtmfSecurity: KeyReader = (draft, value) => {
  if (draft.command !== 'block DTMF') {
    noteIdle(draft, `DTMF-security=${describeValue(value)}`);
    return;
  }
  const word = stringOf(value);
  if (word === null || word === 'drop') return;
  if (word === 'off') draft.dtmfSecurityOff = true;
  else if (dtmfSecurityWords.has(word)) {
    noteUnsupported(draft, `DTMF-security=${word} (DTMF is dropped)`);
  } else noteUnknown(draft, `Unknown DTMF block mode encountered: '${word}'`);
};

type StringField =
  | 'callId'
  | 'fromTag'
  | 'toTag'
  | 'viaBranch'
  | 'sdp'
  | 'label'
  | 'setLabel'
  | 'address'
  | 'metadata'
  | 'fromInterface'
  | 'toInterface';

const into =
  (field: StringField): KeyReader =>
  (draft, value) => {
    if (typeof value === 'string') draft[field] = value;
  };

/** A key of the block and silence commands. */
const selecting =
  (field: StringField, name: string): KeyReader =>
  (draft, value) => {
    into(field)(draft, value);
    if (isSignalling(draft)) noteIdle(draft, name);
  };

const readMetadata: KeyReader = (draft, value) => {
  into('metadata')(draft, value);
  if (!isSignalling(draft)) noteUnsupported(draft, `metadata in '${draft.command}'`);
};

const ignore: KeyReader = () => undefined;

/** The keys of this file, each with its aliases; a space may stand for each hyphen. */
export const coreKeys: readonly (readonly [names: readonly string[], read: KeyReader])[] = [
  [['command'], ignore],
  [['call-id', 'call-ID'], into('callId')],
  [['from-tag'], into('fromTag')],
  [['to-tag', 'to_tag'], into('toTag')],
  [['via-branch'], into('viaBranch')],
  [['sdp', 'SDP'], into('sdp')],
  [['label', 'from-label'], into('label')],
  [['set-label'], selecting('setLabel', 'set-label')],
  [['address'], selecting('address', 'address')],
  [['all'], readAll],
  [['DTMF-security'], readDtmfSecurity],
  [['metadata'], readMetadata],
  [['from-interface'], into('fromInterface')],
  [['to-interface'], into('toInterface')],
  [['direction'], readDirection],
  [['replace'], readReplace],
  [['rtcp-mux', 'RTCP-mux'], readRtcpMux],
  [['ICE'], readIce],
  [['transport-protocol'], readTransportProtocol],
  [['received-from'], readReceivedFrom],
  [['address-family'], readAddressFamily],
  [['media-address'], readMediaAddress],
  [['endpoint-learning'], readEndpointLearning],
  [['TOS', 'tos'], readTos],
  [['delete-delay', 'delete_delay'], readDeleteDelay],
  [['drop-traffic'], readDropTraffic],
  [
    ['sip-message-type', 'SIP-message-type', 'sip_message_type', 'SIP_message_type'],
    readSipMessageType,
  ],
  [['sip-code', 'sip-response-code', 'sip_code', 'sip_response_code'], readSipCode],
  [['supports'], readSupports],
  [['record-call', 'record_call'], readRecordCall],
];

/** `direction=NAME` of `rtpp-flags`: each names the next interface. */
export const readDirectionWord: KeyReader = (draft, value) => {
  for (const word of wordsOf(value)) addDirection(draft, word);
};
