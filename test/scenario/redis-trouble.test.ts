/** Redis that hangs, dies, comes back empty or was never there: calls and commands go on. */
import { expect } from 'chai';
import type { TestProcess } from '../support/child-process.js';
import { freeTcpPort, freeUdpPort, freeUdpRange, type PortRange } from '../support/free-ports.js';
import { Load } from '../support/load.js';
import { audioSdp, NgClient } from '../support/ng-client.js';
import { startDaemon } from '../support/processes.js';
import { RedisProcess } from '../support/redis-server.js';
import { pause, until } from '../support/wait.js';

/** A reply that waits for Redis takes this long; one that does not, a few milliseconds. */
const commitTimeoutMs = 2000;
const patience = `--redis-commit-timeout=${commitTimeoutMs}`;
/** All the tries to write that an orderly stop has, with the same reserve. */
const allowedStopMs = 8000;
/** How long Redis hangs in the long test; 60 is worth a try before a release. */
const frozenSeconds = Number(process.env['REDIS_FREEZE_SECONDS'] ?? 10);

async function storedCalls(server: RedisProcess): Promise<ReadonlyMap<string, string>> {
  const connection = server.connect();
  try {
    const keys = await connection.keys('*');
    const values = keys.length === 0 ? [] : await connection.mget(keys);
    return new Map(keys.map((key, index) => [key, values[index] ?? '']));
  } finally {
    connection.disconnect();
  }
}

/** What must be the same before and after: everything but counters and times. */
function lasting(value: string | undefined): unknown {
  const volatile = /^(stats-|last_packet$|last_signal$|ps_flags$)/;
  return JSON.parse(value ?? 'null', (key, member: unknown) =>
    volatile.test(key) ? undefined : member,
  );
}

const callIds = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

