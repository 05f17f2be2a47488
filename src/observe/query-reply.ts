/** The `query` dictionary of a call (ng-protocol.md §6), in the order in which 10.5 writes it. */
import { CallIndex, type Relations } from '../media/call-index.js';
import {
  isTelephoneEvent,
  isZeroAddress,
  type CallState,
  type Endpoint,
  type LocalSocket,
  type Media,
  type MediaFlag,
  type Participant,
  type Stream,
  type StreamFlag,
} from '../media/call-state.js';
import {
  noIce,
  noIceControlling,
  plainMedia,
  receivesFrom,
  sendsTo,
} from '../media/media-attributes.js';
import type { CallStatistics, MosEntry, SsrcStatistics, StreamStatistics } from '../media/relay.js';
import { latestPayloadType, sourcesIn, type Source, type SourcesOf } from './sources.js';
import { Members, type NgDictionary, type NgValue } from '../ng-protocol/dictionary.js';

export interface QueryOptions {
  /** Only this participant (and those in dialogue with it); null: all. */
  readonly tag: string | null;
  readonly localAddressOf: (socket: LocalSocket) => string;
  /** When the stored value was last written, by the clock of the state; 0: never. */
  readonly storedMicros: number;
  /** Where what is known of each source is shown (option ssrc-reporting). */
  readonly ssrcReporting: 'full' | 'inline' | 'global' | 'none';
}

/** What all parts of one reply are made of. */
interface Shown {
  readonly state: CallState;
  readonly byStream: ReadonlyMap<number, StreamStatistics>;
  readonly sourcesOf: SourcesOf;
  /** By SSRC. */
  readonly quality: ReadonlyMap<number, SsrcStatistics>;
  readonly options: QueryOptions;
}

const seconds = (micros: number): number => Math.floor(micros / 1e6);

const streamFlagTexts: readonly (readonly [StreamFlag, string])[] = [
  ['rtp', 'RTP'],
  ['rtcp', 'RTCP'],
  ['fallback-rtcp', 'fallback RTCP'],
  ['filled', 'filled'],
  ['confirmed', 'confirmed'],
  ['kernelized', 'kernelized'],
  ['no-kernel-support', 'no kernel support'],
  ['fingerprint-verified', 'DTLS fingerprint verified'],
  ['strict-source', 'strict source address'],
  ['media-handover', 'media handover'],
  ['ice', 'ICE'],
];

const flagged =
  (flag: MediaFlag) =>
  ({ flags }: Media): boolean =>
    flags.has(flag);

const mediaFlagTexts: readonly (readonly [(media: Media) => boolean, string])[] = [
  [flagged('initialized'), 'initialized'],
  [flagged('asymmetric'), 'asymmetric'],
  [({ direction }) => sendsTo(direction), 'send'],
  [({ direction }) => receivesFrom(direction), 'recv'],
  [({ rtcpMux }) => rtcpMux, 'rtcp-mux'],
  [({ security }) => security.mode.endsWith('DTLS'), 'DTLS-SRTP'],
  [({ security: { setup } }) => setup === 'active' || setup === 'actpass', 'DTLS role active'],
  [({ security: { setup } }) => setup === 'passive' || setup === 'actpass', 'DTLS role passive'],
  [({ security }) => security.mode.startsWith('SDES'), 'SDES'],
  [flagged('dtls-interrupted'), 'DTLS handshake interrupted'],
  [flagged('passthrough'), 'passthrough'],
  [({ ice }) => ice.enabled, 'ICE'],
  [({ ice }) => ice.trickle, 'trickle ICE'],
  [({ ice }) => ice.controlling, 'ICE controlling'],
  [({ ice }) => ice.peerIsLite, 'ICE-lite peer'],
  [({ ice }) => ice.lite, 'ICE-lite self'],
  [flagged('unidirectional'), 'unidirectional'],
  [flagged('loop-check'), 'loop check'],
  [flagged('generator'), 'generator/sink'],
  [flagged('ptime-override'), 'ptime override'],
  [flagged('rtcp-fb'), 'RTCP feedback'],
  [flagged('rtcp-generator'), 'RTCP generator'],
  [flagged('echo'), 'echo'],
  [flagged('blackhole'), 'blackhole'],
  [flagged('reorder-forced'), 'SDES reordered'],
  [flagged('audio-player'), 'audio player'],
  [flagged('legacy-osrtp'), 'legacy OSRTP'],
  [flagged('legacy-osrtp-reverse'), 'reverse legacy OSRTP'],
  [flagged('transcoding'), 'transcoding'],
  [flagged('block-egress'), 'block egress'],
];

