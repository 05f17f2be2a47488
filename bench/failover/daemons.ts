/** The two daemons on a node, each under the service manager that restarts it at once. */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DaemonName } from '../lib/rig.js';
import { monotonicMicros, until } from './clock.js';
import { mediaPorts, ngPort, virtualAddress, virtualAddress6 } from './names.js';
import type { Machine } from './network.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const serviceManager = `${root}test/support/service-manager.py`;

/** What survives a restart: the calls in Redis, or the sockets in the service manager as well. */
export type Store = 'redis' | 'systemd';

export interface DaemonSetup {
  readonly daemon: DaemonName;
  readonly machine: Machine;
  readonly address: string;
  /** For temporary files. */
  readonly folder: string;
  /** HOST:PORT/DB */
  readonly redis: string;
  /** Database of the node that it stands by for. */
  readonly follows?: number;
  readonly store?: Store;
  /** HOST:PORT/DB of `redis-write`. */
  readonly writesTo?: string;
  /** Both families under one name. */
  readonly dualStack?: boolean;
  readonly extra?: readonly string[];
  /** Started by itself, as a script of the mover would: the service manager costs time to start. */
  readonly direct?: boolean;
}

interface Life {
  readonly startedAt: number;
  readonly pid: number;
  endedAt?: number;
}

function commandOf(setup: DaemonSetup): readonly string[] {
  const { daemon, address } = setup;
  const interfaces =
    setup.dualStack === true
      ? [`pub/${virtualAddress}`, `pub/${virtualAddress6}`]
      : [virtualAddress];
  const words = [
    ...['--config-file=none', '--foreground', '--log-stderr', '--log-level=6', '--table=-1'],
    ...interfaces.map((each) => `--interface=${each}`),
    `--listen-ng=${address}:${ngPort}`,
    ...[`--listen-cli=${address}:9900`, `--redis=${setup.redis}`],
    ...[`--port-min=${mediaPorts.min}`, `--port-max=${mediaPorts.max}`, '--delete-delay=0'],
  ];
  if (setup.writesTo !== undefined) words.push(`--redis-write=${setup.writesTo}`);
  words.push(...(setup.extra ?? []));
  if (setup.follows !== undefined) words.push(`--subscribe-keyspace=${setup.follows}`);
  if (daemon === 'rtpengine') return ['rtpengine', ...words];
  if (setup.follows !== undefined) words.push('--active-switchover');
  words.push(`--socket-store=${setup.store === 'systemd' ? 'yes' : 'no'}`);
  return [process.execPath, `${root}dist/bin/rtprelayd.js`, '--no-pair', ...words];
}

export class Daemon {
  readonly lives: Life[] = [];
  readonly #manager: ChildProcess;
  #log = '';
  #rest = '';

  constructor(readonly setup: DaemonSetup) {
    const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
    const inside = ['netns', 'exec', setup.machine.name];
    const manager = setup.direct === true ? [] : ['python3', serviceManager];
    const words = [...inside, ...manager, ...commandOf(setup)];
    // The temporary folder of the service manager goes with the run.
    const place = { ...env, TMPDIR: setup.folder };
    this.#manager = spawn('ip', words, { stdio: 'pipe', env: place });
    // `ip netns exec` replaces itself.
    if (setup.direct === true && this.#manager.pid !== undefined)
      this.lives.push({ startedAt: monotonicMicros(), pid: this.#manager.pid });
    this.#manager.stdin?.on('error', () => undefined); // killed with its machine
    this.#manager.stdout?.on('data', (bytes: Buffer) => this.#told(bytes.toString('latin1')));
    this.#manager.stderr?.on('data', (bytes: Buffer) => (this.#log += bytes.toString('latin1')));
  }

  get log(): string {
    return this.#log;
  }

  get #life(): Life {
    const life = this.lives.at(-1);
    if (life === undefined) throw new Error(`${this.setup.daemon} was not started`);
    return life;
  }

  /** Until it answers on its NG port. */
  async ready(limitMs = 15_000): Promise<void> {
    const what = `${this.setup.daemon} on ${this.setup.machine.role}`;
    try {
      await until(() => this.#listens(), what, limitMs);
    } catch (error) {
      throw new Error(`${String(error)}: ${this.log.slice(-2000)}`, { cause: error });
    }
  }

  #listens(): boolean {
    if (this.lives.length === 0) return false;
    const bound = this.setup.machine.namespace.run('ss', '-Hlun');
    return bound.includes(`${this.setup.address}:${ngPort} `);
  }

  #told(text: string): void {
    const at = monotonicMicros();
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const started = /^started (\d+)$/.exec(line)?.[1];
      if (started !== undefined) this.lives.push({ startedAt: at, pid: Number(started) });
      else if (line.startsWith('ended ') && this.lives.length > 0) this.#life.endedAt = at;
    }
  }

  /** SIGKILL or SIGTERM to the process itself; the service manager starts it again at once. */
  signal(signal: 'SIGKILL' | 'SIGTERM'): number {
    const at = monotonicMicros();
    process.kill(this.#life.pid, signal);
    return at;
  }

  /** SIGKILL without a restart. Returns when it was sent. */
  killForGood(): number {
    const at = monotonicMicros();
    this.#manager.kill('SIGKILL');
    process.kill(this.#life.pid, 'SIGKILL');
    return at;
  }

  /** Its sessions, own and foreign, as the operator's command line tells. */
  sessions(): number {
    const { machine, address } = this.setup;
    const ask = `echo 'list numsessions' | timeout 2 nc -N ${address} 9900 || true`;
    const text = machine.namespace.run('sh', '-c', ask);
    const count = (name: string): number =>
      Number(new RegExp(`sessions ${name}:\\s*(\\d+)`).exec(text)?.[1] ?? 0);
    return count('own') + count('foreign');
  }
}
