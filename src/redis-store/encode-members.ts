/**
 * The members of a stored call that the layouts share, entity by entity. What differs (units of time,
 * where a fact is stored) is asked of the `Form`.
 */
import type {
  CallState,
  Carried,
  Codec,
  Endpoint,
  EndpointMap,
  LocalSocket,
  Media,
  Participant,
  SdpMemory,
  Stream,
} from '../media/call-state.js';
import { formatEndpoint, withFlag } from '../media/call-state.js';
import type { SrtpKeys } from '../media/media-attributes.js';
import { sdesMarks, storedKeys } from '../media/sdes/stored.js';
import { putBundle } from './bundle-fields.js';
import { dialogueBits, isPublic, isUnanswered } from './derived.js';
import {
  callBits,
  mediaBitsOf,
  mediaFlagTables,
  parseBits,
  finalResponseBit,
  participantBits,
  streamFlagTables,
  type Layout,
} from './flags.js';
import { eachOf, onlyOn, type DependsOn, type Output } from './encode-output.js';
import { percentEncode } from './percent-encoding.js';
import { Fields } from './fields.js';
import {
  blockDtmfValues,
  isBlob,
  noId,
  extraFields,
  packList,
  sameAsAgreed,
  unknownBitsName,
  type CodecSettings,
} from './schema.js';
import { agreedText, putFormer } from './agreed-fields.js';
import { iceRouteText, putIce, putKeys, putSecurity } from './security-fields.js';
import { srtpIndexText } from './srtp-indexes.js';
import type { CallMoment, StoredCounters } from './store.js';
import type { Positions, StoredIndex } from './subscriptions.js';

/** How a format writes its strings and its times. */
export interface Form {
  readonly layout: Layout;
  readonly text: (text: string) => string;
  readonly blob: (bytes: string) => string;
  /** Microseconds to the unit of the layout. */
  readonly time: (micros: number) => string;
}

/** What the encoders pass on. */
export interface Encoding {
  readonly form: Form;
  readonly index: StoredIndex;
  readonly settings: CodecSettings;
  readonly moment: CallMoment;
}

/** A time of the state as the layout has it; 0, which stands for never, stays. */
const timeOf = (micros: number, { form, moment }: Encoding): string =>
  form.time(shifted(micros, moment));

const shifted = (micros: number, { offsetMicros }: CallMoment): number =>
  micros === 0 ? 0 : micros + offsetMicros;

const endpointText = (endpoint: Endpoint | null): string =>
  endpoint === null ? '' : formatEndpoint(endpoint);

/** Writes back what the model does not interpret. Fields that are already there win. */
export function putCarried(form: Form, fields: Fields, carried: Carried): void {
  for (const name in carried) {
    const value = carried[name];
    if (value === undefined || name.includes('@') || name === '__proto__') continue;
    if (!fields.has(name)) {
      fields.put(name, isBlob(name) ? form.blob(value) : form.text(value));
    }
  }
}

/** `json`: the part of all layouts. The layout has no place for a TOS byte that is left alone. */
export function callFields(state: CallState, encoding: Encoding): Fields {
  const fields = new Fields();
  fields.put(extraFields.uidByFamily, '1');
  if (state.tos < 0) fields.put(extraFields.tos, String(state.tos));
  if (state.otherIds.length > 0) fields.put(extraFields.otherIds, packList(state.otherIds));
  if (state.noticeAddress !== '') fields.put(extraFields.noticeAddress, state.noticeAddress);
  if (state.digitsTo !== '') fields.put(extraFields.digitsTo, state.digitsTo);
  if (state.ownershipEpoch > 0) fields.put(extraFields.epoch, String(state.ownershipEpoch));
  fields.put('created', String(shifted(state.createdMicros, encoding.moment)));
  fields.put('destroyed', state.carried['destroyed'] ?? '0');
  fields.put('last_signal', timeOf(state.lastSignalMicros, encoding));
  fields.put('tos', String(Math.max(0, state.tos)));
  fields.put('deleted', timeOf(state.deletedMicros, encoding));
  fields.put('num_sfds', String(state.sockets.length));
  fields.put('num_streams', String(state.streams.length));
  fields.put('num_medias', String(state.medias.length));
  fields.put('num_tags', String(state.participants.length));
  fields.put('num_maps', String(state.endpointMaps.length));
  fields.put('ml_deleted', timeOf(state.participantDeletedMicros, encoding));
  return fields;
}

