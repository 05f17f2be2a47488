/**
 * Log lines about messages that are none: a flood of them must not become one of lines. The first ones
 * of each second are written as they are, the others counted and told in one line.
 */
import type { Log } from './log.js';

/** Messages that a transport refused without reading them. */
export interface RefusedCount {
  readonly malformed: number;
  readonly overflow: number;
  readonly host: string;
  readonly port: number;
}

/** Lines per second, bytes of the longest: a few KiB a second in all. */
const maxLines = 10;
const maxLineLength = 4096;

/** Thread: control. The owner calls `everySecond`. */
export class MalformedLog {
  readonly #log: Log;
  #lines = 0;
  #counted = 0;
  #lastSource = '';

  constructor(log: Log) {
    this.#log = log;
  }

  /** A line about a message from `source`. */
  warn(line: string, source: string, callId: string | null): void {
    this.#lines += 1;
    if (this.#lines <= maxLines) {
      this.#log.warning('control', line.slice(0, maxLineLength), callId);
      return;
    }
    this.#counted += 1;
    this.#lastSource = source;
  }

  /** Whether a line about such a message would still be written this second. */
  get writes(): boolean {
    return this.#lines < maxLines;
  }

  /** Tells what was counted, and what the transports `refused` meanwhile. */
  everySecond(refused: readonly RefusedCount[]): void {
    let malformed = this.#counted;
    let overflow = 0;
    for (const entry of refused) {
      malformed += entry.malformed;
      overflow += entry.overflow;
      this.#lastSource = entry.host.includes(':')
        ? `[${entry.host}]:${entry.port}`
        : `${entry.host}:${entry.port}`;
    }
    this.#lines = 0;
    this.#counted = 0;
    if (malformed > 0) this.#tell(`Refused ${malformed} malformed messages`);
    if (overflow > 0) this.#tell(`Dropped ${overflow} messages, more than can be answered,`);
  }

  #tell(what: string): void {
    this.#log.warning('control', `${what} on NG port, last one from ${this.#lastSource}`);
  }
}
