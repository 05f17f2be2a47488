/** CPU time of a process. */
import { readFileSync } from 'node:fs';
import { pause } from './wait.js';

/** USER_HZ of Linux on every machine that matters here. */
const ticksPerSecond = 100;

/** User and system time of all its threads so far, seconds (proc(5), /proc/PID/stat). */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** What it takes while a time passes, seconds. */
export async function cpuSecondsDuring(pid: number, milliseconds: number): Promise<number> {
  const before = cpuSecondsOf(pid);
  await pause(milliseconds);
  return cpuSecondsOf(pid) - before;
}
