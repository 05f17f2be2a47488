/**
 * Which two participants a command speaks of (ng-protocol.md §7; behaviour of rtpengine 10.5 as
 * observed: branches adopt the participant that an offer left without a tag, and the dialogue used
 * last comes first). Where 10.5 makes a further participant of each answer with another tag, the current
 * release has it mean who was offered the body: with the ports of that body, media has nowhere else to go.
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

export interface OfferingRequest extends DialogueRequest {
  /** What a new tag has to share with a known one to mean the same participant; null: it is another one. */
  readonly aliasKey: string | null;
}

export interface AnsweringRequest extends DialogueRequest {
  readonly toTag: string;
  readonly newBranch: boolean;
  /** Of the SIP message; null: not told. */
  readonly sipCode: number | null;
  /** Its code says nothing about the end of the dialogue's early days. */
  readonly provisional: boolean;
}

const isPresent = (participant: Readonly<Participant>): boolean => participant.deletedMicros === 0;

function moveToFront(ids: readonly number[], id: number): readonly number[] {
  return ids[0] === id ? ids : [id, ...ids.filter((other) => other !== id)];
}

const nobody: readonly Readonly<Participant>[] = [];

/** Participants in dialogue with `from`, the one used last first. */
function counterparts(draft: CallDraft, from: Participant): readonly Readonly<Participant>[] {
  const found = new Set<Readonly<Participant>>();
  const add = (id: number): void => {
    const participant = draft.participantAsIs(id);
    if (isPresent(participant)) found.add(participant);
  };
  for (const mediaId of from.medias) {
    for (const subscription of draft.mediaAsIs(mediaId).subscriptions) {
      if (subscription.offerAnswer) add(draft.mediaAsIs(subscription.mediaId).participantId);
    }
  }
  for (const id of from.associated) add(id);
  for (const id of from.branches) add(id);
  return found.size === 0 ? nobody : [...found];
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

/** Tags of one participant: a hostile sequence of answers must not make a call grow. */
const maxAliases = 100;

function addAlias(participant: Participant, tag: string): Participant {
  if (participant.aliases.length < maxAliases) participant.aliases = [...participant.aliases, tag];
  return participant;
}

function offerer(
  draft: CallDraft,
  { fromTag, aliasKey }: OfferingRequest,
  nowMicros: number,
): Participant {
  const known = draft.participantByTag(fromTag);
  if (known !== null) return known;
  const same =
    aliasKey === null
      ? undefined
      : draft.state.participants.find((each) => each.aliasKey === aliasKey && isPresent(each));
  return same === undefined
    ? draft.addParticipant(fromTag, nowMicros)
    : addAlias(draft.participant(same.id), fromTag);
}

/** The dialogue of an offer; participants that do not exist yet are made. */
export function offerDialogue(
  draft: CallDraft,
  request: OfferingRequest,
  nowMicros: number,
): Dialogue {
  const from = revive(offerer(draft, request, nowMicros));
  if (request.aliasKey !== null) from.aliasKey = request.aliasKey;
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
  request: AnsweringRequest,
  nowMicros: number,
): Dialogue {
  const from =
    draft.participantByTag(request.fromTag) ?? draft.addParticipant(request.fromTag, nowMicros);
  const to = answerCounterpart(draft, from, request, nowMicros);
  revive(from);
  revive(to);
  if (isFinal(request)) to.answeredFinally = true;
  associate(from, to);
  return { from, to };
}

/** Kamailio tells the code of the reply that an answer came with. */
const isFinal = ({ sipCode, provisional }: AnsweringRequest): boolean =>
  sipCode !== null && sipCode >= 200 && !provisional;

function answerCounterpart(
  draft: CallDraft,
  from: Participant,
  request: AnsweringRequest,
  nowMicros: number,
): Participant {
  const { toTag, viaBranch } = request;
  const known = draft.participantByTag(toTag);
  if (known !== null && known !== from) return known;
  const candidates = counterparts(draft, from);
  // Proxies send another via-branch with the reply than with the request, or none: then the partner
  // of the latest offer is meant.
  const branch =
    viaBranch === null
      ? undefined
      : candidates.find((candidate) => candidate.viaBranch === viaBranch);
  const latest = candidates[0];
  const unnamed = latest?.tag === null ? latest : candidates.find(({ tag }) => tag === null);
  const partner = branch ?? unnamed ?? latest;
  if (partner === undefined || known === from) return draft.addParticipant(toTag, nowMicros);
  if (partner.tag === null) {
    const named = draft.participant(partner.id);
    named.tag = toTag;
    return named;
  }
  const frozen = partner.answeredFinally && !request.provisional;
  if (request.newBranch || frozen) return draft.addParticipant(toTag, nowMicros);
  return addAlias(draft.participant(partner.id), toTag);
}
