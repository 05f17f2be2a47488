/** Every flag word of ng-protocol.md §4.8, spelled once, with its variants and prefix forms. */

import type { NgValue } from './dictionary.js';

/** What a word of the `flags` list means. */
export type FlagMeaning =
  /** A flag that the call model knows. */
  | { readonly kind: 'model'; readonly flag: RequestFlag }
  /** The same as `key=value`. */
  | { readonly kind: 'key'; readonly key: string; readonly value: string }
  /** The same as several keys. */
  | { readonly kind: 'keys'; readonly keys: readonly (readonly [string, NgValue])[] }
  /** A codec of one of the lists, a line of `sdp-attr`: the word says it all. */
  | { readonly kind: 'codec' | 'attribute' }
  | { readonly kind: 'strip-extmap' }
  /** Known to rtpengine; turns off what is not done anyway. */
  | { readonly kind: 'accepted' }
  /** Known to rtpengine, not honoured yet; `inDelete`: it would mean the delete as well. */
  | { readonly kind: 'unsupported'; readonly inDelete: boolean };

/** A flag that is acted on. */
export interface FlagRow {
  /** Spellings; a trailing `*` allows any case. */
  readonly names: readonly string[];
  /** The commands that act on it; in others it is named as without effect. */
  readonly where: 'offer, answer' | 'answer' | 'delete' | 'everywhere' | readonly string[];
  /** In a `delete` its absence of effect matters: it is named as unsupported. */
  readonly unsupportedInDelete: boolean;
  /** A flag that this one takes back: the later one of the two wins (10.5 seen). */
  readonly instead: string | null;
}

function flag(names: string | readonly string[], row: Partial<FlagRow> = {}): FlagRow {
  return {
    names: typeof names === 'string' ? [names] : names,
    where: row.where ?? 'offer, answer',
    unsupportedInDelete: row.unsupportedInDelete ?? false,
    instead: row.instead ?? null,
  };
}

/** Where there are two sides. */
const dialogues = ['offer', 'answer'] as const;
/** Where somebody is offered ICE and DTLS, or answered by them. */
const offering = [...dialogues, 'publish', 'subscribe request', 'create'] as const;

/** Commands about one participant, which a from-tag selects with it or without. */
const directed: readonly string[] = [
  ...['block media', 'unblock media', 'block DTMF', 'unblock DTMF', 'silence media'],
  ...['unsilence media', 'connect', 'start forwarding', 'stop forwarding'],
];

