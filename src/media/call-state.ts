/**
 * The call as one plain value (design.md §2). Everything else, the media plan, the Redis value, the
 * query reply, follows from it. No behaviour lives here.
 *
 * Strings that came off the wire are byte strings: one character per byte (latin1), so that a call-id
 * in any encoding keeps its bytes on its way to Redis and back.
 *
 * States are never changed in place once published: `draftOf` makes a copy that the offer/answer
 * model may change, everything inside that is `readonly` is shared between the copies.
 */

import type { CryptoLine } from './sdes/crypto-line.js';
import type { SdesState } from './sdes/negotiation.js';
import { canonicalAddress, isZeroAddress } from '../sdp/address.js';
import {
  familyOf,
  formatEndpoint,
  sameEndpoint,
  type AddressFamily,
  type Endpoint,
} from './endpoint.js';
import type {
  HeaderExtension,
  MediaBundle,
  MediaDirection,
  MediaIce,
  MediaSecurity,
  SrtpKeys,
} from './media-attributes.js';

/** For readers of addresses that are to become part of a call. */
export { canonicalAddress, familyOf, formatEndpoint, isZeroAddress, sameEndpoint };
export type { AddressFamily, Endpoint };

/** How the remote endpoint of a stream is learned from arriving packets (options.md, endpoint-learning). */
export type EndpointLearning = 'off' | 'immediate' | 'delayed' | 'heuristic';

/** Bits shared by medias and streams (redis-layout.md §6.10, bits 0-15). */
export type SharedFlag =
  | 'implicit-rtcp'
  | 'asymmetric'
  | 'send'
  | 'recv'
  | 'rtcp-mux'
  | 'setup-active'
  | 'setup-passive'
  | 'ice'
  | 'strict-source'
  | 'media-handover'
  | 'trickle-ice'
  | 'ice-lite-peer'
  | 'unidirectional'
  | 'rtcp-fb'
  | 'legacy-osrtp'
  | 'legacy-osrtp-reverse';

/** Stream flags (redis-layout.md §6.10, ps_flags). */
export type StreamFlag =
  | SharedFlag
  | 'rtp'
  | 'rtcp'
  | 'fallback-rtcp'
  | 'received'
  | 'filled'
  | 'confirmed'
  | 'kernelized'
  | 'no-kernel-support'
  | 'fingerprint-verified'
  | 'zero-address'
  | 'pierce-nat'
  | 'nat-wait';

/**
 * Marks of a media without a type of their own (redis-layout.md §6.10, media_flags); direction, rtcp-mux,
 * security and ICE are fields.
 */
export type MediaFlag =
  | 'implicit-rtcp'
  | 'asymmetric'
  | 'strict-source'
  | 'media-handover'
  | 'unidirectional'
  | 'rtcp-fb'
  | 'legacy-osrtp'
  | 'legacy-osrtp-reverse'
  | 'initialized'
  | 'rtcp-mux-override'
  | 'passthrough'
  | 'loop-check'
  | 'transcode'
  | 'reorder-forced'
  | 'ptime-override'
  | 'generator'
  | 'rtcp-generator'
  | 'echo'
  | 'blackhole'
  | 'audio-player'
  | 'transcoding'
  | 'block-egress'
  | 'fake-sendrecv'
  | 'real-sendonly'
  | 'select-pt'
  | 'recrypt'
  | 'public'
  | 'extmap-short'
  | 'bundle-only'
  /** The section is not in the bodies of this side (sdp-media-remove). */
  | 'left-out'
  /** On the answerer: RTP and RTCP on one port was in the offer that it answers; it is agreed whatever it answers. */
  | 'rtcp-mux-offered'
  | 'rtcp-mux-settled'
  /** Its DTLS handshake was under way when the process that made it ended. */
  | 'dtls-interrupted'
  /** Another association is to come; the keys of the one before are in use until then. */
  | 'dtls-renewed'
  /** Its side asks for key frames by FIR and does not know PLI (RFC 5104 §4.3.1). */
  | 'fir-alone'
  /** ICE has begun anew since it last chose a route. */
  | 'ice-restarted'
  | 'audio-player-implicit';

/** Values of `block_dtmf` (redis-layout.md §6.9). */
export type BlockDtmf = 'off' | 'drop' | 'silence' | 'tone' | 'random' | 'zero' | 'dtmf';

