/** Small changes of a call: what did not change is shared with the state before. */
import {
  copyOfParticipant,
  shallowCopyOf,
  type CallState,
  type DraftState,
  type EndpointMap,
  type LocalSocket,
  type Media,
  type Participant,
  type Stream,
} from './call-state.js';

/** The call with these streams, by their ids, in place of its own. */
export function withStreams(state: CallState, changed: ReadonlyMap<number, Stream>): CallState {
  const next = shallowCopyOf(state);
  next.streams = state.streams.map((stream) => changed.get(stream.id) ?? stream);
  return next;
}

/** What says whose a call is. */
export type Ownership = Pick<CallState, 'ownership' | 'ownershipEpoch' | 'redisHostedDb'>;

/** The call in other hands. */
export function withOwnership(state: CallState, change: Partial<Ownership>): CallState {
  const next = shallowCopyOf(state);
  next.ownership = change.ownership ?? state.ownership;
  next.ownershipEpoch = change.ownershipEpoch ?? state.ownershipEpoch;
  next.redisHostedDb = change.redisHostedDb ?? state.redisHostedDb;
  return next;
}

/** The call with its end scheduled, µs. */
export function withDeletion(state: CallState, deletedMicros: number): CallState {
  const next = shallowCopyOf(state);
  next.deletedMicros = deletedMicros;
  return next;
}

/** The call with the end of one participant scheduled, µs. */
export function withParticipantDeletion(
  state: CallState,
  participantId: number,
  deletedMicros: number,
): CallState {
  const next = shallowCopyOf(state);
  next.participants = state.participants.map((participant) => {
    if (participant.id !== participantId) return participant;
    const leaving = copyOfParticipant(participant);
    leaving.deletedMicros = deletedMicros;
    return leaving;
  });
  next.participantDeletedMicros = earliestDeletion(next.participants);
  return next;
}

/** When the first of the participants is to leave, µs; 0: none is. */
export function earliestDeletion(participants: readonly Participant[]): number {
  let earliest = 0;
  for (const { deletedMicros } of participants) {
    if (deletedMicros === 0) continue;
    if (earliest === 0 || deletedMicros < earliest) earliest = deletedMicros;
  }
  return earliest;
}

type Entity = Participant | Media | Stream | LocalSocket | EndpointMap;

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** Lists of ids and tags are made anew by those who filter them. */
function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (!isList(a) || !isList(b) || a.length !== b.length) return false;
  return a.every((item, at) => item === b[at]);
}

// Written out, as the copies are: a loop over names costs ten times as much. What differs most often comes first.

export const isSameParticipant = (a: Participant, b: Participant): boolean =>
  a.tag === b.tag &&
  a.sdpReceived === b.sdpReceived &&
  a.sdpSent === b.sdpSent &&
  a.id === b.id &&
  a.viaBranch === b.viaBranch &&
  a.label === b.label &&
  a.metadata === b.metadata &&
  a.createdMicros === b.createdMicros &&
  a.deletedMicros === b.deletedMicros &&
  a.blockMedia === b.blockMedia &&
  a.blockDtmf === b.blockDtmf &&
  a.silenceMedia === b.silenceMedia &&
  a.logicalInterface === b.logicalInterface &&
  a.desiredFamily === b.desiredFamily &&
  sameValue(a.associated, b.associated) &&
  sameValue(a.branches, b.branches) &&
  sameValue(a.medias, b.medias) &&
  sameValue(a.aliases, b.aliases) &&
  a.answeredFinally === b.answeredFinally &&
  a.turned === b.turned &&
  a.aliasKey === b.aliasKey &&
  a.passedOn === b.passedOn &&
  sameValue(a.ssrcTable, b.ssrcTable) &&
  a.carried === b.carried;

