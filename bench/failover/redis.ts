/** Redis servers without persistence that tell followers of changes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { monotonicMicros, until } from './clock.js';
import { redisPort } from './names.js';
import type { Machine } from './network.js';

export class RedisServer {
  readonly #child: ChildProcess;

  private constructor(
    readonly machine: Machine,
    readonly address: string,
    folder: string,
    more: readonly string[],
  ) {
    const words = ['--port', String(redisPort), '--protected-mode', 'no', '--save', '', ...more];
    words.push('--appendonly', 'no', '--notify-keyspace-events', 'KA', '--dir', folder);
    words.push('--repl-diskless-sync-delay', '0');
    const inside = ['netns', 'exec', machine.name, 'redis-server'];
    this.#child = spawn('ip', [...inside, ...words], { stdio: 'ignore' });
  }

  static async start(
    machine: Machine,
    address: string,
    folder: string,
    more: readonly string[] = [],
  ): Promise<RedisServer> {
    const server = new RedisServer(machine, address, folder, more);
    await until(() => server.command(0, 'ping').includes('PONG'), `Redis on ${machine.role}`);
    return server;
  }

  /** What redis-cli prints; empty when the server does not answer. */
  command(database: number, ...words: readonly string[]): string {
    const cli = ['-h', this.address, '-p', String(redisPort), '-n', String(database), ...words];
    const quoted = cli.map((word) => `'${word}'`).join(' ');
    return this.machine.namespace.run('sh', '-c', `timeout 2 redis-cli ${quoted} 2>&1 || true`);
  }

  /** A master from now on. */
  promote(): void {
    this.command(0, 'replicaof', 'no', 'one');
  }

  /** A replica of the server on `master`; resolves when it holds the same. */
  async replicate(master: string): Promise<void> {
    this.command(0, 'replicaof', master, String(redisPort));
    const linked = (): boolean =>
      this.command(0, 'info', 'replication').includes('master_link_status:up');
    await until(linked, `the replica on ${this.machine.role}`);
  }

  /** Keys of a database. */
  size(database: number): number {
    return Number(/\d+/.exec(this.command(database, 'dbsize'))?.[0] ?? Number.NaN);
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): number {
    const at = monotonicMicros();
    this.#child.kill(signal);
    return at;
  }
}
