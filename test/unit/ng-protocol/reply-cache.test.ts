import { expect } from 'chai';
import { ReplyCache } from '../../../src/ng-protocol/reply-cache.js';

const reply = (text: string): Buffer => Buffer.from(text);

describe('reply cache', () => {
  let nowMs: number;
  let cache: ReplyCache;
  beforeEach(() => {
    nowMs = 1000;
    cache = new ReplyCache({ nowMs: () => nowMs });
  });

  it('knows a reply for at least 30 s and at most 60 s', () => {
    nowMs += 29_999;
    cache.store('a', reply('x'));
    nowMs += 1;
    expect(cache.lookup('a')?.toString()).to.equal('x');
    nowMs += 29_999;
    expect(cache.lookup('a')?.toString()).to.equal('x');
    nowMs += 1;
    expect(cache.lookup('a')).to.equal(null);
  });

  it('forgets all after a quiet minute', () => {
    cache.store('a', reply('x'));
    nowMs += 60_000;
    expect(cache.lookup('a')).to.equal(null);
    expect(cache.size).to.equal(0);
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

  it('bounds its memory by swapping early', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytesPerGeneration: 10_000 });
    for (let i = 0; i < 1000; i += 1) small.store(`c${i}`, reply('x'.repeat(100)));
    expect(small.size).to.be.lessThan(80);
    expect(small.lookup('c999')?.length).to.equal(100);
    expect(small.lookup('c0')).to.equal(null);
  });
});
