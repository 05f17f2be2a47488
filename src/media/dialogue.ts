/**
 * Which two participants a command speaks of (ng-protocol.md §7; behaviour of rtpengine 10.5 as
 * observed: branches adopt the participant that an offer left without a tag, and the dialogue used
 * last comes first).
 */
import type { CallDraft } from './call-draft.js';
import type { Participant } from './call-state.js';

export interface Dialogue {
  /** Sender of the SDP. */
  readonly from: Participant;
  /** Its receiver. */
  readonly to: Participant;
}

export interface DialogueRequest {
  readonly fromTag: string;
  readonly toTag: string | null;
  readonly viaBranch: string | null;
}

const isPresent = (participant: Readonly<Participant>): boolean => participant.deletedMicros === 0;

function moveToFront(ids: readonly number[], id: number): readonly number[] {
  return ids[0] === id ? ids : [id, ...ids.filter((other) => other !== id)];
}

/** Participants in dialogue with `from`, the one used last first. */
function counterparts(draft: CallDraft, from: Participant): readonly Readonly<Participant>[] {
  const ids = new Set<number>();
  for (const mediaId of from.medias) {
    for (const subscription of draft.mediaAsIs(mediaId).subscriptions) {
      if (subscription.offerAnswer) ids.add(draft.mediaAsIs(subscription.mediaId).participantId);
    }
  }
  for (const id of from.associated) ids.add(id);
  for (const id of from.branches) ids.add(id);
  return [...ids].map((id) => draft.participantAsIs(id)).filter(isPresent);
}

function associate(from: Participant, to: Participant): void {
  if (from.tag === null || to.tag === null) return;
  from.associated = moveToFront(from.associated, to.id);
  to.associated = moveToFront(to.associated, from.id);
}

function addBranch(from: Participant, to: Participant, viaBranch: string | null): void {
  if (viaBranch === null) return;
  to.viaBranch ??= viaBranch;
  if (!from.branches.includes(to.id)) from.branches = [to.id, ...from.branches];
}

function revive(participant: Participant): Participant {
  participant.deletedMicros = 0;
  return participant;
}

/** The dialogue of an offer; participants that do not exist yet are made. */
export function offerDialogue(
  draft: CallDraft,
  request: DialogueRequest,
  nowMicros: number,
): Dialogue {
  const known = draft.participantByTag(request.fromTag);
  const from = known === null ? draft.addParticipant(request.fromTag, nowMicros) : revive(known);
  const to = offerCounterpart(draft, from, request, nowMicros);
  associate(from, to);
  return { from, to };
}

function offerCounterpart(
  draft: CallDraft,
  from: Participant,
  request: DialogueRequest,
  nowMicros: number,
): Participant {
  const { toTag, viaBranch } = request;
  if (toTag !== null) {
    const named = draft.participantByTag(toTag);
    if (named !== null && named !== from) return revive(named);
    const added = draft.addParticipant(toTag, nowMicros);
    addBranch(from, added, viaBranch);
    return added;
  }
  const candidates = counterparts(draft, from);
  if (viaBranch === null) {
    const current = candidates[0];
    return current === undefined
      ? draft.addParticipant(null, nowMicros)
      : revive(draft.participant(current.id));
  }
  const known =
    candidates.find((candidate) => candidate.viaBranch === viaBranch) ??
    candidates.find((candidate) => candidate.viaBranch === null && candidate.tag === null);
  const branch =
    known === undefined ? draft.addParticipant(null, nowMicros) : draft.participant(known.id);
  addBranch(from, branch, viaBranch);
  return revive(branch);
}

/** The dialogue of an answer, in which `from` is the offerer and `to` the answerer. */
export function answerDialogue(
  draft: CallDraft,
  request: DialogueRequest & { readonly toTag: string },
  nowMicros: number,
): Dialogue {
  const from =
    draft.participantByTag(request.fromTag) ?? draft.addParticipant(request.fromTag, nowMicros);
  const to = answerCounterpart(draft, from, request, nowMicros);
  revive(from);
  revive(to);
  associate(from, to);
  return { from, to };
}

function answerCounterpart(
  draft: CallDraft,
  from: Participant,
  request: DialogueRequest & { readonly toTag: string },
  nowMicros: number,
): Participant {
  const { toTag, viaBranch } = request;
  const known = draft.participantByTag(toTag);
  if (known !== null && known !== from) return known;
  const candidates = counterparts(draft, from);
  const branch =
    viaBranch === null
      ? undefined
      : candidates.find((candidate) => candidate.viaBranch === viaBranch);
  // Proxies send another via-branch with the reply than with the request, or none: then the partner
  // of the latest offer is meant, unless another has answered already.
  const unnamed = branch ?? (candidates[0]?.tag === null ? candidates[0] : undefined);
  if (unnamed === undefined) return draft.addParticipant(toTag, nowMicros);
  const named = draft.participant(unnamed.id);
  named.tag = toTag;
  return named;
}
