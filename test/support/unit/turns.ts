/** How evenly work is spread over turns of the event loop, in CPU time: what else the machine does is not in it. */

export interface TurnCosts {
  /** CPU time of the costliest turn, and of all of them. */
  readonly longest: number;
  readonly total: number;
}

const cpuMicros = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

async function once(work: () => Promise<unknown>): Promise<TurnCosts> {
  let done = false;
  let [longest, before] = [0, cpuMicros()];
  const from = before;
  const ended = work().finally(() => (done = true));
  while (!done) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = cpuMicros();
    longest = Math.max(longest, now - before);
    before = now;
  }
  await ended;
  return { longest, total: cpuMicros() - from };
}

/** Of several times that with the least costly turn: the collector's are in it, too. */
export async function costsOfTurns(work: () => Promise<unknown>, times = 5): Promise<TurnCosts> {
  let best = await once(work);
  for (let at = 1; at < times; at += 1) {
    const costs = await once(work);
    if (costs.longest < best.longest) best = costs;
  }
  return best;
}
