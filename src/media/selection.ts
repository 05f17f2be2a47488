/** Which participant a command is about (ng-protocol.md §3.8; errors as rtpengine 10.5 words them). */
import type { CallState, Participant } from './call-state.js';
import { SignallingError } from './errors.js';
import { canonicalAddress } from '../sdp/address.js';

/** `label` before `address` before `fromTag`; null: not given. */
export interface Selection {
  readonly label: string | null;
  /** A media address of the participant, as its SDP gave it. */
  readonly address: string | null;
  readonly fromTag: string | null;
  /** Everybody, whoever else is named. */
  readonly all: boolean;
}

/** Of several that are called so the last one (10.5 and 12.5 take whoever was called so last). */
export const participantLabelled = (
  { participants }: CallState,
  label: string,
): Participant | undefined => participants.findLast((participant) => participant.label === label);

/** The participant; null: the whole call. @throws SignallingError */
export function selectedParticipant(state: CallState, selection: Selection): Participant | null {
  const { label, address, fromTag, all } = selection;
  if (all) return null;
  if (label !== null) {
    return participantLabelled(state, label) ?? fail('No monologue matching the given label');
  }
  if (address !== null) return participantAt(state, address);
  if (fromTag === null) return null;
  return (
    state.participants.find(({ tag, aliases }) => tag === fromTag || aliases.includes(fromTag)) ??
    fail('From-tag given, but no such tag exists')
  );
}

function fail(message: string): never {
  throw new SignallingError('unknown-participant', message);
}

function participantAt(state: CallState, wanted: string): Participant {
  const address = canonicalAddress(wanted);
  if (address === null) throw new SignallingError('bad-address', 'Failed to parse network address');
  const medias = new Set<number>();
  for (const { mediaId, advertisedEndpoint } of state.streams) {
    if (advertisedEndpoint === null) continue;
    if (advertisedEndpoint.address === address) medias.add(mediaId);
  }
  return (
    state.participants.find((participant) => participant.medias.some((id) => medias.has(id))) ??
    fail('Failed to match address to any tag')
  );
}
