/**
 * The shape of a stored call between its bytes and the call state (redis-layout.md §6): members by
 * name, each of them an object of strings, a list of strings or a list of such objects. Strings are
 * decoded byte strings.
 */
import type { AddressFamily, BlockDtmf, EndpointLearning } from '../media/call-state.js';
import type { Fields } from './fields.js';
import type { Layout } from './flags.js';

/** What is written: the current layout as JSON or bencode, or that of 10.5 or 12.5 as JSON. */
export type StoredFormat = 'JSON' | 'bencode' | 'JSON-10.5' | 'JSON-12.5';

export function layoutOf(format: StoredFormat): Layout {
  if (format === 'JSON-10.5') return '10.5';
  return format === 'JSON-12.5' ? '12.5' : 'current';
}

/** One member of the value. */
export type Member = Fields | readonly string[] | readonly Fields[];
/** The value. */
export type Tree = Record<string, Member>;

/** What bencode can hold; the codec is passed in, it belongs to the NG protocol. */
export type BencodeValue =
  string | number | readonly BencodeValue[] | ReadonlyMap<string, BencodeValue>;

/** The strict codec of src/ng-protocol/bencode.ts. */
export interface BencodeCodec {
  /** @throws anything when the bytes are no bencode value. */
  decode(bytes: Buffer): BencodeValue;
  encode(value: BencodeValue): Buffer;
}

/** What encrypts the secret fields of an entity (sealing.ts). */
export interface Secrets {
  /** Name of the key that encrypts. */
  readonly currentName: string;
  /** `fields` as they are written. */
  sealed(callId: string, member: string, fields: Fields): Fields;
  /** The secret fields, by name, as they were before. @throws RestoreError */
  opened(callId: string, member: string, sealed: string): readonly (readonly [string, string])[];
}

/** How the codecs of the store are set up. */
export interface CodecSettings {
  readonly bencode: BencodeCodec;
  /** Learning of medias whose stored value names none (the option endpoint-learning). */
  readonly endpointLearning: EndpointLearning;
  /** `InterfaceTable.indexOfPosition`: for values of ours that number addresses as we once did. */
  readonly indexOfPosition: IndexOfPosition;
  /** Encrypts what is secret; null: it is written as rtpengine does. */
  readonly secrets: Secrets | null;
}

/** Position of an address among all of its interface -> position in the list of `family`. */
export type IndexOfPosition = (
  logicalInterface: string,
  family: AddressFamily,
  position: number,
) => number;

/** Unset ids of streams and sockets: -1 as an unsigned 32-bit number. */
export const noId = '4294967295';

/** Values of `block_dtmf` by number (redis-layout.md §6.9). */
export const blockDtmfValues: readonly BlockDtmf[] = [
  'off',
  'drop',
  'silence',
  'tone',
  'random',
  'zero',
  'dtmf',
];

/** Values of the additional field `learning`. */
export const learningValues: readonly EndpointLearning[] = [
  'off',
  'immediate',
  'delayed',
  'heuristic',
];

export const families: readonly AddressFamily[] = ['IP4', 'IP6'];

/**
 * Names of the additional fields, for what the layout has no place for; all begin with `rtprelay_`.
 * rtpengine ignores fields it doesn't know (10.5 seen).
 */
