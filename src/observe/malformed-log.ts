/**
 * Log lines about messages that are none, and about commands that are refused: a flood of them must not become
 * one of lines. The first ones of each second are written as they are, the others counted and told in one line.
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
/** A proxy's own refusals are to be read: more than a busy one has in a second. */
const maxRefusals = 100;
const maxLineLength = 4096;

/** Thread: control. The owner calls `everySecond`. */
export class MalformedLog {
  readonly #log: Log;
  #lines = 0;
  #counted = 0;
  #lastSource = '';
  #refusals = 0;
  #refusalsCounted = 0;
  #lastRefused = '';
  /** Addresses of which refusals were not written this second. */
  readonly #flooding = new Set<string>();

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

  /** A line about a command of `address` (`source`: with its port) that cannot be done. */
  refused(line: string, address: string, source: string, callId: string | null): void {
    if (this.#mayWrite(address, source)) this.#log.warning('control', line, callId);
  }

  /** Likewise about a `delete` that has found nothing to end, which is no error. */
  unmatched(line: string, address: string, source: string, callId: string | null): void {
    if (this.#mayWrite(address, source)) this.#log.info('control', line, callId);
  }

  #mayWrite(address: string, source: string): boolean {
    this.#refusals += 1;
    if (this.#refusals <= maxRefusals) return true;
    this.#refusalsCounted += 1;
    this.#lastRefused = source;
    if (this.#flooding.size < maxRefusals) this.#flooding.add(address);
    return false;
  }

  /** So many commands of that address are refused that no line is written about each, neither before nor after. */
  isFlooding(address: string): boolean {
    return this.#flooding.has(address);
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
    if (malformed > 0) this.#tell(`Refused ${malformed} malformed messages`, this.#lastSource);
    if (overflow > 0)
      this.#tell(`Dropped ${overflow} messages, more than can be answered,`, this.#lastSource);
    if (this.#refusalsCounted > 0)
      this.#tell(
        `Refused ${this.#refusalsCounted} commands more than are written one by one`,
        this.#lastRefused,
      );
    this.#refusals = 0;
    this.#refusalsCounted = 0;
    this.#flooding.clear();
  }

  #tell(what: string, source: string): void {
    this.#log.warning('control', `${what} on NG port, last one from ${source}`);
  }
}
