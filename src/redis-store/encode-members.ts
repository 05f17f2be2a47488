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
import { onlyOn, type DependsOn, type Output } from './encode-output.js';
import { percentEncode } from './percent-encoding.js';
import {
  blockDtmfValues,
  isBlob,
  noId,
  extraFields,
  packList,
  sameAsAgreed,
  unknownBitsName,
  type CodecSettings,
  type Fields,
} from './schema.js';
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
    if (!Object.hasOwn(fields, name)) {
      fields[name] = isBlob(name) ? form.blob(value) : form.text(value);
    }
  }
}

/** `json`: the part of all layouts. The layout has no place for a TOS byte that is left alone. */
export function callFields(state: CallState, encoding: Encoding): Fields {
  const fields: Fields = { [extraFields.uidByFamily]: '1' };
  if (state.tos < 0) fields[extraFields.tos] = String(state.tos);
  if (state.otherIds.length > 0) fields[extraFields.otherIds] = packList(state.otherIds);
  if (state.noticeAddress !== '') fields[extraFields.noticeAddress] = state.noticeAddress;
  if (state.ownershipEpoch > 0) fields[extraFields.epoch] = String(state.ownershipEpoch);
  // One by one: members after a spread cost a tenth of the whole value.
  fields['created'] = String(shifted(state.createdMicros, encoding.moment));
  fields['destroyed'] = state.carried['destroyed'] ?? '0';
  fields['last_signal'] = timeOf(state.lastSignalMicros, encoding);
  fields['tos'] = String(Math.max(0, state.tos));
  fields['deleted'] = timeOf(state.deletedMicros, encoding);
  fields['num_sfds'] = String(state.sockets.length);
  fields['num_streams'] = String(state.streams.length);
  fields['num_medias'] = String(state.medias.length);
  fields['num_tags'] = String(state.participants.length);
  fields['num_maps'] = String(state.endpointMaps.length);
  fields['ml_deleted'] = timeOf(state.participantDeletedMicros, encoding);
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
  const fields: Fields = {
    pref_family: socket.family,
    localport: String(socket.port),
    fd: socket.open ? (socket.carried['fd'] ?? '0') : '-1',
    logical_intf: form.text(socket.logicalInterface),
    local_intf_uid: String(socket.addressIndex),
    stream: String(index.streamAt.get(socket.streamId) ?? noId),
  };
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
  const fields: Fields = {
    media: String(index.mediaAt.get(stream.mediaId) ?? noId),
    sfd: idOf(index.socketAt, stream.selectedSocket),
    rtcp_sibling: idOf(index.streamAt, stream.rtcpSibling),
    last_packet: timeOf(lastPacketMicros, encoding),
    ps_flags: flags.bits,
    component: String(componentOf(stream, index)),
    endpoint: endpointText(stream.endpoint),
    advertised_endpoint: endpointText(stream.advertisedEndpoint),
    'stats-packets': String(stats.packets),
    'stats-bytes': String(stats.bytes),
    'stats-errors': String(stats.errors),
  };
  if (flags.others !== '') fields[extraFields.flags] = flags.others;
  const { kernelPackets, kernelBytes } = stats;
  if (kernelPackets > 0) {
    fields[extraFields.kernelPackets] = String(kernelPackets);
    fields[extraFields.kernelBytes] = String(kernelBytes);
  }
  if (stream.learningGeneration !== 0)
    fields[extraFields.latch] = String(stream.learningGeneration);
  if (stream.iceRoute !== null) fields[extraFields.iceRoute] = iceRouteText(stream.iceRoute);
  const keys = keysOf(index, stream.id, 'send', stream.srtp);
  if (keys !== null) putKeys(form, fields, '', keys);
  putCarried(form, fields, stream.carried);
  return fields;
}

function putOptional(form: Form, fields: Fields, name: string, value: string | null): void {
  if (value !== null) fields[name] = form.text(value);
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
  fields[names.username] = form.text(memory.username);
  fields[names.sessionId] = form.text(memory.sessionId);
  if (form.layout === '12.5') {
    fields[names.versionText] = form.text(memory.version);
    fields[names.version] = /^[0-9]{1,19}$/.test(memory.version) ? memory.version : '0';
  } else {
    fields[names.version] = form.text(memory.version);
  }
  fields[names.parsed] = '1';
  fields[names.networkType] = form.text(memory.networkType);
  fields[names.addressType] = form.text(memory.addressType);
  fields[names.address] = form.text(memory.address);
}

