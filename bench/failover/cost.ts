/** What a pair of processes costs beyond the one that has the calls, while media flows. */
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Daemon } from './daemons.js';

/** Whether the spare process has come as far as the active one is looked at over so long. */
const lookMs = 1000;
/** A spare process that uses less than this of a processor has come as far as the active one. */
const followsShare = 0.1;

/** Of all its threads, ms. */
function cpuMs(pid: number): number {
  let nanos = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanos += Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1'), 10);
    } catch {
      // It has just ended.
    }
  }
  return nanos / 1e6;
}

/** Of its memory what is its own, and its part of what it shares, KiB. */
const memoryKb = (pid: number): number =>
  Number(/^Pss:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]);

/** Parent and spare process, and their part of a processor in the next `spanMs`. */
async function besidesActive(
  daemon: Daemon,
  spanMs: number,
): Promise<{ readonly pids: readonly number[]; readonly share: number }> {
  const [active] = daemon.members();
  const pids = daemon.family().filter((pid) => pid !== active);
  const from = performance.now();
  const before = pids.map(cpuMs);
  await delay(spanMs);
  const spent = pids.reduce((sum, pid, at) => sum + cpuMs(pid) - (before[at] ?? 0), 0);
  return { pids, share: spent / (performance.now() - from) };
}

/** Until the spare process has all calls, or for `limitMs`. */
export async function untilSpareFollows(daemon: Daemon, limitMs: number): Promise<void> {
  const until = performance.now() + limitMs - lookMs;
  for (;;) {
    const { share } = await besidesActive(daemon, lookMs);
    if (share <= followsShare || performance.now() >= until) return;
  }
}

export async function costOfPair(
  daemon: Daemon,
  spanMs: number,
): Promise<Readonly<Record<string, number>>> {
  const { pids, share } = await besidesActive(daemon, spanMs);
  const kilobytes = pids.reduce((sum, pid) => sum + memoryKb(pid), 0);
  return {
    'memory of the parent and the spare process, MB': kilobytes / 1024,
    'processor time of both, % of one': share * 100,
  };
}

/** Of each daemon in the next `spanMs`, % of one processor. */
export async function costOfNodes(
  daemons: readonly Daemon[],
  spanMs: number,
): Promise<Readonly<Record<string, number>>> {
  const families = daemons.map((daemon) => daemon.processes());
  const spent = (): readonly number[] =>
    families.map((pids) => pids.reduce((sum, pid) => sum + cpuMs(pid), 0));
  const [from, before] = [performance.now(), spent()];
  await delay(spanMs);
  const after = spent();
  const elapsed = performance.now() - from;
  return Object.fromEntries(
    daemons.map(({ setup }, at) => [
      `processor time of ${setup.machine.role}, % of one`,
      (((after[at] ?? 0) - (before[at] ?? 0)) / elapsed) * 100,
    ]),
  );
}
