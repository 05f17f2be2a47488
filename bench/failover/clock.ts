/** CLOCK_MONOTONIC, which the load generator and the agents tell too, and bounded waiting. */
import { setTimeout as delay } from 'node:timers/promises';

/** Microseconds of CLOCK_MONOTONIC. */
export function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 15_000,
): Promise<void> {
  const end = performance.now() + limitMs;
  while (performance.now() < end) {
    if (await holds()) return;
    await delay(10);
  }
  throw new Error(`waited ${limitMs / 1000} s in vain for ${what}`);
}
