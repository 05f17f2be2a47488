/**
 * The request keys of ng-protocol.md §4 that are acted on: each row is a field of the typed request, its
 * type that of the reader. A new key is one row here; the request, its copy and its type follow.
 * Keys that are known and not acted on are in unsupported-keys.ts, flag words in flags.ts.
 */
import { isList } from './bencode.js';
import { isDictionary } from './dictionary.js';
import {
  isSignalling,
  noteIdle,
  noteUnknown,
  noteUnknownWord,
  noteUnsupported,
  type NotedRequest,
} from './notes.js';
import {
  idle,
  integer,
  key,
  lastWord,
  lookUp,
  only,
  optional,
  selecting,
  strings,
  text,
  wordSet,
  type Reader,
  type RequestKey,
} from './readers.js';
import { opportunistic, sdes } from './sdes-words.js';
import { dtls, fingerprintHash, ice, iceLite, passthrough } from './ice-dtls-words.js';
import { describeValue, integerOf, stringOf, wordsOf } from './values.js';
import { canonicalAddress } from '../sdp/address.js';
import type { BodyEdits } from '../sdp/edits.js';

const replaceWords = {
  origin: 'origin',
  'origin-full': 'origin-full',
  'session-name': 'session-name',
  'session-connection': 'session-connection',
  'SDP-version': 'sdp-version',
  'sdp-version': 'sdp-version',
  username: 'username',
  'zero-address': 'zero-address',
  'force-increment-sdp-ver': 'force-increment-sdp-ver',
} as const;

const rtcpMuxWords = {
  offer: 'offer',
  require: 'require',
  demux: 'demux',
  accept: 'accept',
  reject: 'reject',
} as const;

const bundleWords = {
  accept: 'accept',
  offer: 'offer',
  require: 'require',
  strict: 'strict',
  reject: 'reject',
} as const;

const learningWords = {
  off: 'off',
  immediate: 'immediate',
  delayed: 'delayed',
  heuristic: 'heuristic',
} as const;

/** `rtcp-mux` list words (§4.3). */
export type RtcpMuxWord = keyof typeof rtcpMuxWords;
/** `bundle` list words (§4.3). */
export type BundleWord = keyof typeof bundleWords;
/** `replace` list words (§4.9), in one spelling. */
export type ReplaceWord = (typeof replaceWords)[keyof typeof replaceWords];
/** Kinds of subscriptions that a block can be narrowed to (§3.9). */
export type FlowSelection = 'flows' | 'offer-answer' | 'except-offer-answer';

/** Words of `all` for them. */
export const flowWords: ReadonlyMap<string, FlowSelection> = new Map([
  ['flows', 'flows'],
  ['offer-answer', 'offer-answer'],
  ['except-offer-answer', 'except-offer-answer'],
  ['not-offer-answer', 'except-offer-answer'],
  ['non-offer-answer', 'except-offer-answer'],
]);

/** Values of `all` that only 26.3 knows. */
const flowSelections: ReadonlySet<string> = new Set([
  ...['flows', 'offer-answer', 'except-offer-answer', 'not-offer-answer', 'non-offer-answer'],
]);

const protocols: Readonly<Record<string, string>> = {
  'RTP/AVP': 'RTP/AVP',
  'RTP/AVPF': 'RTP/AVPF',
  'RTP/SAVP': 'RTP/SAVP',
  'RTP/SAVPF': 'RTP/SAVPF',
  'UDP/TLS/RTP/SAVP': 'UDP/TLS/RTP/SAVP',
  'UDP/TLS/RTP/SAVPF': 'UDP/TLS/RTP/SAVPF',
  UDPTL: 'udptl',
};

const allReplaceWords = wordSet<ReplaceWord>('replace', replaceWords);

const allBundleWords = wordSet<BundleWord>('bundle', bundleWords);

