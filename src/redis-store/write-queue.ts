/**
 * What is still to be written: the newest state of each call, one write in flight per call. Knows
 * nothing of Redis; `send` is the way there.
 */
import type { CallState } from '../media/call-state.js';
import { committed, type SaveOutcome } from './store.js';

/** How the queue reaches the server and whom it tells. */
export interface WriteQueueOptions {
  /** Writes a call, or removes it (null). Rejects when the server did not acknowledge; null: it has already. */
  readonly send: (callId: string, wanted: CallState | null) => Promise<void> | null;
  /** How long a waiting save may take. */
  readonly commitTimeoutMs: () => number;
  /** A save waited in vain. */
  readonly onTimeout: () => void;
  /** A write failed; the call stays queued. */
  readonly onFailure: (error: unknown) => void;
  /** A write was acknowledged. */
  readonly onSuccess: () => void;
}

interface Waiter {
  readonly version: number;
  readonly settle: (outcome: SaveOutcome) => void;
}

interface Entry {
  wanted: CallState | null;
  /** Raised with each change; what has been acknowledged is forgotten when it is the newest. */
  version: number;
  /** The write in flight. */
  sending: Promise<void> | null;
  waiters: Waiter[];
}

export class WriteQueue {
  readonly #options: WriteQueueOptions;
  readonly #entries = new Map<string, Entry>();
  /** Whether saves are sent at once. */
  #open = false;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Saves are sent at once from now on, beginning with those that are queued. */
  open(): void {
    this.#open = true;
    for (const [callId, entry] of this.#entries) this.#pump(callId, entry);
  }

  /** Saves are only queued from now on; those that wait are told so. */
  shut(): void {
    this.#open = false;
    for (const entry of this.#entries.values()) this.#settle(entry, Infinity, 'degraded');
  }

  /** Queues the newest state of a call (null: remove it). `committed`: the server has it already. */
  put(callId: string, wanted: CallState | null): Promise<SaveOutcome> {
    const entry = this.#entry(callId, wanted);
    if (!this.#open) return Promise.resolve('degraded');
    const { version } = entry;
    this.#pump(callId, entry);
    if (this.#entries.get(callId) !== entry) return committed;
    return new Promise<SaveOutcome>((resolve) => {
      const timer = setTimeout(() => this.#options.onTimeout(), this.#options.commitTimeoutMs());
      entry.waiters.push({
        version,
        settle: (result) => {
          clearTimeout(timer);
          resolve(result);
        },
      });
    });
  }

  /** Queues a call that is written already, or should be, unless something newer is queued. */
  mark(callId: string, state: CallState): void {
    if (!this.#entries.has(callId)) this.#entry(callId, state);
  }

  /** Queues the removal of a call unless something newer is queued. */
  markRemoved(callId: string): void {
    if (!this.#entries.has(callId)) this.#entry(callId, null);
  }

  /** Forgets a call that was never sent. */
  drop(callId: string): void {
    const entry = this.#entries.get(callId);
    if (entry === undefined || entry.sending !== null) return;
    this.#settle(entry, Infinity, 'committed');
    this.#entries.delete(callId);
  }

  /** Calls whose removal is queued. */
  *removals(): Iterable<string> {
    for (const [callId, { wanted }] of this.#entries) if (wanted === null) yield callId;
  }

  /**
   * Sends everything that is queued now, `batch` calls at a time, whether the queue is open or not.
   * @throws the first failure.
   */
  async flush(batch: number): Promise<void> {
    const callIds = [...this.#entries.keys()];
    for (let start = 0; start < callIds.length; start += batch) {
      const writes = callIds.slice(start, start + batch).map((callId) => this.#flushOne(callId));
      const results = await Promise.allSettled(writes);
      const failure = results.find((result) => result.status === 'rejected');
      if (failure?.status === 'rejected') throw failure.reason;
    }
  }

  async #flushOne(callId: string): Promise<void> {
    const entry = this.#entries.get(callId);
    if (entry === undefined) return;
    // A write that is under way may carry an older state: wait for it, then send the newest.
    if (entry.sending !== null) await entry.sending.catch(() => undefined);
    if (this.#entries.get(callId) !== entry) return;
    await (entry.sending ?? this.#send(callId, entry));
  }

  #entry(callId: string, wanted: CallState | null): Entry {
    const known = this.#entries.get(callId);
    if (known !== undefined) {
      known.wanted = wanted;
      known.version += 1;
      return known;
    }
    const entry: Entry = { wanted, version: 1, sending: null, waiters: [] };
    this.#entries.set(callId, entry);
    return entry;
  }

  #pump(callId: string, entry: Entry): void {
    if (!this.#open || entry.sending !== null) return;
    // Its failure is reported by `onFailure`.
    this.#send(callId, entry)?.catch(() => undefined);
  }

  /** null: it has been acknowledged already. */
  #send(callId: string, entry: Entry): Promise<void> | null {
    const { version } = entry;
    const written = (): void => {
      entry.sending = null;
      this.#settle(entry, version, 'committed');
      if (entry.version === version) this.#entries.delete(callId);
      else this.#pump(callId, entry);
      this.#options.onSuccess();
    };
    const sent = this.#options.send(callId, entry.wanted);
    if (sent === null) {
      written();
      return null;
    }
    const sending = sent.then(written, (error: unknown) => {
      entry.sending = null;
      this.#options.onFailure(error);
      throw error;
    });
    entry.sending = sending;
    return sending;
  }

  #settle(entry: Entry, version: number, outcome: SaveOutcome): void {
    if (entry.waiters.length === 0) return;
    const settled = entry.waiters.filter((waiter) => waiter.version <= version);
    entry.waiters = entry.waiters.filter((waiter) => waiter.version > version);
    for (const waiter of settled) waiter.settle(outcome);
  }
}
