/** V8 as a daemon wants it. */
import { setFlagsFromString } from 'node:v8';
import { holdYoungGeneration } from '../memory-trim.js';

/** Set when the code cache is made (scripts/build-cache.mjs). */
const cacheMarker = 'RTPRELAY_KEEP_CODE_CACHE';
/** What has V8 optimise functions after a third of its default of use. Flags that it does not have it complains of. */
const soonerOptimised: readonly (readonly [version: RegExp, flag: string])[] = [
  // Node 20; Node 22 to 24.
  [/^11\./, '--interrupt-budget=20000'],
  [/^1[23]\./, '--invocation-count-for-turbofan=1000'],
];

/**
 * To be called once everything is loaded that the start needs: V8 keeps compiled code, that of Node's own modules
 * included, for the flags that it was made with, and compiles all of it again under others (30 ms of the start).
 *
 * Functions are optimised after a third of the use that V8 waits for: what a daemon does is always the same, so there
 * is no more to learn of it, and the commands after a start are the ones that must not wait.
 */
export function tuneEngine(env: Readonly<Record<string, string | undefined>>): void {
  if (env[cacheMarker] !== undefined) return;
  holdYoungGeneration();
  for (const [version, flag] of soonerOptimised)
    if (version.test(process.versions.v8)) setFlagsFromString(flag);
}
