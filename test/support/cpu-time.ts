/** CPU time of a process. */
import { readdirSync, readFileSync } from 'node:fs';
import { pause } from './wait.js';

/** USER_HZ of Linux on every machine that matters here. */
const ticksPerSecond = 100;

/** User and system time of all its threads so far, seconds (proc(5), /proc/PID/stat). */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/**
 * The same by the scheduler's own clock, which has nanoseconds: ticks miss what runs for less than one of them at a time. Threads
 * that have ended count no longer.
 */
export function scheduledSecondsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9;
}

/** What it takes while a time passes, seconds. */
export async function cpuSecondsDuring(pid: number, milliseconds: number): Promise<number> {
  const before = cpuSecondsOf(pid);
  await pause(milliseconds);
  return cpuSecondsOf(pid) - before;
}
