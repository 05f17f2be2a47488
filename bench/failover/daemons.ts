/** The two daemons on a node, each under the service manager that restarts it at once. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { childrenOf } from '../../test/support/child-process.js';
import type { DaemonName } from '../lib/rig.js';
import { monotonicMicros, until } from './clock.js';
import type { PortMode } from './cluster.js';
import { mediaPorts, ngPort, virtualAddress, virtualAddress6 } from './names.js';
import type { Machine } from './network.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const serviceManager = `${root}test/support/service-manager.py`;

/**
 * What survives a restart: the calls in Redis, or the sockets in the service manager as well, or everything
 * in a pair of processes; `container`: the same in a tree of processes of its own, without a service manager.
 */
export type Store = 'redis' | 'systemd' | 'pair' | 'container';

export const isPair = (store: Store | undefined): boolean =>
  store === 'pair' || store === 'container';

export interface DaemonSetup {
  readonly daemon: DaemonName;
  readonly machine: Machine;
  readonly address: string;
  /** For temporary files. */
  readonly folder: string;
  /** HOST:PORT/DB; null: calls are in no Redis. */
  readonly redis: string | null;
  /** Database of the node that it stands by for. */
  readonly follows?: number;
  readonly store?: Store;
  /** HOST:PORT/DB of `redis-write`. */
  readonly writesTo?: string;
  /** Both families under one name. */
  readonly dualStack?: boolean;
  readonly portMode?: PortMode;
  readonly extra?: readonly string[];
  /** Environment to add. */
  readonly env?: Readonly<Record<string, string>> | undefined;
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
    `--listen-cli=${address}:9900`,
    ...(setup.redis === null ? [] : [`--redis=${setup.redis}`]),
    ...[`--port-min=${mediaPorts.min}`, `--port-max=${mediaPorts.max}`, '--delete-delay=0'],
  ];
  if (setup.writesTo !== undefined) words.push(`--redis-write=${setup.writesTo}`);
  words.push(...(setup.extra ?? []));
  if (setup.follows !== undefined) words.push(`--subscribe-keyspace=${setup.follows}`);
  if (daemon === 'rtpengine') return ['rtpengine', ...words];
  if (setup.follows !== undefined) words.push('--active-switchover');
  if (setup.portMode !== undefined) words.push(`--port-mode=${setup.portMode}`);
  words.push(`--socket-store=${setup.store === 'systemd' ? 'yes' : 'no'}`);
  const pair = isPair(setup.store) ? '--pair=yes' : '--no-pair';
  // As the package has it installed.
  const program = [
    `${root}build/Release/rtprelay-start`,
    process.execPath,
    `${root}dist/bin/rtprelayd.js`,
  ];
  return [...program, pair, ...words];
}

function managerOf({ daemon, direct, store }: DaemonSetup): readonly string[] {
  if (direct === true || (store === 'pair' && daemon === 'rtprelayd')) return [];
  if (store === 'container' && daemon === 'rtprelayd')
    return ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  return ['python3', serviceManager];
}

/** Of a process, in the innermost namespace that it is in. */
const ownPid = (pid: number): number =>
  Number(/^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);

export class Daemon {
  readonly lives: Life[] = [];
  readonly #manager: ChildProcess;
  #log = '';
  #rest = '';

  constructor(readonly setup: DaemonSetup) {
    const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
    const inside = ['netns', 'exec', setup.machine.name];
    const words = [...inside, ...managerOf(setup), ...commandOf(setup)];
    // The temporary folder of the service manager goes with the run.
    const place = {
      ...env,
      ...setup.env,
      TMPDIR: setup.folder,
      RTPRELAY_PORT_RECORDS: `${setup.folder}/ports`,
    };
    this.#manager = spawn('ip', words, { stdio: 'pipe', env: place });
    // `ip netns exec` replaces itself.
    if (this.isPair) this.lives.push({ startedAt: monotonicMicros(), pid: 0 });
    else if (setup.direct === true && this.#manager.pid !== undefined)
      this.lives.push({ startedAt: monotonicMicros(), pid: this.#manager.pid });
    this.#manager.stdin?.on('error', () => undefined); // killed with its machine
    this.#manager.stdout?.on('data', (bytes: Buffer) => this.#told(bytes.toString('latin1')));
    this.#manager.stderr?.on('data', (bytes: Buffer) => this.#logged(bytes.toString('latin1')));
  }

  /** It is one, its service manager does not matter. */
  get isPair(): boolean {
    return isPair(this.setup.store) && this.setup.daemon === 'rtprelayd';
  }

  #logged(text: string): void {
    this.#log += text;
    if (!this.isPair) return;
    for (const [, pid] of text.matchAll(/process (\d+) is the active one now/g))
      this.lives.push({ startedAt: monotonicMicros(), pid: Number(pid) });
  }

  /** The parent of a pair. */
  get #parent(): number {
    const pid = this.#manager.pid ?? 0;
    return this.setup.store === 'container' ? (childrenOf(pid)[0] ?? 0) : pid;
  }

  /** The process that has the calls. */
  get #pid(): number {
    const { pid } = this.#life;
    if (!this.isPair) return pid;
    const children = childrenOf(this.#parent);
    return children.find((child) => ownPid(child) === pid) ?? children[0] ?? 0;
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
    if (this.isPair && !this.#log.includes('Standing by for the active process')) return false;
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

  /** Of a pair: the active process, and those that stand by; none while the parent starts one. */
  members(): readonly number[] {
    const active = this.#pid;
    if (active === 0) return [];
    return [active, ...childrenOf(this.#parent).filter((pid) => pid !== active)];
  }

  /** Of a pair: all its processes. */
  family(): readonly number[] {
    return [this.#parent, ...childrenOf(this.#parent)];
  }

  /** All that relay or stand by. */
  processes(): readonly number[] {
    return this.isPair ? this.family() : [this.#pid];
  }

  /** SIGKILL or SIGTERM to the process itself; the service manager starts it again at once. */
  signal(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP'): number {
    const pid = this.#pid;
    const at = monotonicMicros();
    process.kill(pid, signal);
    return at;
  }

  /** Another process of what is installed takes the calls over. */
  upgrade(): number {
    if (!this.isPair) return this.signal('SIGTERM');
    const at = monotonicMicros();
    process.kill(this.#parent, 'SIGUSR2');
    return at;
  }

  /** SIGKILL without a restart. Returns when it was sent. */
  killForGood(): number {
    const at = monotonicMicros();
    const pid = this.#pid;
    this.#manager.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
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
