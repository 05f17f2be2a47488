/** Sets of flags are shared by calls, and no more of them are kept than there are for a while. */
import { expect } from 'chai';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { withFlag } from '../../../src/media/call-state.js';

const names = Array.from({ length: 15 }, (_all, at) => `flag-${at}`);
const none: ReadonlySet<string> = new Set();

/** The set with the flags of the bits that are 1. */
const setOf = (bits: number): ReadonlySet<string> =>
  names.reduce(
    (flags, name, at) => (((bits >> at) & 1) === 1 ? withFlag(flags, name, true) : flags),
    none,
  );

describe('sets of flags', () => {
  it('are one for each combination, whatever the way to it', () => {
    const there = setOf(0b1011);
    expect(withFlag(setOf(0b0011), 'flag-3', true)).to.equal(there);
    expect(withFlag(setOf(0b1111), 'flag-2', false)).to.equal(there);
    expect(withFlag(there, 'flag-0', true)).to.equal(there);
    expect([...there]).to.have.members(['flag-0', 'flag-1', 'flag-3']);
  });

  it('are forgotten when somebody asks for every combination there is', function () {
    this.timeout(20_000);
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    if (typeof collect !== 'function') return this.skip();
    const heapAfter = (combinations: number): number => {
      for (let bits = 0; bits < combinations; bits += 1) setOf(bits);
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = heapAfter(1);
    const few = heapAfter(2000) - before;
    const all = heapAfter(2 ** names.length) - before;
    // Sixteen times as many combinations, of which two times as many are kept.
    expect(all / few).to.be.at.most(5);
  });
});