export const extraFields = {
  /** streams, medias: flags without a bit in the layout. */
  flags: 'rtprelay_flags',
  /** streams: `Stream.learningGeneration`. */
  latch: 'rtprelay_latch',
  /** sockets, streams, medias: see sealing.ts. */
  sealed: 'rtprelay_sealed',
  /** streams: `Stream.iceRoute`. */
  iceRoute: 'rtprelay_ice_route',
  /** streams: how much of the statistics is in the counters of a kernel flow. */
  kernelPackets: 'rtprelay_kernel_packets',
  kernelBytes: 'rtprelay_kernel_bytes',
  /** medias. */
  learning: 'rtprelay_learning',
  maxPtime: 'rtprelay_maxptime',
  bandwidth: 'rtprelay_bandwidth',
  /** medias: `SdesCrypto.lifetime`; followed by `_` and the prefix of the others. */
  lifetime: 'rtprelay_lifetime',
  /** medias: see `sdesMarks`. */
  sdes: 'rtprelay_sdes',
  /** medias: see srtp-indexes.ts. */
  srtpIndexes: 'rtprelay_srtp_index',
  /**
   * medias: `Media.former`: its a=crypto line, a list as that of `srtpIndexes`, ours where it is another one, or `passed`; or
   * `plain`; or `DTLS`, such a list, which association, and of each stream the line that has its keys, and ours; then lists of
   * these of the associations before it.
   */
  formerKey: 'rtprelay_former_key',
  /** medias: `MediaSecurity.identity`. */
  identity: 'rtprelay_dtls_identity',
  /** medias: `Media.agreed`: names and values of its fields, as those of a media. */
  agreed: 'rtprelay_agreed',
  /** medias: `Media.agreedDirection`. */
  agreedDirection: 'rtprelay_agreed_direction',
  /** medias: credentials, tie-breaker and candidates of `MediaIce`. */
  ice: 'rtprelay_ice',
  /** medias: `Media.bundle`: group, order, position of the carrier or -1, agreed, SSRCs by blanks. */
  bundle: 'rtprelay_bundle',
  /** medias: `id uri` of `Media.extensions`, `id- uri` of what was declined. */
  extensions: 'rtprelay_extensions',
  /** medias, tags: `Media.passedOn`, `Participant.passedOn`. */
  passedOn: 'rtprelay_passed_on',
  /** medias: `Media.offered`. */
  offered: 'rtprelay_offered',
  /** medias: ids of header extensions that it is not sent, by blanks; or `all`. */
  hiddenExtensions: 'rtprelay_hidden_extensions',
  /** medias: positions of those that it is not sent, by blanks. */
  blockedSources: 'rtprelay_blocked_sources',
  /** medias, 10.5 and 12.5: subscriptions that the lists of the layout do not tell exactly. */
  subscriptions: 'rtprelay_subscriptions',
  /** tags. */
  family: 'rtprelay_family',
  aliases: 'rtprelay_aliases',
  answeredFinally: 'rtprelay_final_response',
  turned: 'rtprelay_turned',
  aliasKey: 'rtprelay_alias_key',
  branches: 'rtprelay_branches',
  sdpDigest: 'rtprelay_sdp_digest',
  lastSdpDigest: 'rtprelay_last_sdp_digest',
  lastSdpName: 'rtprelay_last_sdp_session_name',
  silenceMedia: 'rtprelay_silence_media',
  lastSdpTiming: 'rtprelay_last_sdp_session_timing',
  /** call. */
  dropTraffic: 'rtprelay_drop_traffic',
  tos: 'rtprelay_tos',
  noticeAddress: 'rtprelay_notice_address',
  digitsTo: 'rtprelay_digits_to',
  otherIds: 'rtprelay_call_ids',
  /** 1: `local_intf_uid` and `loc-N` are meant as rtpengine means them; see `numbersByFamily`. */
  uidByFamily: 'rtprelay_uid_by_family',
  epoch: 'rtprelay_epoch',
} as const;

/** Value of `extraFields.offered` when the codecs are those of the payload types. */
export const sameAsAgreed = '=';

/** Carried bits without a name are only written back into the layout that they come from. */
export const unknownBitsName = (field: string, layout: Layout): string => `${field}@${layout}`;

/** Fields whose value is a fixed buffer (§6.6, §6.7). */
export const isBlob = (name: string): boolean =>
  name === 'fingerprint' || /-(?:master_key|master_salt|mki)$/.test(name);

/** `.` first, so that an empty string is an item too; then what no encoding of a format touches. */
const packItem = (item: string): string =>
  `.${item.replace(/[^A-Za-z0-9._-]/g, (character) => `=${character.charCodeAt(0).toString(16).padStart(2, '0')}`)}`;

const unpackItem = (item: string): string =>
  item
    .slice(1)
    .replace(/=([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

/** What the text of any list but an empty one begins with. */
export const listStart = '.';

/** A list of strings in one field, separated by spaces. */
export const packList = (items: readonly string[]): string => items.map(packItem).join(' ');

/** The inverse of `packList`. */
export const unpackList = (text: string): readonly string[] =>
  text === '' ? [] : text.split(' ').map(unpackItem);
