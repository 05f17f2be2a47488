/** Which flows a block of media is narrowed to (ng-protocol.md §3.9; errors as 26.3 words them). */
import { CallIndex } from './call-index.js';
import type { CallState, Media, Participant } from './call-state.js';
import { SignallingError } from './errors.js';
import { participantLabelled, selectedParticipant, type Selection } from './selection.js';

/** Whom flows go to, or their kind; null: not given. */
export interface FlowChoice {
  readonly toTag: string | null;
  readonly toLabel: string | null;
  readonly flows: 'flows' | 'offer-answer' | 'except-offer-answer' | null;
}

/** What one media sends, as far as another one is to hear it. */
export interface Flow {
  readonly from: Media;
  readonly to: Media;
}

/** Whom flows go to counts beside whom they come from alone (10.5 and 12.5 seen). */
export const selectsFlows = (
  { toTag, toLabel, flows }: FlowChoice,
  source: Participant | null,
): boolean => flows !== null || (source !== null && (toTag !== null || toLabel !== null));

function fail(message: string): never {
  throw new SignallingError('unknown-participant', message);
}

function sinkOf(state: CallState, { toTag, toLabel }: FlowChoice): Participant | null {
  const { participants } = state;
  if (toTag !== null) {
    return (
      participants.find(({ tag, aliases }) => tag === toTag || aliases.includes(toTag)) ??
      fail('Media flow not found (to-tag not found)')
    );
  }
  if (toLabel === null) return null;
  return participantLabelled(state, toLabel) ?? fail('Media flow not found (to-label not found)');
}

/** The flows of the selected participant, of all where none is. @throws SignallingError */
export function flowsOf(state: CallState, choice: Selection & FlowChoice): readonly Flow[] {
  const source = selectedParticipant(state, choice);
  const sink = source === null ? null : sinkOf(state, choice);
  const index = new CallIndex(state);
  const flows: Flow[] = [];
  for (const from of state.medias) {
    if (source !== null && from.participantId !== source.id) continue;
    for (const { media: to, subscription } of index.subscribersOf(from.id)) {
      if (subscription.rtcpOnly || (sink !== null && to.participantId !== sink.id)) continue;
      const isMeant =
        choice.flows === null ||
        choice.flows === 'flows' ||
        subscription.offerAnswer === (choice.flows === 'offer-answer');
      if (isMeant) flows.push({ from, to });
    }
  }
  if (flows.length > 0) return flows;
  return fail(
    sink === null
      ? 'No eligible media subscriptions found'
      : 'Media flow not found (to-tag not subscribed)',
  );
}
