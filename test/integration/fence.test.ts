/** Whoever has lost a call neither writes nor deletes it: Redis itself refuses. */
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { Fence, fenceKey, type Holder } from '../../src/redis-store/fence.js';
import { startRedis, type TestRedis } from './redis-store-support.js';

const key = Buffer.from('a call "1"\xff', 'latin1');
const value = (text: string): Buffer => Buffer.from(text);
const own: Holder = { epoch: 0, database: 0 };

describe('the fence', () => {
  let redis: TestRedis;
  let client: Redis;
  const warnings: string[] = [];
  const log = {
    critical: () => undefined,
    error: () => undefined,
    warning: (text: string) => warnings.push(text),
    notice: () => undefined,
    info: () => undefined,
  };
  const fenceOf = (connection: Redis): Fence =>
    new Fence((command, ...words) => connection.callBuffer(command, ...words), log);
  let fence: Fence;

  before(async () => {
    redis = await startRedis();
  });
  beforeEach(async () => {
    client = redis.client(0);
    await client.flushall();
    fence = fenceOf(client);
    warnings.length = 0;
  });
  after(() => redis?.end());

  it('lets the owner write with a life time, and delete', async () => {
    expect(await fence.set(key, value('one'), 1000, own)).to.equal(null);
    expect(await fence.set(key, value('two'), 1000, own, true)).to.equal(null);
    expect(await client.get(key)).to.equal('two');
    expect(await client.ttl(key)).to.be.within(900, 1000);
    // Lost by the server, not taken over: written again.
    await client.del(key);
    expect(await fence.set(key, value('three'), 1000, own, true)).to.equal(null);
    expect(await client.get(key)).to.equal('three');
    expect(await fence.delete(key, own)).to.equal(null);
    expect(await client.dbsize()).to.equal(0);
  });

  it('refuses a former owner, who learns who has the call', async () => {
    await fence.set(key, value('one'), 1000, own);
    const taker = { epoch: 1, database: 3 };
    expect(await fence.release(key, taker)).to.equal(null);
    expect(await client.exists(key)).to.equal(0);
    expect(await fence.set(key, value('late'), 1000, own, true)).to.deep.equal(taker);
    expect(await client.exists(key)).to.equal(0);
    await client.set(key, 'somebody');
    const once = { epoch: 1, database: 2 };
    expect(await fence.delete(key, once)).to.deep.equal(taker);
    expect(await client.get(key)).to.equal('somebody');
  });

  it('lets it take the call back with a higher epoch, and then refuses the other one', async () => {
    await fence.release(key, { epoch: 1, database: 3 });
    expect(await fence.set(key, value('back'), 1000, { epoch: 2, database: 0 })).to.equal(null);
    // The release of a takeover that was delayed until now.
    const holder = await fence.release(key, { epoch: 1, database: 3 });
    expect(holder).to.deep.equal({ epoch: 2, database: 0 });
    expect(await client.get(key)).to.equal('back');
    expect(await fence.delete(key, { epoch: 2, database: 0 })).to.equal(null);
    expect(await client.dbsize(), 'nothing is left of it').to.equal(0);
  });

  it('gives the call to the first of two that take it at the same time', async () => {
    const [first, second] = [
      { epoch: 1, database: 1 },
      { epoch: 1, database: 2 },
    ];
    const outcome = await Promise.all([fence.release(key, first), fence.release(key, second)]);
    expect(outcome).to.deep.equal([null, first]);
  });

  it('survives a server that has forgotten its scripts', async () => {
    const taken = { epoch: 1, database: 0 };
    await fence.set(key, value('one'), 1000, taken);
    await client.script('FLUSH');
    expect(await fence.set(key, value('two'), 1000, taken)).to.equal(null);
    expect(await client.get(key)).to.equal('two');
  });

  it('does without where scripts are forbidden, and says so once', async () => {
    await client.acl('SETUSER', 'plain', 'on', '>secret', '~*', '+@all', '-@scripting');
    const plain = redis.client(0).duplicate({ username: 'plain', password: 'secret' });
    const other = fenceOf(plain);
    const taken = { epoch: 1, database: 0 };
    expect(await other.set(key, value('one'), 1000, taken)).to.equal(null);
    expect(await other.set(key, value('two'), 1000, taken)).to.equal(null);
    expect(await client.get(key)).to.equal('two');
    expect(await other.delete(key, taken)).to.equal(null);
    expect(await client.exists(key)).to.equal(0);
    expect(warnings).to.have.lengthOf(1);
    plain.disconnect();
    await client.acl('DELUSER', 'plain');
  });

  it('does without where only part of a script is allowed', async () => {
    await client.acl('SETUSER', 'most', 'on', '>secret', '~*', '+@all', '-hget', '-time');
    const most = redis.client(0).duplicate({ username: 'most', password: 'secret' });
    const other = fenceOf(most);
    expect(await other.set(key, value('one'), 1000, { epoch: 1, database: 0 })).to.equal(null);
    expect(await client.get(key)).to.equal('one');
    expect(await other.release(key, { epoch: 1, database: 3 })).to.equal(null);
    expect(await client.exists(key)).to.equal(0);
    most.disconnect();
    await client.acl('DELUSER', 'most');
  });

  it('is not stopped by another value under its name', async () => {
    await client.set(fenceKey, 'not ours');
    expect(await fence.set(key, value('one'), 1000, { epoch: 1, database: 0 })).to.equal(null);
    expect(await client.get(fenceKey)).to.equal('not ours');
  });

  it('forgets entries of calls that ended long ago', async () => {
    const now = Math.floor(Date.now() / 1000);
    await client.hset(fenceKey, 'old', `1 1 ${now - 5000}`, 'new', `1 1 ${now - 10}`);
    expect(await fence.prune(1000)).to.equal(1);
    expect(await client.hkeys(fenceKey)).to.deep.equal(['new']);
  });
});
