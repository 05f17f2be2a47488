/**
 * Masters, replicas and servers that are away, in the place of `redis`, `redis-write` and the followed
 * database, at the start and later. A readable server is enough to restore from it and to stand by;
 * whatever is to be written waits for a master, and is written in full then.
 */
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort, freeUdpRange, type PortRange } from '../support/free-ports.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { cliAsk, type Sessions, sessionsOf } from '../support/cli.js';
import { RedisProcess } from '../support/redis-server.js';
import { pause, until } from '../support/wait.js';

/** `a` begins as a master, `b` as its replica, `c` is away. */
type Name = 'a' | 'b' | 'c';

interface Step {
  /** What happens; nothing: the start. */
  readonly act?: (servers: Servers, node: StandbyNode) => Promise<unknown>;
  readonly what: string;
  /** Own calls (without those that the test sets up to see where they are written) and foreign ones. */
  readonly calls: Sessions;
  /** Where the daemon writes; null: nowhere, replies go on all the same. */
  readonly writes: Name | null;
}

interface Row {
  readonly title: string;
  readonly redis: readonly Name[];
  readonly write?: Name;
  readonly subscribe?: Name;
  /** `--no-redis-required`. */
  readonly optional?: boolean;
  /** Before the daemon starts. */
  readonly prepare?: (servers: Servers) => Promise<unknown>;
  readonly steps: readonly Step[];
}

const followed = 1;
const own = 2;
const settings = ['--notify-keyspace-events', 'KA', '--repl-diskless-sync-delay', '0'];

class Servers {
  readonly #running = new Map<Name, RedisProcess>();
  readonly #ports = new Map<Name, number>();
  readonly #connections: Redis[] = [];

  async create(): Promise<void> {
    for (const name of ['a', 'b', 'c'] as const) this.#ports.set(name, freeTcpPort());
    await this.start('a');
    await this.start('b');
  }

  port(name: Name): number {
    return this.#ports.get(name) ?? 0;
  }

  get(name: Name): RedisProcess {
    const server = this.#running.get(name);
    if (server === undefined) throw new Error(`${name} is away`);
    return server;
  }

