import { expect } from 'chai';
import { EndedCalls } from '../../../../src/daemon/calls/ended-calls.js';

describe('calls that have ended lately', () => {
  it('are all those that time has ended, and so many of the others as one could ask about', () => {
    const ended = new EndedCalls();
    const wanted = (reason: 'regular' | 'timeout', fromMicros: number): number =>
      Array.from({ length: 1000 }, (_, at) => ended.wants(reason, fromMicros + at)).filter(Boolean)
        .length;
    expect(wanted('timeout', 5e6)).to.equal(1000);
    expect(wanted('regular', 5e6)).to.be.within(10, 100);
    expect(ended.wants('regular', 5.9e6)).to.equal(false);
    expect(ended.wants('regular', 6e6)).to.equal(true);
  });
});
