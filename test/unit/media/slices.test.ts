import { expect } from 'chai';
import { inSlices, SlicedWork } from '../../../src/media/slices.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Each step takes 0.1 ms of a clock of its own. */
function work(): { readonly done: number[]; step: (item: number) => void; nowMs: () => number } {
  const done: number[] = [];
  return { done, step: (item) => void done.push(item), nowMs: () => done.length / 10 };
}

function* upTo(count: number): Generator<number> {
  for (let item = 0; item < count; item += 1) yield item;
}

describe('work in slices', () => {
  it('is done at once when it is little', () => {
    const { done, step, nowMs } = work();
    void inSlices(upTo(10), step, nowMs);
    expect(done).to.have.lengthOf(10);
  });

  it('lets others have a turn after each millisecond', async () => {
    const { done, step, nowMs } = work();
    const whole = inSlices(upTo(1000), step, nowMs);
    let before = 0;
    for (let turns = 0; done.length < 1000 && turns < 1000; turns += 1) {
      expect(done.length - before, 'in one go').to.be.at.most(10 + 4);
      before = done.length;
      await turn();
    }
    await whole;
    expect(done).to.deep.equal([...upTo(1000)]);
  });

  it('meets what comes meanwhile, and not what goes', async () => {
    const { done, step, nowMs } = work();
    const items = new Set(upTo(100));
    const whole = inSlices(items, step, nowMs);
    items.delete(99);
    items.add(1000);
    await whole;
    expect(done.slice(-2)).to.deep.equal([98, 1000]);
  });

  it('ends with what a step throws', async () => {
    const fault = new Error('no');
    let caught: unknown = null;
    await inSlices([1], () => {
      throw fault;
    }).catch((error: unknown) => (caught = error));
    expect(caught).to.equal(fault);
  });
});

describe('work that is begun every second', () => {
  it('is not begun while it goes on, and tells of the first fault alone', async () => {
    const { done, step, nowMs } = work();
    const faults: unknown[] = [];
    let rounds = 0;
    const sliced = new SlicedWork((error) => faults.push(error), nowMs);
    const begin = (): void =>
      sliced.begin(
        () => {
          rounds += 1;
          return upTo(100);
        },
        (item) => {
          step(item);
          if (item % 40 === 0) throw new Error(String(item));
        },
      );
    begin();
    begin();
    expect(rounds).to.equal(1);
    for (let turns = 0; done.length < 100 && turns < 100; turns += 1) await turn();
    expect(done, 'the others are done all the same').to.deep.equal([...upTo(100)]);
    expect(faults.map(String)).to.deep.equal(['Error: 0']);
    begin();
    expect(rounds).to.equal(2);
  });
});
