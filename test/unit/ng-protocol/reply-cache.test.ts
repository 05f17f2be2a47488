import { expect } from 'chai';
import type { NgMessage } from '../../../src/ng-protocol/message.js';
import { ReplyCache } from '../../../src/ng-protocol/reply-cache.js';

const reply = (text: string): Buffer => Buffer.from(text);
const request = (cookie: string, body = 'd7:command4:pinge'): NgMessage => ({
  cookie,
  body: Buffer.from(body),
});

function expire(cache: ReplyCache): void {
  for (const _step of cache.expiring());
}

describe('reply cache', () => {
  let nowMs: number;
  let cache: ReplyCache;
  beforeEach(() => {
    nowMs = 1000;
    cache = new ReplyCache({ nowMs: () => nowMs });
  });

  it('knows a reply for at least 30 s and at most 60 s', () => {
    cache.store(request('first'), reply('w'));
    nowMs += 29_999;
    cache.store(request('a'), reply('x'));
    nowMs += 30_000;
    expect(cache.lookup(request('a'))?.toString()).to.equal('x');
    expect(cache.lookup(request('first'))?.toString()).to.equal('w');
    nowMs += 1;
    expect(cache.lookup(request('a'))).to.equal(null);
    expect(cache.lookup(request('first'))).to.equal(null);
  });

  it('keeps what comes later when the earlier goes', () => {
    cache.store(request('a'), reply('x'));
    nowMs += 30_000;
    cache.store(request('b'), reply('y'));
    nowMs += 1;
    expect(cache.lookup(request('a'))).to.equal(null);
    expect(cache.lookup(request('b'))?.toString()).to.equal('y');
    expire(cache);
    expect(cache.size).to.equal(1);
  });

  it('forgets all after a quiet minute, asked or not', () => {
    cache.store(request('a'), reply('x'));
    nowMs += 60_000;
    expire(cache);
    expect(cache.size).to.equal(0);
    expect(cache.lookup(request('a'))).to.equal(null);
  });

  it('lets go of thousands of them a chunk at a time, whoever comes then', () => {
    const many = new ReplyCache({ nowMs: () => nowMs, chunkBytes: 20_000 });
    for (let i = 0; i < 5000; i += 1) many.store(request(`${i}`), reply('x'));
    const perChunk = 20_000 / 200;
    nowMs += 60_001;
    expect(many.lookup(request('17'))).to.equal(null);
    expect(many.size, 'asked for one').to.be.at.least(5000 - perChunk);
    many.store(request('new'), reply('y'));
    expect(many.size, 'given one').to.be.at.least(5000 - perChunk);
    let before = many.size;
    for (const _step of many.expiring()) {
      expect(before - many.size).to.be.at.most(perChunk);
      before = many.size;
    }
    expect(many.size).to.equal(1);
    expect(many.lookup(request('new'))?.toString()).to.equal('y');
  });

  it('lets duplicates wait for the first, in their order, once', () => {
    const got: string[] = [];
    expect(cache.wait(request('a'), () => got.push('never'))).to.equal(false);
    cache.begin(request('a'));
    expect(cache.wait(request('a'), (bytes) => got.push(`1${bytes.toString()}`))).to.equal(true);
    expect(cache.wait(request('a'), (bytes) => got.push(`2${bytes.toString()}`))).to.equal(true);
    expect(cache.wait(request('b'), () => got.push('never'))).to.equal(false);
    cache.store(request('a'), reply('x'));
    expect(got).to.deep.equal(['1x', '2x']);
    expect(cache.wait(request('a'), () => got.push('never'))).to.equal(false);
  });

  it('bounds its memory: the oldest go early', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 20_000, chunkBytes: 2000 });
    for (let i = 0; i < 1000; i += 1) {
      small.store(request(`c${i}`), reply(`${i}`.padEnd(100)));
      expect(small.size).to.be.lessThan(70);
    }
    for (let i = 960; i < 1000; i += 1) {
      expect(small.lookup(request(`c${i}`))?.toString()).to.equal(`${i}`.padEnd(100));
    }
    expect(small.lookup(request('c0'))).to.equal(null);
  });

  it('bounds the number of short replies too', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 20_000, chunkBytes: 2000 });
    for (let i = 0; i < 1000; i += 1) small.store(request(`c${i}`), reply(''));
    expect(small.size).to.be.lessThan(101);
    expect(small.lookup(request('c999'))?.length).to.equal(0);
  });

  it('bounds those that are longer than a chunk by their bytes, and keeps none that is half of all', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 20_000, chunkBytes: 2000 });
    for (let i = 0; i < 10; i += 1) small.store(request(`c${i}`), reply('x'.repeat(3000)));
    expect(small.size).to.equal(6);
    let got = 0;
    small.begin(request('long'));
    small.wait(request('long'), ({ length }) => (got = length));
    expect(small.store(request('long'), reply('x'.repeat(12_000))).length).to.equal(12_000);
    expect([got, small.size, small.lookup(request('long'))]).to.deep.equal([12_000, 6, null]);
    expect(small.lookup(request('c9'))?.length).to.equal(3000);
  });

  it('takes a reply that is longer than a chunk', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 20_000, chunkBytes: 2000 });
    small.store(request('long'), reply('x'.repeat(5000)));
    small.store(request('short'), reply('y'));
    expect(small.lookup(request('long'))?.length).to.equal(5000);
    expect(small.lookup(request('short'))?.toString()).to.equal('y');
  });

  it('keeps the later of two replies to one request', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 4000, chunkBytes: 2000 });
    small.store(request('a'), reply('1'.repeat(1000)));
    small.store(request('b'), reply('2'.repeat(1000)));
    small.store(request('a'), reply('3'.repeat(1500)));
    expect(small.lookup(request('a'))?.toString()).to.equal('3'.repeat(1500));
  });

  it('tells requests with one cookie apart, answered or in progress, whichever goes first', () => {
    const [mine, yours] = [request('1', 'd1:ai1ee'), request('1', 'd1:ai2ee')];
    const got: string[] = [];
    cache.begin(mine);
    expect(cache.wait(yours, () => got.push('never'))).to.equal(false);
    cache.begin(yours);
    cache.wait(mine, (bytes) => got.push(`mine ${bytes.toString()}`));
    cache.wait(yours, (bytes) => got.push(`yours ${bytes.toString()}`));
    cache.store(mine, reply('x'));
    expect(cache.lookup(yours)).to.equal(null);
    nowMs += 30_000;
    cache.store(yours, reply('y'));
    expect(got).to.deep.equal(['mine x', 'yours y']);
    expect(cache.wait(yours, () => got.push('never'))).to.equal(false);
    expect(cache.lookup(mine)?.toString()).to.equal('x');
    expect(cache.lookup(yours)?.toString()).to.equal('y');
    nowMs += 1;
    expect(cache.lookup(mine)).to.equal(null);
    expect(cache.lookup(yours)?.toString()).to.equal('y');
    expire(cache);
    expect(cache.size).to.equal(1);
  });

  it('bounds the requests of one cookie that are in progress', () => {
    const got: number[] = [];
    for (let i = 0; i < 1000; i += 1) cache.begin(request('1', `d1:ai${i}ee`));
    for (const i of [15, 16, 999]) cache.wait(request('1', `d1:ai${i}ee`), () => got.push(i));
    for (let i = 0; i < 1000; i += 1) cache.store(request('1', `d1:ai${i}ee`), reply(''));
    expect(got).to.deep.equal([15]);
    expect(cache.wait(request('1', 'd1:ai0ee'), () => got.push(0))).to.equal(false);
  });

  it('lets go of one cookie used again and again', () => {
    const small = new ReplyCache({ nowMs: () => nowMs, maxBytes: 20_000, chunkBytes: 2000 });
    for (let i = 0; i < 1000; i += 1) small.store(request('1', `d1:ai${i}ee`), reply(`${i}`));
    expect(small.size).to.be.lessThan(101);
    expect(small.lookup(request('1', 'd1:ai999ee'))?.toString()).to.equal('999');
    expect(small.lookup(request('1', 'd1:ai984ee'))?.toString()).to.equal('984');
    expect(small.lookup(request('1', 'd1:ai983ee'))).to.equal(null);
    expect(small.lookup(request('1', 'd1:ai1ee'))).to.equal(null);
    nowMs += 60_001;
    expire(small);
    expect(small.size).to.equal(0);
    expect(small.lookup(request('1', 'd1:ai999ee'))).to.equal(null);
  });
});
