import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readFileSync } from 'node:fs';
import type { CallState } from '../../src/media/call-state.js';
import { decodeCall, encodeCall } from '../../src/redis-store/codec.js';
import { StoreError } from '../../src/redis-store/errors.js';
import { LatestValue } from '../../src/redis-store/latest-value.js';
import type { StoredFormat } from '../../src/redis-store/schema.js';
import { decodeBencode, encodeBencode } from '../../src/ng-protocol/bencode.js';
import { makeStore, startRedis, type TestRedis, type TestStore } from './redis-store-support.js';
import { isInstalled } from '../support/child-process.js';
import { freeTcpPort } from '../support/free-ports.js';
import { nativeProcess } from '../../src/native/process.js';
import { committed } from '../../src/redis-store/store.js';
import { pause, until } from '../support/wait.js';

const run = promisify(execFile);

const settings = {
  bencode: {
    decode: (bytes: Buffer) => decodeBencode(bytes),
    encode: encodeBencode,
  },
  endpointLearning: 'heuristic' as const,
  indexOfPosition: (_: string, __: string, position: number) => position,
  secrets: null,
};
const recorded = readFileSync(
  new URL('../unit/redis-store/samples/02-relay.json', import.meta.url),
);
const { state: base } = decodeCall('x', recorded, settings);
const call = (callId: string, lastSignalMicros = 1_000_000): CallState => ({
  ...base,
  callId,
  lastSignalMicros,
});
const idsOf = (count: number): string[] => Array.from({ length: count }, (_, at) => `call-${at}`);

