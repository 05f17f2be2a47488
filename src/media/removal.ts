/** Deleting a call or one of its branches (ng-protocol.md §3.3; results as of rtpengine 10.5). */
import { earliestDeletion } from './call-change.js';
import { CallDraft } from './call-draft.js';
import type { CallState, Participant } from './call-state.js';

export interface DeleteRequest {
  readonly fromTag: string | null;
  readonly toTag: string | null;
  readonly viaBranch: string | null;
}

/** What a delete command is about. */
export type DeleteTarget =
  | { readonly kind: 'none' }
  | { readonly kind: 'call' }
  | { readonly kind: 'participant'; readonly participant: Participant };

/** Ids of the participants that have a port. */
function present({ medias, streams, sockets }: CallState): ReadonlySet<number> {
  const mediaOf = new Map(streams.map(({ id, mediaId }) => [id, mediaId]));
  const participantOf = new Map(medias.map(({ id, participantId }) => [id, participantId]));
  const ids = new Set<number>();
  for (const { streamId, open } of sockets) {
    const owner = participantOf.get(mediaOf.get(streamId) ?? -1);
    if (open && owner !== undefined) ids.add(owner);
  }
  return ids;
}

/** It has been deleted: it has no ports, and nobody is in dialogue with it (`withoutParticipant`). */
function isGone(state: CallState, { id, medias }: Participant): boolean {
  if (medias.length === 0 || present(state).has(id)) return false;
  return !state.participants.some(
    ({ associated, branches }) => associated.includes(id) || branches.includes(id),
  );
}

/** Selects the branch or call; a branch whose end leaves nobody in dialogue means the call. */
export function deleteTarget(state: CallState, request: DeleteRequest): DeleteTarget {
  const { fromTag, toTag, viaBranch } = request;
  if (fromTag === null || fromTag === '') return { kind: 'call' };
  const byTag = (tag: string): Participant | undefined =>
    state.participants.find(
      (each) => (each.tag === tag || each.aliases.includes(tag)) && !isGone(state, each),
    );
  // One that has gone, too: else the same command once more would end the whole call, as it does with 10.5 and 12.5.
  const byBranch =
    viaBranch === null
      ? undefined
      : state.participants.find((participant) => participant.viaBranch === viaBranch);
  let chosen: Participant | undefined;
  if (toTag !== null && toTag !== '') {
    chosen =
      byTag(toTag) ?? (byTag(fromTag) !== undefined ? untaggedCounterpart(state) : undefined);
  } else {
    chosen = byBranch ?? byTag(fromTag);
  }
  chosen ??= byBranch;
  if (chosen === undefined) return { kind: 'none' };
  return leavesSomebody(state, chosen)
    ? { kind: 'participant', participant: chosen }
    : { kind: 'call' };
}

/**
 * Whether the call goes on without `gone`. A call without dialogues, or one that a subscriber leaves, does as
 * long as there are two others (10.5 seen).
 */
function leavesSomebody(state: CallState, gone: Participant): boolean {
  if (gone.associated.length > 0 || gone.branches.length > 0 || isUntagged(gone)) {
    return leavesDialogue(state, gone);
  }
  let others = 0;
  for (const id of present(state)) if (id !== gone.id) others += 1;
  return others >= 2 && isSubscribed(state);
}

/** It was offered something and has not answered: in no dialogue yet. */
const isUntagged = ({ tag }: Participant): boolean => tag === null;

/** Somebody has subscribed to somebody, beyond the dialogues. */
const isSubscribed = ({ medias }: CallState): boolean =>
  medias.some(({ subscriptions }) => subscriptions.some(({ offerAnswer }) => !offerAnswer));

/** "From-tag when the opposite side has no tag yet": an early dialogue told by a new to-tag. */
function untaggedCounterpart(state: CallState): Participant | undefined {
  return state.participants.length === 2 && state.participants.some((p) => p.tag === null)
    ? state.participants.find((participant) => participant.tag === null)
    : undefined;
}

/** Whether two participants in dialogue remain without `gone`. */
function leavesDialogue(state: CallState, gone: Participant): boolean {
  if (state.participants.length < 3) return false;
  const ids = present(state);
  const stays = (id: number): boolean => id !== gone.id && ids.has(id);
  return state.participants.some(
    ({ id, associated, branches }) => stays(id) && (associated.some(stays) || branches.some(stays)),
  );
}

/** The call without the branch: its ports are given up, its record stays for `query`. */
export function withoutParticipant(state: CallState, participantId: number): CallState {
  const draft = new CallDraft(state);
  const gone = draft.participant(participantId);
  const streamIds = new Set<number>();
  for (const mediaId of gone.medias) {
    for (const streamId of draft.media(mediaId).streams) streamIds.add(streamId);
  }
  for (const id of streamIds) {
    const stream = draft.stream(id);
    stream.sockets = [];
    stream.selectedSocket = null;
  }
  for (const { id, streamId } of draft.state.sockets) {
    if (streamIds.has(streamId)) draft.socket(id).open = false;
  }
  const goneMedias = new Set(gone.medias);
  draft.state.endpointMaps = draft.state.endpointMaps.filter((map) => !goneMedias.has(map.mediaId));
  for (const mediaId of gone.medias) draft.media(mediaId).endpointMaps = [];
  for (const { id, associated, branches } of draft.state.participants) {
    if (!associated.includes(participantId) && !branches.includes(participantId)) continue;
    const participant = draft.participant(id);
    participant.associated = participant.associated.filter((id) => id !== participantId);
    participant.branches = participant.branches.filter((id) => id !== participantId);
  }
  gone.deletedMicros = 0;
  draft.state.participantDeletedMicros = earliestDeletion(draft.state.participants);
  return draft.finished();
}
