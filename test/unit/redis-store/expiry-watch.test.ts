import { expect } from 'chai';
import { ExpiryWatch } from '../../../src/redis-store/expiry-watch.js';

describe('the watch on expiring keys', () => {
  const leftMs = new Map<string, number>();
  const watch = async (...callIds: readonly string[]): Promise<ExpiryWatch> => {
    const expiry = new ExpiryWatch((_command, key) =>
      Promise.resolve(leftMs.get(String(key)) ?? -2),
    );
    await expiry.learn(callIds);
    return expiry;
  };

  it('tells a key that expires from one that is deleted by the time that it had left', async () => {
    leftMs.set('fresh', 86_400_000).set('due', 10).set('endless', -1);
    const expiry = await watch('fresh', 'due', 'endless', 'gone');
    expect(expiry.mayHaveExpired('fresh')).to.equal(false);
    for (const callId of ['due', 'endless', 'gone', 'unknown'])
      expect(expiry.mayHaveExpired(callId), callId).to.equal(true);
  });

  it('allows for clocks that differ, by a minute or a quarter of the life time', async () => {
    leftMs.set('long', 86_400_000).set('a', 59_000).set('b', 61_000);
    const long = await watch('long', 'a', 'b');
    expect([long.mayHaveExpired('a'), long.mayHaveExpired('b')]).to.deep.equal([true, false]);
    leftMs.set('short', 8000).set('c', 1000).set('d', 4000);
    const short = await watch('short', 'c', 'd');
    expect([short.mayHaveExpired('c'), short.mayHaveExpired('d')]).to.deep.equal([true, false]);
  });

  it('knows a key that was written again by its new time, and forgets what is not there', async () => {
    leftMs.set('a', 0).set('long', 86_400_000);
    const expiry = await watch('a', 'long');
    expect(expiry.mayHaveExpired('a')).to.equal(true);
    leftMs.set('a', 86_400_000);
    await expiry.learn(['a']);
    expect(expiry.mayHaveExpired('a')).to.equal(false);
    expiry.keep(new Set(['long']));
    expect([expiry.mayHaveExpired('a'), expiry.mayHaveExpired('long')]).to.deep.equal([
      true,
      false,
    ]);
  });
});
