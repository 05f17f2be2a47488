/**
 * A stored value -> the call (redis-layout.md §6). Reads the layouts of 10.5 and 12.5, and the current
 * one in both forms. Whatever the bytes are, the result is a consistent call (every id in it exists) or a
 * RestoreError.
 */
import {
  canonicalAddress,
  type CallState,
  type EndpointMap,
  type Media,
  type Participant,
  type Stream,
  type Subscription,
} from '../media/call-state.js';
import {
  readMap,
  readMedia,
  readParticipant,
  readSocket,
  readStream,
  readTime,
  type Counts,
  type Decoding,
  type UnlinkedMedia,
} from './decode-entities.js';
import { addressOf } from './encode-current.js';
import { RestoreError, type EntityKind } from './errors.js';
import { dropDerived } from './derived.js';
import { callBits, parseBits } from './flags.js';
import {
  blockDtmfValues,
  layoutOf,
  extraFields,
  unknownBitsName,
  unpackList,
  type CodecSettings,
  type IndexOfPosition,
  type StoredFormat,
} from './schema.js';
import type { FieldReader } from './stored-value.js';
import { MemberReader, parseInteger, parseStoredValue } from './stored-value.js';
import { expandTagSubscriptions, type TagSubscription } from './subscriptions.js';

/** Subscriptions of one call; the lists of tags multiply with their medias. */
const maxSubscriptions = 100_000;

/** Whose a decoded call is. */
export interface Owner {
  readonly ownership: CallState['ownership'];
  /** Number of the database it was read from; null: what the value says. */
  readonly database: number | null;
}

const ourselves: Owner = { ownership: 'own', database: null };

/** A decoded call and the format that its value was in. */
export interface DecodedCall {
  readonly state: CallState;
  readonly format: StoredFormat;
}

/**
 * @param callId the key of the value, as a byte string.
 * @throws RestoreError when the value is no complete call.
 */
export function decodeCall(
  callId: string,
  bytes: Buffer,
  settings: CodecSettings,
  owner: Owner = ourselves,
): DecodedCall {
  try {
    const value = parseStoredValue(bytes, settings.bencode);
    const members = new MemberReader(value, callId, settings.secrets);
    const state = readCall(callId, members, value.format, settings, owner);
    return { state, format: value.format };
  } catch (error) {
    if (error instanceof RestoreError) throw error;
    throw new RestoreError('could not parse JSON data', 'unreadable', { cause: error });
  }
}

function readCounts(fields: FieldReader): Counts {
  const count = (kind: string): number => fields.integer(`num_${kind}`, { min: 0, max: 1_000_000 });
  return {
    sockets: count('sfds'),
    streams: count('streams'),
    medias: count('medias'),
    participants: count('tags'),
    maps: count('maps'),
  };
}

/** `read(0)` … `read(count - 1)`; the first that is missing ends it, so `count` costs nothing. */
function readAll<T>(count: number, read: (id: number) => T): T[] {
  const list: T[] = [];
  for (let id = 0; id < count; id += 1) list.push(read(id));
  return list;
}

/**
 * Values of ours without `extraFields.uidByFamily` number the addresses of an interface as they are configured.
 * rtpengine, which takes no field of ours over, numbers them family by family.
 */
function isFormerOfOurs(members: MemberReader, { participants }: Counts): boolean {
  for (let id = 0; id < participants && members.has(`tag-${id}`); id += 1) {
    if (members.hasField(`tag-${id}`, extraFields.lastSdpName)) return true;
  }
  return false;
}