/** The flags that are acted on. A new flag is one row; its type follows. */
const modelFlags = {
  'trust-address': flag('trust-address', { instead: 'sip-source-address' }),
  'sip-source-address': flag('SIP-source-address', { instead: 'trust-address' }),
  asymmetric: flag('asymmetric'),
  'strict-source': flag('strict-source'),
  'media-handover': flag('media-handover'),
  'port-latching': flag('port-latching'),
  'no-port-latching': flag('no-port-latching'),
  unidirectional: flag('unidirectional'),
  'loop-protect': flag('loop-protect'),
  'no-rtcp-attribute': flag('no-rtcp-attribute*'),
  'full-rtcp-attribute': flag('full-rtcp-attribute*'),
  'original-sendrecv': flag('original-sendrecv'),
  'pierce-nat': flag('pierce-NAT'),
  'nat-wait': flag('NAT-wait'),
  // The value leaves Redis with the call.
  'no-redis-update': flag('no-redis-update', { unsupportedInDelete: true }),
  'generate-mid': flag('generate-mid'),
  'single-codec': flag('single-codec', { where: 'answer' }),
  'reuse-codecs': flag(['reuse-codecs', 'no-codec-renegotiation']),
  'static-codecs': flag(['static-codecs']),
  'allow-no-codec-media': flag('allow-no-codec-media*'),
  recrypt: flag('recrypt'),
  /** What its sender dials is not passed on; 12.5 knows it, 10.5 does not. */
  'block-dtmf': flag('block-DTMF'),
  /** The reply says which section of the body is whose (RFC 7866). */
  siprec: flag('siprec', { where: ['subscribe request'] }),
  /** What the other side is sent, without its RTCP. */
  egress: flag('egress', { where: ['subscribe request'] }),
  /** The body offers no media, until another request does. */
  inactive: flag('inactive', { where: ['subscribe request'] }),
  /** Media goes the other way, too. */
  bidirectional: flag('bidirectional', {
    where: ['publish', 'subscribe request', 'connect', 'mesh'],
  }),
  /** Reports of the subscriber go to whom it is subscribed to. */
  'mirror-rtcp': flag(['mirror-RTCP', 'RTCP-mirror'], { where: ['subscribe request'] }),
  /** Only one side is to hear the other. */
  directional: flag('directional', { where: directed }),
  /** Whom it heard before it hears no more. */
  unsubscribe: flag('unsubscribe', { where: ['mesh'] }),
  /** The answer need not take all codecs that were offered. */
  'allow-transcoding': flag('allow-transcoding', { where: ['subscribe answer'] }),
  /** What was learned of the sides' ICE and SRTP is forgotten. */
  reset: flag('reset', { where: offering }),
  'reject-ice': flag(['reject-ICE', 'ICE-reject*'], { where: [...dialogues, 'publish'] }),
  'trickle-ice': flag('trickle-ICE*', { where: offering }),
  /** The body is one of RFC 8840: candidates alone. */
  fragment: flag('fragment', { where: dialogues }),
  'no-tls-id': flag('no-tls-id', { where: offering }),
  /** Who answers with an unknown tag is another party than the one that has answered already. */
  'new-branch': flag('new-branch', { where: ['answer'] }),
  /** `sip-code` is not the end of the early dialogue. */
  provisional: flag('provisional', { where: ['answer'] }),
  /** 26.3 honours the key `to-tag` of a delete only with it, 10.5 always does. */
  'to-tag': flag('to-tag', { where: 'delete' }),
  /** An unknown call is an error rather than a warning. */
  fatal: flag('fatal', { where: 'delete' }),
  /** Leave the statistics out of the reply. */
  fast: flag('fast', { where: 'delete' }),
  /** The lines of the call are logged at every level from now on. */
  debug: flag(['debug', 'debugging'], { where: 'everywhere' }),
};

/** Flags of §4.8 that are acted on, in one spelling. */
export type RequestFlag = keyof typeof modelFlags;

/** The row of a flag. */
export const flagRow = (name: RequestFlag): FlagRow => modelFlags[name];

/**
 * Without effect: they turn off what is not done here or belong to commands and features that do not
 * exist here (recording, players, transcoders and the order of what they take).
 */
const acceptedFlags: readonly string[] = [
  // Digits can be dialled into every call.
  'inject-DTMF',
  'exclude-recording',
  'skip-recording-db*',
  'no-audio-player',
  'no-player',
  'no-jitter-buffer',
  'reorder-codecs',
  'symmetric-codecs',
  'asymmetric-codecs',
  'allow-asymmetric-codecs',
];

/** Known and not acted on. */
const unsupportedFlags: readonly string[] = [
  'force-transcoding',
  'always-transcode',
  'detect-DTMF',
  'block-egress',
  'block-short*',
  'audio-player',
  'player',
  'mix',
  'mixed',
  'recording-announcement',
  'recording-VSC',
  'early-media',
];

/** Prefix of a word and the key whose value the rest of the word is. */
const prefixes: readonly (readonly [prefix: string, key: string])[] = [
  ['endpoint-learning-', 'endpoint-learning'],
  ['from-tags-', 'from-tags'],
  ['replace-', 'replace'],
  ['rtcp-mux-', 'rtcp-mux'],
  ['RTCP-mux-', 'rtcp-mux'],
  ['BUNDLE-', 'bundle'],
  ['bundle-', 'bundle'],
  ['OSRTP-', 'OSRTP'],
  ['SDES-', 'SDES'],
  ['T38-', 'T.38'],
  ['T.38-', 'T.38'],
];

/** Prefixes of the codec lists. */
const codecPrefixes: readonly string[] = [
  'codec-except-',
  'codec-offer-',
  'codec-strip-',
  'codec-ignore-',
  'codec-transcode-',
  'transcode-',
  'codec-mask-',
  'codec-accept-',
  'codec-consume-',
  'codec-set-',
];

const attributePrefixes: readonly string[] = [
  'sdp-attr-add-',
  'sdp-attr-remove-',
  'sdp-attr-substitute-',
];

/** Prefixes that rtpengine takes only in offer, publish and subscribe request (§4.4). */
const withAllPrefixes: ReadonlySet<string> = new Set(['offer', 'publish', 'subscribe request']);
const offerOnlyPrefixes: readonly string[] = ['codec-transcode-', 'transcode-', 'codec-mask-'];

