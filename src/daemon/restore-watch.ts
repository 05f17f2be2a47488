/** How far a restore is: it may take a while with many calls, and go on when Redis is back. */
import type { RestoreStatus } from './node-status.js';

/** Between two words to whoever waits, ms. */
const tellMs = 200;
/** A restore after the start has no end that is told: so long after its last call it is over, ms. */
const quietMs = 1000;

export class RestoreWatch {
  readonly #nowMs: () => number;
  readonly #tell: (status: RestoreStatus) => void;
  #beganMs: number | null = null;
  #lastMs = 0;
  #ended = false;
  /** Calls have come since it ended. */
  #hasMore = false;
  #restored = 0;
  #expected: number | null = null;
  #toldMs = -Infinity;

  /** @param nowMs of a clock that does not jump. @param tell is called now and then while it runs. */
  constructor(nowMs: () => number, tell: (status: RestoreStatus) => void) {
    this.#nowMs = nowMs;
    this.#tell = tell;
  }

  begin(): void {
    this.#beganMs = this.#nowMs();
    this.#lastMs = this.#beganMs;
    this.#sayNow();
  }

  /** A call was taken over, or not; passes the reason on. */
  adopted(reason: string | null): string | null {
    this.#lastMs = this.#nowMs();
    if (reason === null) this.#restored += 1;
    this.#hasMore = this.#ended;
    if (!this.#ended && this.#lastMs - this.#toldMs >= tellMs) this.#sayNow();
    return reason;
  }

  /** So many calls are to be taken over in all, as far as that is known. */
  expect(calls: number): void {
    this.#expected = this.#ended ? null : calls;
  }

  end(): void {
    this.#ended = true;
    this.#expected = null;
    this.#lastMs = this.#nowMs();
  }

  #sayNow(): void {
    this.#toldMs = this.#lastMs;
    const { status } = this;
    if (status !== null) this.#tell(status);
  }

  /** null: it has not begun. */
  get status(): RestoreStatus | null {
    if (this.#beganMs === null) return null;
    const nowMs = this.#nowMs();
    const running = !this.#ended || (this.#hasMore && nowMs - this.#lastMs < quietMs);
    const untilMs = running ? nowMs : this.#lastMs;
    const elapsedMs = Math.round(untilMs - this.#beganMs);
    const expected = running ? this.#expected : null;
    return { running, restored: this.#restored, expected, elapsedMs };
  }
}
