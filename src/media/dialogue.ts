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
  if (ids.length === 0) return [id];
  return ids[0] === id ? ids : [id, ...ids.filter((other) => other !== id)];
}

type Wanted = (participant: Readonly<Participant>) => boolean;

const anybody: Wanted = () => true;
const withoutTag: Wanted = ({ tag }) => tag === null;

/** The first that is wanted of the participants in dialogue with `from`, the one used last first; null: none. */
function counterpart(
  draft: CallDraft,
  from: Participant,
  wanted: Wanted,
): Readonly<Participant> | null {
  const present = (id: number): Readonly<Participant> | null => {
    const participant = draft.participantAsIs(id);
    return isPresent(participant) && wanted(participant) ? participant : null;
  };
  for (const mediaId of from.medias) {
    for (const { offerAnswer, mediaId: source } of draft.mediaAsIs(mediaId).subscriptions) {
      if (!offerAnswer) continue;
      const found = present(draft.mediaAsIs(source).participantId);
      if (found !== null) return found;
    }
  }
  for (const ids of [from.associated, from.branches]) {
    for (const id of ids) {
      const found = present(id);
      if (found !== null) return found;
    }
  }
  return null;
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

function offerer(draft: CallDraft, request: OfferingRequest, nowMicros: number): Participant {
  const { fromTag, aliasKey } = request;
  const known = draft.participantByTag(fromTag);
  if (known !== null) return known;
  const called = unnamedPartner(draft, request);
  if (called !== null) {
    const named = draft.participant(called.id);
    named.tag = fromTag;
    return named;
  }
  const same =
    aliasKey === null
      ? undefined
      : draft.state.participants.find((each) => each.aliasKey === aliasKey && isPresent(each));
  return same === undefined
    ? draft.addParticipant(fromTag, nowMicros)
    : addAlias(draft.participant(same.id), fromTag);
}

/** Who was offered a body and makes an offer before he has answered (10.5 and 12.5 seen); null: nobody. */
function unnamedPartner(
  draft: CallDraft,
  { fromTag, toTag, viaBranch }: DialogueRequest,
): Readonly<Participant> | null {
  const partner = toTag === null || toTag === fromTag ? null : draft.participantByTag(toTag);
  if (partner === null) return null;
  const onBranch: Wanted = (each) => each.tag === null && each.viaBranch === viaBranch;
  const branch = viaBranch === null ? null : counterpart(draft, partner, onBranch);
  return branch ?? counterpart(draft, partner, withoutTag);
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
  noteRoles(draft, from, to);
  return { from, to };
}

function offerCounterpart(
  draft: CallDraft,
  from: Participant,
  request: DialogueRequest,
  nowMicros: number,
): Participant {
  const { viaBranch } = request;
  // Nobody calls himself: of a party that is new its own tag as the other one says nothing (12.5 seen).
  const toTag =
    request.toTag === request.fromTag && from.medias.length === 0 ? null : request.toTag;
  if (toTag !== null) {
    const named = draft.participantByTag(toTag);
    if (named !== null) return revive(named);
    const added = draft.addParticipant(toTag, nowMicros);
    addBranch(from, added, viaBranch);
    return added;
  }
  if (viaBranch === null) {
    const current = counterpart(draft, from, anybody);
    return current === null
      ? draft.addParticipant(null, nowMicros)
      : revive(draft.participant(current.id));
  }
  const known = branchOf(draft, from, viaBranch);
  const branch =
    known === null ? draft.addParticipant(null, nowMicros) : draft.participant(known.id);
  addBranch(from, branch, viaBranch);
  return revive(branch);
}

function noteRoles(draft: CallDraft, from: Participant, to: Participant): void {
  const first = draft.state.participants[0]?.id;
  from.turned = from.id !== first;
  to.turned = to.id === first;
}

/** Who is meant by an offer of `from` on a branch, or may be; null: nobody that there is. */
function branchOf(
  draft: CallDraft,
  from: Participant,
  viaBranch: string,
): Readonly<Participant> | null {
  const isUnnamed: Wanted = (candidate) => candidate.viaBranch === null && candidate.tag === null;
  // Most often it is a new one, and those that `from` speaks with are many.
  const { participants } = draft.state;
  const isKnown = participants.some((candidate) => candidate.viaBranch === viaBranch);
  if (!isKnown && !participants.some(isUnnamed)) return null;
  let unnamed: Readonly<Participant> | null = null;
  const known = counterpart(draft, from, (candidate) => {
    if (candidate.viaBranch === viaBranch) return true;
    if (isUnnamed(candidate)) unnamed ??= candidate;
    return false;
  });
  return known ?? unnamed;
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
  noteRoles(draft, from, to);
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
  if (known !== null) return known;
  // Proxies send another via-branch with the reply than with the request, or none: then the partner
  // of the latest offer is meant.
  const branch =
    viaBranch === null
      ? null
      : counterpart(draft, from, (candidate) => candidate.viaBranch === viaBranch);
  const partner =
    branch ?? counterpart(draft, from, withoutTag) ?? counterpart(draft, from, anybody);
  if (partner === null) return draft.addParticipant(toTag, nowMicros);
  if (partner.tag === null) {
    const named = draft.participant(partner.id);
    named.tag = toTag;
    return named;
  }
  const frozen = partner.answeredFinally && !request.provisional;
  if (request.newBranch || frozen) return draft.addParticipant(toTag, nowMicros);
  return addAlias(draft.participant(partner.id), toTag);
}