describe('the Redis store', () => {
  let redis: TestRedis;
  const stores: TestStore[] = [];
  const started = async (...given: Parameters<typeof makeStore>): Promise<TestStore> => {
    const made = makeStore(...given);
    stores.push(made);
    await made.store.start();
    return made;
  };

  before(async () => {
    redis = await startRedis();
  });
  beforeEach(async () => {
    await redis.client().flushall();
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map(({ store }) => store.close()));
  });
  after(() => redis?.end());

  it('writes the value that was made of a change for somebody else, in its format and no longer than that', async () => {
    const latest = new LatestValue();
    const { store } = await started(redis.server(4), { format: 'JSON', latest });
    const state = { ...call('shared'), redisHostedDb: 4 };
    const written = async (): Promise<string> => {
      await store.save(state);
      return String(await redis.client(4).get('shared'));
    };
    const alone = await written();
    latest.keep(state, 'JSON-10.5', Buffer.from('other'));
    expect(await written()).to.equal(alone);
    latest.keep(state, 'JSON', Buffer.from('made'));
    expect(await written()).to.equal('made');
    latest.forget();
    expect(await written()).to.equal(alone);
  });

  it('writes a call before it says so, with its life time, and restores the same', async () => {
    const callId = 'redis relay "2" %\xff\x01';
    const { store } = await started(redis.server(3), { expiresSeconds: 1234 });
    expect(await store.save(call(callId))).to.equal('committed');
    const key = Buffer.from(callId, 'latin1');
    const client = redis.client(3);
    expect(await client.ttl(key)).to.be.within(1200, 1234);
    expect(await redis.client(0).dbsize()).to.equal(0);

    const other = await started(redis.server(3));
    const restored: CallState[] = [];
    const expected: number[] = [];
    // It is no call, so it is not expected.
    await client.set('somebody else', 'x');
    const report = await other.store.restore(
      (state) => {
        restored.push(state);
        return null;
      },
      undefined,
      (calls) => expected.push(calls),
    );
    await client.del('somebody else');
    expect(expected.at(-1)).to.equal(1);
    expect(report).to.deep.include({ found: 2, restored: 1, failures: [] });
    expect(restored).to.deep.equal([{ ...call(callId), redisHostedDb: 3 }]);

    expect(await other.store.remove(callId)).to.equal('committed');
    expect(await client.dbsize()).to.equal(0);
  });

  it('has written what it says at once, and waits for nothing on the spot while others wait', async () => {
    const { store } = await started(redis.server(5));
    const client = redis.client(5);
    // On a busy machine the server may take longer than is waited for; the next ones are not waited for then.
    let prompt = 0;
    for (let tries = 0; tries < 20_000 && prompt < 3; tries += 1) {
      const saved = store.save(call('prompt'));
      if (saved !== committed) expect(await saved).to.equal('committed');
      else prompt += 1;
      expect(await client.exists('prompt')).to.equal(1);
      expect(store.takeWaitedSeconds()).to.be.within(0, 60);
      expect(store.takeWaitedSeconds()).to.equal(0);
      const removed = store.remove('prompt');
      if (removed !== committed) expect(await removed).to.equal('committed');
      expect(await client.exists('prompt')).to.equal(0);
    }
    expect(prompt).to.equal(3);
    const busy = await started(redis.server(6), { mayWait: () => false });
    expect(busy.store.save(call('other'))).to.not.equal(committed);
  });

  it('writes values of hundreds of kilobytes byte for byte, between others, by script as well', async () => {
    const { store } = await started(redis.server(5), { format: 'JSON', commitTimeoutMs: 20_000 });
    const sized = (size: number, ownershipEpoch: number): CallState => ({
      ...call(`sized-${size}-${ownershipEpoch}`),
      ...{ redisHostedDb: 5, ownershipEpoch, metadata: 'x\u00e9'.repeat(size / 2) },
    });
    const states = [10, 200_000, 20, 65_536].flatMap((size) => [sized(size, 0), sized(size, 3)]);
    for (let round = 0; round < 2; round += 1) {
      const outcomes = await Promise.all(states.map((state) => store.save(state)));
      expect(outcomes).to.deep.equal(states.map(() => 'committed'));
      for (const state of states) {
        const stored = await redis.client(5).getBuffer(state.callId);
        expect(stored?.equals(encodeCall(state, 'JSON', settings)), state.callId).to.equal(true);
      }
    }
  });

  const formats: readonly StoredFormat[] = ['JSON', 'bencode', 'JSON-10.5'];
  for (const format of formats) {
    it(`goes on in ${format} when the database holds that`, async () => {
      await redis.client().set('old', encodeCall(call('old'), format, settings));
      const { store } = await started(redis.server());
      await store.save(call('new'));
      const value = await redis.client().getBuffer('new');
      expect(decodeCall('new', value ?? Buffer.alloc(0), settings).format).to.equal(format);
    });
  }

  it('starts an empty database with the current JSON and writes the format that was asked for', async () => {
    const { store } = await started(redis.server());
    await store.save(call('a'));
    const value = await redis.client().getBuffer('a');
    expect(decodeCall('a', value ?? Buffer.alloc(0), settings).format).to.equal('JSON');
    const asked = await started(redis.server(), { format: 'bencode' });
    await asked.store.save(call('b'));
    expect((await redis.client().getBuffer('b'))?.[0]).to.equal('d'.charCodeAt(0));
  });

  it('leaves what it cannot read, and what is not its own, where it is', async () => {
    const client = redis.client();
    const fill = client.pipeline();
    for (let at = 0; at < 2000; at += 1) fill.set(`other:${at}`, `value ${at}`);
    fill.hset('a-hash', 'field', 'value');
    fill.set('calls', 'keep');
    fill.set('broken', recorded.subarray(0, 500));
    fill.set('good', recorded);
    fill.set('refused', recorded);
    await fill.exec();
    const { store, log } = await started(redis.server());
    const report = await store.restore((state) =>
      state.callId === 'refused' ? 'port taken' : null,
    );
    expect(report).to.deep.include({ found: 2005, restored: 1 });
    expect(report.failures).to.have.deep.members([
      { callId: 'broken', reason: 'could not parse JSON data' },
      { callId: 'refused', reason: 'port taken' },
    ]);
    expect(log.lines).to.include(
      "ERR Failed to restore call ID 'broken' from Redis: could not parse JSON data",
    );
    // Calls that this store never had are not its to remove.
    await store.remove('broken');
    await store.remove('other:1');
    await store.remove('good');
    expect(await client.dbsize()).to.equal(2004);
    expect(await client.getBuffer('broken')).to.deep.equal(recorded.subarray(0, 500));
  });

  it('hands out the calls that were in use last first', async () => {
    const fill = redis.client().pipeline();
    const used = [5, 3, 9, 1, 7];
    for (const second of used) {
      const idle = base.streams.map((stream) => ({ ...stream, lastPacketMicros: 0 }));
      const state = { ...call(`c${second}`, second * 1_000_000), streams: idle };
      fill.set(`c${second}`, encodeCall(state, 'JSON', settings));
    }
    await fill.exec();
    const { store } = await started(redis.server());
    const order: string[] = [];
    await store.restore((state) => {
      order.push(state.callId);
      return null;
    });
    expect(order).to.deep.equal(['c9', 'c7', 'c5', 'c3', 'c1']);
  });

  it('survives a call that cannot be adopted at all', async () => {
    await redis.client().mset('a', recorded, 'b', recorded);
    const { store } = await started(redis.server());
    const report = await store.restore((state) => {
      if (state.callId === 'a') throw new Error('no such interface');
      return null;
    });
    expect(report.failures).to.deep.equal([{ callId: 'a', reason: 'no such interface' }]);
    expect(report.restored).to.equal(1);
  });

  it('keeps the newest of many states saved at once', async () => {
    const { store } = await started(redis.server());
    const saves = Array.from({ length: 50 }, (_, at) =>
      store.save(call('a', (at + 1) * 1_000_000)),
    );
    expect(new Set(await Promise.all(saves))).to.deep.equal(new Set(['committed']));
    const value = await redis.client().getBuffer('a');
    const { state } = decodeCall('a', value ?? Buffer.alloc(0), settings);
    expect(state.lastSignalMicros).to.equal(50_000_000);
  });

  it('reads one database and writes another when told so', async () => {
    await redis.client(1).set('old', recorded);
    const { store } = await started(redis.server(2), { read: redis.server(1) });
    expect(store.format).to.equal('JSON-10.5');
    await store.restore(() => null);
    const client = redis.client(2);
    await until(async () => (await client.exists('old')) === 1, 'the restored call is written');
    await store.remove('old');
    expect(await client.exists('old')).to.equal(0);
    expect(await redis.client(1).exists('old')).to.equal(1);
  });

  it('renews the life time of calls that do not change', async () => {
    const { store, memory } = await started(redis.server(), { expiresSeconds: 2 });
    memory.set('a', call('a'));
    await store.save(call('a'));
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(await redis.client().exists('a')).to.equal(1);
  });

  it('does not write calls of other nodes', async () => {
    const { store, memory } = await started(redis.server(), { expiresSeconds: 1 });
    memory.set('theirs', { ...call('theirs'), ownership: 'foreign' });
    memory.set('ours', call('ours'));
    await until(async () => (await redis.client().exists('ours')) === 1, 'own call written');
    expect(await redis.client().exists('theirs')).to.equal(0);
    expect(store.healthy).to.equal(true);
  });
});

