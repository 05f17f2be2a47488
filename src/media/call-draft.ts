/**
 * A copy of a call that one command changes before it is published. An entity is copied when it is asked for
 * first: of a call with hundreds of branches a command concerns two or three.
 */
import {
  isSameEndpointMap,
  isSameMedia,
  isSameParticipant,
  isSameSocket,
  isSameStream,
} from './call-change.js';
import {
  copyOfEndpointMap,
  copyOfMedia,
  copyOfParticipant,
  copyOfSocket,
  copyOfStream,
  noExtensions,
  nothingCarried,
  nothingToResume,
  noStats,
  shallowCopyOf,
  type AddressFamily,
  type CallState,
  type EndpointLearning,
  type EndpointMap,
  type LocalSocket,
  type Media,
  type MediaFlag,
  type Participant,
  type Stream,
  type StreamFlag,
} from './call-state.js';
import { noBundle, noIce, plainMedia } from './media-attributes.js';
import { entityKinds, hearingMedias, noteChanges, type EntityKind } from './state-changes.js';

/**
 * Shared, and lists of ids grow by `withId`: a list of its own for nothing takes 32 bytes, one that is spread room for
 * 16 entries more. Thousands of calls stand.
 */
const none: readonly never[] = [];
const noFlags: ReadonlySet<MediaFlag> = new Set();
const rtpFlags: ReadonlySet<StreamFlag> = new Set<StreamFlag>(['rtp']);
const rtcpFlags: ReadonlySet<StreamFlag> = new Set<StreamFlag>(['rtcp']);

interface Entity {
  readonly id: number;
}

/** What is done with entities of one kind. */
interface Kind<T> {
  readonly name: EntityKind;
  copyOf(from: T): T;
  isSame(one: T, other: T): boolean;
}

const ofParticipants: Kind<Participant> = {
  ...{ name: 'participants', copyOf: copyOfParticipant, isSame: isSameParticipant },
};
const ofMedias: Kind<Media> = { name: 'medias', copyOf: copyOfMedia, isSame: isSameMedia };
const ofStreams: Kind<Stream> = { name: 'streams', copyOf: copyOfStream, isSame: isSameStream };
const ofSockets: Kind<LocalSocket> = {
  ...{ name: 'sockets', copyOf: copyOfSocket, isSame: isSameSocket },
};
const ofEndpointMaps: Kind<EndpointMap> = {
  ...{ name: 'endpointMaps', copyOf: copyOfEndpointMap, isSame: isSameEndpointMap },
};

interface Copy {
  readonly kind: Kind<Entity>;
  readonly list: Entity[];
  readonly at: number;
  readonly copy: Entity;
  readonly before: Entity;
}

/** Of calls with fewer streams nobody is told what changes: looking is as fast. */
const manyStreams = 32;

/** Ids count from 0 in the order of the list, unless something was taken out of it. */
function positionOf(entities: readonly Entity[], id: number): number {
  if (entities[id]?.id === id) return id;
  const found = entities.findIndex((entity) => entity.id === id);
  if (found < 0) throw new RangeError(`no entity ${id} in the call`);
  return found;
}

function entityAt<T extends Entity>(entities: readonly T[], id: number): T {
  const entity = entities[positionOf(entities, id)];
  if (entity === undefined) throw new RangeError(`no entity ${id} in the call`);
  return entity;
}

/** Whether the entity is one of those, nearly always at the same place. */
function isAmong<T extends Entity>(entities: readonly T[], entity: T, at: number): boolean {
  const other = entities[at];
  // Where something was taken out, places are others.
  return other === entity || (other?.id !== entity.id && entities.includes(entity));
}

/**
 * The call as it is so far. Its entities may be those of the state before: only what the methods of
 * `CallDraft` give may be changed.
 */
export interface DraftedState extends CallState {
  participants: Readonly<Participant>[];
  medias: Readonly<Media>[];
  streams: Readonly<Stream>[];
  sockets: Readonly<LocalSocket>[];
  endpointMaps: Readonly<EndpointMap>[];
}

/** What a new call starts from. Times in µs since the epoch. */
export interface NewCall {
  readonly callId: string;
  readonly nowMicros: number;
  readonly createdFrom: string;
  readonly createdFromAddress: string;
  readonly tos: number;
  readonly redisHostedDb: number;
}

export function newCallState(call: NewCall): CallState {
  return {
    callId: call.callId,
    otherIds: [],
    createdMicros: call.nowMicros,
    lastSignalMicros: call.nowMicros,
    deletedMicros: 0,
    participantDeletedMicros: 0,
    tos: call.tos,
    createdFrom: call.createdFrom,
    createdFromAddress: call.createdFromAddress,
    noticeAddress: '',
    digitsTo: '',
    redisHostedDb: call.redisHostedDb,
    ownershipEpoch: 0,
    metadata: '',
    blockMedia: false,
    blockDtmf: 'off',
    silenceMedia: false,
    dropTraffic: false,
    ownership: 'own',
    participants: [],
    medias: [],
    streams: [],
    sockets: [],
    endpointMaps: [],
    nextIds: { participant: 0, media: 0, stream: 0, socket: 0, endpointMap: 0 },
    carried: nothingCarried,
  };
}