/** Of a layout whose strings are percent-encoded and whose times are seconds, as up to 12.5. */
export const percentForm = (layout: '10.5' | '12.5'): Form => ({
  layout,
  text: percentEncode,
  blob: percentEncode,
  time: (micros) => String(Math.floor(micros / 1_000_000)),
});

/** `json` of those layouts, as far as they agree. */
export function callFieldsUpTo125(state: CallState, encoding: Encoding): Fields {
  const fields = callFields(state, encoding);
  fields.put('created_from', percentEncode(state.createdFrom));
  fields.put('created_from_addr', percentEncode(state.createdFromAddress));
  fields.put('redis_hosted_db', String(state.redisHostedDb));
  fields.put('recording_metadata', percentEncode(state.metadata));
  fields.put('block_dtmf', String(Math.max(0, blockDtmfValues.indexOf(state.blockDtmf))));
  return fields;
}

/** The keys that a stream (a socket) had when it was stored, else those of its media. */
function keysOf(
  index: StoredIndex,
  streamId: number,
  direction: 'receive' | 'send',
  own: SrtpKeys | null,
): SrtpKeys | null {
  const media = index.medias.get(index.streams.get(streamId)?.mediaId ?? -1);
  // Of a call that another one stored they are what they were.
  const negotiated = media !== undefined && sdesMarks(media) !== null;
  return own ?? (negotiated ? storedKeys(media.sdes?.[direction]) : null);
}

function socketFields(socket: LocalSocket, { form, index }: Encoding): Fields {
  const fields = new Fields();
  fields.put('pref_family', socket.family);
  fields.put('localport', String(socket.port));
  fields.put('fd', socket.open ? (socket.carried['fd'] ?? '0') : '-1');
  fields.put('logical_intf', form.text(socket.logicalInterface));
  fields.put('local_intf_uid', String(socket.addressIndex));
  fields.put('stream', String(index.streamAt.get(socket.streamId) ?? noId));
  const keys = keysOf(index, socket.streamId, 'receive', socket.srtp);
  if (keys !== null) putKeys(form, fields, '', keys);
  putCarried(form, fields, socket.carried);
  return fields;
}

/** Of several pairs (a port count) the later ones have components of their own: 3 and 4, 5 and 6, … */
function componentOf(stream: Stream, index: StoredIndex): number {
  const position = index.medias.get(stream.mediaId)?.streams.indexOf(stream.id) ?? -1;
  return position < 2 ? stream.component : position + 1;
}

function streamFields(stream: Stream, counters: StoredCounters | null, encoding: Encoding): Fields {
  const { form, index } = encoding;
  const stats = counters ?? stream.stats;
  const heard = counters?.lastPacketMicros ?? 0;
  const lastPacketMicros = heard > 0 ? heard : stream.lastPacketMicros;
  const unanswered = isUnanswered(stream, form.layout, index);
  const flags = streamFlagTables[form.layout].encode(
    unanswered ? withFlag(stream.flags, 'zero-address', true) : stream.flags,
    stream.carried[unknownBitsName('ps_flags', form.layout)],
  );
  const idOf = (positions: Positions, id: number | null): string =>
    id === null ? noId : String(positions.get(id) ?? noId);
  const fields = new Fields();
  fields.put('media', String(index.mediaAt.get(stream.mediaId) ?? noId));
  fields.put('sfd', idOf(index.socketAt, stream.selectedSocket));
  fields.put('rtcp_sibling', idOf(index.streamAt, stream.rtcpSibling));
  fields.put('last_packet', timeOf(lastPacketMicros, encoding));
  fields.put('ps_flags', flags.bits);
  fields.put('component', String(componentOf(stream, index)));
  fields.put('endpoint', endpointText(stream.endpoint));
  fields.put('advertised_endpoint', endpointText(stream.advertisedEndpoint));
  fields.put('stats-packets', String(stats.packets));
  fields.put('stats-bytes', String(stats.bytes));
  fields.put('stats-errors', String(stats.errors));
  if (flags.others !== '') fields.put(extraFields.flags, flags.others);
  const { kernelPackets, kernelBytes } = stats;
  if (kernelPackets > 0) {
    fields.put(extraFields.kernelPackets, String(kernelPackets));
    fields.put(extraFields.kernelBytes, String(kernelBytes));
  }
  if (stream.learningGeneration !== 0)
    fields.put(extraFields.latch, String(stream.learningGeneration));
  if (stream.iceRoute !== null) fields.put(extraFields.iceRoute, iceRouteText(stream.iceRoute));
  const keys = keysOf(index, stream.id, 'send', stream.srtp);
  if (keys !== null) putKeys(form, fields, '', keys);
  putCarried(form, fields, stream.carried);
  return fields;
}

