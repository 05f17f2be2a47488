/** What a pair of processes costs beyond the one that has the calls, while media flows. */
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Daemon } from './daemons.js';

/** Processor time is counted for so long. */
const spanMs = 1000;
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

/** Once the spare process has all calls, or after `limitMs`. */
export async function costOfPair(
  daemon: Daemon,
  limitMs: number,
): Promise<Readonly<Record<string, number>>> {
  const until = performance.now() + limitMs - spanMs;
  for (;;) {
    const [active] = daemon.members();
    const pids = daemon.family().filter((pid) => pid !== active);
    const from = performance.now();
    const before = pids.map(cpuMs);
    await delay(spanMs);
    const spent = pids.reduce((sum, pid, at) => sum + cpuMs(pid) - (before[at] ?? 0), 0);
    const share = spent / (performance.now() - from);
    if (share > followsShare && performance.now() < until) continue;
    const kilobytes = pids.reduce((sum, pid) => sum + memoryKb(pid), 0);
    return {
      'memory of the parent and the spare process, MB': kilobytes / 1024,
      'processor time of both, % of one': share * 100,
    };
  }
}
