/**
 * The value of a call that has just been made for one reader, for another that wants the same of the same state:
 * the journal of a process pair and Redis both get each change.
 */
import type { CallState } from '../media/call-state.js';
import type { StoredFormat } from './schema.js';

/** Thread: control. Holds a value only while one change is passed on: counters go on meanwhile. */
export class LatestValue {
  #state: CallState | null = null;
  #format: StoredFormat | null = null;
  #value: Buffer | null = null;

  /** @param value with the counters of now, nothing in it encrypted. */
  keep(state: CallState, format: StoredFormat, value: Buffer): void {
    this.#state = state;
    this.#format = format;
    this.#value = value;
  }

  /** null: it has to be made. */
  of(state: CallState, format: StoredFormat): Buffer | null {
    return state === this.#state && format === this.#format ? this.#value : null;
  }

  forget(): void {
    this.#state = null;
    this.#value = null;
  }
}