const bundle: Reader<ReadonlySet<BundleWord>> = {
  empty: allBundleWords.empty,
  read: (value, request, before) => {
    const words = allBundleWords.read(value, request, before);
    const { command } = request;
    for (const word of words) {
      // Bundles are between the parties of a dialogue.
      if (isSignalling(request) && command !== 'offer' && command !== 'answer') {
        const note = word === 'reject' ? noteIdle : noteUnsupported;
        note(request, `bundle=${word} in '${command}'`);
      } else if (command === 'answer' && word !== 'reject') noteIdle(request, `bundle=${word}`);
    }
    // Without a word for them there are none.
    if (command === 'offer' && words.size === 1 && words.has('reject'))
      noteIdle(request, 'bundle=reject');
    return words;
  },
};

const replace: Reader<ReadonlySet<ReplaceWord>> = {
  empty: allReplaceWords.empty,
  read: (value, request, before) => {
    const words = allReplaceWords.read(value, request, before);
    // Each section gets a c= of its own, whatever is asked.
    if (words.has('session-connection')) noteIdle(request, 'replace=session-connection');
    return words;
  },
};

/** `m=` protocol, in the spelling of SDP. */
const transportProtocol = optional<string>((value, request) => {
  const spelled = stringOf(value);
  if (spelled === null) return undefined;
  const protocol = lookUp(protocols, spelled.toUpperCase());
  if (protocol !== null) return protocol;
  // An answer gets the offered one back anyway.
  if (spelled === 'accept') noteIdle(request, 'transport-protocol=accept');
  else noteUnknownWord(request, 'transport-protocol', spelled);
  return undefined;
});

const receivedFrom = optional<string>((value, request) => {
  // [family, address]; the family may be `?`. 26.3 also takes the bare address.
  const address = isList(value) ? stringOf(value[1] ?? value[0]) : stringOf(value);
  const received = address === null ? null : canonicalAddress(address);
  if (received !== null) return received;
  noteUnknown(request, `Ignoring 'received-from' without a valid address`);
  return undefined;
});

const addressFamily = optional<'IP4' | 'IP6'>((value, request) => {
  const family = stringOf(value);
  const upper = family?.toUpperCase();
  if (upper === 'IP4' || upper === 'IP6') return upper;
  if (family !== null) noteUnknownWord(request, 'address-family', family);
  return undefined;
});

const noticeAddress = optional<string>((value, request) => {
  const address = canonicalAddress(stringOf(value) ?? '');
  if (address === null) noteUnknown(request, `Ignoring 'xmlrpc-callback' that is no IP address`);
  return address ?? undefined;
});

const digitsTo = optional<string>((value, request) => {
  const [, bracketed, plain = '', port = ''] =
    /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(stringOf(value) ?? '') ?? [];
  const address = canonicalAddress(bracketed ?? plain);
  if (address !== null && Number(port) > 0 && Number(port) <= 65_535)
    return `${address.includes(':') ? `[${address}]` : address}:${Number(port)}`;
  noteUnknown(request, `Ignoring 'DTMF-log-dest' that is no IP address with a port`);
  return undefined;
});

const mediaAddress = optional<string>((value, request) => {
  const address = stringOf(value);
  if (address === null) return undefined;
  // A zone names a link of this machine only.
  const written = address.includes('%') ? null : canonicalAddress(address);
  if (written !== null) return written;
  noteUnknown(request, `Ignoring 'media-address' that is no IP address: '${address}'`);
  return undefined;
});

const tos = optional<number>((value, request) => {
  const number = integerOf(value);
  if (number === null) return undefined;
  // 256 is rtpengine's word for "leave it".
  if (number < 0 || number > 256) noteUnknown(request, `Ignoring 'TOS' out of range: ${number}`);
  return number >= 0 && number <= 255 ? number : null;
});

const deleteDelay = optional<number>((value) => {
  const seconds = integerOf(value);
  if (seconds === null) return undefined;
  return seconds >= 0 ? seconds : null;
});

