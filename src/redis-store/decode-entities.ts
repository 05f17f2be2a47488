/** Members of a stored call -> the entities of the call state, one function for each kind. */
import { noExtensions } from '../media/call-state.js';
import type {
  AddressFamily,
  Codec,
  Endpoint,
  EndpointMap,
  Extensions,
  LocalSocket,
  Media,
  Participant,
  SdpMemory,
  Stream,
  StreamFlag,
} from '../media/call-state.js';
import { canonicalAddress, nothingToResume } from '../media/call-state.js';
import { sdesOf } from '../media/sdes/stored.js';
import { reservedIndexes, resumeFrom } from '../media/srtp-resume.js';
import { readAgreed, readAgreedDirection, readFormer } from './agreed-fields.js';
import { readBundle, readHeaderExtensions } from './bundle-fields.js';
import { RestoreError } from './errors.js';
import {
  mediaFlagTables,
  mediaModesOf,
  parseBits,
  finalResponseBit,
  participantBits,
  streamFlagTables,
  type FlagTable,
  type Layout,
} from './flags.js';
import {
  blockDtmfValues,
  families,
  learningValues,
  extraFields,
  sameAsAgreed,
  unknownBitsName,
  unpackList,
  type CodecSettings,
  type IndexOfPosition,
} from './schema.js';
import { readIce, readIceRoute, readKeys, readSecurity } from './security-fields.js';
import { readSrtpIndexes } from './srtp-indexes.js';
import type { FieldReader } from './stored-value.js';
import { parseInteger, type MemberReader } from './stored-value.js';

/** How many there are of each kind. */
export interface Counts {
  readonly participants: number;
  readonly medias: number;
  readonly streams: number;
  readonly sockets: number;
  readonly maps: number;
}

/** What the functions below share. */
export interface Decoding {
  readonly members: MemberReader;
  readonly layout: Layout;
  readonly counts: Counts;
  readonly settings: CodecSettings;
  /** What the numbers of addresses in this value mean. */
  readonly indexOf: IndexOfPosition;
}

/** Counters of 64 bits. */
const maxCounter = 2 ** 64;
const maxInteger32 = 0xffff_ffff;

/** A time of the layout in microseconds; 0 when absent. @throws RestoreError */
export function readTime(fields: FieldReader, name: string, layout: Layout): number {
  const unit = layout === 'current' ? 1 : 1_000_000;
  return fields.integer(name, { min: 0, max: Number.MAX_SAFE_INTEGER / unit, missing: 0 }) * unit;
}

function readEndpoint(fields: FieldReader, name: string): Endpoint | null {
  const text = fields.text(name);
  if (text === '') return null;
  const end = text.lastIndexOf(':');
  // As our earlier versions wrote a section without c=.
  if (end === 0) return null;
  const address = canonicalAddress(text.slice(0, Math.max(0, end)));
  const port = parseInteger(text.slice(end + 1));
  if (address === null || port === null || port < 0) fields.fail(name);
  // rtpengine 10.5 counts on beyond the last port: nothing can be sent there.
  return { address, port: port > 65535 ? 0 : port };
}

function readFlags<F extends string>(
  fields: FieldReader,
  name: string,
  tables: Readonly<Record<Layout, FlagTable<F>>>,
  layout: Layout,
): { flags: ReadonlySet<F>; unknown: Readonly<Record<string, string>> | null } {
  const stored = fields.text(name, '0');
  const decoded =
    tables[layout].decode(stored, fields.text(extraFields.flags)) ?? fields.fail(name);
  return {
    flags: decoded.flags,
    unknown: decoded.unknown === '' ? null : { [unknownBitsName(name, layout)]: decoded.unknown },
  };
}

