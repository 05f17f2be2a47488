/**
 * Waits until replicas hold what was written (`WAIT`). The command blocks the connection that it is
 * sent on, so one of them serves all writes acknowledged so far, and none is sent while the replicas
 * are known to lag: then `INFO replication`, which blocks nothing, tells when they have caught up.
 */
import type { StoreLog } from './log.js';

export interface ReplicaWaitOptions {
  /** At least 1. */
  readonly replicas: number;
  /** How long a write may wait for them. Redis rounds it up to its next timer tick (100 ms). */
  readonly timeoutMs: number;
  /** Sends a command on the connection of the writes. */
  readonly send: (command: string, ...args: readonly (string | number)[]) => Promise<unknown>;
  readonly log: StoreLog;
}

const probeIntervalMs = 500;

/** What `INFO replication` says of the stream that replicas follow. */
export interface ReplicationProgress {
  /** Bytes written to the stream by the master. */
  readonly offset: number;
  /** What each connected replica has acknowledged of it. */
  readonly acknowledged: readonly number[];
}

/** Reads the reply of `INFO replication`. */
export function replicationProgress(facts: string): ReplicationProgress {
  const offset = /^master_repl_offset:(\d+)/m.exec(facts)?.[1] ?? '0';
  const acknowledged = [...facts.matchAll(/^slave\d+:\S*state=online,offset=(\d+)/gm)];
  return { offset: Number(offset), acknowledged: acknowledged.map((match) => Number(match[1])) };
}

export class ReplicaWait {
  readonly #options: ReplicaWaitOptions;
  /** The WAIT that is sent next; later writes join it. */
  #next: Promise<void> | null = null;
  /** The WAIT under way. */
  #running: Promise<void> = Promise.resolve();
  #lagging = false;
  /** What lagging replicas have to reach; null: not yet known. */
  #target: number | null = null;
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
    this.#running = this.#wait();
    await this.#running;
  }

  async #wait(): Promise<void> {
    const { replicas, timeoutMs, send } = this.#options;
    try {
      const count = await send('WAIT', replicas, timeoutMs);
      if (Number(count) < replicas) this.#lag(`${String(count)} of ${replicas} hold the last call`);
    } catch (error) {
      // That the connection is lost says nothing about the replicas, and others report it.
      if (error instanceof Error && error.name === 'ReplyError') this.#lag(error.message);
    }
  }

  #lag(reason: string): void {
    if (this.#lagging) return;
    this.#lagging = true;
    this.#target = null;
    this.#options.log.warning(
      `Replicas of Redis do not keep up (${reason}): replies no longer wait for them`,
    );
    this.#probeLater();
  }

  #probeLater(): void {
    if (this.#closed) return;
    this.#probeTimer = setTimeout(() => void this.#probe(), probeIntervalMs);
    this.#probeTimer.unref();
  }

  async #probe(): Promise<void> {
    const { replicas, send, log } = this.#options;
    try {
      const { offset, acknowledged } = replicationProgress(
        String(await send('INFO', 'replication')),
      );
      const target = this.#target;
      if (target !== null && acknowledged.filter((each) => each >= target).length >= replicas) {
        this.#lagging = false;
        log.notice(`Replicas of Redis keep up again (${acknowledged.length} connected)`);
        return;
      }
      // A master that took over may have begun to count anew.
      this.#target = target === null ? offset : Math.min(target, offset);
    } catch {
      // No connection at the moment.
    }
    this.#probeLater();
  }
}