const dropTraffic: Reader<'start' | 'stop' | null> = {
  empty: null,
  read: (value, request, before) => {
    let chosen = before;
    for (const word of wordsOf(value)) {
      // `stop` wins over `start` (§4.2).
      if (word === 'stop') chosen = 'stop';
      else if (word === 'start') chosen ??= 'start';
      else noteUnknownWord(request, 'drop-traffic', word);
    }
    return chosen;
  },
};

/** What a SIP message was matters where its body answers. */
const notAnswering = ({ command }: NotedRequest): boolean => command !== 'answer';

const aliasKeyWords = {
  sdp: 'sdp',
  address: 'address',
  endpoint: 'address',
  off: null,
  none: null,
  no: null,
} as const;

const aliasKey = optional<'sdp' | 'address'>((value, request) => {
  const word = stringOf(value);
  if (word === null) return undefined;
  if (Object.hasOwn(aliasKeyWords, word)) return aliasKeyWords[word as keyof typeof aliasKeyWords];
  noteUnknownWord(request, 'alias-key', word);
  return undefined;
});

const sipMessageType = optional<'request' | 'reply'>((value, request) => {
  const spelled = stringOf(value);
  const word = spelled?.toLowerCase().replaceAll(/[ _]/g, '-');
  if (word === 'request' || word === 'sip-request') return 'request';
  if (word === 'reply' || word === 'sip-reply' || word === 'sip-response') return 'reply';
  if (spelled !== null) noteUnknownWord(request, 'sip-message-type', spelled);
  return undefined;
});

const loadLimit: Reader<boolean> = {
  empty: false,
  read: (value, request, before) => {
    let supported = before;
    for (const feature of wordsOf(value)) {
      if (feature === 'load limit' || feature === 'load-limit') supported = true;
      else noteUnknown(request, `Optional feature '${feature}' not supported`);
    }
    return supported;
  },
};

const recordCall = optional<'on' | 'off' | 'discard'>((value, request) => {
  const word = stringOf(value);
  if (word === 'yes' || word === 'on' || value === 1) {
    noteUnsupported(request, 'record-call');
    return 'on';
  }
  if (word === 'no' || word === 'off' || value === 0) {
    noteIdle(request, 'record-call=off');
    return 'off';
  }
  if (word === 'discard') {
    noteIdle(request, 'record-call=discard');
    return 'discard';
  }
  if (word !== null) noteUnknownWord(request, 'record-call', word);
  return undefined;
});

/** RTCP of the relay's own in place of the other side's (§4.5). */
const generateRtcp = optional<'on' | 'off'>((value, request) => {
  const word = stringOf(value);
  if (word === 'on' || word === 'off') {
    if (request.command === 'offer' || request.command === 'answer') return word;
    noteIdle(request, `generate-RTCP=${word}`);
  } else if (word !== null) noteUnknownWord(request, 'generate-RTCP', word);
  return undefined;
});

const everybody: Reader<boolean> = {
  empty: false,
  read: (value, request, before) => {
    let all = before;
    for (const word of wordsOf(value)) {
      if (isSignalling(request) && request.command !== 'subscribe request')
        noteIdle(request, 'all');
      if (word === 'all') all = true;
      else if (word === 'offer-answer' && request.command === 'subscribe request') all = true;
      else if (flowSelections.has(word)) noteUnsupported(request, `all=${word}`);
      else if (word !== 'none') noteUnknownWord(request, 'all', word);
    }
    return all;
  },
};

const dtmfSecurityWords: ReadonlySet<string> = new Set([
  ...['silence', 'tone', 'random', 'zero', 'DTMF'],
]);