function putOptional(form: Form, fields: Fields, name: string, value: string | null): void {
  if (value !== null) fields.put(name, form.text(value));
}

const memoryNames = (prefix: string) => ({
  username: `${prefix}username`,
  sessionId: `${prefix}session_id`,
  versionText: `${prefix}version_str`,
  version: `${prefix}version_num`,
  parsed: `${prefix}parsed`,
  networkType: `${prefix}address_network_type`,
  addressType: `${prefix}address_address_type`,
  address: `${prefix}address_address`,
});

/** Sent by the participant, and sent to it. */
const receivedNames = memoryNames('sdp_orig_');
const sentNames = memoryNames('last_sdp_orig_');

function putSdpMemory(
  form: Form,
  fields: Fields,
  names: typeof receivedNames,
  memory: SdpMemory,
): void {
  fields.put(names.username, form.text(memory.username));
  fields.put(names.sessionId, form.text(memory.sessionId));
  if (form.layout === '12.5') {
    fields.put(names.versionText, form.text(memory.version));
    fields.put(names.version, /^[0-9]{1,19}$/.test(memory.version) ? memory.version : '0');
  } else {
    fields.put(names.version, form.text(memory.version));
  }
  fields.put(names.parsed, '1');
  fields.put(names.networkType, form.text(memory.networkType));
  fields.put(names.addressType, form.text(memory.addressType));
  fields.put(names.address, form.text(memory.address));
}

/** `tag-N`: the part of all layouts. The members of `sdp_*` have a place in the current one only. */
export function participantFields(participant: Participant, encoding: Encoding): Fields {
  const { form, index } = encoding;
  const { sdpReceived, sdpSent } = participant;
  const fields = new Fields();
  fields.put('created', timeOf(participant.createdMicros, encoding));
  fields.put('deleted', timeOf(participant.deletedMicros, encoding));
  fields.put('block_dtmf', String(Math.max(0, blockDtmfValues.indexOf(participant.blockDtmf))));
  putOptional(form, fields, 'logical_intf', participant.logicalInterface);
  putOptional(form, fields, 'tag', participant.tag);
  putOptional(form, fields, 'via-branch', participant.viaBranch);
  putOptional(form, fields, 'label', participant.label);
  putOptional(form, fields, 'metadata', participant.metadata);
  if (sdpReceived !== null) {
    fields.put('sdp_session_name', form.text(sdpReceived.sessionName));
    fields.put('sdp_session_timing', form.text(sdpReceived.timing));
    putSdpMemory(form, fields, receivedNames, sdpReceived);
    if (sdpReceived.bodyDigest !== '')
      fields.put(extraFields.sdpDigest, form.text(sdpReceived.bodyDigest));
  }
  if (sdpSent !== null) {
    putSdpMemory(form, fields, sentNames, sdpSent);
    if (sdpSent.sessionName !== '')
      fields.put(extraFields.lastSdpName, form.text(sdpSent.sessionName));
    if (sdpSent.timing !== '') fields.put(extraFields.lastSdpTiming, form.text(sdpSent.timing));
    if (sdpSent.bodyDigest !== '')
      fields.put(extraFields.lastSdpDigest, form.text(sdpSent.bodyDigest));
  }
  if (participant.passedOn !== '')
    fields.put(extraFields.passedOn, form.text(participant.passedOn));
  if (form.layout !== 'current' && participant.aliases.length > 0) {
    fields.put(extraFields.aliases, packList(participant.aliases));
  }
  if (form.layout !== 'current' && participant.answeredFinally)
    fields.put(extraFields.answeredFinally, '1');
  if (participant.turned) fields.put(extraFields.turned, '1');
  if (participant.aliasKey !== null)
    fields.put(extraFields.aliasKey, form.text(participant.aliasKey));
  if (form.layout === '10.5') {
    if (participant.desiredFamily !== null)
      fields.put(extraFields.family, participant.desiredFamily);
  } else {
    const branches = index.stored(index.participantAt, participant.branches);
    if (branches.length > 0) fields.put(extraFields.branches, branches.join(' '));
  }
  return fields;
}

