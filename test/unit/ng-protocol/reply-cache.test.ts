import { expect } from 'chai';
import { ReplyCache, requestKey } from '../../../src/ng-protocol/reply-cache.js';

const reply = (text: string): Buffer => Buffer.from(text);

describe('reply cache', () => {
  let nowMs: number;
  let cache: ReplyCache;
  beforeEach(() => {
    nowMs = 1000;
    cache = new ReplyCache({ nowMs: () => nowMs });
  });

  it('knows a reply for at least 30 s and at most 60 s', () => {
    cache.store('first', reply('w'));
    nowMs += 29_999;
    cache.store('a', reply('x'));
    nowMs += 30_000;
    expect(cache.lookup('a')?.toString()).to.equal('x');
    expect(cache.lookup('first')?.toString()).to.equal('w');
    nowMs += 1;
    expect(cache.lookup('a')).to.equal(null);
    expect(cache.lookup('first')).to.equal(null);
  });

  it('keeps what comes later when the earlier goes', () => {
    cache.store('a', reply('x'));
    nowMs += 30_000;
    cache.store('b', reply('y'));
    nowMs += 1;
    expect(cache.lookup('a')).to.equal(null);
    expect(cache.lookup('b')?.toString()).to.equal('y');
    expect(cache.size).to.equal(1);
  });

  it('forgets all after a quiet minute, asked or not', () => {
    cache.store('a', reply('x'));
    nowMs += 60_000;
    cache.expire();
    expect(cache.size).to.equal(0);
    expect(cache.lookup('a')).to.equal(null);
  });

  it('lets duplicates wait for the first, in their order, once', () => {
    const got: string[] = [];
    expect(cache.wait('a', () => got.push('never'))).to.equal(false);
    cache.begin('a');
    expect(cache.wait('a', (bytes) => got.push(`1${bytes.toString()}`))).to.equal(true);
    expect(cache.wait('a', (bytes) => got.push(`2${bytes.toString()}`))).to.equal(true);
    expect(cache.wait('b', () => got.push('never'))).to.equal(false);
    cache.store('a', reply('x'));
    expect(got).to.deep.equal(['1x', '2x']);
    expect(cache.wait('a', () => got.push('never'))).to.equal(false);
  });

  it('bounds its memory: the oldest go early', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 20_000, chunkBytes: 2000 });
    for (let i = 0; i < 1000; i += 1) {
      small.store(`c${i}`, reply(`${i}`.padEnd(100)));
      expect(small.size).to.be.lessThan(70);
    }
    for (let i = 960; i < 1000; i += 1) {
      expect(small.lookup(`c${i}`)?.toString()).to.equal(`${i}`.padEnd(100));
    }
    expect(small.lookup('c0')).to.equal(null);
  });

  it('bounds the number of short replies too', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 20_000, chunkBytes: 2000 });
    for (let i = 0; i < 1000; i += 1) small.store(`c${i}`, reply(''));
    expect(small.size).to.be.lessThan(101);
    expect(small.lookup('c999')?.length).to.equal(0);
  });

  it('takes a reply that is longer than a chunk', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 20_000, chunkBytes: 2000 });
    small.store('long', reply('x'.repeat(5000)));
    small.store('short', reply('y'));
    expect(small.lookup('long')?.length).to.equal(5000);
    expect(small.lookup('short')?.toString()).to.equal('y');
  });

  it('keeps the later of two replies to one request', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 4000, chunkBytes: 2000 });
    small.store('a', reply('1'.repeat(1000)));
    small.store('b', reply('2'.repeat(1000)));
    small.store('a', reply('3'.repeat(1500)));
    expect(small.lookup('a')?.toString()).to.equal('3'.repeat(1500));
  });

  it('has keys of one length, equal for equal bytes only', () => {
    const key = requestKey(Buffer.from('k d7:command4:pinge'));
    expect(key).to.equal(requestKey(Buffer.from('k d7:command4:pinge')));
    expect(key).to.not.equal(requestKey(Buffer.from('k d7:command4:liste')));
    expect(requestKey(Buffer.alloc(60_000)).length).to.equal(key.length);
  });
});
