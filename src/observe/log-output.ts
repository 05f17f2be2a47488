/**
 * Output that never makes the daemon wait. A reader that stops reading costs lines, not time: they are
 * kept up to a limit, then dropped and counted, and when the reader is back it is told how many.
 */
import { closeSync } from 'node:fs';
import type { OutputFunctions } from '../native/process.js';

/** Where bytes leave. */
export interface Outlet {
  /**
   * Takes bytes without ever waiting: how many it took, `later` when it can take none now, `away` when
   * nobody is there who would, `lost` when it never will (a full disk, nobody at the other end).
   */
  put(bytes: Buffer): number | 'later' | 'away' | 'lost';
  close(): void;
}

/** Writing to a descriptor (2: stderr) without waiting. */
export function descriptorOutlet(fd: number, functions: OutputFunctions): Outlet {
  const own = functions.openOutput(fd);
  return {
    put: (bytes) => {
      const taken = functions.writeOutput(own, bytes);
      if (taken > 0) return taken;
      return taken === 0 ? 'later' : 'lost';
    },
    close: () => {
      if (own !== fd) closeSync(own);
    },
  };
}

export interface LogOutputOptions {
  readonly outlet: Outlet;
  /** The line that says so many lines are missing before it. */
  readonly gapLine: (lines: number) => Buffer;
}

/** Bytes kept while the reader is too slow; older lines go first to it, newer ones are lost. */
const maxBacklogBytes = 1024 * 1024;
/**
 * How soon a reader that is too slow is tried again: at once while it takes something, then rarely, and
 * more rarely still while there is none.
 */
const retryMs = { least: 1, most: 50, away: 1000 } as const;

function isWide(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0xff) return true;
  return false;
}

const wide = /[^\x00-\xff]+/g;
const lineEnd = Buffer.from('\n');

/** Wire text is one character per byte and leaves as those bytes; other characters leave as UTF-8. */
export function toBytes(text: string): Buffer {
  if (!isWide(text)) return Buffer.from(text, 'latin1');
  const bytes = text.replace(wide, (piece) => Buffer.from(piece, 'utf8').toString('latin1'));
  return Buffer.from(bytes, 'latin1');
}

/** The text of a gap. */
export function gapText(lines: number): string {
  return `${lines} log lines were lost here: nobody took them`;
}

export class LogOutput {
  readonly #options: LogOutputOptions;
  #backlog: Buffer[] = [];
  #backlogBytes = 0;
  #lost = 0;
  /** Lost lines that the reader knows of. */
  #told = 0;
  /** The last thing that was written is the beginning of a line. */
  #torn = false;
  #timer: NodeJS.Timeout | null = null;
  #waitMs: number = retryMs.least;
  #away = false;

  constructor(options: LogOutputOptions) {
    this.#options = options;
  }

  /** Lines that were lost for good. */
  get lost(): number {
    return this.#lost;
  }

  /** Nothing waits for the reader. */
  get empty(): boolean {
    return this.#backlogBytes === 0;
  }

  /** @param line with its line end. */
  write(line: Buffer): void {
    // While something waits each line would ask the reader again in vain.
    if (this.#timer !== null || !this.#drain() || !this.#tellOfGap()) {
      this.#keep(line);
      return;
    }
    const rest = this.#put(line);
    if (rest === 'lost') this.#lost += 1;
    else if (rest !== null) this.#keep(rest);
  }

  /** There may be a reader again: what waits is tried at once. */
  retryNow(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#waitMs = retryMs.least;
    this.#retry();
  }

  /** No more attempts for what the reader has not taken; nothing may be written any more. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#options.outlet.close();
  }

  /** true: nothing waits any more. */
  #drain(): boolean {
    for (;;) {
      const first = this.#backlog[0];
      if (first === undefined) return true;
      const rest = this.#put(first);
      if (rest === 'lost') this.#lost += 1;
      else if (rest !== null) {
        this.#backlogBytes -= first.length - rest.length;
        this.#backlog[0] = rest;
        return false;
      }
      this.#backlogBytes -= first.length;
      this.#backlog.shift();
    }
  }

  #keep(bytes: Buffer): void {
    if (this.#backlogBytes + bytes.length > maxBacklogBytes) {
      this.#lost += 1;
    } else {
      this.#backlog.push(bytes);
      this.#backlogBytes += bytes.length;
    }
    this.#retryLater();
  }

  #retryLater(): void {
    this.#timer ??= setTimeout(() => this.#retry(), this.#waitMs).unref();
  }

  #retry(): void {
    this.#timer = null;
    const before = this.#backlogBytes;
    const done = this.#drain() && this.#tellOfGap();
    const progress = this.#backlogBytes < before;
    const most = this.#away ? retryMs.away : retryMs.most;
    this.#waitMs = progress ? retryMs.least : Math.min(this.#waitMs * 2, most);
    if (!done) this.#retryLater();
  }

  /** Says before the next line how many are missing; false: the reader is too slow again. */
  #tellOfGap(): boolean {
    const missing = this.#lost - this.#told;
    if (missing === 0) return true;
    const rest = this.#put(this.#options.gapLine(missing));
    if (rest === 'lost') return true;
    this.#told = this.#lost;
    if (rest === null) return true;
    this.#keep(rest);
    return false;
  }

  /** What could not be written now, null when nothing is left to be written. */
  #put(bytes: Buffer): Buffer | 'lost' | null {
    let rest = this.#torn ? Buffer.concat([lineEnd, bytes]) : bytes;
    const whole = rest.length;
    while (rest.length > 0) {
      const taken = this.#options.outlet.put(rest);
      this.#away = taken === 'away';
      if (taken === 'later' || taken === 'away') return rest.length === whole ? bytes : rest;
      if (taken === 'lost') {
        this.#torn ||= rest.length < whole;
        return 'lost';
      }
      rest = rest.subarray(taken);
      this.#torn = false;
    }
    return null;
  }
}