/** `media-N`: the part of all layouts. */
export function mediaFields(media: Media, { form, index, settings }: Encoding): Fields {
  const bits = mediaBitsOf(media);
  if (form.layout === 'current' && !media.flags.has('public') && isPublic(media, index)) {
    bits.push('public');
  }
  const flags = mediaFlagTables[form.layout].encode(
    bits,
    media.carried[unknownBitsName('media_flags', form.layout)],
  );
  const fields = new Fields();
  fields.put('tag', String(index.participantAt.get(media.participantId) ?? noId));
  fields.put('index', String(media.index));
  fields.put('type', form.text(media.type));
  fields.put('format_str', form.text(media.formats));
  putOptional(form, fields, 'media_id', media.mid);
  fields.put('protocol', form.text(media.protocol));
  fields.put('desired_family', media.desiredFamily);
  fields.put('logical_intf', form.text(media.logicalInterface));
  fields.put('ptime', String(media.ptimeMs));
  fields.put('media_flags', flags.bits);
  if (flags.others !== '') fields.put(extraFields.flags, flags.others);
  putSecurity(form, fields, media);
  const marks = sdesMarks(media);
  if (marks !== null) fields.put(extraFields.sdes, marks);
  if (media.srtpIndexes.length > 0)
    fields.put(extraFields.srtpIndexes, srtpIndexText(media.srtpIndexes));
  putFormer(fields, media);
  putIce(fields, media);
  if (media.agreed !== null) fields.put(extraFields.agreed, agreedText(media, index));
  if (media.agreedDirection !== null)
    fields.put(extraFields.agreedDirection, media.agreedDirection);
  if (media.endpointLearning !== settings.endpointLearning) {
    fields.put(extraFields.learning, media.endpointLearning);
  }
  const { hiddenExtensions: hidden } = media;
  if (hidden.length > 0)
    fields.put(extraFields.hiddenExtensions, hidden === 'all' ? hidden : hidden.join(' '));
  const blocked = index.stored(index.mediaAt, media.blockedSources);
  if (blocked.length > 0) fields.put(extraFields.blockedSources, blocked.join(' '));
  putBundle(fields, media, index);
  if (media.passedOn !== '') fields.put(extraFields.passedOn, form.text(media.passedOn));
  if (media.offered !== null)
    fields.put(extraFields.offered, offeredText(media.offered, media.codecs));
  return fields;
}

/** `pt/encoding/clock/channels/bitrate/ptime/fmtp` of each codec; most often they are those agreed on. */
function offeredText(offered: readonly Codec[], agreed: readonly Codec[]): string {
  if (offered.length === 0) return '';
  if (offered === agreed) return sameAsAgreed;
  const text = packedCodecs(offered);
  return text === packedCodecs(agreed) ? sameAsAgreed : text;
}

/** Calls share their lists of codecs. */
const knownCodecs = new WeakMap<readonly Codec[], string>();

function packedCodecs(codecs: readonly Codec[]): string {
  let text = knownCodecs.get(codecs);
  if (text === undefined) {
    text = packList(codecs.map(offeredCodecText));
    knownCodecs.set(codecs, text);
  }
  return text;
}

