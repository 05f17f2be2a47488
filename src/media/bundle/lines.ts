/** What a body says of the bundles of its receiver (RFC 9143 §7). */
import type { Media } from '../call-state.js';
import type { MediaPair } from '../media-pair.js';
import { isBundled, usesOther } from './negotiation.js';

const isLive = ({ rejected, leftOut, receiver }: MediaPair): boolean =>
  !rejected && !leftOut && receiver.bundle.group > 0;

/** Those of each group, in its order. */
function groupsOf(pairs: readonly MediaPair[]): ReadonlyMap<number, readonly MediaPair[]> {
  const groups = new Map<number, MediaPair[]>();
  for (const pair of pairs) {
    if (!isLive(pair)) continue;
    const { group } = pair.receiver.bundle;
    const list = groups.get(group) ?? [];
    list.push(pair);
    groups.set(group, list);
  }
  for (const list of groups.values())
    list.sort((a, b) => a.receiver.bundle.order - b.receiver.bundle.order);
  return groups;
}

/** Attributes of the session, without `a=`. */
export const groupLines = (pairs: readonly MediaPair[]): readonly string[] =>
  [...groupsOf(pairs).values()].map(
    (members) => `group:BUNDLE ${members.map(({ receiver }) => receiver.mid ?? '').join(' ')}`,
  );

const noneTagged: ReadonlySet<number> = new Set();

/** Where a section says what belongs to its transport. */
export class TransportLines {
  /** There are bundles. */
  readonly any: boolean;
  readonly #tagged: ReadonlySet<number>;

  constructor(pairs: readonly MediaPair[]) {
    this.any = pairs.some(isLive);
    this.#tagged = this.any
      ? new Set(
          [...groupsOf(pairs).values()].flatMap(([first]) =>
            first === undefined ? [] : first.index,
          ),
        )
      : noneTagged;
  }

  /**
   * Candidates, RTCP's port and keys are said once for all of a bundle (RFC 9143 §7.1.3). Credentials and fingerprint
   * are in each section, as browsers write them themselves: Firefox 153 cannot do without.
   */
  has({ receiver, index }: MediaPair): boolean {
    return !isBundled(receiver) || this.#tagged.has(index);
  }

  /** It has no port before an answer says that it is bundled (RFC 9143 §6). */
  isBundleOnly({ receiver }: MediaPair): boolean {
    const { bundle, flags } = receiver;
    return flags.has('bundle-only') && !bundle.agreed && bundle.group > 0 && usesOther(receiver);
  }
}

/** Whose transport the section's is. */
export const carrierOf = ({ bundle, id }: Media): number => bundle.carrier ?? id;