/** `sfd-N` @throws RestoreError */
export function readSocket(id: number, { members, counts, indexOf }: Decoding): LocalSocket {
  const fields = members.fields(`sfd-${id}`, "'sfds' incomplete", 'failed to create sfds');
  const fd = fields.integer('fd', { min: -1, max: maxInteger32, missing: 0 });
  const open = fd !== -1 && fd !== maxInteger32;
  const logicalInterface = fields.text('logical_intf');
  const family = fields.oneOf('pref_family', families);
  const uid = fields.integer('local_intf_uid', { min: 0, max: 65535, missing: 0 });
  return {
    id,
    streamId: fields.reference('stream', counts.streams) ?? fields.fail('stream'),
    port: fields.integer('localport', { min: open ? 1 : 0, max: 65535 }),
    logicalInterface,
    addressIndex: indexOf(logicalInterface, family, uid),
    family,
    open,
    srtp: readKeys(fields, ''),
    carried: open ? { fd: String(fd), ...fields.rest() } : fields.rest(),
  };
}

const unsetAddresses: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** An endpoint that was never filled in may be written as zeros. */
function filledEndpoint(
  endpoint: Endpoint | null,
  flags: ReadonlySet<StreamFlag>,
): Endpoint | null {
  const isUnset = endpoint !== null && endpoint.port === 0 && unsetAddresses.has(endpoint.address);
  return isUnset && !flags.has('filled') ? null : endpoint;
}

/** `stream-N` and `stream_sfds-N` @throws RestoreError */
export function readStream(id: number, { members, layout, counts }: Decoding): Stream {
  const fields = members.fields(`stream-${id}`, "'streams' incomplete", 'failed to create streams');
  const { flags, unknown } = readFlags(fields, 'ps_flags', streamFlagTables, layout);
  const counter = { min: 0, max: maxCounter, missing: 0 };
  return {
    id,
    mediaId: fields.reference('media', counts.medias) ?? fields.fail('media'),
    // A port count (m=audio P/2) goes on with 3, 4, …: the place among the streams of the media tells.
    component: fields.integer('component', { min: 1, max: 255 }) % 2 === 1 ? 1 : 2,
    sockets: members.references(`stream_sfds-${id}`, 'streams', counts.sockets),
    selectedSocket: fields.reference('sfd', counts.sockets),
    rtcpSibling: fields.reference('rtcp_sibling', counts.streams),
    endpoint: filledEndpoint(readEndpoint(fields, 'endpoint'), flags),
    advertisedEndpoint: filledEndpoint(readEndpoint(fields, 'advertised_endpoint'), flags),
    flags,
    learningGeneration: fields.integer(extraFields.latch, {
      min: 0,
      max: maxInteger32,
      missing: 0,
    }),
    iceRoute: readIceRoute(fields),
    lastPacketMicros: readTime(fields, 'last_packet', layout),
    stats: {
      packets: fields.integer('stats-packets', counter),
      bytes: fields.integer('stats-bytes', counter),
      errors: fields.integer('stats-errors', counter),
      kernelPackets: fields.integer(extraFields.kernelPackets, { ...counter, missing: 0 }),
      kernelBytes: fields.integer(extraFields.kernelBytes, { ...counter, missing: 0 }),
    },
    srtp: readKeys(fields, ''),
    carried: unknown === null ? fields.rest() : { ...unknown, ...fields.rest() },
  };
}

function readSdpMemory(
  fields: FieldReader,
  prefix: 'sdp_orig_' | 'last_sdp_orig_',
  layout: Layout,
): SdpMemory | null {
  if (fields.optional(`${prefix}parsed`) !== '1') return null;
  const received = prefix === 'sdp_orig_';
  const number = fields.text(`${prefix}version_num`);
  return {
    username: fields.text(`${prefix}username`),
    sessionId: fields.text(`${prefix}session_id`),
    version: layout === '12.5' ? fields.text(`${prefix}version_str`, number) : number,
    networkType: fields.text(`${prefix}address_network_type`),
    addressType: fields.text(`${prefix}address_address_type`),
    address: fields.text(`${prefix}address_address`),
    sessionName: fields.text(received ? 'sdp_session_name' : extraFields.lastSdpName),
    timing: fields.text(received ? 'sdp_session_timing' : extraFields.lastSdpTiming),
    bodyDigest: fields.text(received ? extraFields.sdpDigest : extraFields.lastSdpDigest),
  };
}

function readFamily(fields: FieldReader, layout: Layout): AddressFamily | null {
  const additional = fields.optional(extraFields.family);
  if (layout === '10.5') return families.find((family) => family === additional) ?? null;
  const family = fields.oneOf('desired_family', families);
  return additional === 'unset' ? null : family;
}

