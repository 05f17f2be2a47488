/** One of the two daemons on a node of a pair, started as its operators would start it. */
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TestProcess } from '../../test/support/child-process.js';
import { hubAddress, type Pair, type PairNode } from '../../test/support/pair.js';
import type { DaemonName } from '../lib/rig.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

export const virtualAddress = '10.0.0.100';
export const ngPort = 2223;
const cliPort = 9900;

/** Calls of up to 10,000: 4 ports each. */
const ports = ['--port-min=20000', '--port-max=60999'];

export interface RelayPlan {
  /** Redis database that the node owns. */
  readonly database: number;
  /** Database of the other node; null: stands by for nobody. */
  readonly follows: number | null;
  /** `address:port` of Redis servers; several where the daemon can fail over itself. */
  readonly redis?: string;
}

export class Relay {
  #process: TestProcess | null = null;

  constructor(
    readonly daemon: DaemonName,
    private readonly pair: Pair,
    readonly node: PairNode,
    private readonly plan: RelayPlan,
  ) {
    // rtpengine binds what it does not hold only so.
    node.namespace.run('sysctl', '-qw', 'net.ipv4.ip_nonlocal_bind=1');
  }

  get #words(): readonly string[] {
    const { database, follows, redis = `${hubAddress}:6379` } = this.plan;
    return [
      ...['--config-file=none', '-f', '-E', '--table=-1', '--log-level=5', ...ports],
      ...[`--interface=${virtualAddress}`, `--listen-ng=${this.node.address}:${ngPort}`],
      ...[`--listen-cli=${this.node.address}:${cliPort}`, `--redis=${redis}/${database}`],
      `--pidfile=/run/rtprelay-bench-${process.pid}-${this.node.number}.pid`,
      ...(follows === null ? [] : [`--subscribe-keyspace=${follows}`, '--active-switchover']),
    ];
  }

  get command(): readonly string[] {
    return this.daemon === 'rtpengine'
      ? ['rtpengine', ...this.#words]
      : [process.execPath, `${root}dist/bin/rtprelayd.js`, ...this.#words];
  }

  /** Starts it; does not wait. */
  launch(): void {
    const [program = '', ...words] = this.command;
    this.#process = this.node.start(this.daemon, program, words);
  }

  /** The same under a service manager that keeps its sockets and starts it again whenever it ends. */
  launchManaged(): void {
    const manager = `${root}test/support/service-manager.py`;
    const words = [manager, '--signals', ...this.command, '--socket-store=yes'];
    this.#process = this.node.start('service manager', 'python3', words);
  }

  async start(): Promise<void> {
    this.launch();
    await this.answers();
  }

  /** Waits for a pong. */
  async answers(): Promise<void> {
    const running = this.#process;
    if (running === null) throw new Error('not launched');
    const probe = `${root}deploy/bin/rtprelay-probe`;
    const ping = `${probe} ping ${this.node.address} ${ngPort} 0.2 && echo pong || true`;
    await running.until(() => this.pair.hub.run('sh', '-c', ping).includes('pong'), 60_000);
  }

  /** Sends a signal to the daemon, or to what manages it. */
  signal(signal: NodeJS.Signals): void {
    this.#process?.signal(signal);
  }

  async kill(): Promise<void> {
    await this.#process?.stop('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#process?.stop('SIGTERM');
  }

  log(): string {
    return this.#process?.log() ?? '';
  }

  cli(text: string): string {
    return this.node.command(cliPort, text);
  }

  removePidfile(): void {
    rmSync(`/run/rtprelay-bench-${process.pid}-${this.node.number}.pid`, { force: true });
  }
}
