/** The store of a daemon without Redis: calls live in this process only. */
import type { CallState } from '../media/call-state.js';
import { committed, type CallStore, type RestoreReport, type SaveOutcome } from './store.js';

export class MemoryStore implements CallStore {
  readonly healthy = true;

  restore(): Promise<RestoreReport> {
    return Promise.resolve({ found: 0, restored: 0, failures: [], elapsedMs: 0 });
  }

  save(_state: CallState): Promise<SaveOutcome> {
    return committed;
  }

  remove(_callId: string): Promise<SaveOutcome> {
    return committed;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