/** Branches have a list of their own in the layout of 10.5 only. */
function readBranches(id: number, fields: FieldReader, decoding: Decoding): readonly number[] {
  const { members, layout, counts } = decoding;
  const additional = fields.text(extraFields.branches);
  if (layout === '10.5') return members.references(`branches-${id}`, 'tags', counts.participants);
  if (additional === '') return [];
  return additional.split(' ').map((text) => {
    const branch = parseInteger(text);
    if (branch === null || branch < 0 || branch >= counts.participants)
      fields.fail(extraFields.branches);
    return branch;
  });
}

function readExtensions(fields: FieldReader): Extensions {
  const text = fields.text(extraFields.hiddenExtensions);
  if (text === '') return noExtensions;
  if (text === 'all') return text;
  const ids = text.split(' ').map((part) => parseInteger(part));
  if (ids.length > maxExtensions || ids.some((id) => id === null || id < 1 || id > 255)) {
    fields.fail(extraFields.hiddenExtensions);
  }
  return ids.filter((id) => id !== null);
}

function readBlocked(fields: FieldReader, { counts }: Decoding): readonly number[] {
  const text = fields.text(extraFields.blockedSources);
  if (text === '') return [];
  return text.split(' ').map((part) => {
    const id = parseInteger(part);
    if (id === null || id < 0 || id >= counts.medias)
      return fields.fail(extraFields.blockedSources);
    return id;
  });
}

/** Ids have a byte. */
const maxExtensions = 255;

/** `tag-N` and its lists, except for subscriptions. @throws RestoreError */
export function readParticipant(id: number, decoding: Decoding): Participant {
  const { members, layout, counts } = decoding;
  const fields = members.fields(`tag-${id}`, "'tags' incomplete", 'failed to create tags');
  const current = layout === 'current';
  const flagged = layout !== '10.5';
  const mlFlags = flagged
    ? (parseBits(fields.text('ml_flags', '0')) ?? fields.fail('ml_flags'))
    : 0n;
  const known = participantBits.blockMedia | participantBits.silenceMedia;
  const unknownFlags = mlFlags & ~(current ? known | finalResponseBit : known);
  const aliases = fields.text(extraFields.aliases);
  return {
    id,
    tag: fields.optional('tag'),
    viaBranch: fields.optional('via-branch'),
    label: fields.optional('label'),
    metadata: fields.optional('metadata'),
    createdMicros: readTime(fields, 'created', layout),
    deletedMicros: readTime(fields, 'deleted', layout),
    blockMedia: flagged
      ? (mlFlags & participantBits.blockMedia) !== 0n
      : fields.boolean('block_media'),
    blockDtmf:
      blockDtmfValues[fields.integer('block_dtmf', { min: 0, max: 6, missing: 0 })] ?? 'off',
    silenceMedia: flagged
      ? (mlFlags & participantBits.silenceMedia) !== 0n
      : fields.boolean(extraFields.silenceMedia),
    logicalInterface: fields.optional('logical_intf'),
    desiredFamily: readFamily(fields, layout),
    associated: members.references(
      flagged ? `associated_tags-${id}` : `other_tags-${id}`,
      'tags',
      counts.participants,
    ),
    branches: readBranches(id, fields, decoding),
    medias: members.references(`medias-${id}`, 'medias', counts.medias),
    aliases: current ? members.strings(`tag_aliases-${id}`, 'tags', true) : unpackList(aliases),
    answeredFinally: current
      ? (mlFlags & finalResponseBit) !== 0n
      : fields.boolean(extraFields.answeredFinally),
    turned: fields.boolean(extraFields.turned),
    aliasKey: fields.optional(extraFields.aliasKey),
    sdpReceived: readSdpMemory(fields, 'sdp_orig_', layout),
    sdpSent: readSdpMemory(fields, 'last_sdp_orig_', layout),
    passedOn: fields.text(extraFields.passedOn),
    ssrcTable: current ? [] : members.tables(`ssrc_table-${id}`, 'tags'),
    carried:
      unknownFlags === 0n
        ? fields.rest()
        : { [unknownBitsName('ml_flags', layout)]: String(unknownFlags), ...fields.rest() },
  };
}

