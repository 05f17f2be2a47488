/** Two nodes, Redis and phones on one bridge, and the virtual address that moves between the nodes. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { connectNamespaces, type VethEnd } from '../../test/support/namespaces.js';
import { SteppedClock } from '../../test/support/stepped-clock.js';
import type { DaemonName } from '../lib/rig.js';
import { Agent } from './agent.js';
import { monotonicMicros, until } from './clock.js';
import { Daemon, type DaemonSetup, type Store } from './daemons.js';
import { Keepalived } from './keepalived.js';
import {
  heartAddress,
  heartDevice,
  hubAddress,
  redisPort,
  redisVirtualAddress,
  virtualAddress,
  virtualAddress6,
} from './names.js';
import { linkOf, Network, type Machine } from './network.js';
import { RedisServer } from './redis.js';

export type MoverName = 'bench' | 'keepalived';
/** One server on the hub, or one on each node, the second a replica of the first; `none`: for rtpengine alone. */
export type RedisPlace = 'shared' | 'each' | 'none';
export type Stack = 'ipv4' | 'dual';

export type PortMode = 'auto' | 'bound' | 'steered';

export interface Settings {
  readonly daemon: DaemonName;
  readonly store: Store;
  readonly mover: MoverName;
  readonly advertMs: number;
  readonly redis: RedisPlace;
  readonly stack: Stack;
  /** The standby hears what the active node is sent, and sends what it did not (docs/replay.md). */
  readonly replay: boolean;
  readonly calls: number;
  readonly ptime: number;
  /** `--port-mode` of rtprelayd. */
  readonly portMode: PortMode;
  /** For files of this run. */
  readonly folder: string;
  /** Each node has a wall clock that can be set. */
  readonly ownClocks?: boolean;
}

export interface Node {
  readonly machine: Machine;
  readonly address: string;
  /** Its own one; that of the other node is followed. */
  readonly database: number;
  readonly agent: Agent;
  /** Its own, when each node has one. */
  redis?: RedisServer;
  keepalived?: Keepalived;
  daemon?: Daemon;
  readonly clock?: SteppedClock;
}

export interface RedisPair {
  readonly master: { readonly server: RedisServer; readonly agent: Agent };
  readonly replica: { readonly server: RedisServer; readonly agent: Agent };
}

export class Cluster {
  readonly network: Network;
  /** The first is active in the beginning. */
  readonly nodes: Node[] = [];
  redis: RedisServer | null = null;
  redisPair: RedisPair | null = null;
  #hubAgent: Agent | null = null;

  constructor(readonly settings: Settings) {
    this.network = new Network(settings.stack === 'dual');
  }

  get one(): Node {
    return this.#node(0);
  }

  get two(): Node {
    return this.#node(1);
  }

