import { expect } from 'chai';
import { parseListenAddress, parseRedisAddress } from '../../../src/config/addresses.js';
import { configError } from './support.js';

describe('listening address', () => {
  it('is a port, an address with a port, or a host name with a port', () => {
    expect(parseListenAddress('2223', 'listen-ng')).to.deep.equal({ host: null, port: 2223 });
    expect(parseListenAddress('10.0.0.1:22', 'listen-ng')).to.deep.equal({
      host: '10.0.0.1',
      port: 22,
    });
    expect(parseListenAddress('localhost:2223', 'listen-ng').host).to.equal('localhost');
    expect(parseListenAddress('[::1]:2223', 'listen-ng')).to.deep.equal({
      host: '::1',
      port: 2223,
    });
    expect(parseListenAddress('::1:2223', 'listen-ng')).to.deep.equal({ host: '::1', port: 2223 });
    expect(parseListenAddress(':2223', 'listen-ng').host).to.equal(null);
  });

  it('is refused in rtpengine’s words otherwise', () => {
    const bad = ['', 'abc', '0', '70000', ':70000', '10.0.0.1:', '10.0.0.1:x', '1.2.3:22'];
    for (const text of [...bad, '*:22', '[1.2.3.4]:22', '10.0.0.1:-1', 'a b:22', '1.2.3.999:22']) {
      const error = configError(() => parseListenAddress(text, 'listen-cli'));
      expect(error.message).to.equal(`Invalid IP or port '${text}' (--listen-cli)`);
      expect(error.option).to.equal('listen-cli');
    }
  });
});

describe('Redis address', () => {
  it('has host, port and database, and may have a password', () => {
    expect(parseRedisAddress('10.10.0.144:6379/0', 'redis')).to.deep.equal({
      host: '10.10.0.144',
      port: 6379,
      database: 0,
      password: null,
    });
    expect(parseRedisAddress('p@ss/w@[::1]:6379/42', 'redis')).to.deep.equal({
      host: '::1',
      port: 6379,
      database: 42,
      password: 'p@ss/w',
    });
  });

  it('takes the password of the environment when it has none', () => {
    expect(parseRedisAddress('h:1/0', 'redis', 'env').password).to.equal('env');
    expect(parseRedisAddress('own@h:1/0', 'redis', 'env').password).to.equal('own');
  });

  it('needs the database, except where it is optional', () => {
    expect(parseRedisAddress('h:1', 'redis-subscribe', null, true).database).to.equal(0);
    for (const text of [
      'foo',
      '127.0.0.1:6379',
      'h:1/',
      'h:1/x',
      'h:1/-1',
      'h/0',
      ':1/0',
      'h:x/0',
    ]) {
      expect(configError(() => parseRedisAddress(text, 'redis')).message).to.equal(
        `Invalid Redis endpoint [IP:PORT/INT] '${text}' (--redis)`,
      );
    }
  });

  it('keeps the password out of the message', () => {
    const error = configError(() => parseRedisAddress('geheim@nowhere', 'redis'));
    expect(error.message).to.not.include('geheim');
  });
});