/** The fields of a codec in the order of the layout; formats are told by their place in it. */
function readCodec(text: string, layout: Layout): Codec {
  const parts = text.split('/');
  const fail = (): never => {
    throw new RestoreError('failed to create medias', `payload type ${text}`);
  };
  if (parts.length < (layout === 'current' ? 6 : 7)) return fail();
  const [payloadType = '', encoding = '', clockRate = '', channels = ''] = parts;
  // The format parameters may contain slashes themselves.
  const [fmtp, bitrate = '', ptime = ''] =
    layout === 'current'
      ? [parts.slice(6, Math.max(7, parts.length - 1)).join('/'), parts[4], parts[5]]
      : [parts.slice(4, -2).join('/'), parts.at(-2), parts.at(-1)];
  const number = (value: string, missing: number): number =>
    value === '' ? missing : (parseInteger(value) ?? fail());
  return {
    payloadType: number(payloadType, -1),
    encoding,
    clockRate: number(clockRate, 0),
    channels: number(channels, 1),
    fmtp,
    bitrate: number(bitrate, 0),
    ptimeMs: number(ptime, 0),
  };
}

function readBandwidth(fields: FieldReader, layout: Layout): Media['bandwidth'] {
  if (layout === 'current') {
    const bounds = { min: -1, max: maxCounter, missing: -1 };
    return {
      as: fields.integer('bandwidth_as', bounds),
      rr: fields.integer('bandwidth_rr', bounds),
      rs: fields.integer('bandwidth_rs', bounds),
    };
  }
  const [as, rr, rs] = fields.text(extraFields.bandwidth, '-1/-1/-1').split('/').map(parseInteger);
  return { as: as ?? -1, rr: rr ?? -1, rs: rs ?? -1 };
}

function readOffered(fields: FieldReader, agreed: readonly Codec[]): readonly Codec[] | null {
  const text = fields.optional(extraFields.offered);
  if (text === null) return null;
  if (text === sameAsAgreed) return agreed;
  return unpackList(text).map((item) => {
    const [payloadType, encoding = '', clockRate, channels, bitrate, ptimeMs, ...fmtp] =
      item.split('/');
    const number = (value: string | undefined): number =>
      parseInteger(value ?? '') ?? fields.fail(extraFields.offered);
    return {
      payloadType: number(payloadType),
      encoding,
      clockRate: number(clockRate),
      channels: number(channels),
      fmtp: fmtp.join('/'),
      bitrate: number(bitrate),
      ptimeMs: number(ptimeMs),
    };
  });
}

/** A media whose subscriptions are still to be linked. */
export interface UnlinkedMedia {
  readonly media: Media;
  /** The additional field of the layouts of 10.5 and 12.5; null when their lists tell everything. */
  readonly subscriptions: string | null;
}

const isKeyed = ({ security: { mode }, sdes }: Pick<Media, 'security' | 'sdes'>): boolean =>
  sdes !== null || mode === 'DTLS' || mode === 'SDES or DTLS';