/**
 * Members of the stored value that the model does not interpret (yet), by their name in the Redis
 * layout, as decoded byte strings. They are written back unchanged.
 */
export type Carried = Readonly<Record<string, string>>;

export const nothingCarried: Carried = Object.freeze({});

/** One codec of an m= section (RFC 8866 §6.6, §6.15). */
export interface Codec {
  readonly payloadType: number;
  readonly encoding: string;
  readonly clockRate: number;
  /** Number of channels; 1 unless the rtpmap says otherwise. */
  readonly channels: number;
  /** Parameters of a=fmtp, empty if there were none. */
  readonly fmtp: string;
  readonly bitrate: number;
  /** Packet time in ms, -1 where the codec has none, 0 unknown. */
  readonly ptimeMs: number;
}

/** Digits as events (RFC 4733). */
export const isTelephoneEvent = ({ encoding }: Pick<Codec, 'encoding'>): boolean =>
  encoding.toLowerCase() === 'telephone-event';

/** What is remembered of an SDP body for `replace` and version counting (sdp-rules.md §3). */
export interface SdpMemory {
  readonly username: string;
  readonly sessionId: string;
  readonly version: string;
  readonly networkType: string;
  readonly addressType: string;
  readonly address: string;
  readonly sessionName: string;
  readonly timing: string;
  /** The whole body as last sent to this side, without its o= line; only to see whether it changed. */
  readonly bodyDigest: string;
}

/** A party of the call, keyed by its tag (rtpengine: monologue). */
export interface Participant {
  readonly id: number;
  /** null until an answer (or a to-tag in an offer) names it. */
  tag: string | null;
  viaBranch: string | null;
  label: string | null;
  metadata: string | null;
  createdMicros: number;
  /** Time of the scheduled deletion, 0 when none is scheduled. */
  deletedMicros: number;
  blockMedia: boolean;
  blockDtmf: BlockDtmf;
  silenceMedia: boolean;
  logicalInterface: string | null;
  desiredFamily: AddressFamily | null;
  /** Ids of the participants it is in dialogue with (other_tags / associated_tags). */
  associated: readonly number[];
  /** Ids of its forked branches (10.5 `branches-N`). */
  branches: readonly number[];
  /** Media ids in m= order. */
  medias: readonly number[];
  /** Further tags that mean it: of answers after its first (ng-protocol.md §7), of its offers (`alias-key`). */
  aliases: readonly string[];
  /** A final answer came from it: who answers with another tag is somebody else. */
  answeredFinally: boolean;
  /** The last offer or answer named it otherwise than its place in the call says: the first one as called, another as calling. */
  turned: boolean;
  /** What an unknown tag has to share with it to mean it, see `aliasKeyOf`; null: nothing. */
  aliasKey: string | null;
  /** What this participant sent last. */
  sdpReceived: SdpMemory | null;
  /** What was sent to this participant last. */
  sdpSent: SdpMemory | null;
  /** Lines of the session in its last body that are passed on as they are, each with its line end. */
  passedOn: string;
  /** SSRCs with their SRTP packet indexes as decimal strings, as stored. */
  ssrcTable: readonly Carried[];
  carried: Carried;
}

/** One direction of hearing: the media that owns the list receives what `mediaId` sends. */
export interface Subscription {
  readonly mediaId: number;
  readonly offerAnswer: boolean;
  readonly rtcpOnly: boolean;
  readonly egress: boolean;
  readonly inject: boolean;
}

/** Ids of header extensions (RFC 8285), or all of them. */
export type Extensions = readonly number[] | 'all';

export const noExtensions: Extensions = Object.freeze([]);