/** Whatever is wanted in place of blocked DTMF, it is dropped: it must not be heard. */
const dtmfSecurity = optional<'off'>((value, request) => {
  if (request.command !== 'block DTMF' && !isSignalling(request)) {
    noteIdle(request, `DTMF-security=${describeValue(value)}`);
    return undefined;
  }
  const word = stringOf(value);
  if (word === 'off') return 'off';
  if (word === null || word === 'drop') return undefined;
  if (dtmfSecurityWords.has(word)) {
    noteUnsupported(request, `DTMF-security=${word} (DTMF is dropped)`);
  } else noteUnknown(request, `Unknown DTMF block mode encountered: '${word}'`);
  return undefined;
});

const metadata = optional<string>((value, request) => {
  if (!isSignalling(request)) noteUnsupported(request, `metadata in '${request.command}'`);
  return typeof value === 'string' ? value : undefined;
});

const echoWords = {
  blackhole: 'blackhole',
  sinkhole: 'blackhole',
  forward: 'forward',
  backwards: 'backwards',
  both: 'both',
} as const;

const echo = lastWord<(typeof echoWords)[keyof typeof echoWords]>('media-echo', echoWords);
const mediaEcho = idle(
  'media-echo',
  echo,
  ({ command }) => command !== 'offer' && command !== 'answer',
);

const injections: readonly string[] = ['inject start', 'inject stop'];

const digitKeys = '0123456789*#ABCD';

const digit = optional<number>((value) => {
  const number = integerOf(value);
  if (number !== null) return number >= 0 && number <= 15 ? number : undefined;
  const key = stringOf(value) ?? '';
  const at = key.length === 1 ? digitKeys.indexOf(key.toUpperCase()) : -1;
  return at < 0 ? undefined : at;
});

/** Milliseconds, brought into the range of a digit (§3.12). */
const clamped = (usual: number): Reader<number> => ({
  empty: usual,
  read: (value, _request, before) => {
    const ms = integerOf(value);
    return ms === null ? before : Math.min(5000, Math.max(100, ms));
  },
});

/** A field of 6 bits (RFC 4733 §2.3). */
const volume: Reader<number> = {
  empty: 8,
  read: (value, _request, before) => {
    const decibels = integerOf(value);
    return decibels === null ? before : Math.min(63, Math.abs(decibels));
  },
};

/** `{from: TAG, to: [TAG…]}` of a mesh. */
export interface MeshTags {
  readonly from: string;
  readonly to: readonly string[];
}

const maxMesh = 1000;

const meshTags: Reader<readonly MeshTags[]> = only<readonly MeshTags[]>('tags', ['mesh'], {
  empty: [],
  read: (value, request, before) => {
    const rows = isList(value) ? value : [value];
    const read = rows.flatMap((row): readonly MeshTags[] => {
      const from = isDictionary(row) ? stringOf(row.get('from')) : null;
      const to = isDictionary(row) ? row.get('to') : undefined;
      if (from === null || to === undefined) {
        noteUnknown(request, "Ignoring a member of 'tags' without 'from' and 'to'");
        return [];
      }
      return [{ from, to: wordsOf(to) }];
    });
    return [...before, ...read].slice(0, maxMesh);
  },
});

/** A section that a `create` wants. */
export interface WantedSection {
  readonly type: string;
  readonly codecs: readonly string[];
}

const maxSections = 100;

const wantedMedia: Reader<readonly WantedSection[]> = only<readonly WantedSection[]>(
  'media',
  ['create', 'transform'],
  {
    empty: [],
    read: (value, request, before) => {
      // Those of a transform are read by themselves (transform.ts).
      if (request.command === 'transform') return before;
      const rows = isList(value) ? value : [value];
      const read = rows.flatMap((row): readonly WantedSection[] => {
        const type = isDictionary(row) ? stringOf(row.get('type')) : null;
        if (!isDictionary(row) || type === null || !/^[a-z]{1,32}$/.test(type)) {
          noteUnknown(request, "Ignoring a member of 'media' without a type");
          return [];
        }
        const codecs = row.get('codecs') ?? row.get('codec');
        return [{ type, codecs: codecs === undefined ? [] : wordsOf(codecs) }];
      });
      return [...before, ...read].slice(0, maxSections);
    },
  },
);