describe('Redis in trouble', function () {
  this.timeout(60_000);

  let redis: RedisProcess | undefined;
  let daemon: TestProcess | undefined;
  let ng: NgClient;
  let ngPort = 0;
  let range: PortRange;
  const loads: Load[] = [];

  async function start(redisUrl: string, ...options: readonly string[]): Promise<TestProcess> {
    const ports = [`--port-min=${range.min}`, `--port-max=${range.max}`];
    daemon = await startDaemon(ngPort, [`--redis=${redisUrl}`, ...ports, ...options]);
    return daemon;
  }

  /** 15 calls that talk for `seconds`. */
  async function talk(prefix: string, seconds: number): Promise<Load> {
    const portBase = freeUdpRange(60).min;
    const load = await Load.start({
      ngPort,
      calls: 15,
      seconds,
      portBase,
      prefix,
      keepCalls: true,
    });
    loads.push(load);
    return load;
  }

  /** Sets a call up without media. @returns the slower of the two replies, in ms. */
  async function place(callId: string): Promise<number> {
    const keys = { 'call-id': callId, 'from-tag': 'a' };
    const times: number[] = [];
    for (const request of [
      { command: 'offer', ...keys, sdp: audioSdp(6000) },
      { command: 'answer', ...keys, 'to-tag': 'b', sdp: audioSdp(7000) },
    ]) {
      const start = performance.now();
      expect(await ng.ask(request, { intervalMs: 5000 })).to.include({ result: 'ok' });
      times.push(performance.now() - start);
    }
    return Math.max(...times);
  }

  async function remove(callId: string): Promise<void> {
    const keys = { 'call-id': callId, 'from-tag': 'a', 'delete-delay': 0 };
    expect(await ng.ask({ command: 'delete', ...keys })).to.include({ result: 'ok' });
  }

  async function untilStored(server: RedisProcess, expected: readonly string[]): Promise<void> {
    await until(async () => {
      const stored = await storedCalls(server);
      return stored.size === expected.length && expected.every((callId) => stored.has(callId));
    }, `exactly ${expected.length} calls in Redis`);
  }

  beforeEach(() => {
    ngPort = freeUdpPort();
    range = freeUdpRange(1200);
    ng = new NgClient(ngPort);
  });
  afterEach(async () => {
    ng.close();
    for (const load of loads.splice(0)) await load.stop();
    await daemon?.stop('SIGKILL');
    await redis?.stop('SIGKILL');
    daemon = redis = undefined;
  });

  it('frozen: replies go on within bounds; thawed, it holds the calls of the moment', async () => {
    redis = await RedisProcess.start();
    await start(redis.url(), patience);
    const load = await talk('talking', 6);
    await place('ended-meanwhile');
    redis.process.signal('SIGSTOP');
    const placed = callIds('placed', 5);
    const times: number[] = [];
    for (const callId of [...placed, 'short']) times.push(await place(callId));
    await remove('ended-meanwhile');
    await remove('short');
    console.log(`      slowest reply while Redis hung: ${Math.max(...times).toFixed(0)} ms`);
    // The first one waits, the others know.
    const waited = times.filter((ms) => ms >= commitTimeoutMs).length;
    expect(waited).to.be.at.most(times.length / 2);
    await pause(1000);
    redis.process.signal('SIGCONT');
    await untilStored(redis, [...callIds('talking', 15), ...placed]);
    expect((await load.report()).lost).to.equal(0);
  });

  it(`frozen for ${frozenSeconds} s: commands and media go on as before; then it holds memory`, async function () {
    this.timeout((frozenSeconds + 60) * 1000);
    redis = await RedisProcess.start();
    // Calls without media are to last longer than Redis hangs.
    const running = await start(redis.url(), '--timeout=3600', patience);
    const load = await talk('talking', frozenSeconds + 6);
    const times: number[] = [];
    const placeMany = async (prefix: string, milliseconds: number): Promise<readonly string[]> => {
      const ids: string[] = [];
      const end = performance.now() + milliseconds;
      for (let index = 0; performance.now() < end && index < 200; index += 1) {
        const callId = `${prefix}-${index}`;
        times.push(await place(callId));
        // Every other call ends again: not all may be there at the end.
        if (index % 2 === 0) await remove(callId);
        else ids.push(callId);
        await pause(milliseconds / 200);
      }
      return ids;
    };
    const quantile = (share: number): number => {
      times.sort((a, b) => a - b);
      return times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Infinity;
    };
    const before = await placeMany('before', 1500);
    const usual = quantile(0.99);
    redis.process.signal('SIGSTOP');
    // The one that waits in vain.
    await place('first');
    times.length = 0;
    const meanwhile = await placeMany('meanwhile', frozenSeconds * 1000);
    console.log(
      `      replies, 99th percentile: ${usual.toFixed(1)} ms before, ${quantile(0.99).toFixed(1)} ms ` +
        `while Redis hung, slowest ${quantile(1).toFixed(1)} ms`,
    );
    // A machine that stalls may delay one; if they waited, it would be all of them.
    const waited = times.filter((ms) => ms >= commitTimeoutMs).length;
    expect(waited).to.be.at.most(times.length / 5);
    redis.process.signal('SIGCONT');
    await untilStored(redis, [...callIds('talking', 15), ...before, 'first', ...meanwhile]);
    expect((await load.report()).lost).to.equal(0);
    expect(running.log().match(/replies no longer wait for it/g)).to.have.length(1);
  });

  it('killed and back empty: every call is written anew, as it was, and can be restored', async () => {
    redis = await RedisProcess.start();
    await start(redis.url());
    await (await talk('early', 1)).report();
    const before = await storedCalls(redis);
    const load = await talk('talking', 5);
    await redis.stop('SIGKILL');
    await place('placed');
    redis = await RedisProcess.start({ port: redis.port });
    const early = callIds('early', 15);
    const all = [...early, ...callIds('talking', 15), 'placed'];
    await untilStored(redis, all);
    const after = await storedCalls(redis);
    for (const callId of early)
      expect(lasting(after.get(callId))).to.deep.equal(lasting(before.get(callId)));
    expect((await load.report()).lost).to.equal(0);

    const ports = async (): Promise<readonly string[]> => {
      const replies = all.map((callId) => ng.ask({ command: 'query', 'call-id': callId }));
      return (await Promise.all(replies)).map((reply) =>
        (JSON.stringify(reply['tags']).match(/"local port":\d+/g) ?? []).join(),
      );
    };
    const used = await ports();
    await daemon?.stop('SIGKILL');
    await start(redis.url());
    expect(await ports()).to.deep.equal(used);
  });

  it('away at the start, but not required: calls are written when it comes', async () => {
    const port = freeTcpPort();
    const running = await start(`127.0.0.1:${port}/0`, '--no-redis-required');
    expect(running.log()).to.match(/without Redis/);
    const load = await talk('talking', 3);
    await place('placed');
    redis = await RedisProcess.start({ port });
    await untilStored(redis, [...callIds('talking', 15), 'placed']);
    expect((await load.report()).lost).to.equal(0);
  });

  it('frozen at the start: required, the start ends by name; else the calls are restored later', async () => {
    redis = await RedisProcess.start();
    await start(redis.url());
    await place('stored');
    await daemon?.stop('SIGKILL');
    redis.process.signal('SIGSTOP');
    let refusal = '';
    await start(redis.url()).catch((error: unknown) => (refusal = String(error)));
    expect(refusal).to.include(`Failed to connect to Redis 127.0.0.1:${redis.port}`);
    await start(redis.url(), '--no-redis-required');
    await place('placed');
    redis.process.signal('SIGCONT');
    // The calls of the former daemon are restored as soon as they can be read.
    await until(async () => {
      const { calls } = await ng.ask({ command: 'list' });
      return Array.isArray(calls) && calls.includes('stored');
    }, 'the call of the former daemon');
    await untilStored(redis, ['stored', 'placed']);
  });

  it('frozen at an orderly stop: the stop is bounded, and what was stored stays', async () => {
    redis = await RedisProcess.start();
    const running = await start(redis.url());
    await place('stored');
    redis.process.signal('SIGSTOP');
    await place('unsaved');
    const began = performance.now();
    running.signal('SIGTERM');
    expect(await running.ended(allowedStopMs)).to.equal(0);
    console.log(`      stopped in ${(performance.now() - began).toFixed(0)} ms`);
    redis.process.signal('SIGCONT');
    expect([...(await storedCalls(redis)).keys()]).to.include('stored');
  });
});