/** One m= section of one participant. */
export interface Media {
  readonly id: number;
  participantId: number;
  /** Position in the SDP, from 1. */
  index: number;
  type: string;
  protocol: string;
  /** Format list of the m= line, separated by spaces. */
  formats: string;
  mid: string | null;
  desiredFamily: AddressFamily;
  logicalInterface: string;
  ptimeMs: number;
  maxPtimeMs: number;
  /** b= AS, RR, RS in the units of the SDP line; -1 when absent. */
  bandwidth: { readonly as: number; readonly rr: number; readonly rs: number };
  flags: ReadonlySet<MediaFlag>;
  direction: MediaDirection;
  /** What was answered last, while a later offer that says otherwise is not (see `directionInUse`); null: `direction`. */
  agreedDirection: MediaDirection | null;
  rtcpMux: boolean;
  security: MediaSecurity;
  ice: MediaIce;
  bundle: MediaBundle;
  /** Header extensions that its side was told of or has told of; only where there are bundles. */
  extensions: readonly HeaderExtension[];
  /** What was agreed on: those of the last answer, of the offer until there is one. */
  codecs: readonly Codec[];
  /**
   * Codecs of the last offer to which this section belonged, from this side or to it: what each of its
   * answers is compared with. Empty for protocols other than RTP; null: not part of the last offer, or
   * not known (a call that rtpengine stored).
   */
  offered: readonly Codec[] | null;
  /** What is taken out of packets on their way to this side; the ids are those of who sends them. */
  hiddenExtensions: Extensions;
  /** Medias of others whose RTP is not passed on to this side: flows that were blocked one by one. */
  blockedSources: readonly number[];
  streams: readonly number[];
  endpointMaps: readonly number[];
  subscriptions: readonly Subscription[];
  /** Lines of the section in the last body of its side that are passed on as they are (`Participant.passedOn`). */
  passedOn: string;
  endpointLearning: EndpointLearning;
  ssrcTable: readonly Carried[];
  /** Keys of SDES; null: its RTP is plain, or secured by others than us. */
  sdes: SdesState | null;
  /**
   * How its side secured its media before its last answer, or that of the other side. Good until something comes as is
   * agreed on now: a provisional answer may be followed by a refusal, and then it goes on so. null: as now.
   */
  former: FormerSecurity | null;
  /** How far the sources of its SRTP have come. */
  srtpIndexes: readonly StoredSrtpIndexes[];
  /** What was known of them when this process took the call over; null: its SRTP began here. */
  srtpResume: SrtpResume;
  /** How its packets are treated until an offer is answered that would change it; null: as it says (see `agreed.ts`). */
  agreed: AgreedSecurity | null;
  carried: Carried;
}

export type FormerSecurity = FormerPlain | FormerKey | FormerAssociation;

export interface FormerPlain {
  readonly kind: 'plain';
}

/** What a side has encrypted with, and what we have. */
export interface FormerKey {
  readonly kind: 'SDES';
  readonly line: CryptoLine;
  /** Ours, with which the side goes on, too; null: it is the present one. */
  readonly send: CryptoLine | null;
  /** It passed through, and `send` is null. */
  readonly passed: boolean;
  /** How far their sources had come. */
  readonly indexes: readonly StoredSrtpIndexes[];
  readonly resume: SrtpResume;
}

export interface FormerAssociation extends Association {
  readonly kind: 'DTLS';
  /** Of others that answered the same offer before: what came by them comes no more, unless one is called. */
  readonly earlier: readonly Association[];
}

/** Who has shaken hands with us how, and what that gave. */
export interface Association {
  /** See `associationName`. */
  readonly name: string;
  /** Of each stream; null: RTCP that went with RTP, or without a handshake of its own. */
  readonly keys: readonly (AssociationKeys | null)[];
  readonly indexes: readonly StoredSrtpIndexes[];
  readonly resume: SrtpResume;
}

export interface AssociationKeys {
  readonly receive: SrtpKeys;
  readonly send: SrtpKeys;
}

/** Of a media, how it shares a transport. */
export type Sharing = Readonly<Pick<Media, 'bundle' | 'extensions' | 'mid'>>;

/** Of a media, what an offer that is refused must not change. */
export interface AgreedSecurity extends Sharing {
  readonly protocol: string;
  readonly security: MediaSecurity;
  readonly sdes: SdesState | null;
  readonly ice: MediaIce;
  readonly rtcpMux: boolean;
  /** Its flags of these names. */
  readonly passthrough: boolean;
  readonly iceRestarted: boolean;
}

/** By direction; null: the keys are new since, or nothing was taken over. */
export interface SrtpResume {
  readonly receive: readonly StoredSrtpIndexes[] | null;
  readonly send: readonly StoredSrtpIndexes[] | null;
}

export const nothingToResume: SrtpResume = Object.freeze({ receive: null, send: null });

