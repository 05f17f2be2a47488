/**
 * Two relay nodes on one network segment with a third machine, the hub, that has Redis, the SIP proxy's
 * side of NG, and the phones. Nodes can be powered off: first the cable, then everything that ran there.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { TestProcess, type StartOptions } from './child-process.js';
import { givenPortMode } from './daemons.js';
import { untilToldSeconds, type LoadReport } from './load.js';
import { connectNamespaces, NetworkNamespace } from './namespaces.js';
import { IsolatedSystemd } from './systemd.js';
import { until } from './wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const program = `${root}dist/bin/rtprelayd.js`;
const loadgen = `${root}build/bench/loadgen`;

/** Address of the hub: Redis listens there and the phones talk from it. */
export const hubAddress = '10.0.0.1';

export interface Sessions {
  readonly own: number;
  readonly foreign: number;
}

export class PairNode {
  readonly namespace: NetworkNamespace;
  readonly address: string;
  readonly #port: string;
  #processes: TestProcess[] = [];
  #machine: IsolatedSystemd | null = null;

  constructor(
    readonly number: number,
    private readonly hub: NetworkNamespace,
  ) {
    this.namespace = new NetworkNamespace(`node${number}`);
    this.address = `10.0.0.${10 + number}`;
    this.#port = `to${number}`;
    connectNamespaces(
      { namespace: hub, device: this.#port, address: `169.254.0.${number}/32` },
      { namespace: this.namespace, device: 'eth0', address: `${this.address}/24` },
    );
    hub.ip('address', 'flush', 'dev', this.#port);
    hub.ip('link', 'set', this.#port, 'master', 'bridge0');
  }

  /** Boots a systemd of the node's own. */
  async boot(kind: 'prepared' | 'bare' = 'prepared'): Promise<IsolatedSystemd> {
    this.#machine = await IsolatedSystemd.boot(this.namespace, kind);
    return this.#machine;
  }

  /** Starts a program on the node; it dies with it. */
  start(name: string, command: string, words: readonly string[]): TestProcess {
    const child = new TestProcess(name, command, words, { namespace: this.namespace.name });
    this.#processes.push(child);
    return child;
  }

  /** Starts a relay in the foreground, its log on stderr, and waits until it answers. */
  async startRelay(options: readonly string[]): Promise<TestProcess> {
    const words = ['--config-file=none', '-f', '-E', ...givenPortMode, ...options];
    const daemon = this.start('rtprelayd', process.execPath, [program, ...words]);
    await daemon.untilLogged('Startup complete');
    return daemon;
  }

  /** A virtual address comes; the hub learns of it as from a gratuitous ARP. */
  addAddress(address: string): void {
    this.namespace.addAddress('eth0', `${address}/32`);
    this.announce(address);
  }

  /** Of its Ethernet device. */
  get link(): string {
    return this.namespace.run('cat', '/sys/class/net/eth0/address').trim();
  }

  /** The hub learns of the address as from a gratuitous ARP. */
  announce(address: string): void {
    const at = [address, 'lladdr', this.link, 'nud', 'stale', 'dev', 'bridge0'];
    this.hub.ip('neighbour', 'replace', ...at);
  }

  /**
   * Makes the cable as XDP in the driver needs it: frames that it sends reach the other end of a veth
   * only when that has a program too (ours, without a flow, passes everything on), and it takes
   * unfinished checksums of local senders for finished ones.
   */
  prepareNativeXdp(): void {
    const { hub } = this;
    const program = ['obj', `${root}build/bpf/forward.bpf.o`, 'sec', 'xdp'];
    hub.run('ip', 'link', 'set', 'dev', this.#port, 'xdp', ...program);
    for (const device of [this.#port, 'bridge0']) hub.run('ethtool', '-K', device, 'tx', 'off');
  }

  /** The cable alone. */
  plug(state: 'up' | 'down'): void {
    this.hub.ip('link', 'set', this.#port, state);
  }

  removeAddress(address: string): void {
    this.namespace.ip('address', 'del', `${address}/32`, 'dev', 'eth0');
  }

  /** The cable first: nothing that dies can say good-bye. */
  async powerOff(): Promise<void> {
    this.plug('down');
    await this.#machine?.stop();
    this.#machine = null;
    const ended = this.#processes.splice(0).reverse();
    await Promise.all(ended.map(async (child) => child.stop('SIGKILL')));
    await this.namespace.killAll();
    // A machine that boots has its own address only.
    this.namespace.ip('address', 'flush', 'dev', 'eth0');
    this.namespace.addAddress('eth0', `${this.address}/24`);
  }

  hasAddress(address: string): boolean {
    return this.namespace.run('ip', '-o', 'address', 'show', 'dev', 'eth0').includes(`${address}/`);
  }

  /** Resolves once the hub can be reached: the bridge notices the cable later, and ARP may just be giving up. */
  async powerOn(): Promise<void> {
    this.plug('up');
    this.namespace.ip('neighbour', 'flush', 'dev', 'eth0');
    await until(() => {
      this.namespace.run('bash', '-c', `echo >/dev/udp/${hubAddress}/9 || true`);
      const words = ['-o', 'neighbour', 'show', hubAddress, 'dev', 'eth0'];
      return this.namespace.run('ip', ...words).includes('lladdr');
    }, 'the hub at the other end of the cable');
  }

  /** An answer of the relay's command line. */
  command(port: number, text: string): string {
    const probe = `${root}deploy/bin/rtprelay-probe`;
    return this.hub.run(probe, 'cli', this.address, String(port), '30', text);
  }

  sessions(port: number): Sessions {
    const text = this.command(port, 'list numsessions');
    const count = (name: string): number =>
      Number(new RegExp(`sessions ${name}:\\s*(\\d+)`).exec(text)?.[1]);
    return { own: count('own'), foreign: count('foreign') };
  }

  /** Waits until the relay has so many calls. */
  holds(port: number, own: number, foreign: number): Promise<void> {
    return until(() => {
      const now = this.sessions(port);
      return now.own === own && now.foreign === foreign;
    }, `${own} own and ${foreign} foreign calls on node ${this.number}`);
  }
}

export class Pair {
  readonly hub = new NetworkNamespace('hub');
  readonly one: PairNode;
  readonly two: PairNode;
  readonly #processes: TestProcess[] = [];

  constructor() {
    this.hub.ip('link', 'add', 'bridge0', 'type', 'bridge');
    this.hub.addAddress('bridge0', `${hubAddress}/24`);
    this.hub.ip('link', 'set', 'bridge0', 'up');
    this.one = new PairNode(1, this.hub);
    this.two = new PairNode(2, this.hub);
  }

  async startRedis(): Promise<void> {
    const words = ['--bind', hubAddress, '--protected-mode', 'no', '--save', ''];
    words.push('--notify-keyspace-events', 'KA', '--dir', '/tmp');
    const redis = this.startOnHub('redis-server', 'redis-server', words);
    await redis.untilLogged('Ready to accept connections');
  }

  startOnHub(
    name: string,
    command: string,
    words: readonly string[],
    options: StartOptions = {},
  ): TestProcess {
    const child = new TestProcess(name, command, words, { ...options, namespace: this.hub.name });
    this.#processes.push(child);
    return child;
  }

  /** Calls of phones on the hub, set up by way of `ng`; all of them talk when this resolves. */
  async talk(options: {
    readonly ng: string;
    readonly calls: number;
    readonly seconds: number;
    /** First of the phones' ports, 4 for each call. */
    readonly portBase: number;
    /** Further options of the load generator. */
    readonly more?: readonly string[];
  }): Promise<TestProcess> {
    execFileSync(`${root}scripts/build-bench`);
    const words = ['relay', '--ng', options.ng, '--calls', String(options.calls), '--no-delete'];
    words.push('--seconds', String(options.seconds), '--port-base', String(options.portBase));
    words.push('--bind-a', hubAddress, '--bind-b', hubAddress);
    words.push('--call-prefix', `phones${options.portBase}`, ...(options.more ?? []));
    const load = this.startOnHub('loadgen', loadgen, words);
    await load.untilLogged('ready');
    return load;
  }

  /** Waits for the end of the calls' media. */
  async reportOf(load: TestProcess): Promise<LoadReport> {
    const status = await load.ended((untilToldSeconds + 60) * 1000);
    if (status !== 0) throw new Error(`loadgen ended with ${String(status)}: ${load.log()}`);
    return JSON.parse(load.log().slice(load.log().indexOf('{'))) as LoadReport;
  }

  /** The report once the phones have talked for two seconds more, however long they were to. */
  async reportSoon(load: TestProcess): Promise<LoadReport> {
    load.signal('SIGUSR1');
    return this.reportOf(load);
  }

  keys(database: number): number {
    return Number(this.hub.run('redis-cli', '-h', hubAddress, '-n', String(database), 'dbsize'));
  }

  async remove(): Promise<void> {
    for (const node of [this.one, this.two]) await node.powerOff();
    for (const child of this.#processes.splice(0)) await child.stop('SIGKILL');
    await this.hub.killAll();
    for (const namespace of [this.hub, this.one.namespace, this.two.namespace]) namespace.remove();
  }
}

/** A line of figures for whoever reads the test's output. */
export function describeLoss(what: string, report: LoadReport): string {
  const { lostPerStream, longestGapPackets, longestPauseMs } = report;
  return (
    `      ${what}: lost per stream median ${lostPerStream.median}, max ${lostPerStream.max}; ` +
    `longest gap ${longestGapPackets.max} packets, longest pause ${longestPauseMs.max} ms`
  );
}
