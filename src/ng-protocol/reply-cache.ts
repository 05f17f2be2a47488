/**
 * Replies kept for retransmitted requests (ng-protocol.md §1.2). A repetition is byte for byte the same
 * request, cookie included; where it comes from does not matter. rtpengine 10.5 looks at the cookie
 * alone, so that two proxies that count alike get each other's replies.
 *
 * Replies lie one behind the other in chunks, each with an account of what it costs; chunks leave whole,
 * the oldest first.
 */
import { hash } from 'node:crypto';

/** What a duplicate of a request in progress is given once it is done. */
export type ReplyWaiter = (reply: Buffer) => void;

/** Construction parameters of ReplyCache. */
export interface ReplyCacheOptions {
  /** Monotonic clock in ms. */
  readonly nowMs: () => number;
  /** A reply lives at least this long and at most twice as long; default 30,000 ms. */
  readonly generationMs?: number;
  /**
   * Bound of all memory; beyond it the oldest replies go early. Default 32 MiB: 4 s at 12,000 replies
   * of 700 bytes per second, minutes at what proxies send. A proxy repeats after 1 s.
   */
  readonly maxBytes?: number;
  /** Room of a chunk, bytes; default 256 KiB. */
  readonly chunkBytes?: number;
}

/** Duplicates that may wait for one request; more are dropped, their sender repeats anyway. */
const maxWaiters = 32;
/** Estimated cost of a reply beyond its bytes: key, map entry, place. */
const bytesPerEntry = 200;

interface Chunk {
  readonly bytes: Buffer;
  readonly keys: string[];
  readonly startedMs: number;
  used: number;
  lastMs: number;
}

interface Place {
  readonly chunk: Chunk;
  readonly start: number;
  readonly end: number;
}

/** The key of a message: equal for equal bytes only, of one length for messages of any length. */
export function requestKey(message: Buffer): string {
  return hash('sha256', message, 'binary');
}

/** Thread: control. Owned by the endpoint; has no timers. */
export class ReplyCache {
  readonly #nowMs: () => number;
  readonly #generationMs: number;
  readonly #maxChunks: number;
  readonly #chunkBytes: number;
  readonly #inProgress = new Map<string, ReplyWaiter[] | null>();
  readonly #places = new Map<string, Place>();
  /** Oldest first; the last one is being filled. */
  readonly #chunks: Chunk[] = [];

  constructor(options: ReplyCacheOptions) {
    this.#nowMs = options.nowMs;
    this.#generationMs = options.generationMs ?? 30_000;
    this.#chunkBytes = options.chunkBytes ?? 256 * 1024;
    const maxBytes = options.maxBytes ?? 32 * 1024 * 1024;
    this.#maxChunks = Math.max(2, Math.floor(maxBytes / this.#chunkBytes));
  }

  /** Replies kept at the moment. */
  get size(): number {
    return this.#places.size;
  }

  /** The reply given to this request, or null. */
  lookup(key: string): Buffer | null {
    const place = this.#places.get(key);
    if (place === undefined) return null;
    // What is due may be this very reply.
    this.expire();
    if (this.#places.get(key) !== place) return null;
    return place.chunk.bytes.subarray(place.start, place.end);
  }

  /** Keeps a reply and hands it to the duplicates that wait for it. */
  store(key: string, reply: Buffer): void {
    const chunk = this.#chunkFor(reply.length);
    const start = chunk.used - chunk.keys.length * bytesPerEntry;
    const end = start + reply.copy(chunk.bytes, start);
    chunk.used += reply.length + bytesPerEntry;
    chunk.lastMs = this.#nowMs();
    chunk.keys.push(key);
    this.#places.set(key, { chunk, start, end });
    if (this.#inProgress.size === 0) return;
    const waiters = this.#inProgress.get(key);
    this.#inProgress.delete(key);
    for (const waiter of waiters ?? []) waiter(reply);
  }

  /** Notes that the request is being worked on; ended by `store`. */
  begin(key: string): void {
    this.#inProgress.set(key, null);
  }

  /** Whether the request is in progress; `waiter` is then called with its reply. */
  wait(key: string, waiter: ReplyWaiter): boolean {
    if (this.#inProgress.size === 0) return false;
    const waiters = this.#inProgress.get(key);
    if (waiters === undefined) return false;
    if (waiters === null) this.#inProgress.set(key, [waiter]);
    else if (waiters.length < maxWaiters) waiters.push(waiter);
    return true;
  }

  /** Lets go of what is over age; to be called now and then, when nothing else is. */
  expire(): void {
    const due = this.#nowMs() - this.#generationMs;
    for (;;) {
      const oldest = this.#chunks[0];
      if (oldest === undefined || oldest.lastMs >= due) return;
      this.#dropOldest();
    }
  }

  /** The chunk that takes a reply of `length` bytes; a longer one than any gets its own. */
  #chunkFor(length: number): Chunk {
    this.expire();
    const nowMs = this.#nowMs();
    const newest = this.#chunks[this.#chunks.length - 1];
    const needed = length + bytesPerEntry;
    if (
      newest !== undefined &&
      newest.used + needed <= newest.bytes.length &&
      nowMs - newest.startedMs < this.#generationMs
    ) {
      return newest;
    }
    while (this.#chunks.length >= this.#maxChunks) this.#dropOldest();
    const bytes = Buffer.allocUnsafeSlow(Math.max(this.#chunkBytes, needed));
    const chunk: Chunk = { bytes, keys: [], startedMs: nowMs, used: 0, lastMs: nowMs };
    this.#chunks.push(chunk);
    return chunk;
  }

  #dropOldest(): void {
    const chunk = this.#chunks.shift();
    for (const key of chunk?.keys ?? []) {
      if (this.#places.get(key)?.chunk === chunk) this.#places.delete(key);
    }
  }
}