/** How far a source has come in one direction of a media's SRTP (RFC 3711 §3.3.1). */
export interface StoredSrtpIndexes {
  readonly direction: 'receive' | 'send';
  readonly ssrc: number;
  readonly rtp: number | null;
  readonly rtcp: number | null;
  /** Of the sending direction: what is added to the source's sequence numbers, which it has started anew. */
  readonly offset: number;
}

export interface StreamStats {
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
  /** Of them: in the counters of the kernel flow that the stream had then. */
  readonly kernelPackets: number;
  readonly kernelBytes: number;
}

/** Nothing was received. */
export const noStats: StreamStats = {
  packets: 0,
  bytes: 0,
  errors: 0,
  kernelPackets: 0,
  kernelBytes: 0,
};

/** Where ICE has come to on one component. */
export interface IceRoute {
  /** Address and port of ours that media goes out from, as the peer knows them. */
  readonly local: Endpoint;
  /** Of the peer's candidate at `Stream.endpoint`. */
  readonly priority: number;
  /** How often the call moved to another address of ours: what is asked from there has to count more. */
  readonly takeovers: number;
}

/** An RTP or RTCP flow of a media: one remote endpoint and the local sockets facing it. */
export interface Stream {
  readonly id: number;
  readonly mediaId: number;
  /** 1 RTP, 2 RTCP (RFC 8445 component ids). */
  component: 1 | 2;
  /** Sockets on which this stream receives. */
  sockets: readonly number[];
  /** Socket from which packets to the remote endpoint are sent. */
  selectedSocket: number | null;
  /** On RTP streams the RTCP partner. */
  rtcpSibling: number | null;
  /** Where packets go: learned from packets or, until then, signalled. */
  endpoint: Endpoint | null;
  /** What the SDP said. */
  advertisedEndpoint: Endpoint | null;
  flags: ReadonlySet<StreamFlag>;
  /** Raised each time learning has to start again (offer, answer); see `RemotePlan.generation`. */
  learningGeneration: number;
  lastPacketMicros: number;
  stats: StreamStats;
  /** What is sent from here is protected with; null: with nothing, or not agreed on yet. */
  srtp: SrtpKeys | null;
  /** null: no pair has been chosen, or it does without ICE. */
  iceRoute: IceRoute | null;
  carried: Carried;
}

/** A local UDP port of the call. */
export interface LocalSocket {
  readonly id: number;
  streamId: number;
  readonly port: number;
  readonly logicalInterface: string;
  /** Position of the local address in the list of `family` (`InterfaceAddress`, `local_intf_uid`). */
  readonly addressIndex: number;
  /** Preferred family: the one that was wanted; the address itself may be of the other. */
  readonly family: AddressFamily;
  /** false once the socket has been given up (stored as fd -1). */
  open: boolean;
  /** What arrives here is protected with. */
  srtp: SrtpKeys | null;
  carried: Carried;
}

/** Remembers which local ports faced the other side for a remote address (sdp-rules.md §9). */
export interface EndpointMap {
  readonly id: number;
  mediaId: number;
  wildcard: boolean;
  numPorts: number;
  family: AddressFamily;
  logicalInterface: string;
  /** Remote endpoint this map belongs to; null for a wildcard. */
  endpoint: Endpoint | null;
  /** Local address index (in the list of `family`) with the sockets on it, in component order. */
  sockets: readonly { readonly addressIndex: number; readonly sockets: readonly number[] }[];
  carried: Carried;
}