function readCall(
  callId: string,
  members: MemberReader,
  format: StoredFormat,
  settings: CodecSettings,
  owner: Owner,
): CallState {
  const layout = layoutOf(format);
  const fields = members.fields('json', "'call' data incomplete", "'call' data incomplete");
  const counts = readCounts(fields);
  const byFamily = fields.boolean(extraFields.uidByFamily) || !isFormerOfOurs(members, counts);
  const indexOf: IndexOfPosition = byFamily ? (_, __, uid) => uid : settings.indexOfPosition;
  const decoding: Decoding = { members, layout, counts, settings, indexOf };
  const head = readHead(fields, decoding);
  const sockets = readAll(counts.sockets, (id) => readSocket(id, decoding));
  const streams = readAll(counts.streams, (id) => readStream(id, decoding));
  const participants = readAll(counts.participants, (id) => readParticipant(id, decoding));
  const unlinked = readAll(counts.medias, (id) => readMedia(id, decoding));
  const medias = unlinked.map(({ media }) => media);
  checkStreams(streams, medias);
  checkMedias(participants, medias);
  linkSubscriptions(participants, unlinked, decoding);
  const state: CallState = {
    callId,
    ...head,
    ownership: owner.ownership,
    redisHostedDb: owner.database ?? head.redisHostedDb,
    participants,
    medias,
    streams,
    sockets,
    endpointMaps: readMaps(medias, decoding),
    nextIds: {
      participant: counts.participants,
      media: counts.medias,
      stream: counts.streams,
      socket: counts.sockets,
      endpointMap: counts.maps,
    },
    carried: { ...head.carried, ...fields.rest() },
  };
  dropDerived(state, layout);
  return state;
}

type Head = Pick<
  CallState,
  | 'otherIds'
  | 'createdMicros'
  | 'lastSignalMicros'
  | 'deletedMicros'
  | 'participantDeletedMicros'
  | 'tos'
  | 'createdFrom'
  | 'createdFromAddress'
  | 'noticeAddress'
  | 'digitsTo'
  | 'redisHostedDb'
  | 'ownershipEpoch'
  | 'metadata'
  | 'blockMedia'
  | 'blockDtmf'
  | 'silenceMedia'
  | 'dropTraffic'
  | 'carried'
>;

function readTos(fields: FieldReader): number {
  const stored = fields.integer('tos', { min: -1, max: 255 });
  return fields.integer(extraFields.tos, { min: -1, max: -1, missing: stored });
}

function readHead(fields: FieldReader, { layout }: Decoding): Head {
  const flagged = layout !== '10.5';
  const lastSignalMicros = readTime(fields, 'last_signal', layout);
  if (lastSignalMicros === 0) throw new RestoreError("missing 'last signal' timestamp", 'json');
  const flags = flagged
    ? (parseBits(fields.text('call_flags', '0')) ?? fields.fail('call_flags'))
    : 0n;
  const known =
    callBits.blockMedia | callBits.silenceMedia | callBits.dropTraffic | callBits.foreign;
  const unknown = flags & ~known;
  const createdFrom = fields.text('created_from');
  const destroyed = fields.text('destroyed', '0');
  return {
    otherIds: unpackList(fields.text(extraFields.otherIds)),
    createdMicros: fields.integer('created', { min: 0, max: Number.MAX_SAFE_INTEGER }),
    lastSignalMicros,
    deletedMicros: readTime(fields, 'deleted', layout),
    participantDeletedMicros: readTime(fields, 'ml_deleted', layout),
    tos: readTos(fields),
    createdFrom,
    createdFromAddress: fields.text('created_from_addr', flagged ? addressOf(createdFrom) : ''),
    noticeAddress: canonicalAddress(fields.text(extraFields.noticeAddress)) ?? '',
    digitsTo: fields.text(extraFields.digitsTo),
    redisHostedDb: fields.integer('redis_hosted_db', { min: 0, max: 0x7fff_ffff }),
    ownershipEpoch: fields.integer(extraFields.epoch, { min: 0, max: 0x7fff_ffff, missing: 0 }),
    metadata: fields.text('recording_metadata'),
    blockMedia: flagged ? (flags & callBits.blockMedia) !== 0n : fields.boolean('block_media'),
    blockDtmf:
      blockDtmfValues[fields.integer('block_dtmf', { min: 0, max: 6, missing: 0 })] ?? 'off',
    silenceMedia: flagged
      ? (flags & callBits.silenceMedia) !== 0n
      : fields.boolean(extraFields.silenceMedia),
    dropTraffic: flagged
      ? (flags & callBits.dropTraffic) !== 0n
      : fields.boolean(extraFields.dropTraffic),
    carried: {
      ...(destroyed === '0' ? {} : { destroyed }),
      ...(unknown === 0n ? {} : { [unknownBitsName('call_flags', layout)]: String(unknown) }),
    },
  };
}

const failLink = (kind: EntityKind, detail: string): never => {
  throw new RestoreError(`failed to link ${kind}`, detail);
};