  get present(): readonly Name[] {
    return [...this.#running.keys()];
  }

  /** @param more further words of the command line. */
  async start(name: Name, ...more: readonly string[]): Promise<void> {
    const options = { port: this.port(name), settings: [...settings, ...more] };
    this.#running.set(name, await RedisProcess.start(options));
  }

  async startReplica(name: Name, master: Name): Promise<void> {
    await this.start(name, '--replicaof', `127.0.0.1 ${this.port(master)}`);
    await this.linked(name);
  }

  /** As a replica whose master is not there: it serves, and holds nothing. */
  async startWithoutMaster(name: Name): Promise<void> {
    await this.start(name, '--replicaof', `127.0.0.1 ${freeTcpPort()}`);
  }

  async kill(name: Name): Promise<void> {
    await this.get(name).stop('SIGKILL');
    this.#running.delete(name);
  }

  promote(name: Name): Promise<void> {
    return this.get(name).follow(null);
  }

  async demote(name: Name, master: Name): Promise<void> {
    await this.get(name).follow(this.get(master));
    await this.linked(name);
  }

  async linked(name: Name): Promise<void> {
    const connection = this.connect(name, 0);
    const isUp = async (): Promise<boolean> =>
      (await connection.info('replication')).includes('master_link_status:up');
    await until(isUp, `${name} as a replica`);
  }

  connect(name: Name, database: number): Redis {
    const connection = this.get(name).connect(database);
    this.#connections.push(connection);
    return connection;
  }

  async keys(name: Name, database: number): Promise<readonly string[]> {
    const keys = await this.connect(name, database)
      .keys('*')
      .catch((error: unknown): string[] => {
        if (String(error).includes('MASTERDOWN')) return [];
        throw error;
      });
    return keys.filter((key) => key !== 'rtprelay:fence').sort();
  }

  async remove(): Promise<void> {
    for (const connection of this.#connections.splice(0)) connection.disconnect();
    for (const name of [...this.#running.keys()]) await this.kill(name);
  }
}

/** The daemon under test. */
class StandbyNode {
  readonly #placed: string[] = [];
  readonly #ng: NgClient;

  private constructor(
    readonly daemon: MediaDaemon,
    private readonly cliPort: number,
  ) {
    this.#ng = daemon.client();
  }

  static async start(options: readonly string[], portRange: PortRange): Promise<StandbyNode> {
    const cliPort = freeTcpPort();
    const extra = [`--listen-cli=127.0.0.1:${cliPort}`, '--active-switchover', ...options];
    const daemon = await MediaDaemon.start('rtprelayd', { portRange, extra });
    return new StandbyNode(daemon, cliPort);
  }

  /** Own calls without those that `place` made. */
  async sessions(): Promise<Sessions> {
    const { own: all, foreign } = await sessionsOf(this.cliPort);
    return { own: all - this.#placed.length, foreign };
  }

  ask(text: string): Promise<string> {
    return cliAsk(this.cliPort, text);
  }

  async place(callId: string): Promise<void> {
    const offer = { command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: audioSdp(6000) };
    expect(await this.#ng.ask(offer)).to.include({ result: 'ok' });
    this.#placed.push(callId);
  }

  async own(): Promise<readonly string[]> {
    const { calls } = await this.#ng.ask({ command: 'list', limit: 1000 });
    return Array.isArray(calls) ? calls.map(String).sort() : [];
  }

  async stop(): Promise<void> {
    this.#ng.close();
    await this.daemon.stop('SIGKILL');
  }
}

const both = { own: 1, foreign: 1 };
const none = { own: 0, foreign: 0 };
const takeOver: Pick<Step, 'act' | 'what'> = {
  what: 'all calls taken over',
  act: (_servers, node) => node.ask('active'),
};
const promote = (name: Name): Pick<Step, 'act' | 'what'> => ({
  what: `${name} promoted`,
  act: (servers) => servers.promote(name),
});
const demote = (name: Name, master: Name): Pick<Step, 'act' | 'what'> => ({
  what: `${name} made a replica of ${master}`,
  act: (servers) => servers.demote(name, master),
});
const killed = (name: Name): Pick<Step, 'act' | 'what'> => ({
  what: `${name} killed`,
  act: (servers) => servers.kill(name),
});
const atStart = { what: 'at the start' };

const rows: readonly Row[] = [
  {
    title: 'one replica that is promoted, demoted and promoted again',
    redis: ['b'],
    steps: [
      { ...atStart, calls: both, writes: null },
      { ...promote('b'), calls: both, writes: 'b' },
      { ...takeOver, calls: { own: 2, foreign: 0 }, writes: 'b' },
      { ...demote('a', 'b'), calls: { own: 2, foreign: 0 }, writes: 'b' },
      {
        what: 'b made a replica of a',
        act: async (servers) => {
          await servers.promote('a');
          await servers.demote('b', 'a');
        },
        calls: { own: 2, foreign: 0 },
        writes: null,
      },
      { ...promote('b'), calls: { own: 2, foreign: 0 }, writes: 'b' },
    ],
  },
  {
    title: 'the same replica for reading and writing, calls taken over before it is promoted',
    redis: ['b'],
    write: 'b',
    steps: [
      { ...atStart, calls: both, writes: null },
      { ...takeOver, calls: { own: 2, foreign: 0 }, writes: null },
      { ...killed('a'), calls: { own: 2, foreign: 0 }, writes: null },
      { ...promote('b'), calls: { own: 2, foreign: 0 }, writes: 'b' },
    ],
  },
  {
    title: 'read from a replica, written to its master',
    redis: ['b'],
    write: 'a',
    steps: [
      { ...atStart, calls: both, writes: 'a' },
      { ...takeOver, calls: { own: 2, foreign: 0 }, writes: 'a' },
    ],
  },
  {
    title: 'read from a master, written to a replica',
    redis: ['a'],
    write: 'b',
    steps: [
      { ...atStart, calls: both, writes: null },
      { ...promote('b'), calls: both, writes: 'b' },
    ],
  },
  {
    title: 'read from a replica, written to a server that comes late',
    redis: ['b'],
    write: 'c',
    optional: true,
    steps: [
      { ...atStart, calls: both, writes: null },
      { what: 'c comes', act: (servers) => servers.start('c'), calls: both, writes: 'c' },
    ],
  },
  {
    title: 'read from a server that comes late, as a replica, written to its master',
    redis: ['c'],
    write: 'a',
    optional: true,
    steps: [
      { ...atStart, calls: none, writes: 'a' },
      {
        what: 'c comes',
        act: (servers) => servers.startReplica('c', 'a'),
        // Its own calls are read from the replica as they were, others from the master meanwhile.
        calls: both,
        writes: 'a',
      },
    ],
  },
  {
    title: 'a server that comes late, as a replica, and is promoted',
    redis: ['c'],
    optional: true,
    steps: [
      { ...atStart, calls: none, writes: null },
      {
        what: 'c comes',
        act: (servers) => servers.startReplica('c', 'a'),
        calls: both,
        writes: null,
      },
      { ...promote('c'), calls: both, writes: 'c' },
    ],
  },
  {
    title: 'read from a replica that has not found its master yet, written to a master',
    redis: ['c'],
    write: 'a',
    prepare: (servers) => servers.startWithoutMaster('c'),
    steps: [
      { ...atStart, calls: none, writes: 'a' },
      { ...demote('c', 'a'), calls: both, writes: 'a' },
    ],
  },
  {
    title: 'a replica that has not found its master yet, and is promoted',
    redis: ['c'],
    prepare: (servers) => servers.startWithoutMaster('c'),
    steps: [
      { ...atStart, calls: none, writes: null },
      { ...demote('c', 'a'), calls: both, writes: null },
      { ...promote('c'), calls: both, writes: 'c' },
    ],
  },
  {
    title: 'followed on a server that comes late',
    redis: ['a'],
    subscribe: 'c',
    steps: [
      { ...atStart, calls: { own: 1, foreign: 0 }, writes: 'a' },
      {
        what: 'c comes',
        act: (servers) => servers.startReplica('c', 'a'),
        calls: both,
        writes: 'a',
      },
      { ...takeOver, calls: { own: 2, foreign: 0 }, writes: 'a' },
    ],
  },
  {
    title: 'a replica that dies and comes back',
    redis: ['b'],
    write: 'b',
    steps: [
      { ...atStart, calls: both, writes: null },
      { ...killed('b'), calls: both, writes: null },
      {
        what: 'b is back',
        act: (servers) => servers.startReplica('b', 'a'),
        calls: both,
        writes: null,
      },
      { ...promote('b'), calls: both, writes: 'b' },
    ],
  },
  {
    title: 'a master that is made a replica, and promoted',
    redis: ['a'],
    steps: [
      { ...atStart, calls: both, writes: 'a' },
      {
        what: 'a made a replica of b',
        act: async (servers) => {
          await servers.promote('b');
          await servers.demote('a', 'b');
        },
        calls: both,
        writes: null,
      },
      { ...promote('a'), calls: both, writes: 'a' },
    ],
  },
  {
    title: 'several servers of which the only one present is a replica',
    redis: ['c', 'b'],
    steps: [
      { ...atStart, calls: both, writes: null },
      { ...promote('b'), calls: both, writes: 'b' },
    ],
  },
  {
    title: 'several servers: a replica serves until there is a master, wherever that is',
    redis: ['a', 'b'],
    steps: [
      { ...atStart, calls: both, writes: 'a' },
      { ...killed('a'), calls: both, writes: null },
      {
        what: 'a comes back as a master',
        act: async (servers) => {
          await servers.start('a');
          await servers.linked('b');
        },
        // Its database was empty: what is in memory is written; nobody has the foreign call any more.
        calls: { own: 1, foreign: 0 },
        writes: 'a',
      },
    ],
  },
  {
    title: 'a replica that refuses to be read while it has no master',
    redis: ['b'],
    optional: true,
    prepare: async (servers) => {
      const connection = servers.connect('b', 0);
      await connection.config('SET', 'replica-serve-stale-data', 'no');
      await servers.kill('a');
      const isDown = async (): Promise<boolean> =>
        (await connection.info('replication')).includes('master_link_status:down');
      await until(isDown, 'a replica without its master');
    },
    steps: [
      { ...atStart, calls: none, writes: null },
      { ...promote('b'), calls: both, writes: 'b' },
    ],
  },
];

describe('Redis servers in every role', function () {
  this.timeout(60_000);
  let servers: Servers;
  let node: StandbyNode | undefined;
  let ports: PortRange;
  const values = new Map<number, { readonly callId: string; readonly value: Buffer }>();

  /** A call of each database, as a daemon has stored it. */
  before(async () => {
    // Ports of their own: new calls are set up while these are not restored yet.
    const storedPorts = freeUdpRange(20);
    ports = freeUdpRange(200);
    const redis = await RedisProcess.start();
    const owners: MediaDaemon[] = [];
    for (const database of [followed, own]) {
      const extra = [`--redis=${redis.url(database)}`];
      const daemon = await MediaDaemon.start('rtprelayd', {
        ...{ portRange: storedPorts, extra },
      });
      owners.push(daemon);
      const ng = daemon.client();
      const callId = `stored-${database}`;
      const keys = { 'call-id': callId, 'from-tag': 'a' };
      await ng.ask({ command: 'offer', ...keys, sdp: audioSdp(6000) });
      await ng.ask({ command: 'answer', ...keys, 'to-tag': 'b', sdp: audioSdp(6004) });
      ng.close();
      const connection = redis.connect(database);
      const value = await connection.getBuffer(callId);
      connection.disconnect();
      if (value === null) throw new Error('the call is not stored');
      values.set(database, { callId, value });
    }
    for (const daemon of owners) await daemon.stop('SIGKILL');
    await redis.stop();
  });
  beforeEach(async () => {
    servers = new Servers();
    await servers.create();
    for (const [database, { callId, value }] of values) {
      await servers.connect('a', database).set(callId, value, 'EX', 86_400);
    }
    await servers.demote('b', 'a');
  });
  afterEach(async () => {
    await node?.stop();
    node = undefined;
    await servers.remove();
  });

  function optionsOf(row: Row): readonly string[] {
    const address = (names: readonly Name[], database: number): string =>
      `${names.map((name) => `127.0.0.1:${servers.port(name)}`).join(',')}/${database}`;
    return [
      `--redis=${address(row.redis, own)}`,
      ...(row.write === undefined ? [] : [`--redis-write=${address([row.write], own)}`]),
      ...(row.subscribe === undefined
        ? []
        : [`--redis-subscribe=${address([row.subscribe], followed)}`]),
      `--subscribe-keyspace=${followed}`,
      ...(row.optional === true ? ['--no-redis-required'] : []),
    ];
  }

  async function check(running: StandbyNode, step: Step, index: number): Promise<void> {
    const expected = JSON.stringify(step.calls);
    let last = '';
    await until(
      async () => (last = JSON.stringify(await running.sessions())) === expected,
      `${expected} ${step.what}`,
      15_000,
    ).catch((error: unknown) => {
      throw new Error(`${last} instead: ${running.daemon.process.log()}`, { cause: error });
    });
    const callId = `placed-${index}`;
    await running.place(callId);
    if (step.writes === null) {
      await pause(100);
      for (const name of servers.present) {
        expect(await servers.keys(name, own), `${name}, ${step.what}`).not.to.include(callId);
      }
      return;
    }
    const { writes } = step;
    const owns = await running.own();
    const foreign = values.get(followed)?.callId ?? '';
    const memory = owns.filter((each) => each !== foreign || step.calls.foreign === 0);
    await until(
      async () => {
        const keys = await servers.keys(writes, own);
        return memory.every((each) => keys.includes(each));
      },
      `${memory.join()} in ${writes}, ${step.what}\n${running.daemon.process.log()}`,
      15_000,
    );
    if (step.calls.foreign > 0 || step.calls.own < 2) return;
    // What was taken over has left the database of its former owner.
    await until(
      async () => (await servers.keys(writes, followed)).length === 0,
      `an empty database of the former owner in ${writes}, ${step.what}`,
      15_000,
    );
  }

  for (const row of rows) {
    it(row.title, async () => {
      await row.prepare?.(servers);
      node = await StandbyNode.start(optionsOf(row), ports);
      for (const [index, step] of row.steps.entries()) {
        await step.act?.(servers, node);
        await check(node, step, index);
      }
    });
  }
});
