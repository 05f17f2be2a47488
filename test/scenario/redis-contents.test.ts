/** A database that holds more than our calls, calls that outlive their keys, and what is written when. */
import { expect } from 'chai';
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { MediaDaemon } from '../support/daemons.js';
import { audioSdp, mediaPort, type NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { audio, buildSdp } from '../support/sdp.js';
import { pause, until } from '../support/wait.js';

/** Commands that look at or remove what is not named. */
const forbidden = /^(keys|flushdb|flushall|swapdb|randomkey)$/i;
const unrelatedKeys = 100_000;
const storedCalls = 200;

describe('the contents of Redis', function () {
  this.timeout(60_000);
  let redis: RedisProcess;
  let connection: Redis;
  let daemon: MediaDaemon | undefined;
  let ng: NgClient;
  const phones: RtpEndpoint[] = [];

  async function start(...options: readonly string[]): Promise<MediaDaemon> {
    const portRange = daemon?.ports;
    const extra = [`--redis=${redis.url()}`, ...options];
    daemon = await MediaDaemon.start('rtprelayd', {
      extra,
      mediaPorts: 1000,
      ...(portRange === undefined ? {} : { portRange }),
    });
    ng = daemon.client();
    return daemon;
  }

  async function offer(callId: string, sdp = audioSdp(6000)): Promise<number> {
    const reply = await ng.request({ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp });
    expect(reply).to.include({ result: 'ok' });
    return mediaPort(reply);
  }

  async function answer(callId: string, sdp: string): Promise<number> {
    const tags = { 'from-tag': 'a', 'to-tag': 'b' };
    const reply = await ng.request({ command: 'answer', 'call-id': callId, ...tags, sdp });
    expect(reply).to.include({ result: 'ok' });
    return mediaPort(reply);
  }

  beforeEach(async () => {
    redis = await RedisProcess.start({ settings: ['--enable-debug-command', 'yes'] });
    connection = redis.connect();
  });
  afterEach(async () => {
    for (const phone of phones.splice(0)) phone.close();
    ng.close();
    connection.disconnect();
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    await redis.stop('SIGKILL');
  });

  /** Keys of every type; their names are made by `index` alone. */
  async function fill(): Promise<readonly string[]> {
    const names: string[] = [];
    for (let start = 0; start < unrelatedKeys; start += 5000) {
      const pipeline = connection.pipeline();
      for (let index = start; index < start + 5000; index += 1) {
        const name = `other:${index}`;
        names.push(name);
        const value = `value ${index}`;
        const kinds = [
          () => pipeline.set(name, value),
          () => pipeline.set(name, `{"json":{"created":"${index}"}}`),
          () => pipeline.set(name, 'd4:json2:xxe'),
          () => pipeline.hset(name, 'field', value),
          () => pipeline.rpush(name, value, 'next'),
          () => pipeline.sadd(name, value, 'next'),
          () => pipeline.zadd(name, index, value),
          () => pipeline.xadd(name, '1-1', 'field', value),
          () => pipeline.setbit(name, index % 1000, 1),
          () => pipeline.pfadd(name, value),
        ];
        kinds[index % kinds.length]?.();
      }
      await pipeline.exec();
    }
    return names;
  }

  /** Hash of type, content and life time of the keys. */
  async function digest(names: readonly string[]): Promise<string> {
    const hash = createHash('sha256');
    for (let start = 0; start < names.length; start += 5000) {
      const batch = names.slice(start, start + 5000);
      const pipeline = connection.pipeline();
      for (const name of batch) pipeline.ttl(name);
      const contents = await connection.call('DEBUG', 'DIGEST-VALUE', ...batch);
      hash.update(JSON.stringify([contents, await pipeline.exec()]));
    }
    return hash.digest('hex');
  }

  it('that are not ours stay as they are: 100,000 keys of all types and 5 % broken calls', async () => {
    await start();
    const callIds = Array.from({ length: storedCalls }, (_, index) => `call-${index}`);
    for (const callId of callIds) await offer(callId);
    await daemon?.stop('SIGKILL');
    ng.close();
    const names = await fill();
    const broken = callIds.filter((_, index) => index % 20 === 7);
    for (const [index, callId] of broken.entries()) {
      const value = (await connection.getBuffer(callId)) ?? Buffer.alloc(0);
      const middle = Math.floor(value.length / 2);
      const garbled = Buffer.from(value).fill(0xff, middle, middle + 20);
      const cut = value.subarray(0, middle);
      const emptied = Buffer.from('{"json":{}}');
      await connection.set(callId, [cut, garbled, emptied][index % 3] ?? cut, 'EX', 5000);
    }
    const untouched = [...names, ...broken];
    const contentsOf = async (): Promise<string> => {
      const values = createHash('sha256');
      for (const callId of broken) values.update((await connection.getBuffer(callId)) ?? '');
      return (await digest(names)) + values.digest('hex');
    };
    const before = await contentsOf();
    await connection.config('RESETSTAT');

    const running = await start('--redis-expires=8');
    await running.process.untilLogged('Startup complete');
    const { calls } = await ng.ask({ command: 'list', limit: 1000 });
    const restored = callIds.filter((callId) => !broken.includes(callId));
    expect((calls as string[]).sort()).to.deep.equal([...restored].sort());
    for (const callId of broken) {
      await running.process.untilLogged(`Failed to restore call ID '${callId}' from Redis`);
    }
    // A change, an end, a refresh of everything, and an orderly stop.
    await offer('call-0', audioSdp(7000));
    await offer('new');
    await ng.ask({ command: 'delete', 'call-id': 'call-1', 'from-tag': 'a', 'delete-delay': 0 });
    await pause(4500);
    const commands = [...(await connection.info('commandstats')).matchAll(/^cmdstat_([^:|]+)/gm)];
    await running.stop();
    // call-1 has ended, another one is new.
    expect(await connection.dbsize()).to.equal(untouched.length + restored.length);
    const used = commands.map(([, name]) => name ?? '');
    expect(used).to.include.members(['scan', 'mget', 'set', 'del']);
    expect(used.filter((name) => forbidden.test(name))).to.deep.equal([]);
    expect(await contentsOf()).to.equal(before);
    expect(await connection.exists('call-1')).to.equal(0);
  });

  it('outlive redis-expires as long as the call does, and no longer', async () => {
    await start('--redis-expires=2');
    await offer('living');
    for (let look = 0; look < 12; look += 1) {
      await pause(400);
      expect(await connection.ttl('living'), `look ${look}`).to.be.within(0, 2);
      expect(await connection.exists('living')).to.equal(1);
    }
    await daemon?.stop('SIGKILL');
    await until(async () => (await connection.exists('living')) === 0, 'the end of the key');
  });

  it('follow a learned endpoint and a re-INVITE', async () => {
    await start();
    const [told, real, other] = await Promise.all([1, 2, 3].map(() => RtpEndpoint.open()));
    if (told === undefined || real === undefined || other === undefined) throw new Error('none');
    phones.push(told, real, other);
    const forB = await offer('call', audioSdp(told.port));
    const forA = await answer('call', audioSdp(other.port));
    const stored = async (): Promise<string> => (await connection.get('call')) ?? '';
    expect(await stored()).to.not.include(`127.0.0.1:${real.port}`);
    // The phone sends from another port than it said.
    await until(async () => {
      real.send(forA);
      other.send(forB);
      await pause(20);
      return (await stored()).includes(`127.0.0.1:${real.port}`);
    }, 'the learned endpoint in Redis');
    const moved = await RtpEndpoint.open();
    phones.push(moved);
    await offer('call', audioSdp(moved.port));
    await answer('call', audioSdp(other.port));
    expect(await stored()).to.include(`127.0.0.1:${moved.port}`);
  });

  for (const format of ['JSON', 'bencode', 'JSON-10.5', 'JSON-12.5']) {
    it(`keep what is blocked and silenced through a kill -9 (${format})`, async () => {
      await start(`--redis-format=${format}`);
      const [a, b] = await Promise.all([1, 2].map(() => RtpEndpoint.open()));
      if (a === undefined || b === undefined) throw new Error('none');
      phones.push(a, b);
      const talk = (port: number): string =>
        buildSdp({ address: '127.0.0.1', media: [audio(port)] });
      const forB = await offer('call', talk(a.port));
      const forA = await answer('call', talk(b.port));
      for (const [command, keys] of [
        ['block media', { 'from-tag': 'a' }],
        ['silence media', { 'from-tag': 'b' }],
        ['block DTMF', {}],
      ] as const) {
        const reply = await ng.request({ command, 'call-id': 'call', ...keys });
        expect(reply).to.deep.equal({ result: 'ok' });
      }
      ng.close();
      await daemon?.stop('SIGKILL');
      await start(`--redis-format=${format}`);
      // Answered once the call is back.
      expect(await ng.request({ command: 'query', 'call-id': 'call' })).to.include({ result: 'ok' });
      for (const payloadType of [0, 101]) {
        a.sendNext({ address: '127.0.0.1', port: forA }, { payloadType });
        b.sendNext({ address: '127.0.0.1', port: forB }, { payloadType });
        await pause(5);
      }
      await Promise.all([a.settled(), b.settled()]);
      expect(b.packets()).to.deep.equal([]);
      expect(a.packets().map(({ payloadType }) => payloadType)).to.deep.equal([0]);
      expect(a.packets()[0]?.payload.every((octet) => octet === 0xff)).to.equal(true);
      for (const command of ['unblock media', 'unblock DTMF', 'unsilence media']) {
        await ng.request({ command, 'call-id': 'call', flags: ['all'] });
      }
      a.sendNext({ address: '127.0.0.1', port: forA }, { payloadType: 101 });
      b.sendNext({ address: '127.0.0.1', port: forB });
      await until(() => b.received === 1 && a.received === 2, 'both to be heard');
      expect(a.packets()[1]?.payload.every((octet) => octet === 0xff)).to.equal(false);
    });
  }
});