export const isSameMedia = (a: Media, b: Media): boolean =>
  a.formats === b.formats &&
  a.direction === b.direction &&
  a.flags === b.flags &&
  sameValue(a.codecs, b.codecs) &&
  a.id === b.id &&
  a.participantId === b.participantId &&
  a.index === b.index &&
  a.type === b.type &&
  a.protocol === b.protocol &&
  a.mid === b.mid &&
  a.desiredFamily === b.desiredFamily &&
  a.logicalInterface === b.logicalInterface &&
  a.ptimeMs === b.ptimeMs &&
  a.maxPtimeMs === b.maxPtimeMs &&
  a.bandwidth === b.bandwidth &&
  a.agreedDirection === b.agreedDirection &&
  a.rtcpMux === b.rtcpMux &&
  a.security === b.security &&
  a.ice === b.ice &&
  a.bundle === b.bundle &&
  sameValue(a.extensions, b.extensions) &&
  sameValue(a.offered, b.offered) &&
  sameValue(a.hiddenExtensions, b.hiddenExtensions) &&
  sameValue(a.blockedSources, b.blockedSources) &&
  sameValue(a.streams, b.streams) &&
  sameValue(a.endpointMaps, b.endpointMaps) &&
  sameValue(a.subscriptions, b.subscriptions) &&
  a.passedOn === b.passedOn &&
  a.endpointLearning === b.endpointLearning &&
  sameValue(a.ssrcTable, b.ssrcTable) &&
  a.sdes === b.sdes &&
  a.former === b.former &&
  sameValue(a.srtpIndexes, b.srtpIndexes) &&
  a.srtpResume === b.srtpResume &&
  a.agreed === b.agreed &&
  a.carried === b.carried;

export const isSameStream = (a: Stream, b: Stream): boolean =>
  a.learningGeneration === b.learningGeneration &&
  a.selectedSocket === b.selectedSocket &&
  a.endpoint === b.endpoint &&
  a.id === b.id &&
  a.mediaId === b.mediaId &&
  a.component === b.component &&
  sameValue(a.sockets, b.sockets) &&
  a.rtcpSibling === b.rtcpSibling &&
  a.advertisedEndpoint === b.advertisedEndpoint &&
  a.flags === b.flags &&
  a.lastPacketMicros === b.lastPacketMicros &&
  a.stats === b.stats &&
  a.srtp === b.srtp &&
  a.iceRoute === b.iceRoute &&
  a.carried === b.carried;

export const isSameSocket = (a: LocalSocket, b: LocalSocket): boolean =>
  a.open === b.open &&
  a.streamId === b.streamId &&
  a.id === b.id &&
  a.port === b.port &&
  a.logicalInterface === b.logicalInterface &&
  a.addressIndex === b.addressIndex &&
  a.family === b.family &&
  a.srtp === b.srtp &&
  a.carried === b.carried;

export const isSameEndpointMap = (a: EndpointMap, b: EndpointMap): boolean =>
  a.wildcard === b.wildcard &&
  a.endpoint === b.endpoint &&
  a.id === b.id &&
  a.mediaId === b.mediaId &&
  a.numPorts === b.numPorts &&
  a.family === b.family &&
  a.logicalInterface === b.logicalInterface &&
  sameValue(a.sockets, b.sockets) &&
  a.carried === b.carried;

/** Puts those back that came out as they were. */
function share<E extends Entity>(
  next: E[],
  previous: readonly E[],
  isSame: (entity: E, before: E) => boolean,
): void {
  for (let at = 0; at < next.length; at++) {
    const entity = next[at];
    const before = previous[at];
    if (entity === before || entity === undefined || before === undefined) continue;
    if (before.id === entity.id && isSame(entity, before)) next[at] = before;
  }
}

/**
 * A finished draft: its entities that came out as they were are those of the state before, so that whoever
 * compares both (the stored value does) sees by identity what has changed.
 */
export function finished(draft: DraftState, previous: CallState | null): CallState {
  if (previous === null) return draft;
  share(draft.participants, previous.participants, isSameParticipant);
  share(draft.medias, previous.medias, isSameMedia);
  share(draft.streams, previous.streams, isSameStream);
  share(draft.sockets, previous.sockets, isSameSocket);
  share(draft.endpointMaps, previous.endpointMaps, isSameEndpointMap);
  return draft;
}
