/** The last five minutes of a value, in slots of five seconds. */
import type { Trace } from './protocol.js';

const slotMicros = 5e6;
export const slots = 60;

/** The number of the slot that a moment is in. */
export const slotOf = (micros: number): number => Math.floor(micros / slotMicros);

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Several values that are written at the same moments. NaN: not known. */
export class History {
  readonly #values: Float32Array;
  /** The slot that was written last. */
  #last: number;

  /** @param slot that begins the history. */
  constructor(
    readonly series: number,
    slot: number,
  ) {
    this.#values = new Float32Array(series * slots).fill(NaN);
    this.#last = slot;
  }

  /** Sets the values of a slot; those between it and the one before, which nobody looked at, get the same. */
  set(slot: number, values: readonly number[]): void {
    if (slot < this.#last) return;
    const first = Math.max(this.#last + 1, slot - slots + 1);
    for (let at = Math.min(first, slot); at <= slot; at += 1) {
      for (let series = 0; series < this.series; series += 1) {
        this.#values[series * slots + (at % slots)] = values[series] ?? NaN;
      }
    }
    this.#last = slot;
  }

  /** The values in the slots up to `slot`, the oldest first; what comes after the last one set is NaN. */
  read(series: number, slot: number): number[] {
    const values: number[] = [];
    for (let at = slot - slots + 1; at <= slot; at += 1) {
      const isThere = at >= 0 && at <= this.#last && at > this.#last - slots;
      values.push(isThere ? (this.#values[series * slots + (at % slots)] ?? NaN) : NaN);
    }
    return values;
  }
}

/** @param least value that `top` has, so that noise is not drawn as mountains. */
export function traceOf(values: readonly number[], least: number): Trace {
  let top = least;
  for (const value of values) if (value > top) top = value;
  let points = '';
  for (const value of values) {
    if (Number.isNaN(value)) points += '-';
    else points += digits[Math.round((Math.max(0, value) / top) * (digits.length - 1))] ?? '-';
  }
  return { points, top: Math.round(top * 100) / 100 };
}

/** Slot by slot, what is known put together. */
export function combined(
  lists: readonly (readonly number[])[],
  how: (a: number, b: number) => number,
): number[] {
  const result = new Array<number>(slots).fill(NaN);
  for (const list of lists) {
    for (let at = 0; at < slots; at += 1) {
      const value = list[at] ?? NaN;
      if (Number.isNaN(value)) continue;
      const before = result[at] ?? NaN;
      result[at] = Number.isNaN(before) ? value : how(before, value);
    }
  }
  return result;
}
