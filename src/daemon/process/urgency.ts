/** How urgent the thread of control is. */
import { getPriority, setPriority } from 'node:os';
import type { SchedulingConfig } from '../../config/config.js';

/** Of the thread that calls, on Linux. */
const self = 0;

/**
 * While calls wait for the thread of control it is as urgent as the media threads: on a busy machine they would leave it a
 * tenth of a processor, and all media of the calls that are not here yet is lost meanwhile. Where that is not permitted, or
 * the media threads have another policy, it stays as it is.
 * @returns ends that.
 */
export function asUrgentAsMedia({ policy, priority }: SchedulingConfig): () => void {
  const usual = getPriority(self);
  const nothing = (): void => undefined;
  if (policy !== 'default' || priority === null || priority >= usual) return nothing;
  try {
    setPriority(self, priority);
  } catch {
    // The media threads are not more urgent either.
    return nothing;
  }
  return () => setPriority(self, usual);
}