interface FlagTexts extends Pick<Media, 'direction' | 'rtcpMux' | 'security' | 'ice'> {
  readonly texts: readonly string[];
}

/** By the flags of a media, which calls share; the rest that the texts depend on is compared. */
const knownMediaTexts = new WeakMap<Media['flags'], FlagTexts[]>();
/** Combinations that are remembered for each. */
const maxKnownTexts = 8;

const sameForTexts = (a: FlagTexts, b: Media): boolean =>
  a.direction === b.direction &&
  a.rtcpMux === b.rtcpMux &&
  a.security === b.security &&
  a.ice === b.ice;

function mediaTexts(media: Media): readonly string[] {
  let known = knownMediaTexts.get(media.flags);
  if (known === undefined) {
    known = [];
    knownMediaTexts.set(media.flags, known);
  }
  for (const each of known) if (sameForTexts(each, media)) return each.texts;
  const texts: string[] = [];
  for (const [applies, text] of mediaFlagTexts) if (applies(media)) texts.push(text);
  // Security and ICE of their own: no other call has them.
  const { direction, rtcpMux, security, ice } = media;
  const isShared = security === plainMedia && (ice === noIce || ice === noIceControlling);
  if (isShared && known.length < maxKnownTexts)
    known.push({ direction, rtcpMux, security, ice, texts });
  return texts;
}

/** By the flags of a stream, then by whether it is confirmed and kernelized. */
const knownStreamTexts = new WeakMap<Stream['flags'], (readonly string[])[]>();

function streamTexts(
  flags: Stream['flags'],
  confirmed: boolean,
  kernelized: boolean,
): readonly string[] {
  let known = knownStreamTexts.get(flags);
  if (known === undefined) {
    known = [];
    knownStreamTexts.set(flags, known);
  }
  const key = (confirmed ? 1 : 0) + (kernelized ? 2 : 0);
  const before = known[key];
  if (before !== undefined) return before;
  const texts: string[] = [];
  for (const [flag, text] of streamFlagTexts) {
    const isSet =
      flag === 'confirmed' ? confirmed : flag === 'kernelized' ? kernelized : flags.has(flag);
    if (isSet) texts.push(text);
  }
  known[key] = texts;
  return texts;
}

/** Protocols that 10.5 names; others have no `protocol`. */
const namedProtocols: ReadonlySet<string> = new Set([
  'RTP/AVP',
  'RTP/SAVP',
  'RTP/AVPF',
  'RTP/SAVPF',
  'UDP/TLS/RTP/SAVP',
  'UDP/TLS/RTP/SAVPF',
  'udptl',
  'UDPTL',
]);

/** The whole reply but for `result`. */
export function callDictionary(
  state: CallState,
  statistics: CallStatistics,
  options: QueryOptions,
): Members {
  const byStream = new Map<number, StreamStatistics>();
  for (const entry of statistics.streams) byStream.set(entry.streamId, entry);
  const shown: Shown = {
    state,
    byStream,
    sourcesOf: sourcesIn(state, byStream),
    quality: new Map(statistics.ssrcs.map((entry) => [entry.ssrc, entry])),
    options,
  };
  const relations = new CallIndex(state).relations();
  const chosen = chosenParticipants(state, options.tag, relations);
  const tags = new Map<string, NgValue>();
  for (const participant of state.participants) {
    if (chosen !== null && !chosen.has(participant.id)) continue;
    const { tag, id } = participant;
    const key = tag === null || tag === '' ? `<untagged ${id}>` : tag;
    const related = relations.get(id) ?? { sources: nobody, subscribers: nobody };
    tags.set(key, participantDictionary(shown, participant, related));
  }
  const ssrcs = new Map<string, NgValue>();
  for (const entry of statistics.ssrcs) {
    // 10.5 lists a reporter from its first report with a MOS on.
    if (entry.average !== null) ssrcs.set(String(entry.ssrc), ssrcDictionary(entry));
  }
  const dictionary = new Members()
    .add('created', seconds(state.createdMicros))
    .add('created_us', state.createdMicros % 1e6)
    .add('created_ts', state.createdMicros / 1e6)
    .add('last signal', seconds(state.lastSignalMicros))
    .add('last redis update', seconds(options.storedMicros));
  if (state.metadata !== '') dictionary.add('metadata', state.metadata);
  if (reportsIn(options, 'global')) dictionary.add('SSRC', ssrcs);
  return dictionary.add('tags', tags).add('totals', totals(state, byStream, chosen));
}