/** Protocols that may stand among the flags, as they may in `rtpp-flags`. */
const transportWords: ReadonlySet<string> = new Set([
  'RTP/AVP',
  'RTP/SAVP',
  'RTP/AVPF',
  'RTP/SAVPF',
  'UDP/TLS/RTP/SAVP',
  'UDP/TLS/RTP/SAVPF',
]);

const spelled = new Map<string, FlagMeaning>();
const anyCase = new Map<string, FlagMeaning>();

/** A trailing `*` allows any case; without it the listed spelling and all lower case. */
function register(name: string, meaning: FlagMeaning): void {
  const bare = name.endsWith('*') ? name.slice(0, -1) : name;
  spelled.set(bare, meaning);
  spelled.set(bare.toLowerCase(), meaning);
  if (name.endsWith('*')) anyCase.set(bare.toLowerCase(), meaning);
}

const isModelFlag = (name: string): name is RequestFlag => Object.hasOwn(modelFlags, name);

for (const name of Object.keys(modelFlags).filter(isModelFlag)) {
  for (const spelling of modelFlags[name].names) register(spelling, { kind: 'model', flag: name });
}
for (const name of acceptedFlags) register(name, { kind: 'accepted' });
for (const name of unsupportedFlags) register(name, { kind: 'unsupported', inDelete: false });
register('strip-extmap*', { kind: 'strip-extmap' });
register('discard-recording', { kind: 'unsupported', inDelete: true });
register('record-call', { kind: 'key', key: 'record-call', value: 'on' });
register('generate-RTCP', { kind: 'key', key: 'generate-RTCP', value: 'on' });
register('all', { kind: 'key', key: 'all', value: 'all' });
register('pad-crypto', { kind: 'key', key: 'SDES', value: 'pad' });
register('passthrough', { kind: 'key', key: 'passthrough', value: 'on' });
register('no-passthrough', { kind: 'key', key: 'passthrough', value: 'off' });
register('WebRTC*', {
  kind: 'keys',
  keys: [
    ['transport-protocol', 'UDP/TLS/RTP/SAVPF'],
    ['ICE', 'force'],
    ['rtcp-mux', ['offer', 'require']],
    ['SDES', ['off']],
    ['flags', ['trickle-ICE', 'no-rtcp-attribute', 'generate-mid']],
  ],
});

function prefixed(word: string, command: string): FlagMeaning | null {
  for (const [prefix, key] of prefixes) {
    if (word.length > prefix.length && word.startsWith(prefix)) {
      if (key === 'T.38' && command !== 'offer') return null;
      return { kind: 'key', key, value: word.slice(prefix.length) };
    }
  }
  if (attributePrefixes.some((candidate) => word.startsWith(candidate))) {
    return { kind: 'attribute' };
  }
  const prefix = codecPrefixes.find((candidate) => word.startsWith(candidate));
  if (prefix === undefined || word.length === prefix.length) return null;
  if (offerOnlyPrefixes.includes(prefix) && !withAllPrefixes.has(command)) return null;
  return { kind: 'codec' };
}

/**
 * The meaning of a flag word; null: unknown. Spaces count as hyphens. Case matters, as with 10.5
 * (seen), except in the flags that the specification lists with case variants.
 */
export function flagMeaning(word: string, command: string): FlagMeaning | null {
  const exact = spelled.get(word);
  if (exact !== undefined) return exact;
  if (transportWords.has(word)) return { kind: 'key', key: 'transport-protocol', value: word };
  const hyphened = word.includes(' ') ? word.replaceAll(' ', '-') : word;
  return (
    spelled.get(hyphened) ?? anyCase.get(hyphened.toLowerCase()) ?? prefixed(hyphened, command)
  );
}

/** Every flag word, in the spelling of the specification; prefix forms aside. */
export const flagWords: readonly string[] = [
  ...Object.values(modelFlags).flatMap(({ names }) => names),
  ...acceptedFlags,
  ...unsupportedFlags,
  ...['record-call', 'all', 'pad-crypto', 'discard-recording', 'strip-extmap'],
  ...['passthrough', 'no-passthrough', 'WebRTC'],
].map((name) => (name.endsWith('*') ? name.slice(0, -1) : name));
