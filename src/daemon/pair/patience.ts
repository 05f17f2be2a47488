/** What calls do not depend on must not end a process that has some: it is tried again. */
import type { Log } from '../../observe/log.js';

/** The process before may still be letting go of it; and longer than that nobody waits. */
const soonMs = 20;
const waitMs = 2000;
const laterMs = 5000;

/**
 * Calls `open` until it succeeds, or `isOver`. Resolves then, or when it has failed for 2 s, which is said. Never
 * rejects.
 */
export function patiently(
  open: () => Promise<void>,
  isOver: () => boolean,
  log: Pick<Log, 'error' | 'notice'>,
): Promise<void> {
  const began = performance.now();
  let isSaid = false;
  return new Promise((resolve) => {
    const attempt = (): void => {
      if (isOver()) resolve();
      else open().then(done, failed);
    };
    const done = (): void => {
      if (isSaid) log.notice('core', 'Everything is open now');
      resolve();
    };
    const failed = (error: unknown): void => {
      if (performance.now() - began >= waitMs && !isSaid) {
        isSaid = true;
        const why = error instanceof Error ? error.message : String(error);
        log.error('core', `${why}; the calls go on, and it is tried again`);
        resolve();
      }
      setTimeout(attempt, isSaid ? laterMs : soonMs).unref();
    };
    attempt();
  });
}
