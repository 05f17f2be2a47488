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

/** Both say the same, whichever objects they are. */
export function isSameEntity<E extends object>(a: E, b: E): boolean {
  for (const name in a) if (!sameValue(a[name], b[name])) return false;
  return true;
}

/** Puts those back that came out as they were. `isOther`: a quick look at what nearly always differs. */
function share<E extends Entity>(
  next: E[],
  previous: readonly E[],
  isOther: ((entity: E, before: E) => boolean) | null = null,
): void {
  for (let at = 0; at < next.length; at++) {
    const entity = next[at];
    const before = previous[at];
    if (entity === before || entity === undefined || before === undefined) continue;
    if (before.id !== entity.id || isOther?.(entity, before) === true) continue;
    if (isSameEntity(entity, before)) next[at] = before;
  }
}

const learnsAnew = (stream: Stream, before: Stream): boolean =>
  stream.learningGeneration !== before.learningGeneration;

/**
 * A finished draft: its entities that came out as they were are those of the state before, so that whoever
 * compares both (the stored value does) sees by identity what has changed.
 */
export function finished(draft: DraftState, previous: CallState | null): CallState {
  if (previous === null) return draft;
  share(draft.participants, previous.participants);
  share(draft.medias, previous.medias);
  share(draft.streams, previous.streams, learnsAnew);
  share(draft.sockets, previous.sockets);
  share(draft.endpointMaps, previous.endpointMaps);
  return draft;
}
