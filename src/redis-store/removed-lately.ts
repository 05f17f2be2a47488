/**
 * Calls whose removal was acknowledged a short while ago. Replication lags: a replica that is promoted
 * may still hold them, and has to be told again.
 */

/** Longer than a replica may lag and still be promoted sensibly. */
const keptMs = 60_000;
const maxKept = 100_000;

export class RemovedLately {
  /** Call-id -> when it was removed (monotonic, ms); the oldest first. */
  readonly #removed = new Map<string, number>();

  add(callId: string): void {
    // Told again: that changes nothing about when it was removed.
    if (!this.#removed.has(callId)) this.#removed.set(callId, performance.now());
    this.#forgetOld();
  }

  /** The call is there again. */
  delete(callId: string): void {
    this.#removed.delete(callId);
  }

  callIds(): readonly string[] {
    this.#forgetOld();
    return [...this.#removed.keys()];
  }

  #forgetOld(): void {
    const limit = performance.now() - keptMs;
    for (const [callId, removedAt] of this.#removed) {
      if (removedAt >= limit && this.#removed.size <= maxKept) return;
      this.#removed.delete(callId);
    }
  }
}
