/** agent.py in a namespace: orders that take effect at once, and the moment each did. */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { until } from './clock.js';
import type { Machine } from './network.js';

const program = fileURLToPath(new URL('agent.py', import.meta.url));

export interface AgentEvent {
  readonly what: string;
  readonly micros: number;
}

export class Agent {
  readonly events: AgentEvent[] = [];
  readonly #child: ChildProcess;
  #rest = '';
  #failure = '';
  #waiting: (() => void)[] = [];

  private constructor(machine: Machine, device: string, addresses: readonly string[]) {
    const words = ['netns', 'exec', machine.name, 'python3', program, device, ...addresses];
    this.#child = spawn('ip', words, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdin?.on('error', () => undefined); // killed with its machine
    this.#child.stdout?.on('data', (bytes: Buffer) => this.#take(bytes.toString('latin1')));
  }

  /** @param addresses the IPv4 address that moves, and the IPv6 address that moves with it. */
  static async start(machine: Machine, device: string, ...addresses: string[]): Promise<Agent> {
    const agent = new Agent(machine, device, addresses);
    await until(() => agent.events.length > 0, `the agent of ${machine.role}`);
    agent.events.splice(0);
    return agent;
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const [what = '', micros = ''] = line.split(' ');
      if (what === 'failed') this.#failure = line;
      else this.events.push({ what, micros: Number(micros) });
    }
    for (const wake of this.#waiting.splice(0)) wake();
  }

  order(...words: readonly string[]): void {
    this.#child.stdin?.write(`${words.join(' ')}\n`);
  }

  /** When the first of the events after `from` (an index) came; waits for it. */
  async moment(what: string, from = 0, limitMs = 10_000): Promise<number> {
    const found = (): AgentEvent | undefined =>
      this.events.slice(from).find((event) => event.what === what);
    const end = performance.now() + limitMs;
    for (let left = limitMs; left > 0; left = end - performance.now()) {
      const event = found();
      if (event !== undefined) return event.micros;
      if (this.#failure !== '') throw new Error(this.#failure);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    throw new Error(`no '${what}' in ${limitMs} ms`);
  }
}
