/** Log lines that strangers can cause, bounded: so many a second, then their number. */
import type { Log } from '../observe/log.js';

const perSecond = 10;

export class Notices {
  readonly #log: Log;
  #said = 0;
  #more = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Logs it (NOTICE, subsystem control), or counts it when there have been too many. */
  say(message: string): void {
    if (this.#said < perSecond) this.#log.notice('control', message);
    else this.#more += 1;
    this.#said += 1;
  }

  /** To be called once a second. */
  everySecond(): void {
    if (this.#more > 0) {
      this.#log.notice('control', `${this.#more} more refused or ended connections and messages`);
    }
    this.#said = 0;
    this.#more = 0;
  }
}