describe('the Redis store in trouble', () => {
  let redis: TestRedis;
  const stores: TestStore[] = [];
  const made = (...given: Parameters<typeof makeStore>): TestStore => {
    const one = makeStore(...given);
    stores.push(one);
    return one;
  };
  const saveAll = async (
    { store, memory }: TestStore,
    ids: readonly string[],
  ): Promise<string[]> => {
    for (const id of ids) memory.set(id, call(id));
    return Promise.all(ids.map((id) => store.save(call(id))));
  };

  beforeEach(async () => {
    redis = await startRedis();
  });
  afterEach(async () => {
    redis.signal('SIGCONT');
    await Promise.all(stores.splice(0).map(({ store }) => store.close()));
    await redis.end();
  });

  it('answers in bounded time while the server is stopped and writes memory afterwards', async () => {
    const commitTimeoutMs = 1500;
    const test = made(redis.server(), { commitTimeoutMs });
    const { store, memory, log } = test;
    await store.start();
    await saveAll(test, ['gone', 'stays']);
    redis.signal('SIGSTOP');
    expect(await saveAll(test, idsOf(20))).to.deep.equal(Array(20).fill('degraded'));
    expect(store.healthy).to.equal(false);
    expect(log.lines.filter((line) => line.includes('replies no longer wait'))).to.have.length(1);
    // Whatever the machine is busy with: what waits no longer is done before a timer is.
    let wouldHaveWaited = false;
    const timer = setTimeout(() => (wouldHaveWaited = true), commitTimeoutMs);
    memory.delete('gone');
    expect(await store.remove('gone')).to.equal('degraded');
    memory.set('stays', call('stays', 77_000_000));
    expect(await store.save(call('stays', 77_000_000))).to.equal('degraded');
    clearTimeout(timer);
    expect(wouldHaveWaited).to.equal(false);
    redis.signal('SIGCONT');
    await until(() => store.healthy, 'healthy again');
    const client = redis.client();
    expect(await client.dbsize()).to.equal(21);
    const { state } = decodeCall(
      's',
      (await client.getBuffer('stays')) ?? Buffer.alloc(0),
      settings,
    );
    expect(state.lastSignalMicros).to.equal(77_000_000);
    expect(await store.save(call('after'))).to.equal('committed');
  });

  it('gives up a connection that does not answer, and the new one writes last', async () => {
    const test = made(redis.server(), {
      commitTimeoutMs: 50,
      commandTimeoutMs: 200,
      connectTimeoutMs: 300,
    });
    const { store, memory, log } = test;
    await store.start();
    await saveAll(test, ['a']);
    redis.signal('SIGSTOP');
    await store.save(call('a', 2_000_000));
    await until(() => log.lines.some((line) => line.startsWith('CRIT Lost connection')), 'lost');
    memory.set('a', call('a', 3_000_000));
    expect(await store.save(call('a', 3_000_000))).to.equal('degraded');
    await until(() => log.lines.some((line) => line.includes('timed out')), 'retried');
    redis.signal('SIGCONT');
    await until(() => store.healthy, 'healthy again');
    const value = await redis.client().getBuffer('a');
    const { state } = decodeCall('a', value ?? Buffer.alloc(0), settings);
    expect(state.lastSignalMicros).to.equal(3_000_000);
  });

  it('writes memory to a server that was killed and came back empty', async () => {
    const test = made(redis.server());
    const { store, memory, log } = test;
    await store.start();
    await saveAll(test, idsOf(300));
    await redis.kill();
    await until(() => log.lines.some((line) => line.includes('refused')), 'noticed');
    expect(await store.save(call('new'))).to.equal('degraded');
    memory.set('new', call('new'));
    memory.delete('call-7');
    expect(await store.remove('call-7')).to.equal('degraded');
    await redis.start();
    await until(() => store.healthy, 'healthy again');
    const client = redis.client();
    expect(await client.dbsize()).to.equal(300);
    expect(await client.exists('call-7')).to.equal(0);
    const name = `127.0.0.1:${redis.port}`;
    const said = log.lines.map((line) => line.replace(/ \(.*/, ''));
    expect(said).to.include.members([
      `CRIT Lost connection to Redis ${name}`,
      `NOTICE RE-Establishing connection for Redis server ${name}`,
      `ERR Failed to connect to Redis ${name}, error: Connection refused`,
      `NOTICE RE-Established connection to Redis ${name}`,
    ]);
    for (const line of new Set(said)) {
      expect(
        said.filter((other) => other === line),
        line,
      ).to.have.length(1);
    }
  });

  it('leaves a server alone for a while after too many errors', async () => {
    const { store, log } = made(redis.server(), { allowedErrors: 1, disableTimeSeconds: 30 });
    await store.start();
    await redis.kill();
    const line = `WARNING Redis server 127.0.0.1:${redis.port} disabled for 30 seconds`;
    await until(() => log.lines.includes(line), 'disabled');
    for (const callId of idsOf(3)) expect(await store.save(call(callId))).to.equal('degraded');
    const said = log.lines.filter((each) => each.includes(' is disabled. '));
    // Once per second at most.
    expect(said).to.have.length.within(1, 2);
    expect(said[0]).to.match(
      /^WARNING Redis server 127\.0\.0\.1:\d+ is disabled\. Don't try RE-Establishing for (?:2\d|30) more seconds$/,
    );
  });

  it('writes nothing while an operator does not want it, and everything afterwards', async () => {
    await redis.start();
    const { store, memory, log } = made(redis.server());
    await store.start();
    memory.set('before', call('before'));
    expect(await store.save(call('before'))).to.equal('committed');
    expect(store.switch(true)).to.equal(false);
    expect(store.switch(false)).to.equal(true);
    expect(store.switch(false)).to.equal(false);
    memory.set('meanwhile', call('meanwhile'));
    expect(await store.save(call('meanwhile'))).to.equal('degraded');
    // Longer than it takes to connect again.
    await pause(1500);
    expect(await redis.client().keys('*')).to.deep.equal(['before']);
    expect(log.lines.join('\n')).to.not.match(/RE-Establishing|Lost connection/);
    expect(store.switch(true)).to.equal(true);
    await until(async () => (await redis.client().exists('meanwhile')) === 1, 'the other call');
  });

  it('has the kernel ask whether the server is there, on each of its connections', async function () {
    if (!isInstalled('ss')) this.skip();
    await redis.start();
    const { keepAlive } = nativeProcess();
    const results: number[] = [];
    const { store } = made(redis.server(), {
      keepAlive: (fd) => results.push(keepAlive(fd, 50, 3, 2)),
    });
    await store.start();
    expect(results).to.deep.equal([0]);
    const filter = ['dport', '=', `:${redis.port}`];
    const { stdout } = await run('ss', ['-tnoHp', 'state', 'established', ...filter]);
    const own = stdout.split('\n').filter((line) => line.includes(`pid=${process.pid},`));
    expect(own.join('\n')).to.match(/timer:\(keepalive,(?:[1-4]?\dsec|50sec)/);
  });

  it('does not start without its server', async () => {
    const nowhere = { host: '127.0.0.1', port: freeTcpPort() };
    const { store, log } = made({ locations: [nowhere], database: 0, password: null });
    const error: unknown = await store.start().catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError);
    expect(log.lines).to.include(
      `ERR Failed to connect to Redis 127.0.0.1:${nowhere.port}, error: Connection refused`,
    );
  });

  it('starts without a server that is not required and writes memory when it appears', async () => {
    await redis.kill();
    const test = made(redis.server(), { required: false });
    const { store, memory } = test;
    await store.start();
    expect((await store.restore(() => null)).found).to.equal(0);
    memory.set('a', call('a'));
    expect(await store.save(call('a'))).to.equal('degraded');
    await redis.start();
    await redis.client().set('unrelated', 'x');
    await until(() => store.healthy, 'healthy');
    expect(await redis.client().exists('a')).to.equal(1);
    expect(await redis.client().get('unrelated')).to.equal('x');
  });

  it('stays degraded while the server takes no writes, and says so once', async () => {
    const test = made(redis.server());
    const { store, log } = test;
    await store.start();
    const client = redis.client();
    await client.config('SET', 'maxmemory', '1');
    await saveAll(test, ['a']);
    expect(store.healthy).to.equal(false);
    await new Promise((resolve) => setTimeout(resolve, 1300));
    expect(store.healthy).to.equal(false);
    expect(log.lines.filter((line) => line.includes('OOM'))).to.have.length(1);
    await client.config('SET', 'maxmemory', '0');
    await until(() => store.healthy, 'healthy again');
    expect(await client.exists('a')).to.equal(1);
  });

  it('writes what is queued when it is closed', async () => {
    const test = made(redis.server());
    await test.store.start();
    void saveAll(test, idsOf(100));
    await test.store.close();
    expect(await redis.client().dbsize()).to.equal(100);
    expect(await test.store.save(call('late'))).to.equal('degraded');
  });

  it('reads a replica and writes to it when it is a master', async function () {
    const client = redis.client();
    await client.set('old', recorded);
    await client.replicaof('127.0.0.1', freeTcpPort());
    const test = made(redis.server());
    const { store, log } = test;
    await store.start();
    expect((await store.restore(() => null)).restored).to.equal(1);
    expect(store.healthy).to.equal(false);
    expect(await saveAll(test, ['a'])).to.deep.equal(['degraded']);
    await client.replicaof('NO', 'ONE');
    await until(() => store.healthy, 'healthy');
    expect(await client.exists('a')).to.equal(1);
    await client.replicaof('127.0.0.1', freeTcpPort());
    await saveAll(test, ['b']);
    expect(store.healthy).to.equal(false);
    await client.replicaof('NO', 'ONE');
    await until(() => store.healthy, 'healthy again');
    expect(await client.exists('b')).to.equal(1);
    const said = log.lines.filter((line) => line.includes('is a replica'));
    expect(said).to.have.length(2);
    // It was there all the time.
    expect(log.lines.join()).to.not.include('Lost connection');
  });

  it('restores from a master what a replica lacked, but no call that has ended meanwhile', async () => {
    const client = redis.client();
    await client.mset('old', recorded, 'ended', recorded);
    await client.replicaof('127.0.0.1', freeTcpPort());
    const { store, memory } = made(redis.server());
    await store.start();
    const adopt = (state: CallState): null => {
      memory.set(state.callId, state);
      return null;
    };
    await store.restore(adopt);
    expect([...memory.keys()].sort()).to.deep.equal(['ended', 'old']);
    memory.delete('ended');
    await store.remove('ended');
    // What its master would have sent.
    await client.config('SET', 'replica-read-only', 'no');
    await client.set('behind', recorded);
    await client.config('SET', 'replica-read-only', 'yes');
    await client.replicaof('NO', 'ONE');
    await until(() => store.healthy, 'healthy');
    expect([...memory.keys()].sort()).to.deep.equal(['behind', 'old']);
    expect((await client.keys('*')).sort()).to.deep.equal(['behind', 'old']);
  });

  it('writes memory anew to a replica that takes writes and has lost them', async () => {
    const master = await startRedis();
    try {
      const client = redis.client();
      await client.config('SET', 'replica-read-only', 'no');
      await client.replicaof('127.0.0.1', master.port);
      const test = made(redis.server());
      await test.store.start();
      expect(await saveAll(test, ['a'])).to.deep.equal(['committed']);
      await master.client().config('SET', 'repl-diskless-sync-delay', '0');
      await client.replicaof('NO', 'ONE');
      await client.replicaof('127.0.0.1', master.port);
      await until(async () => (await client.info('replication')).includes('link_status:up'), 'up');
      await until(async () => (await client.exists('a')) === 1, 'the call again');
    } finally {
      await master.end();
    }
  });
});

describe('a Redis with a password', () => {
  let redis: TestRedis;
  before(async () => {
    redis = await startRedis('s3cr@t/1');
  });
  after(() => redis?.end());

  it('is used with it and refused without', async () => {
    const { store } = makeStore(redis.server(4));
    await store.start();
    expect(await store.save(call('a'))).to.equal('committed');
    await store.close();
    expect(await redis.client(4).exists('a')).to.equal(1);
    const wrong = makeStore({ ...redis.server(4), password: 'wrong' });
    const error: unknown = await wrong.store.start().catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError);
    expect(String(error)).to.match(/WRONGPASS/);
    expect(wrong.log.lines.join()).to.not.include('s3cr@t');
  });
});
