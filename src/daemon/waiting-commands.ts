/**
 * Commands that wait for calls to be restored. Each keeps its message until then, and Redis may take as long as
 * it likes: only so many bytes of them are kept, what is more is refused.
 */
import { NgError } from '../ng-protocol/errors.js';

export interface WaitingLimits {
  readonly commands: number;
  /** Of their messages. */
  readonly bytes: number;
}

/** Some seconds of a busy node's. */
const usualLimits: WaitingLimits = { commands: 20_000, bytes: 32 * 1024 * 1024 };

/** For all that come within it. */
const soonMs = 700;

/** Thread: control. */
export class WaitingCommands {
  readonly #say: (text: string) => void;
  readonly #limits: WaitingLimits;
  #commands = 0;
  #bytes = 0;
  #refused = 0;
  #soon: Promise<void> | null = null;

  constructor(say: (text: string) => void, limits: WaitingLimits = usualLimits) {
    this.#say = say;
    this.#limits = limits;
  }

  /** What tells of the node as it is waits for `restored`, and no longer than a proxy waits for its reply. */
  soon(restored: Promise<void>): Promise<void> {
    this.#soon ??= new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, soonMs);
      const end = (): void => {
        clearTimeout(timer);
        resolve();
      };
      restored.then(end, end);
    }).finally(() => (this.#soon = null));
    return this.#soon;
  }

  /** Resolves with `restored`. @throws NgError: there is no room for a message of so many bytes. */
  async until(restored: Promise<void>, bytes: number): Promise<void> {
    const { commands, bytes: room } = this.#limits;
    if (this.#commands >= commands || this.#bytes + bytes > room) {
      if (this.#refused === 0)
        this.#say(
          `${this.#commands} commands of ${this.#bytes} bytes wait for calls to be restored: more are refused`,
        );
      this.#refused += 1;
      throw new NgError('rejected', 'Too many commands wait for calls to be restored');
    }
    this.#commands += 1;
    this.#bytes += bytes;
    try {
      await restored;
    } finally {
      this.#commands -= 1;
      this.#bytes -= bytes;
      if (this.#commands === 0 && this.#refused > 0) {
        this.#say(`Commands refused while calls were restored: ${this.#refused}`);
        this.#refused = 0;
      }
    }
  }
}
