/** Network namespaces joined by veth pairs (needs root and iproute2). */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { until } from './wait.js';

function ip(...words: readonly string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** true when this machine lets the test create namespaces. */
export function namespacesAllowed(): boolean {
  const name = `probe-${randomBytes(3).toString('hex')}`;
  if (spawnSync('ip', ['netns', 'add', name], { stdio: 'ignore' }).status !== 0) return false;
  ip('netns', 'delete', name);
  return true;
}

const created = new Set<NetworkNamespace>();
process.on('exit', () => {
  for (const namespace of created) namespace.remove();
});

/** One network namespace; `lo` is up in it. */
export class NetworkNamespace {
  readonly name: string;

  constructor(prefix: string) {
    this.name = `${prefix}-${randomBytes(3).toString('hex')}`;
    ip('netns', 'add', this.name);
    created.add(this);
    this.ip('link', 'set', 'lo', 'up');
  }

  /** Runs `ip` inside. */
  ip(...words: readonly string[]): void {
    ip('-n', this.name, ...words);
  }

  /** Runs a program inside and returns what it wrote to stdout. */
  run(program: string, ...words: readonly string[]): string {
    const inside = ['netns', 'exec', this.name, program, ...words];
    return execFileSync('ip', inside, { encoding: 'latin1' });
  }

  addAddress(device: string, addressWithPrefix: string): void {
    this.ip('address', 'add', addressWithPrefix, 'dev', device);
  }

  /** Ends what still runs inside, also what programs there have started themselves. */
  async killAll(): Promise<void> {
    // Each may have ended by now.
    for (const pid of this.#pids()) spawnSync('kill', ['-KILL', String(pid)], { stdio: 'ignore' });
    await until(() => this.#pids().length === 0, `the end of all processes in ${this.name}`);
  }

  #pids(): readonly number[] {
    const text = execFileSync('ip', ['netns', 'pids', this.name], { encoding: 'latin1' });
    return text.split('\n').filter(Boolean).map(Number);
  }

  remove(): void {
    created.delete(this);
    spawnSync('ip', ['netns', 'delete', this.name], { stdio: 'ignore' });
  }
}

export interface VethEnd {
  readonly namespace: NetworkNamespace;
  readonly device: string;
  readonly address: string;
}

/** A cable between two namespaces, both ends up. Addresses carry their prefix length. */
export function connectNamespaces(one: VethEnd, other: VethEnd): void {
  const at = ['link', 'add', one.device, 'netns', one.namespace.name, 'type', 'veth'];
  ip(...at, 'peer', 'name', other.device, 'netns', other.namespace.name);
  for (const end of [one, other]) {
    end.namespace.addAddress(end.device, end.address);
    end.namespace.ip('link', 'set', end.device, 'up');
  }
}
