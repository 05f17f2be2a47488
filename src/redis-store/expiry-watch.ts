/**
 * When followed keys will expire. A replica does not expire keys by itself: its master does and tells it
 * to delete them, so that its notifications do not tell an expired key from a deleted one. The time can.
 */
import { keyOf } from './codec.js';
import type { SendCommand } from './send-command.js';

/** Clocks of master and replica differ, and the master is late: at most so much, and a part of the life time. */
const slackMs = 60_000;
const slackPart = 0.25;

export class ExpiryWatch {
  readonly #send: SendCommand;
  /** Call-id -> monotonic ms; without an entry it is not known. */
  readonly #expireAt = new Map<string, number>();
  /** Longest time to live that was seen. */
  #lifeMs = 0;

  constructor(send: SendCommand) {
    this.#send = send;
  }

  /** Forgets all others. */
  keep(callIds: ReadonlySet<string>): void {
    for (const callId of this.#expireAt.keys()) {
      if (!callIds.has(callId)) this.#expireAt.delete(callId);
    }
  }

  /** Asks for the time that the keys have left. @throws what `send` throws. */
  async learn(callIds: readonly string[]): Promise<void> {
    const replies = await Promise.all(callIds.map((callId) => this.#send('PTTL', keyOf(callId))));
    const now = performance.now();
    for (const [at, callId] of callIds.entries()) {
      const leftMs = Number(replies[at]);
      // Gone, or without a life time: the latter may be set by the next command.
      if (leftMs < 0) this.#expireAt.delete(callId);
      else this.#expireAt.set(callId, now + leftMs);
      this.#lifeMs = Math.max(this.#lifeMs, leftMs);
    }
  }

  /** Whether it is expiry that may have deleted a key now; also when nothing is known of it. */
  mayHaveExpired(callId: string): boolean {
    const expireAt = this.#expireAt.get(callId);
    if (expireAt === undefined) return true;
    return expireAt - performance.now() <= Math.min(slackMs, this.#lifeMs * slackPart);
  }
}
