/**
 * Which entities of a call are others than in the state before. A command on a call with hundreds of branches
 * concerns a few of them, and a `CallDraft` knows which: whoever compares the two states asks here, and goes through
 * all of them only where nobody knows.
 */
import type { CallState } from './call-state.js';

/** Lists of the entities of a call. */
export type EntityKind = 'participants' | 'medias' | 'streams' | 'sockets' | 'endpointMaps';

export const entityKinds: readonly EntityKind[] = [
  ...(['participants', 'medias', 'streams', 'sockets', 'endpointMaps'] as const),
];

/** Ascending positions of entities that are new or others. */
export type Positions = Readonly<Record<EntityKind, readonly number[]>>;

interface Made {
  /** Name of the state before. */
  readonly from: object;
  readonly changed: Positions;
}

/** Of states, which must not keep those before them. */
const names = new WeakMap<CallState, object>();
const made = new WeakMap<CallState, Made>();

/** Ascending positions of the medias that are subscribed to something, by the lists that are never changed again. */
const hearing = new WeakMap<CallState['medias'], readonly number[]>();

/** Of a call with many medias, where somebody has been told what its last command changed; else null. */
export const hearingMedias = (medias: CallState['medias']): readonly number[] | null =>
  hearing.get(medias) ?? null;

const hears = (medias: CallState['medias'], at: number): boolean =>
  (medias[at]?.subscriptions.length ?? 0) > 0;

/** Of many branches all but one hear nobody. */
function noteHearing(before: CallState, now: CallState, changed: readonly number[]): void {
  let known = hearing.get(before.medias);
  if (known === undefined) {
    known = [...before.medias.keys()].filter((at) => hears(before.medias, at));
    hearing.set(before.medias, known);
  }
  const others = new Set(changed);
  const stay = known.filter((at) => !others.has(at));
  const come = changed.filter((at) => hears(now.medias, at));
  hearing.set(
    now.medias,
    [...stay, ...come].sort((a, b) => a - b),
  );
}

/** `now` was made from `before`; each list begins with what that had, at the same positions. */
export function noteChanges(before: CallState, now: CallState, changed: Positions): void {
  noteHearing(before, now, changed.medias);
  let from = names.get(before);
  if (from === undefined) {
    from = {};
    names.set(before, from);
  }
  made.set(now, { from, changed });
}

function knownChanges(before: CallState, now: CallState): Positions | null {
  const known = made.get(now);
  return known !== undefined && known.from === names.get(before) ? known.changed : null;
}

/** Positions in a list of `now` where `before` has another entity, or none. */
export function changedPositions(
  before: CallState,
  now: CallState,
  kind: EntityKind,
): readonly number[] {
  const known = knownChanges(before, now);
  if (known !== null) return known[kind];
  const [was, is]: [readonly object[], readonly object[]] = [before[kind], now[kind]];
  if (was === is) return [];
  const positions: number[] = [];
  for (let at = 0; at < is.length; at++) if (is[at] !== was[at]) positions.push(at);
  return positions;
}

/** What was there has kept its place. */
export function keepsPlaces(before: CallState, now: CallState, kind: EntityKind): boolean {
  if (knownChanges(before, now) !== null) return true;
  const [was, is] = [before[kind], now[kind]];
  if (was === is) return true;
  if (is.length < was.length) return false;
  for (let at = 0; at < was.length; at++)
    if (was[at] !== is[at] && was[at]?.id !== is[at]?.id) return false;
  return true;
}
