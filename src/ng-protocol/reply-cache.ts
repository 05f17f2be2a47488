/**
 * Replies kept for retransmitted requests (ng-protocol.md §1.2). A repetition is byte for byte the same
 * request, cookie included; where it comes from does not matter. rtpengine 10.5 looks at the cookie
 * alone, so that two proxies that count alike get each other's replies.
 *
 * Requests and replies lie one behind the other in chunks, each with an account of what it costs; chunks
 * leave whole, the oldest first.
 */
import type { NgMessage } from './message.js';

/** What a duplicate of a request in progress is given once it is done. */
export type ReplyWaiter = (reply: Buffer) => void;

/** Construction parameters of ReplyCache. */
export interface ReplyCacheOptions {
  /** Monotonic clock in ms. */
  readonly nowMs: () => number;
  /** A reply lives at least this long and at most twice as long; default 30,000 ms. */
  readonly generationMs?: number;
  /**
   * Bound of all memory; beyond it the oldest replies go early. Default 32 MiB: 2 s at 12,000 requests
   * of 400 bytes with replies of 700 per second, minutes at what proxies send. A proxy repeats after 1 s.
   */
  readonly maxBytes?: number;
  /** Room of a chunk, bytes; default 256 KiB. */
  readonly chunkBytes?: number;
}

/** Duplicates that may wait for one request; more are dropped, their sender repeats anyway. */
const maxWaiters = 32;
const nobody: readonly ReplyWaiter[] = [];
/** Requests with one cookie that are known at a time: whoever always sends the same one costs no more. */
const maxPerCookie = 16;
/** Estimated cost of a reply beyond its bytes and its request's: cookie, map entry, place. */
const bytesPerEntry = 200;

interface Chunk {
  readonly bytes: Buffer;
  readonly places: Place[];
  readonly startedMs: number;
  used: number;
  lastMs: number;
}

/** Where one request and its reply are. */
interface Place {
  readonly cookie: string;
  readonly chunk: Chunk;
  /** The request's body lies before the reply. */
  readonly bodyAt: number;
  readonly replyAt: number;
  readonly end: number;
  /** An earlier request with the same cookie, nearly always another one's. */
  earlier: Place | null;
}

/** A request that is worked on. */
interface Pending {
  readonly body: Buffer;
  readonly waiters: ReplyWaiter[];
  /** Another one with the same cookie. */
  readonly other: Pending | null;
  /** How many of that cookie there are. */
  readonly count: number;
}

const isOf = ({ chunk, bodyAt, replyAt }: Place, { body }: NgMessage): boolean =>
  replyAt - bodyAt === body.length && body.compare(chunk.bytes, bodyAt, replyAt) === 0;

/** Forgets what is too long ago. */
function cutOff(latest: Place): void {
  let last = latest;
  for (let known = 1; known < maxPerCookie && last.earlier !== null; known += 1)
    last = last.earlier;
  last.earlier = null;
}

/** Thread: control. Owned by the endpoint; has no timers. */
export class ReplyCache {
  readonly #nowMs: () => number;
  readonly #generationMs: number;
  readonly #maxChunks: number;
  readonly #chunkBytes: number;
  /** By cookie. */
  readonly #inProgress = new Map<string, Pending>();
  /** The latest of each cookie. */
  readonly #places = new Map<string, Place>();
  #size = 0;
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
    return this.#size;
  }

  /** The reply given to this request, or null. */
  lookup(message: NgMessage): Buffer | null {
    if (this.#places.get(message.cookie) === undefined) return null;
    // What is due may be this very reply.
    this.expire();
    let place = this.#places.get(message.cookie) ?? null;
    while (place !== null && !isOf(place, message)) place = place.earlier;
    return place === null ? null : place.chunk.bytes.subarray(place.replyAt, place.end);
  }

  /** Keeps a reply and hands it to the duplicates that wait for it. */
  store(message: NgMessage, reply: Buffer): void {
    const { cookie, body } = message;
    const length = body.length + reply.length;
    const chunk = this.#chunkFor(length);
    const bodyAt = chunk.used - chunk.places.length * bytesPerEntry;
    const replyAt = bodyAt + body.copy(chunk.bytes, bodyAt);
    const end = replyAt + reply.copy(chunk.bytes, replyAt);
    chunk.used += length + bytesPerEntry;
    chunk.lastMs = this.#nowMs();
    const earlier = this.#places.get(cookie) ?? null;
    const place: Place = { cookie, chunk, bodyAt, replyAt, end, earlier };
    chunk.places.push(place);
    this.#places.set(cookie, place);
    this.#size += 1;
    if (earlier !== null) cutOff(place);
    for (const waiter of this.#finish(message)) waiter(reply);
  }

  /** Notes that the request is being worked on; ended by `store`. The body must stay as it is until then. */
  begin({ cookie, body }: NgMessage): void {
    const other = this.#inProgress.get(cookie) ?? null;
    const count = (other?.count ?? 0) + 1;
    // A repetition of one that is not noted runs again.
    if (count > maxPerCookie) return;
    this.#inProgress.set(cookie, { body, waiters: [], other, count });
  }

  /** Whether the request is in progress; `waiter` is then called with its reply. */
  wait({ cookie, body }: NgMessage, waiter: ReplyWaiter): boolean {
    let pending = this.#inProgress.get(cookie) ?? null;
    while (pending !== null && !pending.body.equals(body)) pending = pending.other;
    if (pending === null) return false;
    if (pending.waiters.length < maxWaiters) pending.waiters.push(waiter);
    return true;
  }

  /** The request is in progress no more; returns who waits for its reply. */
  #finish({ cookie, body }: NgMessage): readonly ReplyWaiter[] {
    let waiters = nobody;
    let found = false;
    let others: Pending | null = null;
    let count = 0;
    let pending = this.#inProgress.get(cookie) ?? null;
    for (; pending !== null; pending = pending.other) {
      if (!found && pending.body.equals(body)) {
        found = true;
        ({ waiters } = pending);
      } else {
        count += 1;
        others = { body: pending.body, waiters: pending.waiters, other: others, count };
      }
    }
    if (others === null) this.#inProgress.delete(cookie);
    else this.#inProgress.set(cookie, others);
    return waiters;
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
    const chunk: Chunk = { bytes, places: [], startedMs: nowMs, used: 0, lastMs: nowMs };
    this.#chunks.push(chunk);
    return chunk;
  }

  #dropOldest(): void {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return;
    for (const place of chunk.places) this.#forget(place);
    this.#size -= chunk.places.length;
  }

  #forget(place: Place): void {
    const latest = this.#places.get(place.cookie);
    if (latest === undefined || latest === place) {
      this.#places.delete(place.cookie);
      return;
    }
    // Chunks go the oldest first, so it is the last one, and those of its chunk are gone with it.
    let later = latest;
    while (later.earlier !== null && later.earlier.chunk !== place.chunk) later = later.earlier;
    later.earlier = null;
  }
}
