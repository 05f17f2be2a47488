/**
 * How work grows with its input, in CPU time of this process: what else the machine does hardly counts.
 * Absolute times belong in bench/.
 */

/** Shortest measurement, in microseconds of CPU time; shorter ones say nothing. */
const enoughMicros = 2000;
const rounds = 4;

function cpuMicros(work: () => void, turns: number): number {
  const before = process.cpuUsage();
  for (let turn = 0; turn < turns; turn += 1) work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** CPU time of one turn of `work`, in microseconds. */
function cost(work: () => void): number {
  let turns = 1;
  while (cpuMicros(work, turns) < enoughMicros && turns < 1 << 16) turns *= 2;
  return Math.min(cpuMicros(work, turns), cpuMicros(work, turns)) / turns;
}

/**
 * How many times more CPU time the large work takes than the small one, the least of several rounds.
 * Work that is linear in its input comes to the ratio of the sizes, a quadratic one to its square.
 */
export function costRatio(small: () => void, large: () => void): number {
  const ratios = Array.from({ length: rounds }, () => {
    const least = cost(small);
    return cost(large) / least;
  });
  return Math.min(...ratios);
}
