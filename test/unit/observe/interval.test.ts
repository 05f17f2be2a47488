/** What an interval tells of the calls that live, against going through them all. */
import { expect } from 'chai';
import fc from 'fast-check';
import { IntervalStatistics } from '../../../src/observe/interval.js';

describe('IntervalStatistics', () => {
  it('adds up how long calls have lived in the interval, whenever they come and go', () => {
    const step = fc.record({
      after: fc.nat(9),
      what: fc.nat(3),
      which: fc.nat(20),
      age: fc.nat(30),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const interval = new IntervalStatistics(0);
        const calls: number[] = [];
        let [now, since, ended] = [0, 0, 0];
        for (const { after, what, which, age } of steps) {
          now += after * 1e6;
          if (what < 2) {
            // Of another node's calls some have lived for long.
            calls.push(now - age * 1e6);
            interval.callLives(now - age * 1e6, 1);
          } else if (what === 2 && calls.length > 0) {
            const [created = 0] = calls.splice(which % calls.length, 1);
            interval.callClosed((now - created) / 1e6, now);
            interval.callLives(created, -1);
            ended += Math.min(now - created, now - since);
          } else if (what === 3) {
            const living = calls.reduce((sum, each) => sum + now - Math.max(each, since), 0);
            expect(interval.take(now).callSeconds).to.be.closeTo((living + ended) / 1e6, 1e-6);
            [since, ended] = [now, 0];
          }
        }
      }),
    );
  });
});
