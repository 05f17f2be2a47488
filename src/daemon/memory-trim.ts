/**
 * Gives memory back after a burst of commands. V8 keeps what its heap has grown to for as long as
 * little is allocated, and the C library keeps what was freed: several times what the calls need.
 *
 * Two collections, some seconds apart: V8 gives the new space back in the second. How large that may grow
 * meanwhile, scripts/launcher.cjs says.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What the trim works on. */
export interface MemoryTrimOptions {
  /** Whole collection of JavaScript's heap. */
  readonly collect: () => void;
  /** The C library gives free pages back. */
  readonly release: () => void;
  /** Bytes used in JavaScript's heap. */
  readonly heapUsed: () => number;
}

/** So many commands leave something worth collecting: 20 MiB and more. */
const commandsWorthIt = 1000;
/** Fewer than this per second is quiet. */
const quietCommands = 20;
const quietSeconds = 5;
/** A collection stops commands, not media, for about 1 ms per MiB in use. */
const maxHeapBytes = 128 * 1024 * 1024;
/** Replies kept for repetitions are gone by then (ReplyCache). */
const repliesGoneSeconds = 65;

/** Thread: control. */
export class MemoryTrim {
  readonly #options: MemoryTrimOptions;
  #seen = 0;
  #pending = 0;
  #quiet = 0;

  constructor(options: MemoryTrimOptions) {
    this.#options = options;
  }

  /** To be called once a second with the number of commands so far. */
  everySecond(commands: number): void {
    const done = commands - this.#seen;
    this.#seen = commands;
    this.#pending += done;
    this.#quiet = done < quietCommands ? this.#quiet + 1 : 0;
    if (this.#pending < commandsWorthIt) return;
    const due = [quietSeconds, 2 * quietSeconds, repliesGoneSeconds];
    if (!due.includes(this.#quiet)) return;
    if (this.#options.heapUsed() <= maxHeapBytes) this.#options.collect();
    this.#options.release();
    if (this.#quiet === repliesGoneSeconds) this.#pending = 0;
  }
}

/** V8's own collector; taken out of it when it is needed first. */
export function collectorOfV8(): () => void {
  let collect: (() => void) | null = null;
  return () => {
    if (collect === null) {
      setFlagsFromString('--expose-gc');
      const found: unknown = runInNewContext('gc');
      collect = typeof found === 'function' ? () => void found() : () => undefined;
    }
    collect();
  };
}
