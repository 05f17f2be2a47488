/** Work on all calls, done in slices between which events and commands have their turn. */

/** A command waits for a slice at most: with 20,000 calls the whole of most works takes 20 ms and more. */
const sliceMs = 1;
/** So many steps are done at least: most take a microsecond or two, the end of a call some hundreds. */
const stepsPerLook = 4;

/** Does the next steps; true: there are no more. */
function slice<Item>(
  items: Iterator<Item>,
  step: (item: Item) => void,
  nowMs: () => number,
): boolean {
  const end = nowMs() + sliceMs;
  do {
    for (let steps = 0; steps < stepsPerLook; steps += 1) {
      const next = items.next();
      if (next.done === true) return true;
      step(next.value);
    }
  } while (nowMs() < end);
  return false;
}

const now = (): number => performance.now();

/**
 * Does `step` with each of `items`, which are asked for one by one: what comes or goes meanwhile is met or not.
 * Rejects with what `step` throws; the rest is left undone then. `nowMs`: for tests.
 */
export async function inSlices<Item>(
  items: Iterable<Item>,
  step: (item: Item) => void,
  nowMs = now,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  while (!slice(iterator, step, nowMs)) await new Promise((resolve) => setImmediate(resolve));
}

/** `Buffer.concat` in slices. */
export async function joinInSlices(parts: readonly Buffer[]): Promise<Buffer> {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const all = Buffer.allocUnsafe(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  await inSlices(parts, (part) => (at += part.copy(all, at)));
  return all;
}

/** Work that is begun again and again, but not while it goes on. */
export class SlicedWork {
  #goesOn = false;
  readonly #onError: (error: unknown) => void;
  readonly #nowMs: () => number;

  /** `onError`: told of the first step of each round that throws; the others are done all the same. */
  constructor(onError: (error: unknown) => void, nowMs = now) {
    this.#onError = onError;
    this.#nowMs = nowMs;
  }

  /** What fits into a slice is done when this returns. Without effect while the last round goes on. */
  begin<Item>(items: () => Iterable<Item>, step: (item: Item) => void): void {
    if (this.#goesOn) return;
    const iterator = items()[Symbol.iterator]();
    let failed = false;
    this.#goOn(iterator, (item) => {
      try {
        step(item);
      } catch (error) {
        if (!failed) this.#onError(error);
        failed = true;
      }
    });
  }

  #goOn<Item>(items: Iterator<Item>, step: (item: Item) => void): void {
    this.#goesOn = !slice(items, step, this.#nowMs);
    if (this.#goesOn) setImmediate(() => this.#goOn(items, step));
  }
}
