/** A wall clock that a test sets, for programs that it starts (libfaketime). The monotonic one goes on. */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { TemporaryFolder } from './child-process.js';

const library = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
].find((path) => existsSync(path));

export const clockCanBeStepped = library !== undefined;

export class SteppedClock {
  readonly #folder = new TemporaryFolder('clock');

  constructor() {
    this.set(0);
  }

  /** Environment of the programs that are to have this clock. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: library ?? '',
      FAKETIME_TIMESTAMP_FILE: this.#folder.file('offset'),
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // Killed programs would leave theirs.
      FAKETIME_DISABLE_SHM: '1',
    };
  }

  /** @param seconds from the machine's clock. */
  set(seconds: number): void {
    const text = `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`;
    // Never half written: it is read at any moment.
    writeFileSync(this.#folder.file('next'), text);
    renameSync(this.#folder.file('next'), this.#folder.file('offset'));
  }

  remove(): void {
    this.#folder.remove();
  }
}
