/** The nftables back end in a network namespace (nft-driver.ts). */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { FlowCounters } from '../../src/kernel-forward/forwarder.js';
import type { Flow } from '../../src/kernel-forward/flows.js';
import type { Endpoint } from '../../src/media/call-state.js';
import type { NetworkNamespace } from './namespaces.js';
import type { DriverCall } from './nft-driver.js';

const program = fileURLToPath(new URL('nft-driver.ts', import.meta.url));
const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class NftDriver {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;
  #errors = '';

  private constructor(namespace: NetworkNamespace, words: readonly string[]) {
    const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
    const inside = ['netns', 'exec', namespace.name, process.execPath, '--import=tsx', program];
    this.#child = spawn('ip', [...inside, ...words], { stdio: 'pipe', env });
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('no pipes');
    alive.add(this.#child);
    stderr.on('data', (text: Buffer) => (this.#errors += text.toString('latin1')));
    this.#lines = createInterface({ input: stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** @throws Error with what the process said when it ended instead. */
  static async start(namespace: NetworkNamespace, ...words: readonly string[]): Promise<NftDriver> {
    const driver = new NftDriver(namespace, words);
    await driver.#answer();
    return driver;
  }

  /** What it wrote to stderr. */
  get errors(): string {
    return this.#errors;
  }

  async #answer(): Promise<unknown> {
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error(`the driver ended: ${this.#errors}`);
    return JSON.parse(String(value)) as unknown;
  }

  async call(call: DriverCall): Promise<unknown> {
    this.#child.stdin?.write(`${JSON.stringify(call)}\n`);
    return this.#answer();
  }

  async read(...locals: readonly Endpoint[]): Promise<readonly FlowCounters[]> {
    return (await this.call({ read: locals })) as readonly FlowCounters[];
  }

  async flows(): Promise<readonly Flow[]> {
    return (await this.call({ ask: 'flows' })) as readonly Flow[];
  }

  async kill(): Promise<void> {
    if (!alive.delete(this.#child) || this.#child.exitCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
    this.#lines.close();
  }
}
