import { expect } from 'chai';
import {
  parseRedisAddress,
  type RedisAddress,
  type RedisAddressContext,
} from '../../../src/config/redis-address.js';
import { configError } from '../../support/unit/config.js';

/** Options that are not given. */
const plainRedis: Omit<RedisAddressContext, 'option'> = {
  password: null,
  tls: { ca: null, cert: null, key: null, verify: true },
  sentinel: { username: null, password: null },
  databaseOptional: false,
};

const parse = (text: string, more: Partial<RedisAddressContext> = {}): RedisAddress =>
  parseRedisAddress(text, { ...plainRedis, option: 'redis', ...more });
const at = (host: string, port: number) => ({ host, port });
const tls = { ca: '/ca.pem', cert: null, key: null, verify: true };

describe("Redis address in rtpengine's notation", () => {
  it('has host, port and database, and may have a password', () => {
    expect(parse('10.10.0.144:6379/0')).to.deep.equal({
      locations: [at('10.10.0.144', 6379)],
      database: 0,
      password: null,
    });
    expect(parse('p@ss/w@[::1]:6379/42')).to.deep.equal({
      locations: [at('::1', 6379)],
      database: 42,
      password: 'p@ss/w',
    });
  });

  it('takes a password as it is, whatever it looks like', () => {
    for (const password of ['a,b', 'a%40b', 'user:pw', 'h:1/0', ' ', "'"]) {
      expect(parse(`${password}@h:1/0`)).to.deep.equal({
        locations: [at('h', 1)],
        database: 0,
        password,
      });
    }
  });

  it('takes the password of the environment when it has none', () => {
    expect(parse('h:1/0', { password: 'env' }).password).to.equal('env');
    expect(parse('own@h:1/0', { password: 'env' }).password).to.equal('own');
  });

  it('needs the database, except where it is optional', () => {
    expect(parse('h:1', { databaseOptional: true }).database).to.equal(0);
    const bad = ['foo', '127.0.0.1:6379', 'h:1/', 'h:1/x', 'h:1/-1', 'h/0', ':1/0', 'h:x/0'];
    for (const text of [...bad, 'h:1,/0', ',h:1/0', 'h:1;i:2/0']) {
      expect(configError(() => parse(text)).message).to.equal(
        `Invalid Redis endpoint [IP:PORT/INT] '${text}' (--redis)`,
      );
    }
  });

  it('may name several servers', () => {
    expect(parse('pw@a:1,10.0.0.1:2,[::1]:3/4')).to.deep.equal({
      locations: [at('a', 1), at('10.0.0.1', 2), at('::1', 3)],
      database: 4,
      password: 'pw',
    });
  });
});

describe('Redis address as a URL', () => {
  it('has user and password, percent-encoded, and defaults for port and database', () => {
    expect(parse('redis://calls:p%40ss%2Fw@h:1/2')).to.deep.equal({
      locations: [at('h', 1)],
      database: 2,
      username: 'calls',
      password: 'p@ss/w',
    });
    expect(parse('redis://:pw@h')).to.deep.equal({
      locations: [at('h', 6379)],
      database: 0,
      password: 'pw',
    });
    expect(parse('redis://calls@[::1],h:2/1', { password: 'env' })).to.deep.equal({
      locations: [at('::1', 6379), at('h', 2)],
      database: 1,
      username: 'calls',
      password: 'env',
    });
  });

  it('asks for TLS by its scheme', () => {
    expect(parse('rediss://h:1/0', { tls }).tls).to.deep.equal(tls);
    expect(parse('redis://h:1/0', { tls }).tls).to.equal(undefined);
    expect(parse('h:1/0', { tls }).tls).to.equal(undefined);
  });

  it('names a Unix socket', () => {
    const socket = (path: string, database: number) => ({
      locations: [{ path }],
      database,
      password: null,
    });
    expect(parse('unix:/run/redis.sock')).to.deep.equal(socket('/run/redis.sock', 0));
    expect(parse('unix:/run/redis.sock/3')).to.deep.equal(socket('/run/redis.sock', 3));
    expect(parse('unix:///run/redis.sock/3')).to.deep.equal(socket('/run/redis.sock', 3));
    expect(parse('redis+unix:///run/6379?db=4')).to.deep.equal(socket('/run/6379', 4));
    expect(parse('redis+unix://u:p@/run/6379')).to.deep.equal({
      ...socket('/run/6379', 0),
      username: 'u',
      password: 'p',
    });
    expect(parse('unix:/run/redis.sock', { password: 'env' }).password).to.equal('env');
  });

  it('names a master that sentinels know', () => {
    const sentinel = { username: 'watcher', password: 'secret' };
    expect(parse('sentinel://u:p@a:1,b,[::1]:3/calls/5', { sentinel, tls })).to.deep.equal({
      locations: [at('a', 1), at('b', 26379), at('::1', 3)],
      database: 5,
      username: 'u',
      password: 'p',
      sentinel: { masterName: 'calls', ...sentinel },
    });
    expect(parse('sentinels://a/calls', { tls }).tls).to.deep.equal(tls);
  });

  it('is refused by its form, without user and password', () => {
    for (const [text, form] of [
      ['redis://geheim:geheim@h:x/0', 'redis://HOST:PORT/DB'],
      ['redis://geheim:%zz@h:1/0', 'redis://HOST:PORT/DB'],
      ['redis://geheim@h:1/0/1', 'redis://HOST:PORT/DB'],
      ['rediss://geheim@1.2.3/0', 'rediss://HOST:PORT/DB'],
      ['redis://', 'redis://HOST:PORT/DB'],
      ['unix:/', 'unix:/PATH/DB'],
      ['unix:/run/', 'unix:/PATH/DB'],
      ['redis+unix://geheim@run', 'redis+unix:///PATH?db=N'],
      ['redis+unix:///run/s?db=x', 'redis+unix:///PATH?db=N'],
      ['redis+unix:///run/s?geheim=1', 'redis+unix:///PATH?db=N'],
      ['sentinel://geheim@a:1', 'sentinel://HOST:PORT,HOST:PORT/MASTER/DB'],
      ['sentinel://a:1/my master/0', 'sentinel://HOST:PORT,HOST:PORT/MASTER/DB'],
      ['sentinels://a:1/m/x', 'sentinels://HOST:PORT,HOST:PORT/MASTER/DB'],
    ] as const) {
      const { message, option } = configError(() => parse(text));
      expect(message, text).to.include(`Invalid Redis endpoint [${form}] '`);
      expect(option).to.equal('redis');
      if (!text.includes('?geheim')) expect(message).to.not.include('geheim');
    }
  });

  it('keeps the password out of the message', () => {
    expect(configError(() => parse('geheim@nowhere')).message).to.not.include('geheim');
  });
});
