/** What a peer has not taken yet, in messages and bytes: what is more is dropped, and counted. */

export interface OutgoingLimits {
  readonly messages: number;
  readonly bytes: number;
}

/** Thread: control. */
export class OutgoingLimit {
  readonly #limits: OutgoingLimits;
  readonly #onNotice: (message: string) => void;
  readonly #peer: string;
  #messages = 0;
  #bytes = 0;
  #dropped = 0;

  /** @param peer as notices name it. */
  constructor(peer: string, limits: OutgoingLimits, onNotice: (message: string) => void) {
    this.#peer = peer;
    this.#limits = limits;
    this.#onNotice = onNotice;
  }

  /**
   * Makes room for a message; returns what is to be called once when it has been taken, null where there is no
   * room. One that is longer than all of it is let through alone.
   */
  take(bytes: number): (() => void) | null {
    const { messages: most, bytes: room } = this.#limits;
    const isFull = this.#messages >= most || (this.#messages > 0 && this.#bytes + bytes > room);
    if (isFull) {
      if (this.#dropped === 0) this.#onNotice(`${this.#peer} is too slow: messages are dropped`);
      this.#dropped += 1;
      return null;
    }
    if (this.#dropped > 0 && this.#messages <= most / 2 && this.#bytes <= room / 2) {
      this.#onNotice(`${this.#peer} takes messages again, ${this.#dropped} were dropped`);
      this.#dropped = 0;
    }
    this.#messages += 1;
    this.#bytes += bytes;
    return () => {
      this.#messages -= 1;
      this.#bytes -= bytes;
    };
  }
}