/** The ids with one more, without room for others. */
function withId(ids: readonly number[], id: number): readonly number[] {
  const first = ids[0];
  if (first === undefined) return [id];
  return ids.length === 1 ? [first, id] : ids.concat(id);
}

/** Finds and adds the entities of a call under change. */
export class CallDraft {
  readonly state: DraftedState;
  /** Entities from here on are the draft's. */
  readonly #firstIds: CallState['nextIds'];
  readonly #copies: Copy[] = [];
  readonly #previous: CallState;
  readonly #lists: Readonly<Record<EntityKind, readonly Entity[]>>;

  constructor(previous: CallState) {
    this.#previous = previous;
    const { participant, media, stream, socket, endpointMap } = previous.nextIds;
    this.#firstIds = previous.nextIds;
    const state = shallowCopyOf(previous);
    state.participants = previous.participants.slice();
    state.medias = previous.medias.slice();
    state.streams = previous.streams.slice();
    state.sockets = previous.sockets.slice();
    state.endpointMaps = previous.endpointMaps.slice();
    state.nextIds = { participant, media, stream, socket, endpointMap };
    this.state = state as DraftedState;
    const { participants, medias, streams, sockets, endpointMaps } = state;
    this.#lists = { participants, medias, streams, sockets, endpointMaps };
  }

