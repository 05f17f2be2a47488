/**
 * The master of Redis dies and a replica takes its place, by Sentinel or by hand: replies go on, media
 * does not notice, and the new master holds what is in memory.
 */
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import type { TestProcess } from '../support/child-process.js';
import { freeUdpPort, freeUdpRange, type PortRange } from '../support/free-ports.js';
import { Load } from '../support/load.js';
import { audioSdp, NgClient } from '../support/ng-client.js';
import { startDaemon } from '../support/processes.js';
import { RedisProcess, Sentinels, startReplica, startReplicated } from '../support/redis-server.js';
import { pause, until } from '../support/wait.js';

/** Far more than a save may wait for a server that does not answer. */
const replyDeadlineMs = 10_000;
/** Sentinel's 1 s until it is sure, its vote, and our next attempt; and a slow machine. */
const allowedFailoverMs = 30_000;
const talking = 15;
/** A replica of a slow machine is not to be taken for one that lags. */
const commitTimeoutMs = 1000;
const patience = `--redis-commit-timeout=${commitTimeoutMs}`;
const redisCommands = /"(set|del|eval|evalsha|expire|flushdb|flushall|keys)"/i;

describe('a failover of Redis', function () {
  this.timeout(90_000);

  const servers: RedisProcess[] = [];
  const loads: Load[] = [];
  const connections: Redis[] = [];
  let sentinels: Sentinels | undefined;
  let daemon: TestProcess | undefined;
  let ng: NgClient;
  let ngPort = 0;
  let range: PortRange;
  let placed: string[] = [];

  async function start(...options: readonly string[]): Promise<TestProcess> {
    const ports = [`--port-min=${range.min}`, `--port-max=${range.max}`];
    daemon = await startDaemon(ngPort, [...ports, ...options]);
    return daemon;
  }

  function connect(server: RedisProcess, database = 0): Redis {
    const connection = server.connect(database);
    connections.push(connection);
    return connection;
  }

  async function talk(seconds: number): Promise<Load> {
    const portBase = freeUdpRange(4 * talking).min;
    const prefix = 'talking';
    const load = await Load.start({
      ...{ ngPort, calls: talking, seconds, portBase, prefix, keepCalls: true },
    });
    loads.push(load);
    return load;
  }

  /** Sets a call up without media. @returns the time of the reply in ms. */
  async function place(callId: string): Promise<number> {
    const began = performance.now();
    const offer = { command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: audioSdp(6000) };
    expect(await ng.ask(offer, { tries: 1, intervalMs: replyDeadlineMs })).to.include({
      result: 'ok',
    });
    const elapsed = performance.now() - began;
    placed.push(callId);
    return elapsed;
  }

  async function remove(callId: string): Promise<void> {
    const keys = { 'call-id': callId, 'from-tag': 'a', 'delete-delay': 0 };
    expect(await ng.ask({ command: 'delete', ...keys })).to.include({ result: 'ok' });
    placed = placed.filter((each) => each !== callId);
  }

  /** Calls are placed and removed until `done`. @returns the slowest reply in ms. */
  async function placeUntil(done: () => Promise<boolean>): Promise<number> {
    let slowest = 0;
    const end = performance.now() + allowedFailoverMs;
    for (let index = 0; performance.now() < end; index += 1) {
      slowest = Math.max(slowest, await place(`during-${index}`));
      if (index % 5 === 4) await remove(`during-${index - 2}`);
      if (await done()) return slowest;
      await pause(50);
    }
    throw new Error('no failover');
  }

  async function inMemory(): Promise<readonly string[]> {
    const { calls } = await ng.ask({ command: 'list', limit: 1000 });
    return Array.isArray(calls) ? calls.map(String).sort() : [];
  }

  /** Local ports by call, as the daemon tells them. */
  async function ports(): Promise<ReadonlyMap<string, string>> {
    const known = new Map<string, string>();
    for (const callId of await inMemory()) {
      const reply = await ng.ask({ command: 'query', 'call-id': callId });
      const found = JSON.stringify(reply['tags']).match(/"local port":\d+/g) ?? [];
      known.set(callId, found.join());
    }
    return known;
  }

  /** The server holds the calls of the moment, and a new daemon makes the same of them. */
  async function holdsMemory(server: RedisProcess, options: readonly string[]): Promise<void> {
    const connection = connect(server);
    const expected = await inMemory();
    expect(expected).to.include.members(placed);
    await until(
      async () => (await connection.keys('*')).sort().join() === expected.join(),
      'memory in Redis',
      allowedFailoverMs,
    );
    const before = await ports();
    await daemon?.stop('SIGKILL');
    await start(...options);
    expect(await ports()).to.deep.equal(before);
  }

  /** What `server` was told by others than `master`: from MONITOR. */
  async function listen(server: RedisProcess): Promise<{ readonly heard: string[] }> {
    const heard: string[] = [];
    const monitor = await connect(server).monitor();
    connections.push(monitor);
    monitor.on('monitor', (_time: string, words: readonly string[], source: string) =>
      heard.push(`${source} ${words.map((word) => `"${word.slice(0, 40)}"`).join(' ')}`),
    );
    return { heard };
  }

  beforeEach(() => {
    ngPort = freeUdpPort();
    range = freeUdpRange(1000);
    ng = new NgClient(ngPort);
    placed = [];
  });
  afterEach(async () => {
    ng.close();
    for (const connection of connections.splice(0)) connection.disconnect();
    for (const load of loads.splice(0)) await load.stop();
    await daemon?.stop('SIGKILL');
    await sentinels?.stop();
    for (const server of servers.splice(0)) await server.stop('SIGKILL');
    daemon = sentinels = undefined;
  });

  for (const trouble of ['SIGKILL', 'SIGSTOP'] as const) {
    const what = trouble === 'SIGKILL' ? 'dies' : 'hangs';
    it(`by Sentinel when the master ${what}`, async () => {
      const group = await startReplicated(2);
      servers.push(...group);
      const [master, ...replicas] = group;
      sentinels = await Sentinels.start(3, master, 2);
      const url = `--redis=sentinel://${sentinels.addresses}/calls/0`;
      const running = await start(url);
      await place('before');
      const load = await talk(8);
      await place('ended');
      if (trouble === 'SIGKILL') await master.stop('SIGKILL');
      else master.process.signal('SIGSTOP');
      await remove('ended');
      const isPromoted = async (): Promise<boolean> =>
        (await Promise.all(replicas.map((replica) => replica.isMaster()))).includes(true);
      const slowest = await placeUntil(isPromoted);
      const promoted = (await replicas[0]?.isMaster()) === true ? replicas[0] : replicas[1];
      if (promoted === undefined) throw new Error('nobody was promoted');
      const again = `RE-Established connection to Redis 127.0.0.1:${promoted.port}`;
      await running.untilLogged(again, allowedFailoverMs);
      await running.untilLogged('is in use again, memory was written');
      console.log(`      slowest reply: ${slowest.toFixed(0)} ms`);
      // The old master comes back, empty or as it was, and thinks that it is one.
      const returned =
        trouble === 'SIGKILL' ? await RedisProcess.start({ port: master.port }) : master;
      if (trouble === 'SIGKILL') servers.push(returned);
      else master.process.signal('SIGCONT');
      await place('after');
      expect((await load.report()).lost).to.equal(0);
      await until(async () => !(await returned.isMaster()), 'demotion', allowedFailoverMs);
      await place('last');
      await holdsMemory(promoted, [url]);
    });
  }

  it('by hand to the next of several addresses; the old master is never written as a replica', async () => {
    const [master, replica] = await startReplicated(1);
    if (replica === undefined) throw new Error('no replica');
    servers.push(master, replica);
    const list = [master, replica].map(({ port }) => `127.0.0.1:${port}`).join();
    const options = [`--redis=${list}/0`];
    const running = await start(...options);
    const load = await talk(6);
    await place('before');
    // What the replica never heard of: the removal of one call, and another call.
    await place('ended');
    await replica.follow(null);
    await remove('ended');
    await place('unheard');
    await master.stop('SIGKILL');
    const back = `RE-Established connection to Redis 127.0.0.1:${replica.port}`;
    const slowest = await placeUntil(async () => Promise.resolve(running.log().includes(back)));
    console.log(`      slowest reply: ${slowest.toFixed(0)} ms`);
    const old = await startReplica(replica, { port: master.port });
    servers.push(old);
    const { heard } = await listen(old);
    await connect(replica).call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await place('after');
    await until(
      async () => (await connect(replica).exists('after')) === 1,
      'the new call on the new master',
    );
    expect((await load.report()).lost).to.equal(0);
    // A new daemon asks the old master first, as the list says.
    await holdsMemory(replica, options);
    await place('anew');
    const fromMaster = new RegExp(`^127\\.0\\.0\\.1:${replica.port} `);
    await until(() => heard.some((line) => line.includes('anew')), 'replication');
    expect(heard.filter((line) => /"(auth|info|select)"/i.test(line))).to.not.deep.equal([]);
    const written = heard.filter((line) => redisCommands.test(line) && !fromMaster.test(line));
    expect(written).to.deep.equal([]);
  });

  it('by hand under a living connection: READONLY leads to the next address', async () => {
    const [master, replica] = await startReplicated(1);
    if (replica === undefined) throw new Error('no replica');
    servers.push(master, replica);
    const list = [master, replica].map(({ port }) => `127.0.0.1:${port}`).join();
    const options = [`--redis=${list}/0`];
    const running = await start(...options);
    await place('before');
    await replica.follow(null);
    await master.follow(replica);
    const back = `RE-Established connection to Redis 127.0.0.1:${replica.port}`;
    await placeUntil(async () => Promise.resolve(running.log().includes(back)));
    await holdsMemory(replica, options);
  });

  it('that no call is lost in when replies wait for a replica', async () => {
    const [master, replica] = await startReplicated(1);
    if (replica === undefined) throw new Error('no replica');
    servers.push(master, replica);
    const list = [master, replica].map(({ port }) => `127.0.0.1:${port}`).join();
    const running = await start(`--redis=${list}/0`, '--redis-wait-replicas=1', patience);
    // Both die with the reply; nothing is left but the replica.
    await Promise.all(Array.from({ length: 30 }, (_, index) => place(`before-${index}`)));
    await place('last');
    master.process.signal('SIGKILL');
    daemon?.signal('SIGKILL');
    await replica.follow(null);
    expect(running.log()).to.not.include('do not keep up');
    const stored = await connect(replica).keys('*');
    expect(stored.sort()).to.deep.equal([...placed].sort());
  });

  it('is awaited no longer than bounded when the replica hangs, and that is said once', async () => {
    const [master, replica] = await startReplicated(1);
    if (replica === undefined) throw new Error('no replica');
    servers.push(master, replica);
    const running = await start(
      `--redis=127.0.0.1:${master.port}/0`,
      '--redis-wait-replicas=1',
      patience,
    );
    const load = await talk(4);
    await place('before');
    replica.process.signal('SIGSTOP');
    const times: number[] = [];
    for (let index = 0; index < 30; index += 1) times.push(await place(`lagging-${index}`));
    times.sort((a, b) => a - b);
    console.log(
      `      replies while the replica hung: median ${times[15]?.toFixed(1)} ms, ` +
        `slowest ${times.at(-1)?.toFixed(0)} ms`,
    );
    // The first one waits, the others know; a machine that stalls may delay one more.
    const waited = times.filter((ms) => ms >= commitTimeoutMs).length;
    expect(waited).to.be.at.most(times.length / 5);
    const count = (pattern: RegExp): number => (running.log().match(pattern) ?? []).length;
    expect(count(/do not keep up/g)).to.equal(1);
    // The master answers, so the store goes on as before.
    expect(count(/replies no longer wait for it/g)).to.equal(0);
    replica.process.signal('SIGCONT');
    await running.untilLogged('Replicas of Redis keep up again');
    await place('after');
    expect(await connect(replica).exists('after')).to.equal(1);
    expect(count(/do not keep up/g)).to.equal(1);
    expect((await load.report()).lost).to.equal(0);
  });
});
