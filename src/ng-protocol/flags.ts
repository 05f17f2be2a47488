/** Every flag word of ng-protocol.md §4.8, spelled once, with its variants and prefix forms. */
import type { RequestFlag } from './requests.js';

/** What a word of the `flags` list means. */
export type FlagMeaning =
  /** A flag that the call model knows. */
  | { readonly kind: 'model'; readonly flag: RequestFlag }
  /** The same as `key=value`. */
  | { readonly kind: 'key'; readonly key: string; readonly value: string }
  | { readonly kind: 'discard-recording' }
  /** Known to rtpengine; turns off what is not done anyway. */
  | { readonly kind: 'accepted' }
  /** Known to rtpengine, not honoured yet. */
  | { readonly kind: 'later' };

const modelFlags: Readonly<Record<RequestFlag, readonly string[]>> = {
  'trust-address': ['trust-address'],
  'sip-source-address': ['SIP-source-address'],
  asymmetric: ['asymmetric'],
  'strict-source': ['strict-source'],
  'media-handover': ['media-handover'],
  'port-latching': ['port-latching'],
  'no-port-latching': ['no-port-latching'],
  unidirectional: ['unidirectional'],
  'loop-protect': ['loop-protect'],
  'no-rtcp-attribute': ['no-rtcp-attribute*'],
  'full-rtcp-attribute': ['full-rtcp-attribute*'],
  'original-sendrecv': ['original-sendrecv'],
  'pierce-nat': ['pierce-NAT'],
  'nat-wait': ['NAT-wait'],
  'no-redis-update': ['no-redis-update'],
  'generate-mid': ['generate-mid'],
  'to-tag': ['to-tag'],
  fatal: ['fatal'],
  fast: ['fast'],
  debug: ['debug', 'debugging'],
};

/**
 * Without effect: they turn off what is not done here (aliases of tags) or belong to commands and
 * features that do not exist here (recording, players).
 */
const acceptedFlags: readonly string[] = [
  'new-branch',
  'provisional',
  'directional',
  'exclude-recording',
  'skip-recording-db*',
  'no-audio-player',
  'no-player',
  'no-passthrough',
  'no-jitter-buffer',
  'no-tls-id',
];

const laterFlags: readonly string[] = [
  'single-codec',
  'reset',
  'reject-ICE',
  'ICE-reject*',
  'trickle-ICE*',
  'fragment',
  'pad-crypto',
  'recrypt',
  'WebRTC*',
  'reuse-codecs',
  'no-codec-renegotiation',
  'static-codecs',
  'reorder-codecs',
  'symmetric-codecs',
  'asymmetric-codecs',
  'allow-asymmetric-codecs',
  'allow-transcoding',
  'force-transcoding',
  'always-transcode',
  'allow-no-codec-media*',
  'inject-DTMF',
  'detect-DTMF',
  'block-DTMF',
  'generate-RTCP',
  'block-egress',
  'block-short*',
  'audio-player',
  'player',
  'passthrough',
  'siprec',
  'mix',
  'mixed',
  'egress',
  'inactive',
  'bidirectional',
  'mirror-RTCP',
  'RTCP-mirror',
  'strip-extmap*',
  'recording-announcement',
  'recording-VSC',
  'early-media',
  'unsubscribe',
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

/** Prefixes of later tiers whose words are reported as they stand. */
const laterPrefixes: readonly string[] = [
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
  'sdp-attr-add-',
  'sdp-attr-remove-',
  'sdp-attr-substitute-',
];

/** Prefixes that rtpengine takes only in offer, publish and subscribe request (§4.4). */
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

for (const flag of Object.keys(modelFlags).filter(isModelFlag)) {
  for (const name of modelFlags[flag]) register(name, { kind: 'model', flag });
}
for (const name of acceptedFlags) register(name, { kind: 'accepted' });
for (const name of laterFlags) register(name, { kind: 'later' });
register('record-call', { kind: 'key', key: 'record-call', value: 'on' });
register('all', { kind: 'key', key: 'all', value: 'all' });
register('discard-recording', { kind: 'discard-recording' });

function prefixed(word: string, command: string): FlagMeaning | null {
  for (const [prefix, key] of prefixes) {
    if (word.length > prefix.length && word.startsWith(prefix)) {
      if (key === 'T.38' && command !== 'offer') return null;
      return { kind: 'key', key, value: word.slice(prefix.length) };
    }
  }
  const prefix = laterPrefixes.find((candidate) => word.startsWith(candidate));
  if (prefix === undefined || word.length === prefix.length) return null;
  if (offerOnlyPrefixes.includes(prefix) && command !== 'offer') return null;
  return { kind: 'later' };
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
  ...Object.values(modelFlags).flat(),
  ...acceptedFlags,
  ...laterFlags,
  ...['record-call', 'all', 'discard-recording'],
].map((name) => (name.endsWith('*') ? name.slice(0, -1) : name));