  /** To be looked at and changed, as what the following four give. */
  participant(id: number): Participant {
    const first = this.#firstIds.participant;
    return this.#changed(
      this.state.participants,
      this.#previous.participants,
      id,
      first,
      ofParticipants,
    );
  }

  media(id: number): Media {
    const first = this.#firstIds.media;
    return this.#changed(this.state.medias, this.#previous.medias, id, first, ofMedias);
  }

  stream(id: number): Stream {
    const first = this.#firstIds.stream;
    return this.#changed(this.state.streams, this.#previous.streams, id, first, ofStreams);
  }

  socket(id: number): LocalSocket {
    const first = this.#firstIds.socket;
    return this.#changed(this.state.sockets, this.#previous.sockets, id, first, ofSockets);
  }

  endpointMap(id: number): EndpointMap {
    const first = this.#firstIds.endpointMap;
    return this.#changed(
      this.state.endpointMaps,
      this.#previous.endpointMaps,
      id,
      first,
      ofEndpointMaps,
    );
  }

  /** To be looked at only. */
  participantAsIs(id: number): Readonly<Participant> {
    return entityAt(this.state.participants, id);
  }

  mediaAsIs(id: number): Readonly<Media> {
    return entityAt(this.state.medias, id);
  }

  streamAsIs(id: number): Readonly<Stream> {
    return entityAt(this.state.streams, id);
  }

  endpointMapAsIs(id: number): Readonly<EndpointMap> {
    return entityAt(this.state.endpointMaps, id);
  }

  socketAsIs(id: number): Readonly<LocalSocket> {
    return entityAt(this.state.sockets, id);
  }

  #changed<T extends Entity>(
    list: T[],
    previous: readonly T[],
    id: number,
    firstId: number,
    kind: Kind<T>,
  ): T {
    const at = positionOf(list, id);
    const entity = list[at] ?? entityAt(list, id);
    if (id >= firstId || !isAmong(previous, entity, at)) return entity;
    const copy = kind.copyOf(entity);
    list[at] = copy;
    this.#copies.push({ kind, list, at, copy, before: entity });
    return copy;
  }

  /**
   * The call as it is from now on: copies that came out as they were are put back, so that whoever compares two
   * states (the plan and the stored value do) sees by identity what has changed.
   */
  finished(): CallState {
    for (const { kind, list, at, copy, before } of this.#copies)
      if (list[at] === copy && kind.isSame(copy, before)) list[at] = before;
    if (this.#previous.streams.length >= manyStreams) this.#tellChanges();
    return this.state;
  }

  #tellChanges(): void {
    const { state } = this;
    const before = this.#previous;
    const changed: Record<EntityKind, number[]> = {
      ...{ participants: [], medias: [], streams: [], sockets: [], endpointMaps: [] },
    };
    for (const { kind, list, at, copy } of this.#copies)
      if (list[at] === copy) changed[kind.name].push(at);
    for (const kind of entityKinds) {
      const list = this.#lists[kind];
      // Something was taken out: positions are others.
      if (state[kind] !== list || list.length < before[kind].length) return;
      changed[kind].sort((a, b) => a - b);
      for (let at = before[kind].length; at < list.length; at += 1) changed[kind].push(at);
    }
    noteChanges(before, state, changed);
  }

  /** All that are subscribed to something are among them. */
  mediasThatHear(): readonly Readonly<Media>[] {
    const { medias } = this.state;
    const known = hearingMedias(this.#previous.medias);
    const before = this.#previous.medias.length;
    if (known === null || medias !== this.#lists.medias || medias.length < before) return medias;
    const those: Readonly<Media>[] = [];
    const add = (media: Readonly<Media> | undefined): void => {
      if (media !== undefined) those.push(media);
    };
    for (const at of known) add(medias[at]);
    for (const { list, at } of this.#copies) if (list === medias) add(medias[at]);
    for (let at = before; at < medias.length; at += 1) add(medias[at]);
    return those;
  }

  /** Participants that have not been deleted keep medias; a deleted one only stays for the record. */
  participantByTag(tag: string): Participant | null {
    const found = this.state.participants.find(
      ({ tag: own, aliases }) => own === tag || (aliases.length > 0 && aliases.includes(tag)),
    );
    return found === undefined ? null : this.participant(found.id);
  }

  addParticipant(tag: string | null, nowMicros: number): Participant {
    const participant: Participant = {
      id: this.state.nextIds.participant++,
      tag,
      viaBranch: null,
      label: null,
      metadata: null,
      createdMicros: nowMicros,
      deletedMicros: 0,
      blockMedia: false,
      blockDtmf: 'off',
      silenceMedia: false,
      logicalInterface: null,
      desiredFamily: null,
      associated: none,
      branches: none,
      medias: none,
      aliases: none,
      answeredFinally: false,
      turned: false,
      aliasKey: null,
      sdpReceived: null,
      sdpSent: null,
      passedOn: '',
      ssrcTable: none,
      carried: nothingCarried,
    };
    this.state.participants.push(participant);
    return participant;
  }

  addMedia(
    participant: Participant,
    index: number,
    family: AddressFamily,
    logicalInterface: string,
    endpointLearning: EndpointLearning,
  ): Media {
    const media: Media = {
      id: this.state.nextIds.media++,
      participantId: participant.id,
      index,
      type: '',
      protocol: '',
      formats: '',
      mid: null,
      desiredFamily: family,
      logicalInterface,
      ptimeMs: 0,
      maxPtimeMs: 0,
      bandwidth: { as: -1, rr: -1, rs: -1 },
      flags: noFlags,
      direction: 'inactive',
      agreedDirection: null,
      rtcpMux: false,
      security: plainMedia,
      ice: noIce,
      bundle: noBundle,
      extensions: none,
      codecs: none,
      offered: null,
      hiddenExtensions: noExtensions,
      blockedSources: none,
      streams: none,
      endpointMaps: none,
      subscriptions: none,
      passedOn: '',
      endpointLearning,
      ssrcTable: none,
      sdes: null,
      srtpIndexes: none,
      srtpResume: nothingToResume,
      agreed: null,
      former: null,
      carried: nothingCarried,
    };
    this.state.medias.push(media);
    participant.medias = withId(participant.medias, media.id);
    return media;
  }

  addStream(media: Media, component: 1 | 2, nowMicros: number): Stream {
    const stream: Stream = {
      id: this.state.nextIds.stream++,
      mediaId: media.id,
      component,
      sockets: none,
      selectedSocket: null,
      rtcpSibling: null,
      endpoint: null,
      advertisedEndpoint: null,
      flags: component === 1 ? rtpFlags : rtcpFlags,
      learningGeneration: 0,
      iceRoute: null,
      lastPacketMicros: nowMicros,
      stats: noStats,
      srtp: null,
      carried: nothingCarried,
    };
    this.state.streams.push(stream);
    media.streams = withId(media.streams, stream.id);
    return stream;
  }

  addSocket(socket: Omit<LocalSocket, 'id' | 'open' | 'srtp' | 'carried'>): LocalSocket {
    const added: LocalSocket = {
      id: this.state.nextIds.socket++,
      streamId: socket.streamId,
      port: socket.port,
      logicalInterface: socket.logicalInterface,
      addressIndex: socket.addressIndex,
      family: socket.family,
      open: true,
      srtp: null,
      carried: nothingCarried,
    };
    this.state.sockets.push(added);
    return added;
  }

  addEndpointMap(map: Omit<EndpointMap, 'id' | 'carried'>): EndpointMap {
    const added: EndpointMap = {
      id: this.state.nextIds.endpointMap++,
      mediaId: map.mediaId,
      wildcard: map.wildcard,
      numPorts: map.numPorts,
      family: map.family,
      logicalInterface: map.logicalInterface,
      endpoint: map.endpoint,
      sockets: map.sockets,
      carried: nothingCarried,
    };
    this.state.endpointMaps.push(added);
    const media = this.media(map.mediaId);
    media.endpointMaps = withId(media.endpointMaps, added.id);
    return added;
  }
}
