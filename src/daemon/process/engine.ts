/** V8 as a daemon wants it. */
import { setFlagsFromString } from 'node:v8';
import type { Environment } from '../../config/config.js';
import { boundOldGeneration, holdYoungGeneration } from '../memory-trim.js';

/** Set when the code cache is made (scripts/build-cache.mjs). */
const cacheMarker = 'RTPRELAY_KEEP_CODE_CACHE';
/** How much of use V8 waits for before it optimises a function: while calls are restored, and afterwards. */
interface Patience {
  readonly version: RegExp;
  readonly flag: string;
  readonly starting: number;
  readonly running: number;
}
/** Afterwards it is a third of V8's default. Flags that it does not have it complains of. */
const patience: readonly Patience[] = [
  // Node 20; Node 22 to 24.
  { version: /^11\./, flag: '--interrupt-budget', starting: 400_000, running: 20_000 },
  {
    ...{ version: /^1[23]\./, flag: '--invocation-count-for-turbofan' },
    ...{ starting: 20_000, running: 1000 },
  },
];

function wait(env: Environment, until: (patience: Patience) => number): void {
  if (env[cacheMarker] !== undefined) return;
  for (const each of patience)
    if (each.version.test(process.versions.v8)) setFlagsFromString(`${each.flag}=${until(each)}`);
}

/**
 * To be called once everything is loaded that the start needs: V8 keeps compiled code, that of Node's own modules
 * included, for the flags that it was made with, and compiles all of it again under others (30 ms of the start).
 *
 * Little is optimised at first: the threads that do it would take as much time from the processors as all of the restore
 * does, while the media of the calls that are there needs them, and the others wait.
 */
export function tuneEngine(env: Environment): void {
  if (env[cacheMarker] !== undefined) return;
  holdYoungGeneration();
  wait(env, ({ starting }) => starting);
}

/**
 * The calls are here. From now on functions are optimised after a third of the use that V8 waits for: what a daemon
 * does is always the same, so there is no more to learn of it, and the commands after a start are the ones that must not
 * wait.
 */
export function optimiseSooner(env: Environment): void {
  wait(env, ({ running }) => running);
  // While calls are restored, nothing becomes garbage.
  if (env[cacheMarker] === undefined) boundOldGeneration();
}
