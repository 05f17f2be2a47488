/** The store of a daemon without Redis: calls live in this process only. */
import type { CallState } from '../media/call-state.js';
import type { CallStore, RestoreReport, SaveOutcome } from './store.js';

const committed: Promise<SaveOutcome> = Promise.resolve('committed');

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

/** Keeps what it is given, for tests: `saves` in order (a removal as the state last saved). */
export class RecordingStore implements CallStore {
  readonly healthy = true;
  readonly saves: CallState[] = [];
  readonly #calls = new Map<string, CallState>();

  restore(adopt: (state: CallState) => string | null): Promise<RestoreReport> {
    const failures: { callId: string; reason: string }[] = [];
    for (const state of this.#calls.values()) {
      const reason = adopt(state);
      if (reason !== null) failures.push({ callId: state.callId, reason });
    }
    const found = this.#calls.size;
    return Promise.resolve({
      found,
      restored: found - failures.length,
      failures,
      elapsedMs: 0,
    });
  }

  save(state: CallState): Promise<SaveOutcome> {
    this.saves.push(state);
    this.#calls.set(state.callId, state);
    return committed;
  }

  remove(callId: string): Promise<SaveOutcome> {
    const state = this.#calls.get(callId);
    if (state !== undefined) this.saves.push(state);
    this.#calls.delete(callId);
    return committed;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
