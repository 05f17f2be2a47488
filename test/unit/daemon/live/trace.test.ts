/** How much of the past the live page draws. */
import { expect } from 'chai';
import { minutesOf } from '../../../../web/live/trace.js';

const trace = (known: number) => ({ points: '5'.repeat(known).padStart(60, '-'), top: 10 });

describe('the span of what the live page draws', () => {
  it('is the least that holds all that is known', () => {
    expect([1, 12, 13, 24, 25, 60].map((known) => minutesOf(trace(known)))).to.deep.equal([
      ...[1, 1, 2, 2, 5, 5],
    ]);
  });

  it('is that of the longest of several, and the shortest where nothing is known', () => {
    expect(minutesOf(trace(3), trace(20), trace(0))).to.equal(2);
    expect(minutesOf(trace(0))).to.equal(1);
  });

  it('counts gaps', () => {
    expect(minutesOf({ points: `${'-'.repeat(40)}5${'-'.repeat(18)}5`, top: 10 })).to.equal(2);
  });
});
