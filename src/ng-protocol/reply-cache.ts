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

/** What takes more than this part of all memory came by TCP, where nothing is repeated: it is not kept. */
const greatestPart = 2;

/** Places in one chunk, at most. */
const maxPlaces = 4096;
/** No place. */
const none = -1;

/** Numbers of a place, in `Chunk.places`; all small, so that thousands of replies are no work for the collector. */
const field = {
  /** Of the cookie. */
  hash: 0,
  /** The cookie lies before the request's body, that before the reply. */
  at: 1,
  bodyAt: 2,
  replyAt: 3,
  end: 4,
  /** An earlier request with the same cookie (or hash), nearly always another one's: its place, or `none`. */
  earlier: 5,
} as const;
const fields = 6;

interface Chunk {
  readonly slot: number;
  readonly bytes: Buffer;
  /** `fields` for each. A place is known by `slot * maxPlaces` and its number in the chunk. */
  readonly places: number[];
  readonly startedMs: number;
  used: number;
  lastMs: number;
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

/** FNV-1a, to 30 bits: a number that needs no memory of its own. With a start that nobody outside knows. */
const hashStart = Math.floor(Math.random() * 0x1_0000_0000);

function hashOf(cookie: string): number {
  let hash = hashStart;
  for (let at = 0; at < cookie.length; at++)
    hash = Math.imul(hash ^ cookie.charCodeAt(at), 0x01000193);
  return hash & 0x3fff_ffff;
}

function hasCookie(bytes: Buffer, start: number, end: number, cookie: string): boolean {
  if (end - start !== cookie.length) return false;
  for (let at = 0; at < cookie.length; at++)
    if (bytes[start + at] !== cookie.charCodeAt(at)) return false;
  return true;
}

/** Thread: control. Owned by the endpoint; has no timers. */
export class ReplyCache {
  readonly #nowMs: () => number;
  readonly #generationMs: number;
  readonly #maxBytes: number;
  readonly #chunkBytes: number;
  /** The cookie that was hashed last: a request is looked up, and its reply is kept. */
  #hashed = '';
  #hash = hashOf('');
  /** By cookie. */
  readonly #inProgress = new Map<string, Pending>();
  /** The latest place of each cookie, by its hash. */
  readonly #latest = new Map<number, number>();
  /** By slot. */
  readonly #slots: (Chunk | undefined)[] = [];
  #size = 0;
  /** Oldest first; the last one is being filled. */
  readonly #chunks: Chunk[] = [];
  /** Of all chunks. */
  #bytes = 0;

  constructor(options: ReplyCacheOptions) {
    this.#nowMs = options.nowMs;
    this.#generationMs = options.generationMs ?? 30_000;
    this.#chunkBytes = options.chunkBytes ?? 256 * 1024;
    this.#maxBytes = options.maxBytes ?? 32 * 1024 * 1024;
  }

  /** Replies kept at the moment. */
  get size(): number {
    return this.#size;
  }

  /** The reply given to this request, or null. */
  lookup(message: NgMessage): Buffer | null {
    const hash = this.#hashOf(message.cookie);
    let place = this.#latest.get(hash) ?? none;
    if (place === none) return null;
    const due = this.#due;
    while (place !== none) {
      const chunk = this.#chunkOf(place);
      // What is over age may be here still.
      if (chunk.lastMs >= due && this.#isOf(chunk, place, message))
        return chunk.bytes.subarray(
          this.#number(place, field.replyAt),
          this.#number(place, field.end),
        );
      place = this.#number(place, field.earlier);
    }
    return null;
  }

  #hashOf(cookie: string): number {
    if (cookie !== this.#hashed) {
      this.#hashed = cookie;
      this.#hash = hashOf(cookie);
    }
    return this.#hash;
  }

  #chunkOf(place: number): Chunk {
    const chunk = this.#slots[Math.floor(place / maxPlaces)];
    if (chunk === undefined) throw new Error('a place without its chunk');
    return chunk;
  }