/** A stream belongs to the media that lists it, and is listed. */
function checkStreams(streams: readonly Stream[], medias: readonly Media[]): void {
  const listed = new Set<number>();
  for (const media of medias) {
    for (const id of media.streams) {
      if (streams[id]?.mediaId !== media.id) failLink('streams', `streams-${media.id}: ${id}`);
      listed.add(id);
    }
  }
  for (const stream of streams) {
    if (!listed.has(stream.id)) failLink('streams', `stream-${stream.id} is in no media`);
  }
}

/** A media belongs to the participant that lists it. */
function checkMedias(participants: readonly Participant[], medias: readonly Media[]): void {
  for (const participant of participants) {
    for (const id of participant.medias) {
      if (medias[id]?.participantId !== participant.id) {
        failLink('medias', `medias-${participant.id}: ${id}`);
      }
    }
  }
}

/** Maps that no media lists serve nothing: they are left out. */
function readMaps(medias: readonly Media[], decoding: Decoding): EndpointMap[] {
  const owners = new Map<number, number>();
  for (const media of medias) {
    for (const id of media.endpointMaps) {
      if (owners.has(id)) failLink('maps', `maps-${media.id}: ${id}`);
      owners.set(id, media.id);
    }
  }
  return readAll(decoding.counts.maps, (id) => readMap(id, owners.get(id) ?? -1, decoding)).filter(
    (map) => map.mediaId >= 0,
  );
}

function linkSubscriptions(
  participants: readonly Participant[],
  unlinked: readonly UnlinkedMedia[],
  decoding: Decoding,
): void {
  const budget = { left: maxSubscriptions };
  const { members, layout } = decoding;
  if (layout === '10.5') linkByTags(participants, unlinked, decoding, budget);
  else {
    for (const { media } of unlinked) {
      const items = members.strings(`media-subscriptions-${media.id}`, 'medias');
      media.subscriptions = items.map((item) => parseSubscription(item, decoding, budget));
    }
  }
  for (const { media, subscriptions } of unlinked) {
    if (subscriptions === null) continue;
    media.subscriptions = subscriptions
      .split(' ')
      .filter((item) => item !== '')
      .map((item) => parseSubscription(item, decoding, budget));
  }
}

function linkByTags(
  participants: readonly Participant[],
  unlinked: readonly UnlinkedMedia[],
  { members }: Decoding,
  budget: { left: number },
): void {
  for (const participant of participants) {
    const list = members
      .strings(`subscriptions-${participant.id}`, 'tags')
      .map((item) => parseTagSubscription(item, participants, budget));
    participant.medias.forEach((id, position) => {
      const entry = unlinked[id];
      if (entry === undefined) return;
      spend(budget, list.length);
      entry.media.subscriptions = expandTagSubscriptions(list, position);
    });
  }
}

function spend(budget: { left: number }, count: number): void {
  budget.left -= count;
  if (budget.left < 0) failLink('tags', 'too many subscriptions');
}

/** `media/offer_answer/rtcp_only/egress/inject`, in 12.5 without the last. */
function parseSubscription(
  item: string,
  { counts }: Decoding,
  budget: { left: number },
): Subscription {
  spend(budget, 1);
  const [media = '', offerAnswer, rtcpOnly, egress, inject] = item.split('/');
  const mediaId = parseInteger(media);
  if (mediaId === null || mediaId < 0 || mediaId >= counts.medias) {
    return failLink('medias', `subscription ${item}`);
  }
  return {
    mediaId,
    offerAnswer: offerAnswer === '1',
    rtcpOnly: rtcpOnly === '1',
    egress: egress === '1',
    inject: inject === '1',
  };
}

/** `tag/media-offset/offer_answer/rtcp_only/egress` */
function parseTagSubscription(
  item: string,
  participants: readonly Participant[],
  budget: { left: number },
): TagSubscription {
  spend(budget, 1);
  const [tag = '', offset = '', offerAnswer, rtcpOnly, egress] = item.split('/');
  const participant = participants[parseInteger(tag) ?? -1];
  const mediaOffset = parseInteger(offset);
  if (participant === undefined || mediaOffset === null || mediaOffset < 0) {
    return failLink('tags', `subscription ${item}`);
  }
  return {
    participant,
    offset: mediaOffset,
    offerAnswer: offerAnswer === '1',
    rtcpOnly: rtcpOnly === '1',
    egress: egress === '1',
  };
}