const offeredCodecText = (codec: Codec): string =>
  `${codec.payloadType}/${codec.encoding}/${codec.clockRate}/${codec.channels}/${codec.bitrate}/${codec.ptimeMs}/${codec.fmtp}`;

/** Additional fields for what the layouts of 10.5 and 12.5 have no place for. */
export function putMediaLimits(
  fields: Fields,
  { bandwidth: { as, rr, rs }, maxPtimeMs }: Media,
): void {
  if (maxPtimeMs !== 0) fields.put(extraFields.maxPtime, String(maxPtimeMs));
  if (as !== -1 || rr !== -1 || rs !== -1) fields.put(extraFields.bandwidth, `${as}/${rr}/${rs}`);
}

/** `payload_types-N` of 10.5 and 12.5: `pt/encoding/clock/enc-params/fmtp/bitrate/ptime` */
export function codecTextOfFormer(codec: Codec): string {
  const channels = codec.channels === 1 ? '' : String(codec.channels);
  return percentEncode(
    `${codec.payloadType}/${codec.encoding}/${codec.clockRate}/${channels}/${codec.fmtp}/${codec.bitrate}/${codec.ptimeMs}`,
  );
}

/** The table of the participant, else those of its medias (a call that came in the current layout). */
export function ssrcsOfParticipant(
  participant: Participant,
  index: StoredIndex,
): Participant['ssrcTable'] {
  if (participant.ssrcTable.length > 0) return participant.ssrcTable;
  return participant.medias.flatMap((id) => index.medias.get(id)?.ssrcTable ?? []);
}

const carriedBits = (carried: string | undefined): bigint =>
  carried === undefined ? 0n : (parseBits(carried) ?? 0n);

/** `call_flags`: the bits that the model knows, and those that were there when the call was read. */
export function callFlags(state: CallState, { form: { layout }, index }: Encoding): string {
  let flags = carriedBits(state.carried[unknownBitsName('call_flags', layout)]);
  flags |= dialogueBits(state, index);
  if (state.blockMedia) flags |= callBits.blockMedia;
  if (state.silenceMedia) flags |= callBits.silenceMedia;
  if (state.dropTraffic) flags |= callBits.dropTraffic;
  return String(flags);
}

/** `tag-N` of the layouts that have `ml_flags`: 12.5 and the current one. */
export function flaggedParticipant(participant: Participant, encoding: Encoding): Fields {
  const { form, index } = encoding;
  const fields = participantFields(participant, encoding);
  let flags = carriedBits(participant.carried[unknownBitsName('ml_flags', form.layout)]);
  if (participant.blockMedia) flags |= participantBits.blockMedia;
  if (participant.silenceMedia) flags |= participantBits.silenceMedia;
  if (form.layout === 'current' && participant.answeredFinally) flags |= finalResponseBit;
  fields.put('ml_flags', String(flags));
  // Required by readers; the family of the first media is what an unset one comes to.
  const firstMedia = index.medias.get(participant.medias[0] ?? -1);
  fields.put('desired_family', participant.desiredFamily ?? firstMedia?.desiredFamily ?? 'IP4');
  if (participant.desiredFamily === null) fields.put(extraFields.family, 'unset');
  putCarried(form, fields, participant.carried);
  return fields;
}

function mapFields(map: EndpointMap, { form }: Encoding): Fields {
  const fields = new Fields();
  fields.put('wildcard', map.wildcard ? '1' : '0');
  fields.put('num_ports', String(map.numPorts));
  fields.put('intf_preferred_family', map.family);
  fields.put('logical_intf', form.text(map.logicalInterface));
  fields.put('endpoint', endpointText(map.endpoint));
  putCarried(form, fields, map.carried);
  return fields;
}

/** `ssrc_table-N` */
export function ssrcTable(form: Form, table: readonly Carried[]): Fields[] {
  return table.map((entry) => {
    const fields = new Fields();
    putCarried(form, fields, entry);
    return fields;
  });
}

