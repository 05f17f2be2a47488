/**
 * Calls of many branches in Redis: a command adds what it has changed to the value, and whoever reads it, restoring or
 * following, has all of it.
 */
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import {
  MediaDaemon,
  rtpengineInstalled,
  type DaemonKind,
  type DaemonOptions,
} from '../support/daemons.js';
import { audioSdp, mediaPort, type NgClient, type Reply } from '../support/ng-client.js';
import { RedisProcess, startReplica } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { rtpengine125Command } from '../support/trixie.js';
import { until } from '../support/wait.js';

const readers: readonly (readonly [DaemonKind, string, boolean])[] = [
  ['rtprelayd', 'JSON', true],
  ['rtprelayd', 'bencode', true],
  ['rtpengine', 'JSON-10.5', rtpengineInstalled],
  ['rtpengine-12.5', 'JSON-12.5', rtpengine125Command() !== null],
];

const callId = 'forked';
/** A reply to `query` fits into a datagram of rtpengine's. */
const restoredBranches = 40;

describe('a call of many branches in Redis', function () {
  this.timeout(120_000);
  let redis: RedisProcess;
  let connection: Redis;
  const daemons: MediaDaemon[] = [];
  const clients: NgClient[] = [];
  let caller: RtpEndpoint;
  let callee: RtpEndpoint;

  beforeEach(async () => {
    redis = await RedisProcess.start({ settings: ['--notify-keyspace-events', 'KA'] });
    connection = redis.connect();
    caller = await RtpEndpoint.open();
    callee = await RtpEndpoint.open();
  });
  afterEach(async () => {
    caller.close();
    callee.close();
    for (const client of clients.splice(0)) client.close();
    for (const daemon of daemons.splice(0)) await daemon.stop('SIGKILL');
    connection.disconnect();
    await redis.stop('SIGKILL');
  });

  async function start(
    kind: DaemonKind,
    extra: readonly string[],
    more: Pick<DaemonOptions, 'portRange' | 'interfaces'> = {},
  ): Promise<[NgClient, MediaDaemon]> {
    const daemon = await MediaDaemon.start(kind, { extra, mediaPorts: 700, ...more });
    daemons.push(daemon);
    const ng = daemon.client();
    clients.push(ng);
    return [ng, daemon];
  }

  const keysOf = (number: number): Reply => ({
    ...{ 'call-id': callId, 'from-tag': 'a', 'via-branch': `b${number}` },
  });

  /** The ports that the caller and the callee are shown. */
  async function branch(ng: NgClient, number: number): Promise<readonly [number, number]> {
    const offered = await ng.ask({
      ...{ command: 'offer', ...keysOf(number) },
      sdp: audioSdp(caller.port),
    });
    const answered = await ng.ask({
      ...{ command: 'answer', ...keysOf(number), 'to-tag': `t${number}` },
      sdp: audioSdp(callee.port),
    });
    return [mediaPort(answered), mediaPort(offered)];
  }

  const stat = async (name: string): Promise<number> => {
    const info = await connection.info('all');
    return Number(new RegExp(`^${name}:(?:calls=)?(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  };

  it('costs what a command has changed, not what was written before', async () => {
    const [ng] = await start('rtprelayd', [`--redis=${redis.url()}`]);
    /** Bytes that Redis gets for one branch: the median, some commands write all of it. */
    const bytes = async (from: number, to: number): Promise<number> => {
      const each: number[] = [];
      for (let number = from; number < to; number += 1) {
        const before = await stat('total_net_input_bytes');
        await branch(ng, number);
        each.push((await stat('total_net_input_bytes')) - before);
      }
      return each.sort((a, b) => a - b)[each.length >> 1] ?? 0;
    };
    for (let number = 0; number < 30; number += 1) await branch(ng, number);
    const few = await bytes(30, 40);
    const short = await connection.strlen(callId);
    for (let number = 40; number < 130; number += 1) await branch(ng, number);
    const many = await bytes(130, 140);
    const long = await connection.strlen(callId);
    expect(long / short).to.be.greaterThan(2.5);
    // The lists of the caller name each branch.
    expect(many / few).to.be.lessThan(2);
    expect(many).to.be.lessThan(long / 5);
    // And it does not grow for ever: most of it holds.
    const value: unknown = JSON.parse((await connection.get(callId)) ?? '');
    expect(long).to.be.lessThan(1.6 * JSON.stringify(value).length);
  });

  it('is written whole where the value is another, gone, or may not be continued', async () => {
    const [ng] = await start('rtprelayd', [`--redis=${redis.url()}`]);
    for (let number = 0; number < 40; number += 1) await branch(ng, number);
    const tags = async (): Promise<number> => {
      const value: unknown = JSON.parse((await connection.get(callId)) ?? '{}');
      return Object.keys(value as object).filter((name) => /^tag-\d+$/.test(name)).length;
    };
    const extended = (): Promise<number> => stat('cmdstat_setrange');
    let made = 40;
    const next = async (): Promise<void> => {
      await branch(ng, made);
      made += 1;
      expect(await tags()).to.equal(made + 1);
    };
    await next();
    expect(await extended()).to.be.greaterThan(0);
    // As long as before, with the end of another moment.
    const value = (await connection.getBuffer(callId)) ?? Buffer.alloc(0);
    const seconds = value.lastIndexOf('"last_signal":"') + 15;
    value[seconds] = (value[seconds] ?? 0) ^ 1;
    await connection.set(callId, value);
    await next();
    await connection.set(callId, value.subarray(0, value.length - 1));
    await next();
    await connection.del(callId);
    await next();
    await connection.script('FLUSH');
    await next();
    expect(await connection.ttl(callId)).to.be.greaterThan(80_000);
    await connection.call('ACL', 'SETUSER', 'default', '-setrange');
    await next();
    await next();
    await connection.call('ACL', 'SETUSER', 'default', '+setrange', 'resetchannels');
    await next();
  });

  it('is the same on a replica', async () => {
    const replica = await startReplica(redis);
    const copy = replica.connect();
    try {
      const [ng] = await start('rtprelayd', [`--redis=${redis.url()}`]);
      for (let number = 0; number < 60; number += 1) await branch(ng, number);
      expect(await stat('cmdstat_setrange')).to.be.greaterThan(20);
      const value = await connection.get(callId);
      await until(async () => (await copy.get(callId)) === value, 'the same value');
      expect(await copy.ttl(callId)).to.be.greaterThan(80_000);
    } finally {
      copy.disconnect();
      await replica.stop('SIGKILL');
    }
  });

  for (const [reader, format, there] of readers) {
    it(`is restored by ${reader} with all its branches, and has media (${format})`, async function () {
      if (!there) this.skip();
      const [ng, own] = await start('rtprelayd', [
        ...[`--redis=${redis.url()}`, `--redis-format=${format}`],
      ]);
      let ports: readonly [number, number] = [0, 0];
      for (let number = 0; number < restoredBranches; number += 1) ports = await branch(ng, number);
      expect(await stat('cmdstat_setrange')).to.be.greaterThan(10);
      await own.stop('SIGKILL');
      const [restored, daemon] = await start(reader, [`--redis=${redis.url()}`], {
        portRange: own.ports,
      });
      expect(daemon.process.log()).to.not.match(/Failed to restore|failed to/i);
      const query = await restored.ask({ command: 'query', 'call-id': callId });
      expect(Object.keys(query['tags'] as object)).to.include.members(
        Array.from({ length: restoredBranches }, (_, number) => `t${number}`),
      );
      await until(() => {
        caller.send(ports[0]);
        callee.send(ports[1]);
        return caller.received > 0 && callee.received > 0;
      }, 'both phones to be heard');
    });

    it(`is followed by ${reader}, branch by branch (${format})`, async function () {
      if (!there) this.skip();
      const options = [`--redis=${redis.url(1)}`, '--subscribe-keyspace=0'];
      // Of another machine: its ports have the same numbers.
      const [standby] = await start(reader, options, { interfaces: ['127.0.0.2'] });
      const [ng] = await start('rtprelayd', [
        ...[`--redis=${redis.url()}`, `--redis-format=${format}`],
      ]);
      for (let number = 0; number < 45; number += 1) {
        await branch(ng, number);
        if (number < 40) continue;
        await until(async () => {
          const query = await standby.ask({ command: 'query', 'call-id': callId });
          const tags: unknown = query['tags'];
          return typeof tags === 'object' && tags !== null && `t${number}` in tags;
        }, `the standby to have branch ${number}`);
      }
      expect(await stat('cmdstat_setrange')).to.be.greaterThan(5);
    });
  }
});