  #number(place: number, name: (typeof field)[keyof typeof field]): number {
    return this.#chunkOf(place).places[(place % maxPlaces) * fields + name] ?? none;
  }

  #isOf({ bytes }: Chunk, place: number, { cookie, body }: NgMessage): boolean {
    const bodyAt = this.#number(place, field.bodyAt);
    const replyAt = this.#number(place, field.replyAt);
    return (
      replyAt - bodyAt === body.length &&
      hasCookie(bytes, this.#number(place, field.at), bodyAt, cookie) &&
      body.compare(bytes, bodyAt, replyAt) === 0
    );
  }

  /** Keeps a reply and hands it to the duplicates that wait for it. Returns it as it is kept. */
  store(message: NgMessage, reply: Buffer): Buffer {
    const { cookie, body } = message;
    const hash = this.#hashOf(cookie);
    const length = cookie.length + body.length + reply.length;
    if (length > this.#maxBytes / greatestPart) {
      for (const waiter of this.#finish(message)) waiter(reply);
      return reply;
    }
    const nowMs = this.#nowMs();
    const chunk = this.#chunkFor(length, nowMs);
    const count = chunk.places.length / fields;
    const at = chunk.used - count * bytesPerEntry;
    const bodyAt = at + chunk.bytes.write(cookie, at, 'latin1');
    const replyAt = bodyAt + body.length;
    const end = replyAt + reply.length;
    chunk.bytes.set(body, bodyAt);
    chunk.bytes.set(reply, replyAt);
    chunk.used += length + bytesPerEntry;
    chunk.lastMs = nowMs;
    const earlier = this.#latest.get(hash) ?? none;
    const place = chunk.slot * maxPlaces + count;
    chunk.places.push(hash, at, bodyAt, replyAt, end, earlier);
    this.#latest.set(hash, place);
    this.#size += 1;
    if (earlier !== none) this.#cutOff(place);
    const kept = chunk.bytes.subarray(replyAt, end);
    if (this.#inProgress.size > 0) for (const waiter of this.#finish(message)) waiter(kept);
    return kept;
  }

  /** Forgets what is too long ago. */
  #cutOff(latest: number): void {
    let last = latest;
    for (let known = 1; known < maxPerCookie; known += 1) {
      const earlier = this.#number(last, field.earlier);
      if (earlier === none) return;
      last = earlier;
    }
    this.#cutBehind(last);
  }

  #cutBehind(place: number): void {
    this.#chunkOf(place).places[(place % maxPlaces) * fields + field.earlier] = none;
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

  /** Replies that were given before are over age. */
  get #due(): number {
    return this.#nowMs() - this.#generationMs;
  }

  /** Lets go of what is over age, of a chunk in each step; to be done now and then, when nothing else is. */
  *expiring(): Generator<void> {
    const due = this.#due;
    while (this.#hasOlder(due)) {
      this.#dropOldest();
      yield;
    }
  }

  #hasOlder(due: number): boolean {
    const [oldest] = this.#chunks;
    return oldest !== undefined && oldest.lastMs < due;
  }

  /** The chunk that takes a reply of `length` bytes; a longer one than any gets its own. */
  #chunkFor(length: number, nowMs: number): Chunk {
    // No command pays for thousands of others.
    if (this.#hasOlder(nowMs - this.#generationMs)) this.#dropOldest();
    const newest = this.#chunks[this.#chunks.length - 1];
    const needed = length + bytesPerEntry;
    if (
      newest !== undefined &&
      newest.used + needed <= newest.bytes.length &&
      newest.places.length < maxPlaces * fields &&
      nowMs - newest.startedMs < this.#generationMs
    ) {
      return newest;
    }
    const bytes = Buffer.allocUnsafeSlow(Math.max(this.#chunkBytes, needed));
    this.#bytes += bytes.length;
    while (this.#chunks.length > 0 && this.#bytes > this.#maxBytes) this.#dropOldest();
    const free = this.#slots.indexOf(undefined);
    const slot = free < 0 ? this.#slots.length : free;
    const chunk: Chunk = { slot, bytes, places: [], startedMs: nowMs, used: 0, lastMs: nowMs };
    this.#slots[slot] = chunk;
    this.#chunks.push(chunk);
    return chunk;
  }

  #dropOldest(): void {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return;
    this.#bytes -= chunk.bytes.length;
    const count = chunk.places.length / fields;
    for (let number = 0; number < count; number++)
      this.#forget(chunk.slot * maxPlaces + number, chunk);
    this.#slots[chunk.slot] = undefined;
    this.#size -= count;
  }

  #forget(place: number, chunk: Chunk): void {
    const hash = this.#number(place, field.hash);
    let later = this.#latest.get(hash) ?? none;
    if (later === none) return;
    // Chunks go the oldest first, so a place of this one that is the latest was the last.
    if (this.#chunkOf(later) === chunk) {
      this.#latest.delete(hash);
      return;
    }
    for (;;) {
      const earlier = this.#number(later, field.earlier);
      if (earlier === none) return;
      if (this.#chunkOf(earlier) === chunk) {
        this.#cutBehind(later);
        return;
      }
      later = earlier;
    }
  }
}