/** `media-N` and its lists, except for subscriptions. @throws RestoreError */
export function readMedia(id: number, decoding: Decoding): UnlinkedMedia {
  const { members, layout, counts, settings } = decoding;
  const fields = members.fields(`media-${id}`, "'medias' incomplete", 'failed to create medias');
  const { flags: bits, unknown } = readFlags(fields, 'media_flags', mediaFlagTables, layout);
  const modes = mediaModesOf(bits);
  const milliseconds = { min: -1, max: 0x7fff_ffff };
  const codecs = members
    .strings(`payload_types-${id}`, 'medias')
    .map((text) => readCodec(text, layout));
  const subscriptions = layout === 'current' ? null : fields.optional(extraFields.subscriptions);
  const protocol = fields.text('protocol');
  const security = readSecurity(fields, modes);
  const srtpIndexes = readSrtpIndexes(fields.optional(extraFields.srtpIndexes));
  const sdes = sdesOf(security, protocol, fields.optional(extraFields.sdes));
  const agreed = readAgreed(fields, counts.medias);
  const hasKeys = [{ security, sdes }, ...(agreed === null ? [] : [agreed])].some(isKeyed);
  const srtpResume = hasKeys ? resumeFrom(srtpIndexes) : nothingToResume;
  const media: Media = {
    id,
    participantId: fields.reference('tag', counts.participants) ?? fields.fail('tag'),
    index: fields.integer('index', { min: 1, max: maxInteger32 }),
    type: fields.text('type'),
    protocol,
    formats: fields.text('format_str'),
    mid: fields.optional('media_id'),
    desiredFamily: fields.oneOf('desired_family', families),
    logicalInterface: fields.text('logical_intf'),
    ptimeMs: fields.integer('ptime', { ...milliseconds, missing: 0 }),
    maxPtimeMs:
      layout === 'current'
        ? fields.integer('maxptime', milliseconds)
        : fields.integer(extraFields.maxPtime, { ...milliseconds, missing: 0 }),
    bandwidth: readBandwidth(fields, layout),
    flags: modes.flags,
    direction: modes.direction,
    agreedDirection: readAgreedDirection(fields),
    rtcpMux: modes.rtcpMux,
    security,
    ice: readIce(fields, modes.ice),
    bundle: readBundle(fields, counts.medias),
    extensions: readHeaderExtensions(fields),
    codecs,
    offered: readOffered(fields, codecs),
    hiddenExtensions: readExtensions(fields),
    blockedSources: readBlocked(fields, decoding),
    streams: members.references(`streams-${id}`, 'medias', counts.streams),
    endpointMaps: members.references(`maps-${id}`, 'medias', counts.maps),
    subscriptions: [],
    passedOn: fields.text(extraFields.passedOn),
    endpointLearning: fields.oneOf(extraFields.learning, learningValues, settings.endpointLearning),
    ssrcTable: layout === 'current' ? members.tables(`ssrc_table-${id}`, 'medias') : [],
    sdes,
    former: readFormer(fields),
    srtpIndexes: hasKeys ? reservedIndexes(srtpIndexes, srtpResume) : srtpIndexes,
    srtpResume,
    agreed,
    // Last: everything that was not read above.
    carried: unknown === null ? fields.rest() : { ...unknown, ...fields.rest() },
  };
  return { media, subscriptions };
}

/** `map-N` and `map_sfds-N`; the media is linked by the caller. @throws RestoreError */
export function readMap(id: number, mediaId: number, decoding: Decoding): EndpointMap {
  const { members } = decoding;
  const fields = members.fields(`map-${id}`, "'maps' incomplete", 'failed to create maps');
  const family = fields.oneOf('intf_preferred_family', families);
  const logicalInterface = fields.text('logical_intf');
  return {
    id,
    mediaId,
    wildcard: fields.boolean('wildcard'),
    numPorts: fields.integer('num_ports', { min: 0, max: 65535 }),
    family,
    logicalInterface,
    endpoint: readEndpoint(fields, 'endpoint'),
    sockets: readMapSockets(id, { logicalInterface, family }, decoding),
    carried: fields.rest(),
  };
}

/** `loc-UID` followed by the sockets on that address, repeated. */
function readMapSockets(
  id: number,
  { logicalInterface, family }: Pick<EndpointMap, 'logicalInterface' | 'family'>,
  { members, counts, indexOf }: Decoding,
): EndpointMap['sockets'] {
  const groups: { readonly addressIndex: number; readonly sockets: number[] }[] = [];
  for (const item of members.strings(`map_sfds-${id}`, 'maps')) {
    if (item.startsWith('loc-')) {
      const uid = parseInteger(item.slice(4));
      if (uid === null || uid < 0) {
        throw new RestoreError('failed to link maps', `map_sfds-${id}: ${item}`);
      }
      groups.push({ addressIndex: indexOf(logicalInterface, family, uid), sockets: [] });
      continue;
    }
    const socket = parseInteger(item);
    const group = groups.at(-1);
    if (socket === null || socket < 0 || socket >= counts.sockets || group === undefined) {
      throw new RestoreError('failed to link maps', `map_sfds-${id}: ${item}`);
    }
    group.sockets.push(socket);
  }
  return groups;
}
