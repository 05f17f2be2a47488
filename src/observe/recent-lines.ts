/** The last lines of the log that belong to calls, for `rtprelayctl log CALLID`. Bounded in number and size. */
import type { LogSubsystem } from '../config/subsystems.js';

export interface RecentLine {
  /** Wall clock. */
  readonly atMicros: number;
  /** As in log.ts. */
  readonly level: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;
  readonly subsystem: LogSubsystem;
  readonly callId: string;
  readonly message: string;
  readonly port: number | null;
}

const maxLines = 10_000;
const maxCharacters = 4 * 1024 * 1024;
/** Of a message; NG dictionaries at level 7 are long. */
const longestMessage = 4000;

/** What a line costs besides its message. */
const overhead = 100;

const sizeOf = ({ message }: RecentLine): number => message.length + overhead;

export class RecentLines {
  readonly #lines: (RecentLine | undefined)[] = new Array<undefined>(maxLines).fill(undefined);
  /** Numbers of the oldest line kept and of the next one. */
  #oldest = 0;
  #next = 0;
  #characters = 0;

  add(line: RecentLine): void {
    const { message } = line;
    // A copy: a part of a string would keep the whole of it.
    const kept =
      message.length <= longestMessage
        ? line
        : {
            ...line,
            message: `${Buffer.from(message.slice(0, longestMessage), 'utf8').toString('utf8')} ...`,
          };
    if (this.#next - this.#oldest === maxLines) this.#drop();
    this.#lines[this.#next % maxLines] = kept;
    this.#next += 1;
    this.#characters += sizeOf(kept);
    while (this.#characters > maxCharacters) this.#drop();
  }

  #drop(): void {
    const at = this.#oldest % maxLines;
    const line = this.#lines[at];
    if (line !== undefined) this.#characters -= sizeOf(line);
    this.#lines[at] = undefined;
    this.#oldest += 1;
  }

  /** Those of one call, the oldest first. */
  of(callId: string): readonly RecentLine[] {
    const found: RecentLine[] = [];
    for (let number = this.#oldest; number < this.#next; number += 1) {
      const line = this.#lines[number % maxLines];
      if (line?.callId === callId) found.push(line);
    }
    return found;
  }
}
