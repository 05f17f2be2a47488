/** bench/chaos: what counts as a stream that was not heard, and how far a busy machine excuses it. */
import { expect } from 'chai';
import { heard } from '../../../bench/chaos/heard.js';
import { slownessOf } from '../../../bench/chaos/yardstick.js';

const second = 1_000_000;
const endMicros = 30 * second;
const boundMs = 6000;
const quiet = (): number => 1;

/** Heard each 20 ms but between these moments, s. */
function stream(from: number, to: number): { readonly arrived: Int32Array } {
  const arrived = Int32Array.from({ length: 1500 }, (_, packet) => {
    const moment = packet * 20_000;
    return moment > from * second && moment < to * second ? -1 : moment;
  });
  return { arrived };
}

const problemsOf = (...[streams, slowness]: [Parameters<typeof heard>[0], () => number]) =>
  heard(streams, boundMs, endMicros, slowness)[1];

describe('bench/chaos: streams that were heard', () => {
  it('are without fault where pauses are within the bound', () => {
    const [longest, problems] = heard([stream(5, 10), stream(9, 9)], boundMs, endMicros, quiet);
    expect(problems).to.deep.equal([]);
    expect(longest).to.be.within(5000, 5040);
  });

  it('are not where a pause is longer, on a quiet machine', () => {
    expect(problemsOf([stream(0, 0), stream(5, 12)], quiet)).to.deep.equal([
      'load-0, b: not heard for 7000 ms from 5.00 s on',
    ]);
  });

  it('may pause longer where the machine was slower, by as much', () => {
    expect(problemsOf([stream(5, 12)], () => 2)).to.deep.equal([]);
    expect(problemsOf([stream(5, 18)], () => 2)).to.have.lengthOf(1);
  });

  it('are not where they are silent in the end', () => {
    expect(problemsOf([stream(28, 31)], quiet)).to.deep.equal(['load-0, a: silent in the end']);
    expect(problemsOf([stream(28, 31)], () => 1.5)).to.have.lengthOf(1);
    expect(problemsOf([stream(28.8, 31)], () => 1.5)).to.deep.equal([]);
  });

  it('are measured by the slowest work around the pause, and by ten times at most', () => {
    const samples = [
      { from: 0, to: 40_000, times: 7 },
      { from: 10 * second, to: 10 * second + 40_000, times: 3 },
      { from: 20 * second, to: 24 * second, times: 100 },
    ];
    expect(slownessOf(samples, 5 * second, 8 * second)).to.equal(1);
    expect(slownessOf(samples, 5 * second, 9 * second)).to.equal(3);
    expect(slownessOf(samples, 21 * second, 22 * second)).to.equal(10);
    expect(slownessOf([], 0, second)).to.equal(1);
  });
});
