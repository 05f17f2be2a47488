/**
 * Block and silence commands (ng-protocol.md §3.9). What they set stays until the opposite command, in
 * re-offers and restarts too; payload-rules.ts makes packets of it.
 */
import type { CallState, DraftState, Participant } from './call-state.js';
import { finished } from './call-change.js';
import { draftOf } from './call-state.js';
import { flowsOf, selectsFlows, type FlowChoice } from './flows.js';
import { selectedParticipant, type Selection } from './selection.js';

export interface Restriction extends Selection, FlowChoice {
  readonly command:
    | 'block media'
    | 'unblock media'
    | 'block DTMF'
    | 'unblock DTMF'
    | 'silence media'
    | 'unsilence media';
  /** The label that the selected participant gets; null: it keeps its own. */
  readonly setLabel: string | null;
}

type Restrictable = Pick<Participant | DraftState, 'blockMedia' | 'blockDtmf' | 'silenceMedia'>;

const changes: Readonly<Record<Restriction['command'], (target: Restrictable) => void>> = {
  'block media': (target) => (target.blockMedia = true),
  'unblock media': (target) => (target.blockMedia = false),
  'block DTMF': (target) => (target.blockDtmf = 'drop'),
  'unblock DTMF': (target) => (target.blockDtmf = 'off'),
  'silence media': (target) => (target.silenceMedia = true),
  'unsilence media': (target) => (target.silenceMedia = false),
};

const descriptions: Readonly<Record<Restriction['command'], readonly [string, string]>> = {
  'block media': ['Blocking', 'media'],
  'unblock media': ['Unblocking', 'media'],
  'block DTMF': ['Blocking', 'DTMF'],
  'unblock DTMF': ['Unblocking', 'DTMF'],
  'silence media': ['Silencing', 'media'],
  'unsilence media': ['Unsilencing', 'media'],
};

/** For the log, in rtpengine's words. @throws SignallingError */
export function describeRestriction(state: CallState, restriction: Restriction): string {
  const selected = selectedParticipant(state, restriction);
  const [doing, what] = descriptions[restriction.command];
  if (isOfFlows(restriction, selected)) {
    const of = selected === null ? 'entire call' : `tag '${selected.tag ?? ''}'`;
    return `${doing} ${what} (${of}, ${flowsOf(state, restriction).length} flows)`;
  }
  return selected === null
    ? `${doing} ${what} (entire call)`
    : `${doing} directional ${what} (tag '${selected.tag ?? ''}')`;
}

/** Only media can be kept from some of those who hear it. */
const isOfFlows = (restriction: Restriction, selected: Participant | null): boolean =>
  restriction.command.endsWith('block media') && selectsFlows(restriction, selected);

/** Flows are blocked where they end. */
function restrictFlows(draft: DraftState, state: CallState, restriction: Restriction): void {
  const blocks = restriction.command === 'block media';
  for (const { from, to } of flowsOf(state, restriction)) {
    const media = draft.medias.find(({ id }) => id === to.id);
    if (media === undefined) continue;
    const others = media.blockedSources.filter((id) => id !== from.id);
    media.blockedSources = blocks ? [...others, from.id] : others;
  }
}

/** The call under the restriction, or without it. @throws SignallingError */
export function restricted(state: CallState, restriction: Restriction): CallState {
  const selected = selectedParticipant(state, restriction);
  const { command, all, setLabel } = restriction;
  const change = changes[command];
  const draft = draftOf(state);
  const ofFlows = isOfFlows(restriction, selected);
  if (ofFlows) restrictFlows(draft, state, restriction);
  if (selected === null) {
    if (!ofFlows) change(draft);
    // What was said of a participant ends with the call's own only when all are meant (10.5 seen).
    if (all && command.startsWith('un')) draft.participants.forEach(change);
    if (all && command === 'unblock media') {
      for (const media of draft.medias) media.blockedSources = [];
    }
    return finished(draft, state);
  }
  for (const participant of draft.participants) {
    if (participant.id !== selected.id) continue;
    if (!ofFlows) change(participant);
    if (setLabel !== null) participant.label = setLabel;
  }
  return finished(draft, state);
}

/**
 * The participant of a command that changes nothing else gets `label`; `state` itself where there is nobody, or he has
 * it. @throws SignallingError
 */
export function labelled(state: CallState, selection: Selection, label: string): CallState {
  const selected = selectedParticipant(state, selection);
  if (selected === null || selected.label === label) return state;
  const draft = draftOf(state);
  for (const participant of draft.participants) {
    if (participant.id === selected.id) participant.label = label;
  }
  return finished(draft, state);
}