export interface CallState {
  readonly callId: string;
  /** Call-ids of the calls that were merged into it: they name it, too. */
  otherIds: readonly string[];
  createdMicros: number;
  lastSignalMicros: number;
  /** Time of the scheduled deletion of the whole call, 0 when none is scheduled. */
  deletedMicros: number;
  /** Earliest scheduled deletion of one participant, 0 when none is scheduled. */
  participantDeletedMicros: number;
  /** TOS byte of media packets, 0-255; -1 leaves the system default. */
  tos: number;
  /** Control client that created the call, `ip:port`. */
  createdFrom: string;
  createdFromAddress: string;
  /** Where to tell of its timeout in place of `createdFromAddress` (`xmlrpc-callback`); empty: there. */
  noticeAddress: string;
  /** Who is told of its digits besides those of the configuration, `ip:port`; empty: nobody. */
  digitsTo: string;
  /** Number of the Redis database the call lives in. */
  redisHostedDb: number;
  /** Raised by each takeover; whoever has the highest owns the call (redis-store/fence.ts). */
  ownershipEpoch: number;
  metadata: string;
  blockMedia: boolean;
  blockDtmf: BlockDtmf;
  silenceMedia: boolean;
  dropTraffic: boolean;
  /** own: this node answers for it. foreign: followed from another node's database. */
  ownership: 'own' | 'foreign';
  participants: readonly Participant[];
  medias: readonly Media[];
  streams: readonly Stream[];
  sockets: readonly LocalSocket[];
  endpointMaps: readonly EndpointMap[];
  /** The next unused id of each kind. */
  nextIds: {
    participant: number;
    media: number;
    stream: number;
    socket: number;
    endpointMap: number;
  };
  /** Uninterpreted members of the `json` object. */
  carried: Carried;
}

/** A copy of a call: entities may be added, and changed without changing another state. */
export interface DraftState extends CallState {
  participants: Participant[];
  medias: Media[];
  streams: Stream[];
  sockets: LocalSocket[];
  endpointMaps: EndpointMap[];
}

// Written out, not spread: every entity keeps one hidden class, which the engine needs to be fast.

export const copyOfParticipant = (from: Participant): Participant => ({
  id: from.id,
  tag: from.tag,
  viaBranch: from.viaBranch,
  label: from.label,
  metadata: from.metadata,
  createdMicros: from.createdMicros,
  deletedMicros: from.deletedMicros,
  blockMedia: from.blockMedia,
  blockDtmf: from.blockDtmf,
  silenceMedia: from.silenceMedia,
  logicalInterface: from.logicalInterface,
  desiredFamily: from.desiredFamily,
  associated: from.associated,
  branches: from.branches,
  medias: from.medias,
  aliases: from.aliases,
  answeredFinally: from.answeredFinally,
  turned: from.turned,
  aliasKey: from.aliasKey,
  sdpReceived: from.sdpReceived,
  sdpSent: from.sdpSent,
  passedOn: from.passedOn,
  ssrcTable: from.ssrcTable,
  carried: from.carried,
});

export const copyOfMedia = (from: Media): Media => ({
  id: from.id,
  participantId: from.participantId,
  index: from.index,
  type: from.type,
  protocol: from.protocol,
  formats: from.formats,
  mid: from.mid,
  desiredFamily: from.desiredFamily,
  logicalInterface: from.logicalInterface,
  ptimeMs: from.ptimeMs,
  maxPtimeMs: from.maxPtimeMs,
  bandwidth: from.bandwidth,
  flags: from.flags,
  direction: from.direction,
  agreedDirection: from.agreedDirection,
  rtcpMux: from.rtcpMux,
  security: from.security,
  ice: from.ice,
  bundle: from.bundle,
  extensions: from.extensions,
  codecs: from.codecs,
  offered: from.offered,
  hiddenExtensions: from.hiddenExtensions,
  blockedSources: from.blockedSources,
  streams: from.streams,
  endpointMaps: from.endpointMaps,
  subscriptions: from.subscriptions,
  passedOn: from.passedOn,
  endpointLearning: from.endpointLearning,
  ssrcTable: from.ssrcTable,
  sdes: from.sdes,
  former: from.former,
  srtpIndexes: from.srtpIndexes,
  srtpResume: from.srtpResume,
  agreed: from.agreed,
  carried: from.carried,
});

export const copyOfStream = (from: Stream): Stream => ({
  id: from.id,
  mediaId: from.mediaId,
  component: from.component,
  sockets: from.sockets,
  selectedSocket: from.selectedSocket,
  rtcpSibling: from.rtcpSibling,
  endpoint: from.endpoint,
  advertisedEndpoint: from.advertisedEndpoint,
  flags: from.flags,
  learningGeneration: from.learningGeneration,
  lastPacketMicros: from.lastPacketMicros,
  stats: from.stats,
  srtp: from.srtp,
  iceRoute: from.iceRoute,
  carried: from.carried,
});

