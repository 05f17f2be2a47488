/** Numbers that are the same again for the same seed (mulberry32), good enough to choose what is tried. */

/** Whole numbers from 0 on. @param below at most 2^32 */
export type Below = (below: number) => number;

export function randomSource(seed: number): Below {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** One of them. @throws Error: there is none. */
export function pickOf<T>(values: readonly T[], random: Below): T {
  const value = values[random(values.length)];
  if (value === undefined) throw new Error('nothing to pick from');
  return value;
}