  #node(index: number): Node {
    const node = this.nodes[index];
    if (node === undefined) throw new Error('the nodes were not created');
    return node;
  }

  async create(redundantRedis: boolean): Promise<void> {
    const { network } = this;
    const each = this.settings.redis === 'each';
    this.#hubAgent = await Agent.start(network.hub, 'br0', virtualAddress);
    if (redundantRedis) await this.#createRedisPair();
    else if (!each) await this.startRedis();
    const moving = [virtualAddress, ...(network.dualStack ? [virtualAddress6] : [])];
    for (const number of [1, 2]) {
      const address = `10.9.0.1${number}`;
      const machine = network.add(`node${number}`, address);
      const agent = await Agent.start(machine, 'eth0', ...moving);
      const own = { machine, address, database: number - 1, agent };
      const clock = this.settings.ownClocks === true ? { clock: new SteppedClock() } : {};
      this.nodes.push({ ...own, ...clock });
    }
    if (this.settings.replay) this.#connectForReplay();
    if (each) await this.#createRedisOfNodes();
    if (this.settings.mover === 'keepalived') await this.#startKeepalived();
    else this.one.agent.order('add');
    await this.one.agent.moment('added');
  }

  /** A second path for heartbeats, and a bridge that learns no addresses. */
  #connectForReplay(): void {
    this.network.hub.namespace.ip('link', 'set', 'br0', 'type', 'bridge', 'ageing_time', '0');
    const end = ({ machine }: Node, number: number): VethEnd => ({
      ...{ namespace: machine.namespace, device: heartDevice },
      address: `${heartAddress(number)}/24`,
    });
    connectNamespaces(end(this.one, 1), end(this.two, 2));
    writeFileSync(`${this.settings.folder}/replay.key`, `k ${randomBytes(32).toString('hex')}\n`, {
      mode: 0o600,
    });
  }

  #replayOptions({ address }: Node): readonly string[] {
    const number = address === this.one.address ? 1 : 2;
    const other = this.#node(2 - number).address;
    return [
      '--replay-interface=eth0',
      ...[`--replay-listen=${address}:2230`, `--replay-peer=${other}:2230`],
      ...[`--replay-listen=${heartAddress(number)}:2230`],
      `--replay-peer=${heartAddress(3 - number)}:2230`,
      `--replay-key-file=${this.settings.folder}/replay.key`,
    ];
  }

  /** The one server, anew if there was one. */
  async startRedis(): Promise<void> {
    this.redis = await RedisServer.start(this.network.hub, hubAddress, this.settings.folder);
  }

  async #createRedisOfNodes(): Promise<void> {
    for (const node of this.nodes)
      node.redis = await RedisServer.start(node.machine, node.address, this.settings.folder);
    await this.two.redis?.replicate(this.one.address);
  }

  /** The address has come to `to`: so does the role of its Redis, and `from`, if it lives, follows it. */
  promote(to: Node, from: Node | null): void {
    to.redis?.promote();
    if (from !== null) void from.redis?.replicate(to.address).catch(() => undefined);
  }

  async #createRedisPair(): Promise<void> {
    const { network } = this;
    const { folder } = this.settings;
    const side = async (number: number, more: readonly string[]): Promise<RedisPair['master']> => {
      const address = `10.9.0.2${number}`;
      const machine = network.add(`redis${number}`, address);
      const agent = await Agent.start(machine, 'eth0', redisVirtualAddress);
      return { server: await RedisServer.start(machine, address, folder, more), agent };
    };
    const master = await side(1, []);
    master.agent.order('add');
    await master.agent.moment('added');
    const replica = await side(2, ['--replicaof', redisVirtualAddress, String(redisPort)]);
    await until(
      () => replica.server.command(0, 'info', 'replication').includes('master_link_status:up'),
      'the replica',
    );
    this.redisPair = { master, replica };
  }

  async #startKeepalived(): Promise<void> {
    const { advertMs, folder } = this.settings;
    const [one, two] = [this.one, this.two];
    for (const [node, peer, priority] of [
      [one, two, 150],
      [two, one, 100],
    ] as const) {
      const { machine, address } = node;
      const own = `${folder}/${machine.role}`;
      node.keepalived = new Keepalived({
        ...{ machine, address, peer: peer.address, priority, advertMs, folder: own },
      });
      // Neither preempts, so the first one has to be there first.
      await node.keepalived.state(node === one ? 'MASTER' : 'BACKUP');
    }
  }

  /** Starts the daemon of a node on its own database and does not wait. */
  launch(node: Node, follow: boolean): Daemon {
    return this.#launch(node, node.database, follow ? { follows: 1 - node.database } : {});
  }

  /** The same on the database of the node that is gone. */
  launchInPlaceOf(gone: Node, node: Node, extra: readonly string[] = []): Daemon {
    return this.#launch(node, gone.database, { direct: true, extra });
  }

  #launch(node: Node, database: number, more: Partial<DaemonSetup>): Daemon {
    const { daemon, store, folder } = this.settings;
    const shared = this.redisPair === null ? hubAddress : redisVirtualAddress;
    const place = `${node.redis === undefined ? shared : node.address}:${redisPort}/${database}`;
    const redis = this.settings.redis === 'none' && daemon === 'rtprelayd' ? null : place;
    const { machine, address } = node;
    node.daemon = new Daemon({
      ...{ daemon, machine, address, folder, redis, store, env: node.clock?.env },
      ...(node.redis === undefined ? {} : { writesTo: place }),
      dualStack: this.network.dualStack,
      ...more,
      portMode: this.settings.portMode,
      extra: [...(more.extra ?? []), ...(this.settings.replay ? this.#replayOptions(node) : [])],
    });
    return node.daemon;
  }

  /** Planned, or after the loss of `from` (null). The bench's own mover acts at once. */
  give(from: Node | null, to: Node): void {
    if (this.settings.mover === 'keepalived') {
      to.keepalived?.setLeaving(false);
      from?.keepalived?.setLeaving(true);
      return;
    }
    from?.agent.order('del');
    to.agent.order('add');
  }

  /** Cuts the machine off and kills what runs on it. Returns when it was cut off. */
  async powerOff(machine: Machine): Promise<{ readonly at: number; readonly kill: () => void }> {
    const agent = this.#hubAgent;
    if (agent === null) throw new Error('the hub has no agent');
    const seen = agent.events.length;
    // First: it would tell what the other cable does not carry any more.
    if (this.settings.replay) machine.namespace.ip('link', 'set', heartDevice, 'down');
    agent.order('down', linkOf(machine.role));
    return { at: await agent.moment('down', seen), kill: () => machine.killAll() };
  }

  /** VRRP between the nodes is dropped, or passes again. Returns when. */
  setPartition(parted: boolean): number {
    for (const node of this.nodes) {
      const { namespace } = node.machine;
      if (parted) {
        namespace.run('nft', 'add', 'table', 'ip', 'parted');
        const chain = '{ type filter hook input priority 0; policy accept; }';
        namespace.run('nft', 'add', 'chain', 'ip', 'parted', 'in', chain);
        namespace.run('nft', 'add', 'rule', 'ip', 'parted', 'in', 'meta', 'l4proto', '112', 'drop');
      } else namespace.run('nft', 'delete', 'table', 'ip', 'parted');
    }
    return monotonicMicros();
  }

  /** Until the standby has all calls; says how many it has when it never gets them. */
  async standbyReady(): Promise<number> {
    const { daemon } = this.two;
    const end = performance.now() + 5000;
    let known = 0;
    while (daemon !== undefined && performance.now() < end) {
      known = daemon.sessions();
      if (known >= this.settings.calls) return known;
      await delay(200);
    }
    return known;
  }

  remove(): void {
    this.network.remove();
    for (const { clock } of this.nodes) clock?.remove();
  }
}
