/**
 * Gives memory back after a burst of commands, and after the rehearsal of the start. V8 keeps what its heap has grown to for as long as
 * little is allocated, and the C library keeps what was freed: several times what the calls need.
 *
 * Two collections, some seconds apart: V8 gives the young generation back in the second. After the start the pages of Node's own
 * files, too: 44 MiB of which an idle daemon needs a fifth, and commands half. At once, since what is needed comes back
 * in less than a millisecond, and once more when it is quiet.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What the trim works on. */
export interface MemoryTrimOptions {
  /** Gives the young generation its room for many commands. */
  readonly grow: () => void;
  /** Begins a whole collection of JavaScript's heap that goes on beside commands, and ends within a second; false: there is none. */
  readonly beginCollection: () => boolean;
  /** The same at once. */
  readonly collect: () => void;
  /** The C library gives free pages back. */
  readonly release: () => void;
  /** So do pages of the program's files; they come back as they are used. */
  readonly releaseProgram: () => void;
  /** Bytes used in JavaScript's heap. */
  readonly heapUsed: () => number;
}

/** So many commands leave something worth collecting: 20 MiB and more. */
const commandsWorthIt = 1000;
/** With so many per second what they leave behind is worth room. */
const busyCommands = 100;
/** Fewer than this per second is quiet. */
const quietCommands = 20;
const quietSeconds = 5;
/**
 * The second collection. V8 gives the young generation back where less than 1 MB a second has been allocated in the last 5 s, counted from
 * collection to collection: what the burst has allocated since V8's own last one is counted in the first, and must be longer ago than that.
 */
const quietAgainSeconds = 12;
/** A collection at once stops commands, not media, for about 1 ms per MiB in use. */
const maxHeapBytes = 128 * 1024 * 1024;
/** Replies kept for repetitions are gone by then (ReplyCache). */
const repliesGoneSeconds = 65;
const collections = [quietSeconds, quietAgainSeconds, repliesGoneSeconds];

/** Thread: control. */
export class MemoryTrim {
  readonly #options: MemoryTrimOptions;
  #seen = 0;
  #pending = 0;
  #quiet = 0;
  #answered = 0;
  /** Not a second ago. */
  #hasJustStarted = false;
  #hasStarted = false;

  constructor(options: MemoryTrimOptions) {
    this.#options = options;
  }

  /** To be called once a second with the numbers so far: of commands, and of those that were some and are answered. */
  everySecond(commands: number, answered: number): void {
    const answeredNow = answered - this.#answered;
    this.#answered = answered;
    // A process that has taken over counts other things than before.
    const done = Math.max(0, commands - this.#seen);
    this.#seen = commands;
    this.#pending += done;
    // Rubbish gets none.
    if (answeredNow >= busyCommands) this.#options.grow();
    this.#quiet = done < quietCommands ? this.#quiet + 1 : 0;
    if (this.#hasJustStarted) this.#options.releaseProgram();
    this.#hasJustStarted = false;
    if (this.#pending < commandsWorthIt) return;
    if (collections.includes(this.#quiet)) this.#collect();
    if (collections.includes(this.#quiet - 1)) this.#release();
  }

  #collect(): void {
    const { beginCollection, heapUsed, collect } = this.#options;
    if (!beginCollection() && heapUsed() <= maxHeapBytes) collect();
  }

  /** What the collection has left. */
  #release(): void {
    this.#options.release();
    if (this.#hasStarted && this.#quiet > quietAgainSeconds) {
      this.#options.releaseProgram();
      this.#hasStarted = false;
    }
    if (this.#quiet > repliesGoneSeconds) this.#pending = 0;
  }

  /**
   * The start has left as much as many commands, and pages of the program that nothing else needs; a process that stands by will
   * need them at once.
   */
  started(standsBy = false): void {
    this.#pending = commandsWorthIt;
    this.#quiet = 0;
    this.#hasStarted = !standsBy;
    this.#hasJustStarted = !standsBy;
  }
}

/**
 * V8's young generation while many commands come, bytes of both halves. In 1 MiB, its first size, much of what
 * belongs to commands in progress has to be copied: 5 to 10 % of a command's time more than with this. The 32 that V8
 * would take gain nothing that could be told from noise, and stay for seconds after a flood: more than a third of what the
 * daemon needs.
 */
export const youngBytes = 8 * 1024 * 1024;
const arrayLength = 1000;

const youngGeneration = (): number =>
  getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0;

let isHeld = false;

const allowGrowth = (isAllowed: boolean): void => {
  setFlagsFromString(`--semi-space-growth-factor=${isAllowed ? 2 : 1}`);
};

/** From now on the young generation grows by `growYoungGeneration` alone. */
export function holdYoungGeneration(): void {
  allowGrowth(false);
  isHeld = true;
}

/**
 * Grows the young generation to `youngBytes`, in a few milliseconds. V8 takes its size at the start only, or
 * grows it itself when much of it survives, without an end in between: so it is let do that here, and here only.
 */
export function growYoungGeneration(): void {
  if (!isHeld || youngGeneration() >= youngBytes) return;
  allowGrowth(true);
  const survivors: number[][] = [];
  const enough = (4 * youngBytes) / (8 * arrayLength);
  while (youngGeneration() < youngBytes && survivors.length < enough)
    survivors.push(new Array<number>(arrayLength).fill(0));
  allowGrowth(false);
}

/**
 * How much may be added to the old generation before it is collected, in parts of what is in use there, and at least 8 MiB. V8 would
 * let it become up to four times as much, and with it what lies outside of its heap: 50 MiB where 12 are in use. With 100 a burst of commands
 * left 10 MiB more and took no less of the processor.
 */
const oldGarbagePercent = 60;

/** Collects the old generation sooner than V8 by itself. */
export function boundOldGeneration(): void {
  setFlagsFromString(`--heap-growing-percent=${oldGarbagePercent}`);
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
