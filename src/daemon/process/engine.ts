/** V8 as a daemon wants it. */
import { setFlagsFromString } from 'node:v8';
import { holdYoungGeneration } from '../memory-trim.js';

/** Set when the code cache is made (scripts/build-cache.mjs). */
const cacheMarker = 'RTPRELAY_KEEP_CODE_CACHE';
/** The V8 of Node 20 and 22 have the flag; others would complain on stderr. */
const knowsBudget = /^1[12]\./.test(process.versions.v8);

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
  if (knowsBudget) setFlagsFromString('--interrupt-budget=20000');
}
