/** A daemon as a process pair (`--pair=yes`), without Redis unless its options say so. */
import { fileURLToPath } from 'node:url';
import { childrenOf, TestProcess } from './child-process.js';
import { givenPortMode } from './daemons.js';
import { freeUdpPort, freeUdpRange } from './free-ports.js';
import { NgClient } from './ng-client.js';
import { until } from './wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayd.js', import.meta.url));
export const limitMs = 60_000;

export const countIn = (log: string, text: RegExp): number => [...log.matchAll(text)].length;

/** The process of a parent's that relays: the one that it has named last, or the first that it started. */
export function activeOf(parent: TestProcess): number {
  const [, told] = [...parent.log().matchAll(/process (\d+) is the active one now/g)].at(-1) ?? [];
  return told === undefined ? (childrenOf(parent.pid)[0] ?? 0) : Number(told);
}

/** A parent with its two daemons. */
export class ProcessPair {
  readonly ngPort = freeUdpPort();
  /** Of media. */
  readonly ports = freeUdpRange(500);
  readonly ng = new NgClient(this.ngPort);
  readonly #process: TestProcess;

  constructor(options: readonly string[] = [], installed = program) {
    const { min, max } = this.ports;
    this.#process = new TestProcess('pair', process.execPath, [
      ...[installed, '--config-file=none', '-f', '-E', '--pair=yes', '--interface=127.0.0.1'],
      ...[`--listen-ng=127.0.0.1:${this.ngPort}`, `--port-min=${min}`, `--port-max=${max}`],
      ...['--delete-delay=0', '--log-level=6', ...givenPortMode, ...options],
    ]);
  }

  get log(): string {
    return this.#process.log();
  }

  get parent(): TestProcess {
    return this.#process;
  }

  /** The active one is the first that was started. */
  children(): readonly number[] {
    return childrenOf(this.#process.pid);
  }

  active(): number {
    return activeOf(this.#process);
  }

  count(text: RegExp): number {
    return countIn(this.log, text);
  }

  /** A spare process has come as far as the active one for the `times`th time. */
  async warm(times: number): Promise<void> {
    try {
      await until(
        () => this.count(/Standing by for the active process/g) >= times,
        'warm',
        limitMs,
      );
    } catch (error) {
      throw new Error(`${String(error)}\n${this.log}`, { cause: error });
    }
  }

  async serves(times: number): Promise<void> {
    await until(() => this.count(/Startup complete/g) >= times, 'serving', limitMs);
  }

  async stop(): Promise<void> {
    this.ng.close();
    const children = this.#process.running ? this.children() : [];
    await this.#process.stop();
    for (const pid of children) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended with the parent.
      }
    }
  }
}
