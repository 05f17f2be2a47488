/** Works for a moment again and again, and tells when and how much longer than its processor time that took. */
import { setTimeout as delay } from 'node:timers/promises';
import { monotonicMicros } from '../failover/clock.js';

/** Longer than a turn of the scheduler. */
const workMicros = 40_000;
const restMs = 700;

const used = (since?: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return user + system;
};

for (;;) {
  const began = monotonicMicros();
  const before = process.cpuUsage();
  while (used(before) < workMicros);
  const ended = monotonicMicros();
  process.stdout.write(`${began} ${ended} ${used(before)}\n`);
  await delay(restMs);
}