const reportsIn = ({ ssrcReporting }: QueryOptions, place: 'inline' | 'global'): boolean =>
  ssrcReporting === 'full' || ssrcReporting === place;

/** Ids of the participant named and of those it is subscribed to; null: all. */
function chosenParticipants(
  state: CallState,
  tag: string | null,
  relations: ReadonlyMap<number, Relations>,
): ReadonlySet<number> | null {
  if (tag === null) return null;
  const chosen = new Set<number>();
  for (const participant of state.participants) {
    if (participant.tag !== tag) continue;
    chosen.add(participant.id);
    const sources = relations.get(participant.id)?.sources ?? nobody;
    for (const { id } of sources.keys()) chosen.add(id);
  }
  return chosen;
}

const nobody: Relations['sources'] = new Map();

/** Sources in the order of the medias, subscribers in that of the call's participants. */
const relationList = (
  related: Relations['sources'],
  order: Iterable<Participant> = related.keys(),
): readonly NgDictionary[] => {
  const list: NgDictionary[] = [];
  for (const participant of order) {
    const subscription = related.get(participant);
    if (subscription === undefined) continue;
    list.push(
      new Members()
        .add('tag', participant.tag ?? '')
        .add('type', subscription.offerAnswer ? 'offer/answer' : 'pub/sub'),
    );
  }
  return list;
};

const nothing: readonly NgValue[] = [];

function participantDictionary(
  shown: Shown,
  participant: Participant,
  { sources, subscribers }: Relations,
): NgDictionary {
  const { state } = shown;
  const dictionary = new Members().add('tag', participant.tag ?? '');
  if (participant.viaBranch !== null) dictionary.add('via-branch', participant.viaBranch);
  if (participant.label !== null) dictionary.add('label', participant.label);
  if (participant.metadata !== null) dictionary.add('metadata', participant.metadata);
  const medias: NgDictionary[] = [];
  for (const media of state.medias) {
    if (media.participantId !== participant.id) continue;
    medias.push(mediaDictionary(shown, media));
  }
  return (
    dictionary
      .add('created', seconds(participant.createdMicros))
      .add('tag-aliases', participant.aliases)
      .add('subscriptions', relationList(sources))
      .add('subscribers', relationList(subscribers, state.participants))
      .add('medias', medias)
      // Codes dialled to record: nothing is recorded.
      .add('VSC', nothing)
  );
}

/**
 * That of the last packet, as in 10.5 and 12.5; where that is not known, or nobody has announced it, the first codec that
 * carries media, if a packet has come that was announced.
 */
function codecText(
  media: Media,
  stream: Stream,
  counters: StreamStatistics | undefined,
): string | null {
  const payloadType = latestPayloadType(counters);
  const offered = media.offered?.filter((each) => !isTelephoneEvent(each)) ?? [];
  const named = [...media.codecs, ...offered].filter(({ encoding }) => encoding !== '');
  const codec =
    named.find((each) => each.payloadType === payloadType) ??
    (isAnnounced(stream, counters) ? named.find(({ ptimeMs }) => ptimeMs >= 0) : undefined);
  if (codec === undefined) return null;
  const channels = codec.channels > 1 ? `/${codec.channels}` : '';
  return `${codec.encoding}/${codec.clockRate}${channels}`;
}

/** 10.5 names the codec from the first RTP packet on, but not for RTCP alone. */
const isHeard = (stream: Stream, counters: StreamStatistics | undefined): boolean =>
  stream.component === 1 && (counters?.packets ?? stream.stats.packets) > 0;

/** Packets of types that nobody has announced count as errors: others have come, too. */
const isAnnounced = ({ stats }: Stream, counters: StreamStatistics | undefined): boolean =>
  (counters ?? stats).packets > (counters ?? stats).errors;

/** `PCMA/8000`: the codec of a media that has been heard; null before. */
export function heardCodec(
  state: CallState,
  media: Media,
  statistics: CallStatistics,
): string | null {
  for (const stream of state.streams) {
    if (stream.mediaId !== media.id) continue;
    const counters = statistics.streams.find(({ streamId }) => streamId === stream.id);
    if (isHeard(stream, counters)) return codecText(media, stream, counters);
  }
  return null;
}

