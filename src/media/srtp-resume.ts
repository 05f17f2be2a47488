/** From how far the sources of SRTP are known to have come to where they go on. */
import { randomInt } from 'node:crypto';
import type { SrtpResume, StoredSrtpIndexes } from './call-state.js';

/** 31 bits (RFC 3711 §3.2.1). */
const maxRtcpIndex = 2 ** 31 - 1;

/**
 * SRTCP has an index of its own in each packet, so that it can jump: over all that may have been used after
 * the last save, and over what somebody else who continues the same call may be using.
 */
const leastJump = 1 << 16;
const greatestJump = 1 << 20;

/** What to go on from. The sender's SRTP index follows from the packets that come (RFC 3711 §3.3.1). */
export function resumeFrom(list: readonly StoredSrtpIndexes[]): SrtpResume {
  const sent = list.filter(({ direction }) => direction === 'send');
  return {
    receive: list.filter(({ direction }) => direction === 'receive'),
    send: sent.map((entry) => ({
      ...entry,
      rtcp: Math.min(maxRtcpIndex, (entry.rtcp ?? 0) + randomInt(leastJump, greatestJump)),
    })),
  };
}

/**
 * `list` with what `resume` sends from: stored at once, it keeps whoever comes after us, perhaps before we have told how far
 * we came, above what we use.
 */
export const reservedIndexes = (
  list: readonly StoredSrtpIndexes[],
  { send }: SrtpResume,
): readonly StoredSrtpIndexes[] => [
  ...list.filter(({ direction }) => direction === 'receive'),
  ...(send ?? []),
];
