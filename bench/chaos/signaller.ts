/** The proxy of signaller-process.ts, in the phones' namespace. */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { until } from '../failover/clock.js';
import type { Machine } from '../failover/network.js';

const program = fileURLToPath(new URL('signaller-process.ts', import.meta.url));

export class Signaller {
  /** What was not as it should be. */
  readonly problems: string[] = [];
  readonly #child: ChildProcess;
  #rest = '';
  #ended = false;
  #list: readonly string[] | null = null;

  constructor(hub: Machine, words: readonly (string | number)[]) {
    const inside = ['netns', 'exec', hub.name, process.execPath, '--import', 'tsx', program];
    this.#child = spawn('ip', [...inside, ...words.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdin?.on('error', () => undefined); // killed with its machine
    this.#child.stdout?.on('data', (bytes: Buffer) => this.#told(bytes.toString('latin1')));
  }

  #told(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === 'ended') this.#ended = true;
      else if (line.startsWith('list ')) this.#list = line.split(' ').slice(1);
      else this.problems.push(line);
    }
  }

  /** Whom to ask from now on. */
  ask(host: string): void {
    this.#child.stdin?.write(`to ${host}\n`);
  }

  async list(host: string): Promise<readonly string[]> {
    this.#list = null;
    this.#child.stdin?.write(`list ${host}\n`);
    await until(() => this.#list !== null, `the calls of ${host}`, 30_000);
    return this.#list ?? [];
  }

  async end(): Promise<void> {
    this.#child.stdin?.write('end\n');
    await until(() => this.#ended, 'the last re-INVITE', 60_000);
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}