function sourceDictionary(shown: Shown, source: Source): NgDictionary {
  const dictionary = new Map<string, NgValue>([['SSRC', source.ssrc]]);
  if (source.bytes !== null) dictionary.set('bytes', source.bytes);
  if (source.packets !== null) dictionary.set('packets', source.packets);
  if (source.lastTimestamp !== null) dictionary.set('last RTP timestamp', source.lastTimestamp);
  if (source.lastSequence !== null) dictionary.set('last RTP seq', source.lastSequence);
  for (const name of ['lost', 'duplicates', 'reordered', 'jitter'] as const) {
    const counted = source[name];
    if (counted !== null) dictionary.set(name, counted);
  }
  const quality = shown.quality.get(source.ssrc);
  if (quality !== undefined) {
    for (const [name, value] of ssrcDictionary(quality)) dictionary.set(name, value);
  }
  return dictionary;
}

function mediaDictionary(shown: Shown, media: Media): NgDictionary {
  const { state, byStream, options } = shown;
  const streams: NgDictionary[] = [];
  let codec: string | null = null;
  for (const stream of state.streams) {
    if (stream.mediaId !== media.id) continue;
    const counters = byStream.get(stream.id);
    if (isHeard(stream, counters)) codec ??= codecText(media, stream, counters);
    streams.push(streamDictionary(shown, media, stream, counters));
  }
  const dictionary = new Members().add('index', media.index).add('type', media.type);
  if (namedProtocols.has(media.protocol)) dictionary.add('protocol', media.protocol);
  if (codec !== null) dictionary.add('codec', codec);
  if (reportsIn(options, 'inline')) {
    for (const direction of ['ingress', 'egress'] as const) {
      const sources = shown.sourcesOf(media, direction);
      dictionary.add(
        direction === 'ingress' ? 'ingress SSRCs' : 'egress SSRCs',
        sources.length === 0 ? nothing : sources.map((source) => sourceDictionary(shown, source)),
      );
    }
  }
  return dictionary.add('streams', streams).add('flags', mediaTexts(media));
}

const familyText = (address: string): string => (address.includes(':') ? 'IPv6' : 'IPv4');

const noEndpoint: NgDictionary = new Members();

function endpointDictionary(endpoint: Endpoint | null): NgDictionary {
  if (endpoint === null) return noEndpoint;
  return new Members()
    .add('family', familyText(endpoint.address))
    .add('address', endpoint.address)
    .add('port', endpoint.port);
}

/** The socket a stream is at home on; RTCP that shares the RTP port has none, yet an address. */
function homeOf(
  state: CallState,
  stream: Stream,
): { readonly socket: LocalSocket; readonly port: number } | null {
  const open = (id: number | null): LocalSocket | null =>
    id === null ? null : (state.sockets.find((socket) => socket.id === id && socket.open) ?? null);
  const own = open(stream.selectedSocket);
  if (own !== null) return { socket: own, port: own.port };
  if (stream.component === 1) return null;
  const rtp = state.streams.find(({ rtcpSibling }) => rtcpSibling === stream.id);
  const shared = rtp === undefined ? null : open(rtp.selectedSocket);
  return shared === null ? null : { socket: shared, port: 0 };
}

const isRefused = ({ streams }: CallState, { streams: [first] }: Media): boolean =>
  streams.find(({ id }) => id === first)?.advertisedEndpoint?.port === 0;

/** An offer of a zero address is not answered: media go on, and the place is shown all the same (10.5 and 12.5 seen). */
const isToHold = ({ agreedDirection, ice }: Media, { advertisedEndpoint }: Stream): boolean =>
  agreedDirection !== null &&
  !ice.enabled &&
  advertisedEndpoint !== null &&
  isZeroAddress(advertisedEndpoint.address);

/** Of a refused section: a stream without a place, and without a name where it never had ports (12.5 seen). */
function flagsOfRefused({ endpointMaps }: Media, { flags }: Stream): Stream['flags'] {
  const shown = new Set(flags);
  shown.delete('filled');
  if (endpointMaps.length === 0)
    for (const flag of ['rtp', 'rtcp', 'fallback-rtcp'] as const) shown.delete(flag);
  return shown;
}