/** `sfd-N`, `stream-N` and the lists of the streams. */
function putStreams(out: Output, state: CallState, encoding: Encoding): void {
  const { index, moment } = encoding;
  eachOf(out, 'socket', state.sockets, (socket, at) => {
    const on: DependsOn = (see) => {
      see(socket);
      seeKeysOf(index.medias.get(index.streams.get(socket.streamId)?.mediaId ?? -1), see);
    };
    out.group('socket', at, on, () => [[`sfd-${at}`, socketFields(socket, encoding)]]);
  });
  eachOf(out, 'stream', state.streams, (stream, at) => {
    const counters = moment.counters.get(stream.id) ?? null;
    const on: DependsOn = (see) => {
      const media = index.medias.get(stream.mediaId);
      see(stream);
      see(media?.streams);
      see(isUnanswered(stream, encoding.form.layout, index));
      seeKeysOf(media, see);
      if (counters !== null) seeNumbersOf(counters, see);
    };
    out.group('stream', at, on, () => [[`stream-${at}`, streamFields(stream, counters, encoding)]]);
  });
  eachOf(out, 'stream lists', state.streams, (stream, at) => {
    out.group('stream lists', at, routesDependOn(stream, index), () => {
      const sinks = index.sinksOf(stream);
      return [
        [`stream_sfds-${at}`, index.stored(index.socketAt, stream.sockets)],
        [`rtp_sinks-${at}`, sinks.rtp],
        [`rtcp_sinks-${at}`, sinks.rtcp],
      ];
    });
  });
}

/** What `keysOf` looks at. */
function seeKeysOf(media: Media | undefined, see: (value: unknown) => void): void {
  see(media?.sdes);
  see(media?.security);
  see(media?.protocol);
}

function seeNumbersOf(counters: StoredCounters, see: (value: unknown) => void): void {
  see(counters.packets);
  see(counters.bytes);
  see(counters.errors);
  see(counters.kernelPackets);
  see(counters.kernelBytes);
  see(counters.lastPacketMicros);
}

/** What `sinksOf` looks at. */
const routesDependOn =
  (stream: Stream, index: StoredIndex): DependsOn =>
  (see) => {
    const from = index.medias.get(stream.mediaId);
    see(stream);
    see(from?.flags);
    seeWayOf(from, see);
    for (const { media, subscription } of index.subscribersOf(stream.mediaId)) {
      seeWayOf(media, see);
      see(subscription);
    }
  };

function seeWayOf(media: Media | undefined, see: (value: unknown) => void): void {
  see(media?.streams);
  see(media?.rtcpMux);
  see(media?.direction);
}

/** The participant and its medias. */
export const participantDependsOn =
  (participant: Participant, index: StoredIndex): DependsOn =>
  (see) => {
    see(participant);
    for (const id of participant.medias) see(index.medias.get(id));
  };

/** `map-N` and `map_sfds-N`. */
function putMaps(out: Output, state: CallState, encoding: Encoding): void {
  const { index } = encoding;
  eachOf(out, 'map', state.endpointMaps, (map, at) => {
    out.group('map', at, onlyOn(map), () => [[`map-${at}`, mapFields(map, encoding)]]);
  });
  eachOf(out, 'map lists', state.endpointMaps, (map, at) => {
    out.group('map lists', at, onlyOn(map), () => [[`map_sfds-${at}`, mapSockets(map, index)]]);
  });
}

function mapSockets(map: EndpointMap, index: StoredIndex): string[] {
  const list: string[] = [];
  for (const { addressIndex, sockets } of map.sockets) {
    list.push(`loc-${addressIndex}`);
    for (const at of index.stored(index.socketAt, sockets)) list.push(at);
  }
  return list;
}

/** Where the layouts differ: what a call, its participants and its medias are written as. */
export interface LayoutParts {
  readonly call: (state: CallState, encoding: Encoding) => Fields;
  readonly participants: (out: Output, state: CallState, encoding: Encoding) => void;
  readonly medias: (out: Output, state: CallState, encoding: Encoding) => void;
}

/** A whole value, in the order that all layouts have. */
export function putCall(out: Output, encoding: Encoding, parts: LayoutParts): void {
  const { state } = encoding.index;
  out.member('json', parts.call(state, encoding));
  putStreams(out, state, encoding);
  parts.participants(out, state, encoding);
  parts.medias(out, state, encoding);
  putMaps(out, state, encoding);
}