/** Field, reader, the key and its aliases. */
export const requestKeys = {
  callId: key(text, 'call-id', 'call-ID'),
  fromTag: key(text, 'from-tag'),
  toTag: key(text, 'to-tag', 'to_tag'),
  viaBranch: key(text, 'via-branch'),
  /** May be empty: the reply is then `ok` without `sdp` (seen on 10.5). */
  sdp: key(text, 'sdp', 'SDP'),
  label: key(text, 'label', 'from-label'),
  /** The label that the selected participant gets; null: it keeps its own. */
  setLabel: key(text, 'set-label'),
  /** A media address of the selected participant, as its SDP gave it. */
  address: key(selecting('address', text), 'address'),
  /** Whose share of what the selected one sends is meant, besides `toTag`. */
  toLabel: key(selecting('to-label', text), 'to-label'),
  /** Flows by kind, of whoever is selected (`all` of `block media`); read with `all`. */
  flows: key<FlowSelection | null>({ empty: null, read: (_value, _request, before) => before }),
  /** Several participants to hear. */
  fromTags: key(only('from-tags', ['subscribe request', 'connect'], strings(1000)), 'from-tags'),
  /** Everybody, whoever else is named. */
  all: key(everybody, 'all'),
  dtmfSecurity: key(dtmfSecurity, 'DTMF-security'),
  metadata: key(metadata, 'metadata'),
  /** Logical interface facing the sender of this SDP, and the one facing its receiver. */
  fromInterface: key(text, 'from-interface'),
  toInterface: key(text, 'to-interface'),
  /** The one interface of a body that has one side only. */
  interface: key(
    only('interface', ['publish', 'subscribe request', 'create', 'transform'], text),
    'interface',
  ),
  replace: key(replace, 'replace'),
  bundle: key(bundle, 'bundle', 'BUNDLE'),
  rtcpMux: key(wordSet<RtcpMuxWord>('rtcp-mux', rtcpMuxWords), 'rtcp-mux', 'RTCP-mux'),
  ice: key(ice, 'ICE'),
  /** Which sides are told that we are a lite agent (RFC 8445 §2.5); null: as before. */
  iceLite: key(iceLite, 'ICE-lite'),
  /** `m=` protocol wanted towards the receiver; null: as received. */
  transportProtocol: key(transportProtocol, 'transport-protocol'),
  sdes: key(sdes, 'SDES', 'sdes'),
  opportunistic: key(opportunistic, 'OSRTP', 'osrtp'),
  /** Towards the receiver of the body, and towards its sender. */
  dtls: key(dtls('DTLS'), 'DTLS'),
  dtlsReverse: key(dtls('DTLS-reverse'), 'DTLS-reverse'),
  /** Hash of the fingerprint that is written; null: the peer's, or sha-256. */
  dtlsFingerprint: key(fingerprintHash, 'DTLS-fingerprint'),
  /** ICE, DTLS and SRTP are left to the ends; null: not asked for. */
  passthrough: key(passthrough, 'passthrough', 'passthru'),
  /** Changes to the body beyond those of relaying, by several keys (body-edits.ts); null: none. */
  edits: key<BodyEdits | null>({ empty: null, read: (_value, _request, before) => before }),
  /** Source of the SIP message. */
  receivedFrom: key(receivedFrom, 'received-from'),
  addressFamily: key(addressFamily, 'address-family'),
  /** Address to write into the SDP instead of the interface's advertised address. */
  mediaAddress: key(mediaAddress, 'media-address'),
  endpointLearning: key(lastWord('endpoint-learning', learningWords), 'endpoint-learning'),
  /** TOS byte 0-255; null: leave as it is. */
  tos: key(tos, 'TOS', 'tos'),
  /** null: the configured delay; 0: at once. */
  deleteDelaySeconds: key(idle('delete-delay', deleteDelay), 'delete-delay', 'delete_delay'),
  dropTraffic: key(dropTraffic, 'drop-traffic'),
  sipMessageType: key(
    idle('sip-message-type', sipMessageType, notAnswering),
    ...['sip-message-type', 'SIP-message-type', 'sip_message_type', 'SIP_message_type'],
  ),
  sipCode: key(
    idle('sip-code', integer(100, 699), notAnswering),
    ...['sip-code', 'sip-response-code', 'sip_code', 'sip_response_code'],
  ),
  /** What an unknown from-tag has to share with a known one to be an alias of it; null: it is another party. */
  aliasKey: key(
    idle('alias-key', aliasKey, ({ command }) => command !== 'offer'),
    'alias-key',
  ),
  /** The proxy understands `result: load limit` (`supports: [load limit]`). */
  supportsLoadLimit: key(loadLimit, 'supports'),
  mediaEcho: key(mediaEcho, 'media-echo'),
  /** Who is told of the call's timeout in place of the control client. */
  noticeAddress: key(
    idle(
      'xmlrpc-callback',
      noticeAddress,
      ({ command }) => command !== 'offer' && command !== 'answer',
    ),
    'xmlrpc-callback',
  ),
  /** Who is told of the call's digits, `ip:port`; null: as before. */
  digitsTo: key(
    idle('DTMF-log-dest', digitsTo, ({ command }) => command !== 'offer' && command !== 'answer'),
    ...['DTMF-log-dest', 'dtmf-log-dest', 'DTMF-log-destination', 'dtmf-log-destination'],
  ),
  /** The other call of a `connect`; calls and tags of a `mesh`. */
  toCallId: key(only('to-call-id', ['connect'], text), 'to-call-id'),
  calls: key(only('calls', ['mesh'], strings(1000)), 'calls'),
  meshTags: key(meshTags, 'tags'),
  /** Who asks for a `transform`, by its loop-protection mark. */
  instance: key(only('instance', ['transform'], text), 'instance'),
  /** What is to be played: a file of this machine, contents, a row of a database. */
  mediaFile: key(only('file', ['play media'], text), 'file'),
  mediaBlob: key(only('blob', ['play media'], text), 'blob', 'blob64'),
  mediaRow: key(only('db-id', ['play media'], integer(0, Number.MAX_SAFE_INTEGER)), 'db-id'),
  /** The key of a telephone, 0 to 15 (RFC 4733 §3.2). */
  digit: key(only('code', ['play DTMF'], digit), 'code', 'digit'),
  /** How long it lasts, and until the next one, ms (§3.12). */
  digitDurationMs: key(only('duration', ['play DTMF'], clamped(250)), 'duration'),
  digitPauseMs: key(only('pause', ['play DTMF'], clamped(100)), 'pause'),
  /** dBm0 without its sign. */
  digitVolume: key(only('volume', ['play DTMF'], volume), 'volume'),
  /** Whose sound is mixed into what another one hears. */
  sourceTag: key(only('source-tag', injections, text), 'source-tag'),
  sourceCallId: key(only('source-call-id', injections, text), 'source-call-id'),
  /** Sections of a body that is made here. */
  wantedMedia: key(wantedMedia, 'media', 'medias'),
  /** null: not mentioned. */
  recordCall: key(recordCall, 'record-call', 'record_call'),
  /** null: as it was. */
  generateRtcp: key(generateRtcp, 'generate-RTCP'),
};

type ValueOf<Key> = Key extends RequestKey<infer Value> ? Value : never;

/** The fields of a request, one for each row. Strings are byte strings (latin1). */
export type RequestFields = {
  -readonly [Field in keyof typeof requestKeys]: ValueOf<(typeof requestKeys)[Field]>;
};