function streamDictionary(
  { state, options }: Shown,
  media: Media,
  stream: Stream,
  counters: StreamStatistics | undefined,
): NgDictionary {
  const dictionary = new Members();
  const home = homeOf(state, stream);
  if (home !== null) {
    const address = options.localAddressOf(home.socket);
    dictionary
      .add('local port', home.port)
      .add('local address', address)
      .add('family', familyText(address));
  }
  const confirmed = counters?.confirmed === true && counters.received;
  const kernelized = counters !== undefined && counters.kernelPackets > 0;
  const last = Math.max(counters?.lastPacketMicros ?? 0, stream.lastPacketMicros);
  // Its side wrote port 0.
  const refused = home === null && isRefused(state, media);
  const advertised = refused ? null : stream.advertisedEndpoint;
  const endpoint =
    refused || isToHold(media, stream) ? advertised : (counters?.endpoint ?? stream.endpoint);
  dictionary
    .add('endpoint', endpointDictionary(endpoint))
    .add('advertised endpoint', endpointDictionary(advertised));
  const { sdes } = media;
  const suite = sdes?.receive?.suite ?? sdes?.send?.suite ?? stream.srtp?.suite;
  if (suite !== undefined) dictionary.add('crypto suite', suite);
  const user = Math.max(counters?.lastUserPacketMicros ?? 0, stream.lastPacketMicros);
  dictionary
    .add('last packet', seconds(last))
    .add('last kernel packet', seconds(counters?.lastKernelPacketMicros ?? 0))
    .add('last user packet', seconds(counters?.lastUserPacketMicros === undefined ? last : user))
    .add(
      'flags',
      streamTexts(refused ? flagsOfRefused(media, stream) : stream.flags, confirmed, kernelized),
    );
  if (counters !== undefined && counters.ssrc !== null) dictionary.add('SSRC', counters.ssrc);
  const { packets, bytes, errors } = counters ?? stream.stats;
  return dictionary
    .add('stats', countsDictionary(packets, bytes, errors))
    .add('stats_out', countsDictionary(counters?.packetsOut ?? 0, counters?.bytesOut ?? 0, 0));
}

const newCounts = (packets: number, bytes: number, errors: number): NgDictionary =>
  new Members().add('packets', packets).add('bytes', bytes).add('errors', errors);

const nothingCounted = newCounts(0, 0, 0);

const countsDictionary = (packets: number, bytes: number, errors: number): NgDictionary =>
  packets === 0 && bytes === 0 && errors === 0 ? nothingCounted : newCounts(packets, bytes, errors);

/** Of those who are shown (10.5 and 12.5 seen). */
function totals(
  state: CallState,
  byStream: ReadonlyMap<number, StreamStatistics>,
  chosen: ReadonlySet<number> | null,
): NgDictionary {
  const rtp = { packets: 0, bytes: 0, errors: 0 };
  const rtcp = { packets: 0, bytes: 0, errors: 0 };
  const left = new Set<number>();
  if (chosen !== null)
    for (const { id, participantId } of state.medias) if (!chosen.has(participantId)) left.add(id);
  for (const stream of state.streams) {
    if (left.has(stream.mediaId)) continue;
    const sum = stream.component === 1 ? rtp : rtcp;
    const counters = byStream.get(stream.id) ?? stream.stats;
    sum.packets += counters.packets;
    sum.bytes += counters.bytes;
    sum.errors += counters.errors;
  }
  return new Members()
    .add('RTP', countsDictionary(rtp.packets, rtp.bytes, rtp.errors))
    .add('RTCP', countsDictionary(rtcp.packets, rtcp.bytes, rtcp.errors));
}

function mosDictionary(entry: Omit<MosEntry, 'reportedAtSeconds'>): Map<string, NgValue> {
  return new Map<string, NgValue>([
    ['MOS', entry.mos],
    ['round-trip time', entry.roundTripMicros],
    ['round-trip time leg', entry.roundTripLegMicros],
    ['jitter', entry.jitterMs],
    ['packet loss', entry.packetLossPercent],
  ]);
}

const reported = (entry: MosEntry): NgDictionary =>
  mosDictionary(entry).set('reported at', entry.reportedAtSeconds);

function ssrcDictionary(entry: SsrcStatistics): NgDictionary {
  const dictionary = new Map<string, NgValue>([['cumulative loss', entry.cumulativeLoss]]);
  if (entry.average !== null) {
    dictionary.set(
      'average MOS',
      mosDictionary(entry.average).set('samples', entry.average.samples),
    );
  }
  if (entry.lowest !== null) dictionary.set('lowest MOS', reported(entry.lowest));
  if (entry.highest !== null) dictionary.set('highest MOS', reported(entry.highest));
  if (entry.progression.length > 0) {
    dictionary.set(
      'MOS progression',
      new Map<string, NgValue>([
        ['interval', entry.progressionIntervalSeconds],
        ['entries', entry.progression.map(reported)],
      ]),
    );
  }
  return dictionary;
}