export const copyOfSocket = (from: LocalSocket): LocalSocket => ({
  id: from.id,
  streamId: from.streamId,
  port: from.port,
  logicalInterface: from.logicalInterface,
  addressIndex: from.addressIndex,
  family: from.family,
  open: from.open,
  srtp: from.srtp,
  carried: from.carried,
});

export const copyOfEndpointMap = (from: EndpointMap): EndpointMap => ({
  id: from.id,
  mediaId: from.mediaId,
  wildcard: from.wildcard,
  numPorts: from.numPorts,
  family: from.family,
  logicalInterface: from.logicalInterface,
  endpoint: from.endpoint,
  sockets: from.sockets,
  carried: from.carried,
});

/** A copy with members of its own, which shares the entities with `state`. */
export function shallowCopyOf(state: CallState): CallState {
  return {
    callId: state.callId,
    otherIds: state.otherIds,
    createdMicros: state.createdMicros,
    lastSignalMicros: state.lastSignalMicros,
    deletedMicros: state.deletedMicros,
    participantDeletedMicros: state.participantDeletedMicros,
    tos: state.tos,
    createdFrom: state.createdFrom,
    createdFromAddress: state.createdFromAddress,
    noticeAddress: state.noticeAddress,
    digitsTo: state.digitsTo,
    redisHostedDb: state.redisHostedDb,
    ownershipEpoch: state.ownershipEpoch,
    metadata: state.metadata,
    blockMedia: state.blockMedia,
    blockDtmf: state.blockDtmf,
    silenceMedia: state.silenceMedia,
    dropTraffic: state.dropTraffic,
    ownership: state.ownership,
    participants: state.participants,
    medias: state.medias,
    streams: state.streams,
    sockets: state.sockets,
    endpointMaps: state.endpointMaps,
    nextIds: state.nextIds,
    carried: state.carried,
  };
}

/** A copy whose entities may be changed without changing `state`. */
export function draftOf(state: CallState): DraftState {
  const { participant, media, stream, socket, endpointMap } = state.nextIds;
  const draft = shallowCopyOf(state);
  draft.participants = state.participants.map(copyOfParticipant);
  draft.medias = state.medias.map(copyOfMedia);
  draft.streams = state.streams.map(copyOfStream);
  draft.sockets = state.sockets.map(copyOfSocket);
  draft.endpointMaps = state.endpointMaps.map(copyOfEndpointMap);
  draft.nextIds = { participant, media, stream, socket, endpointMap };
  return draft as DraftState;
}

interface FlagSteps {
  readonly set: Map<string, ReadonlySet<string>>;
  readonly cleared: Map<string, ReadonlySet<string>>;
}

/** One set for each combination of flags; there are few, and calls share them. Which there are comes off the wire, so of more all are forgotten. */
const maxKnownSets = 4096;
const knownSets = new Map<string, ReadonlySet<string>>();
/** Sets lead to one another. */
let knownSteps = new WeakMap<ReadonlySet<string>, FlagSteps>();

function stepsFrom(flags: ReadonlySet<string>): FlagSteps {
  let steps = knownSteps.get(flags);
  if (steps === undefined) {
    steps = { set: new Map(), cleared: new Map() };
    knownSteps.set(flags, steps);
  }
  return steps;
}

function changedSet<F extends string>(flags: ReadonlySet<F>, flag: F, on: boolean): ReadonlySet<F> {
  const changed = new Set(flags);
  if (on) changed.add(flag);
  else changed.delete(flag);
  const key = [...changed].sort().join(' ');
  const known = knownSets.get(key);
  // The key names the same flags, hence the same type.
  if (known !== undefined) return known as ReadonlySet<F>;
  if (knownSets.size >= maxKnownSets) {
    knownSets.clear();
    knownSteps = new WeakMap();
  }
  knownSets.set(key, changed);
  return changed;
}

/** `flags` with `flag` set or cleared; the same set when nothing changes. Results are shared. */
export function withFlag<F extends string>(
  flags: ReadonlySet<F>,
  flag: F,
  on: boolean,
): ReadonlySet<F> {
  if (flags.has(flag) === on) return flags;
  const steps = stepsFrom(flags);
  const step = on ? steps.set : steps.cleared;
  const known = step.get(flag);
  if (known !== undefined) return known as ReadonlySet<F>;
  const changed = changedSet(flags, flag, on);
  step.set(flag, changed);
  return changed;
}