/** `tag-N`: the part of all layouts. The members of `sdp_*` have a place in the current one only. */
export function participantFields(participant: Participant, encoding: Encoding): Fields {
  const { form, index } = encoding;
  const { sdpReceived, sdpSent } = participant;
  const fields: Fields = {
    created: timeOf(participant.createdMicros, encoding),
    deleted: timeOf(participant.deletedMicros, encoding),
    block_dtmf: String(Math.max(0, blockDtmfValues.indexOf(participant.blockDtmf))),
  };
  putOptional(form, fields, 'logical_intf', participant.logicalInterface);
  putOptional(form, fields, 'tag', participant.tag);
  putOptional(form, fields, 'via-branch', participant.viaBranch);
  putOptional(form, fields, 'label', participant.label);
  putOptional(form, fields, 'metadata', participant.metadata);
  if (sdpReceived !== null) {
    fields['sdp_session_name'] = form.text(sdpReceived.sessionName);
    fields['sdp_session_timing'] = form.text(sdpReceived.timing);
    putSdpMemory(form, fields, receivedNames, sdpReceived);
    if (sdpReceived.bodyDigest !== '')
      fields[extraFields.sdpDigest] = form.text(sdpReceived.bodyDigest);
  }
  if (sdpSent !== null) {
    putSdpMemory(form, fields, sentNames, sdpSent);
    if (sdpSent.sessionName !== '')
      fields[extraFields.lastSdpName] = form.text(sdpSent.sessionName);
    if (sdpSent.timing !== '') fields[extraFields.lastSdpTiming] = form.text(sdpSent.timing);
    if (sdpSent.bodyDigest !== '')
      fields[extraFields.lastSdpDigest] = form.text(sdpSent.bodyDigest);
  }
  if (participant.passedOn !== '') fields[extraFields.passedOn] = form.text(participant.passedOn);
  if (form.layout !== 'current' && participant.aliases.length > 0) {
    fields[extraFields.aliases] = packList(participant.aliases);
  }
  if (form.layout !== 'current' && participant.answeredFinally)
    fields[extraFields.answeredFinally] = '1';
  if (participant.aliasKey !== null) fields[extraFields.aliasKey] = form.text(participant.aliasKey);
  if (form.layout === '10.5') {
    if (participant.desiredFamily !== null) fields[extraFields.family] = participant.desiredFamily;
  } else {
    const branches = index.stored(index.participantAt, participant.branches);
    if (branches.length > 0) fields[extraFields.branches] = branches.join(' ');
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
  const fields: Fields = {
    tag: String(index.participantAt.get(media.participantId) ?? noId),
    index: String(media.index),
    type: form.text(media.type),
    format_str: form.text(media.formats),
  };
  putOptional(form, fields, 'media_id', media.mid);
  fields['protocol'] = form.text(media.protocol);
  fields['desired_family'] = media.desiredFamily;
  fields['logical_intf'] = form.text(media.logicalInterface);
  fields['ptime'] = String(media.ptimeMs);
  fields['media_flags'] = flags.bits;
  if (flags.others !== '') fields[extraFields.flags] = flags.others;
  putSecurity(form, fields, media);
  const marks = sdesMarks(media);
  if (marks !== null) fields[extraFields.sdes] = marks;
  if (media.srtpIndexes.length > 0)
    fields[extraFields.srtpIndexes] = srtpIndexText(media.srtpIndexes);
  putIce(fields, media);
  if (media.endpointLearning !== settings.endpointLearning) {
    fields[extraFields.learning] = media.endpointLearning;
  }
  const { hiddenExtensions: hidden } = media;
  if (hidden.length > 0)
    fields[extraFields.hiddenExtensions] = hidden === 'all' ? hidden : hidden.join(' ');
  const blocked = index.stored(index.mediaAt, media.blockedSources);
  if (blocked.length > 0) fields[extraFields.blockedSources] = blocked.join(' ');
  putBundle(fields, media, index);
  if (media.passedOn !== '') fields[extraFields.passedOn] = form.text(media.passedOn);
  if (media.offered !== null)
    fields[extraFields.offered] = offeredText(media.offered, media.codecs);
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
export function mediaLimits({ bandwidth: { as, rr, rs }, maxPtimeMs }: Media): Fields {
  const fields: Fields = {};
  if (maxPtimeMs !== 0) fields[extraFields.maxPtime] = String(maxPtimeMs);
  if (as !== -1 || rr !== -1 || rs !== -1) fields[extraFields.bandwidth] = `${as}/${rr}/${rs}`;
  return fields;
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
  fields['ml_flags'] = String(flags);
  // Required by readers; the family of the first media is what an unset one comes to.
  const firstMedia = index.medias.get(participant.medias[0] ?? -1);
  fields['desired_family'] = participant.desiredFamily ?? firstMedia?.desiredFamily ?? 'IP4';
  if (participant.desiredFamily === null) fields[extraFields.family] = 'unset';
  putCarried(form, fields, participant.carried);
  return fields;
}

function mapFields(map: EndpointMap, { form }: Encoding): Fields {
  const fields: Fields = {
    wildcard: map.wildcard ? '1' : '0',
    num_ports: String(map.numPorts),
    intf_preferred_family: map.family,
    logical_intf: form.text(map.logicalInterface),
    endpoint: endpointText(map.endpoint),
  };
  putCarried(form, fields, map.carried);
  return fields;
}

/** `ssrc_table-N` */
export function ssrcTable(form: Form, table: readonly Carried[]): Fields[] {
  return table.map((entry) => {
    const fields: Fields = {};
    putCarried(form, fields, entry);
    return fields;
  });
}

/** `sfd-N`, `stream-N` and the lists of the streams. */
function putStreams(out: Output, state: CallState, encoding: Encoding): void {
  const { index, moment } = encoding;
  state.sockets.forEach((socket, at) => {
    const on: DependsOn = (see) => {
      see(socket);
      seeKeysOf(index.medias.get(index.streams.get(socket.streamId)?.mediaId ?? -1), see);
    };
    out.group('socket', at, on, () => [[`sfd-${at}`, socketFields(socket, encoding)]]);
  });
  state.streams.forEach((stream, at) => {
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
  state.streams.forEach((stream, at) => {
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
    see(stream);
    see(index.medias.get(stream.mediaId)?.streams);
    for (const { media, subscription } of index.subscribersOf(stream.mediaId)) {
      see(media.streams);
      see(media.rtcpMux);
      see(subscription);
    }
  };

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
  state.endpointMaps.forEach((map, at) => {
    out.group('map', at, onlyOn(map), () => [[`map-${at}`, mapFields(map, encoding)]]);
  });
  state.endpointMaps.forEach((map, at) => {
    out.group('map lists', at, onlyOn(map), () => [[`map_sfds-${at}`, mapSockets(map, index)]]);
  });
}

const mapSockets = (map: EndpointMap, index: StoredIndex): string[] =>
  map.sockets.flatMap((group) => [
    `loc-${group.addressIndex}`,
    ...index.stored(index.socketAt, group.sockets),
  ]);

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
