/**
 * Leaving service without losing a call: new calls are refused (`load limit`, so that the proxy tries
 * its next node), those that stand go on, and when the last one has ended the process does.
 */
import type { Log } from '../observe/log.js';
import type { DrainStatus } from './node-status.js';

export interface DrainOptions {
  readonly log: Log;
  /** Calls that this node owns. */
  readonly ownCount: () => number;
  /** Time that the process has run, ms: a standstill must not end what is left. */
  readonly livedMs: () => number;
  /** The node is empty, or its time is up: the process is to stop. Called once. */
  readonly onDone: () => void;
}

export class Drain {
  readonly #options: DrainOptions;
  #active = false;
  /** By `livedMs`; Infinity: until the last call has ended. */
  #endsAtMs = Infinity;
  #done = false;
  /** Own calls when it began. */
  #calls = 0;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  /** New calls are refused. */
  get active(): boolean {
    return this.#active;
  }

  /** How far it is; null: new calls are taken. */
  get status(): DrainStatus | null {
    if (!this.#active) return null;
    const { ownCount, livedMs } = this.#options;
    const left = ownCount();
    const secondsLeft = Math.max(0, (this.#endsAtMs - livedMs()) / 1000);
    return {
      ...{ calls: Math.max(this.#calls, left), left },
      secondsLeft: Number.isFinite(secondsLeft) ? secondsLeft : null,
    };
  }

  /** @param timeoutSeconds the process stops after so long whatever calls are left; 0: never. */
  begin(timeoutSeconds: number): void {
    const { log, ownCount, livedMs } = this.#options;
    if (!this.#active) this.#calls = ownCount();
    this.#active = true;
    this.#endsAtMs = timeoutSeconds > 0 ? livedMs() + timeoutSeconds * 1000 : Infinity;
    const limit = timeoutSeconds > 0 ? `, ${timeoutSeconds} seconds at most` : '';
    log.notice('core', `Draining: no new calls, waiting for ${ownCount()} to end${limit}`);
  }

  /** Takes new calls again; false when it had not been draining. */
  cancel(): boolean {
    if (!this.#active || this.#done) return false;
    this.#active = false;
    this.#options.log.notice('core', 'Draining ended by operator: new calls are taken again');
    return true;
  }

  /** To be called once a second. */
  check(): void {
    if (!this.#active || this.#done) return;
    const { log, ownCount, livedMs, onDone } = this.#options;
    const left = ownCount();
    const late = livedMs() >= this.#endsAtMs;
    if (left > 0 && !late) return;
    this.#done = true;
    log.notice(
      'core',
      left === 0 ? 'Drained: no calls are left' : `Draining took too long: ${left} calls are left`,
    );
    onDone();
  }
}
