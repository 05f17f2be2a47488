/**
 * Waits until replicas hold what was written (`WAIT`). The command blocks the connection that it is
 * sent on, so one of them serves all writes acknowledged so far, and none is sent while the replicas
 * are known to lag: then a short one asks now and again whether they have caught up.
 */
import type { StoreLog } from './log.js';

export interface ReplicaWaitOptions {
  /** At least 1. */
  readonly replicas: number;
  /** How long a write may wait for them. */
  readonly timeoutMs: number;
  /** Sends a command on the connection of the writes. */
  readonly send: (command: string, ...args: readonly (string | number)[]) => Promise<unknown>;
  readonly log: StoreLog;
}

const probeIntervalMs = 500;
/** How long a probe may block the connection. */
const probeTimeoutMs = 10;

export class ReplicaWait {
  readonly #options: ReplicaWaitOptions;
  /** Resolved by the WAIT that is sent next, and that one is not under way yet. */
  #next: Promise<void> | null = null;
  /** The WAIT under way. */
  #running: Promise<void> = Promise.resolve();
  #lagging = false;
  #probeTimer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: ReplicaWaitOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the replicas hold all that was acknowledged before the call, when they do not
   * within the time limit, or at once while they lag. Never rejects.
   */
  reached(): Promise<void> {
    if (this.#lagging || this.#closed) return Promise.resolve();
    this.#next ??= this.#afterRunning();
    return this.#next;
  }

  close(): void {
    this.#closed = true;
    if (this.#probeTimer !== null) clearTimeout(this.#probeTimer);
  }

  async #afterRunning(): Promise<void> {
    await this.#running;
    // Writes whose acknowledgements came in one packet share a WAIT.
    await new Promise((resolve) => setImmediate(resolve));
    this.#next = null;
    if (this.#lagging || this.#closed) return;
    this.#running = this.#wait(this.#options.timeoutMs).then((count) => this.#judge(count));
    await this.#running;
  }

  /** Replicas that hold everything; or why the server would not say; null: there is no connection. */
  async #wait(timeoutMs: number): Promise<number | string | null> {
    try {
      const count = await this.#options.send('WAIT', this.#options.replicas, timeoutMs);
      return typeof count === 'number' ? count : `WAIT was answered by ${String(count)}`;
    } catch (error) {
      return error instanceof Error && error.name === 'ReplyError' ? error.message : null;
    }
  }

  #judge(count: number | string | null): void {
    const { replicas, log } = this.#options;
    const enough = typeof count === 'number' && count >= replicas;
    // That the connection is lost says nothing about the replicas, and others report it.
    if (count !== null && enough === this.#lagging) {
      this.#lagging = !enough;
      const told = typeof count === 'number' ? `${count} of ${replicas}` : count;
      if (enough) log.notice(`${replicas} replicas of Redis hold the calls again`);
      else
        log.warning(`Replicas of Redis do not keep up (${told}): replies no longer wait for them`);
    }
    if (this.#lagging) this.#probeLater();
  }

  #probeLater(): void {
    if (this.#closed || this.#probeTimer !== null) return;
    this.#probeTimer = setTimeout(() => {
      this.#probeTimer = null;
      void this.#wait(probeTimeoutMs).then((count) => this.#judge(count));
    }, probeIntervalMs);
    this.#probeTimer.unref();
  }
}
