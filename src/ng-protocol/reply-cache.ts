/**
 * Replies kept for retransmitted requests (ng-protocol.md §1.2). The key is the text of the cookie
 * alone. Two generations, swapped by lookups every 30 s, so that a reply lives 30 to 60 s.
 */

/** What a duplicate of a request in progress is given once it is done. */
export type ReplyWaiter = (reply: Buffer) => void;

/** Construction parameters of ReplyCache. */
export interface ReplyCacheOptions {
  /** Monotonic clock in ms. */
  readonly nowMs: () => number;
  /** Length of a generation in ms, default 30,000. */
  readonly generationMs?: number;
  /**
   * Bound of a generation: when its replies and cookies exceed this, it is swapped early and the
   * older one dropped. Default 128 MiB, 15 s at 12,000 replies of 700 bytes per second; a proxy
   * stops repeating after 5 s.
   */
  readonly maxBytesPerGeneration?: number;
}

/** Duplicates that may wait for one request; more are dropped, their sender repeats anyway. */
const maxWaiters = 32;
/** Estimated cost of a map entry and a Buffer object. */
const bytesPerEntry = 200;

/** Thread: control. Owned by the endpoint; has no timers. */
export class ReplyCache {
  readonly #nowMs: () => number;
  readonly #generationMs: number;
  readonly #maxBytes: number;
  readonly #inProgress = new Map<string, ReplyWaiter[] | null>();
  #young = new Map<string, Buffer>();
  #old = new Map<string, Buffer>();
  #youngBytes = 0;
  #swappedAtMs: number;

  constructor(options: ReplyCacheOptions) {
    this.#nowMs = options.nowMs;
    this.#generationMs = options.generationMs ?? 30_000;
    this.#maxBytes = options.maxBytesPerGeneration ?? 128 * 1024 * 1024;
    this.#swappedAtMs = this.#nowMs();
  }

  /** Replies kept at the moment. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** The reply given to this cookie, or null. */
  lookup(cookie: string): Buffer | null {
    const nowMs = this.#nowMs();
    const ageMs = nowMs - this.#swappedAtMs;
    if (ageMs >= this.#generationMs) {
      this.#swap();
      // After a quiet time the former young generation is over age as well.
      if (ageMs >= 2 * this.#generationMs) this.#old = new Map();
      this.#swappedAtMs = nowMs;
    }
    return this.#young.get(cookie) ?? this.#old.get(cookie) ?? null;
  }

  /** Keeps a reply and hands it to the duplicates that wait for it. */
  store(cookie: string, reply: Buffer): void {
    this.#youngBytes += reply.length + cookie.length + bytesPerEntry;
    this.#young.set(cookie, reply);
    if (this.#youngBytes > this.#maxBytes) this.#swap();
    if (this.#inProgress.size === 0) return;
    const waiters = this.#inProgress.get(cookie);
    this.#inProgress.delete(cookie);
    for (const waiter of waiters ?? []) waiter(reply);
  }

  /** Notes that the request is being worked on; ended by `store`. */
  begin(cookie: string): void {
    this.#inProgress.set(cookie, null);
  }

  /** Whether the request is in progress; `waiter` is then called with its reply. */
  wait(cookie: string, waiter: ReplyWaiter): boolean {
    if (this.#inProgress.size === 0) return false;
    const waiters = this.#inProgress.get(cookie);
    if (waiters === undefined) return false;
    if (waiters === null) this.#inProgress.set(cookie, [waiter]);
    else if (waiters.length < maxWaiters) waiters.push(waiter);
    return true;
  }

  #swap(): void {
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngBytes = 0;
  }
}
