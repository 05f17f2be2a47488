import { randomSource, type Below } from '../../test/support/random.js';

/** Numbers that are the same again for the same seed. */
export class Random {
  readonly #below: Below;

  constructor(seed: number) {
    this.#below = randomSource(seed);
  }

  /** From 0 on, below 1. */
  next(): number {
    return this.#below(0x1_0000_0000) / 0x1_0000_0000;
  }

  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  /** One of them, by weight. */
  pick<T extends { readonly weight: number }>(from: readonly T[]): T {
    let left = this.next() * from.reduce((sum, { weight }) => sum + weight, 0);
    const found = from.find(({ weight }) => (left -= weight) < 0);
    return found ?? (from.at(-1) as T);
  }
}
