/** A follower of another node's calls when the master of Redis is replaced. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import type { CallState } from '../../src/media/call-state.js';
import { decodeBencode, encodeBencode } from '../../src/ng-protocol/bencode.js';
import { decodeCall } from '../../src/redis-store/codec.js';
import { KeyspaceFollower } from '../../src/redis-store/keyspace-follower.js';
import type { RedisServer, ServerLocation } from '../../src/redis-store/server-address.js';
import type { RedisProcess } from '../support/redis-server.js';
import { Sentinels, startReplicated } from '../support/redis-server.js';
import { until } from '../support/wait.js';
import { makeStore, TestLog, type TestStore } from './redis-store-support.js';

const settings = {
  bencode: { decode: (bytes: Buffer) => decodeBencode(bytes), encode: encodeBencode },
  endpointLearning: 'heuristic' as const,
  indexOfPosition: (_: string, __: string, position: number) => position,
  secrets: null,
};
const recorded = readFileSync(
  new URL('../unit/redis-store/samples/02-relay.json', import.meta.url),
);
const { state: base } = decodeCall('x', recorded, settings);
const notifying = { settings: ['--notify-keyspace-events', 'KA'] };

const at = ({ port }: { readonly port: number }): ServerLocation => ({ host: '127.0.0.1', port });

describe('following a keyspace through a failover', function () {
  this.timeout(60_000);
  const servers: RedisProcess[] = [];
  let sentinels: Sentinels | undefined;
  let owner: TestStore | undefined;
  let follower: KeyspaceFollower | undefined;
  const followed = new Map<string, CallState>();

  async function follow(server: RedisServer): Promise<TestLog> {
    const log = new TestLog();
    follower = new KeyspaceFollower({
      ...{ server, write: server },
      connectTimeoutMs: 1000,
      commandTimeoutMs: 0,
      allowedErrors: -1,
      disableTimeSeconds: 10,
      settings,
      log,
      onCall: (state) => void followed.set(state.callId, state),
      onGone: (callId) => void followed.delete(callId),
      held: () => followed.keys(),
    });
    await follower.start([3]);
    return log;
  }

  /** Saves and removes reach the follower by notification: a comparison comes once a minute. */
  async function hears(callId: string): Promise<void> {
    await until(() => owner?.store.healthy === true, 'a healthy store', 20_000);
    owner?.memory.set(callId, { ...base, callId });
    await owner?.store.save({ ...base, callId });
    await until(() => followed.has(callId), `${callId} at the follower`, 20_000);
    owner?.memory.delete(callId);
    await owner?.store.remove(callId);
    await until(() => !followed.has(callId), `the end of ${callId} at the follower`, 20_000);
  }

  async function started(server: RedisServer): Promise<void> {
    owner = makeStore(server);
    await owner.store.start();
    owner.memory.set('stays', { ...base, callId: 'stays' });
    await owner.store.save({ ...base, callId: 'stays' });
  }

  afterEach(async () => {
    follower?.close();
    await owner?.store.close();
    await sentinels?.stop();
    for (const server of servers.splice(0)) await server.stop('SIGKILL');
    sentinels = owner = follower = undefined;
    followed.clear();
  });

  for (const trouble of ['SIGKILL', 'SIGSTOP'] as const) {
    it(`goes on with the master that Sentinel names after ${trouble}`, async () => {
      const group = await startReplicated(1, notifying);
      servers.push(...group);
      const [master] = group;
      sentinels = await Sentinels.start(3, master, 1);
      const server: RedisServer = {
        locations: sentinels.ports.map((port) => at({ port })),
        database: 3,
        password: null,
        sentinel: { masterName: 'calls', username: null, password: null },
      };
      await started(server);
      await follow(server);
      await until(() => followed.has('stays'), 'what is there');
      await hears('before');
      if (trouble === 'SIGKILL') await master.stop('SIGKILL');
      else master.process.signal('SIGSTOP');
      await until(async () => (await group[1]?.isMaster()) === true, 'a new master', 30_000);
      if (trouble === 'SIGSTOP') {
        // Until Sentinel sees it again, it takes itself for a master.
        await until(
          () => owner?.log.lines.filter((line) => line.includes('RE-Established')).length === 1,
          'the owner on the new master',
          20_000,
        );
        master.process.signal('SIGCONT');
      }
      await hears('after');
      expect([...followed.keys()]).to.deep.equal(['stays']);
    });
  }

  it('goes on with the next of several addresses after a switch by hand', async () => {
    const group = await startReplicated(1, notifying);
    servers.push(...group);
    const [master, replica] = group;
    if (replica === undefined) throw new Error('no replica');
    const server = { locations: group.map(at), database: 3, password: null };
    await started(server);
    const log = await follow(server);
    await hears('before');
    await replica.follow(null);
    await master.follow(replica);
    await hears('after');
    expect([...followed.keys()]).to.deep.equal(['stays']);
    // A replica would do for reading; yet calls that are taken over have to be removed.
    await until(() => log.lines.join().includes('is a slave, not a master'), 'a look at the role');
    await until(() => log.lines.join().includes('RE-Established'), 'the master');
    await hears('last');
    await follower?.release('stays', 3, { epoch: 1, database: 4 });
    const connection = replica.connect(3);
    expect(await connection.exists('stays')).to.equal(0);
    connection.disconnect();
  });
});
