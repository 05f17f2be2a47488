import { expect } from 'chai';
import { collectorOfV8, MemoryTrim } from '../../../src/daemon/memory-trim.js';

describe('memory after a burst', () => {
  let done: string[];
  let heap: number;
  let commands: number;
  let trim: MemoryTrim;
  const seconds = (count: number, perSecond = 0): void => {
    for (let i = 0; i < count; i++) trim.everySecond((commands += perSecond));
  };
  beforeEach(() => {
    done = [];
    heap = 20e6;
    commands = 0;
    trim = new MemoryTrim({
      collect: () => done.push('collect'),
      release: () => done.push('release'),
      heapUsed: () => heap,
    });
  });

  it('is given back twice when it is quiet, and when the kept replies are gone', () => {
    seconds(10, 500);
    expect(done).to.deep.equal([]);
    seconds(4);
    expect(done).to.deep.equal([]);
    seconds(1);
    expect(done).to.deep.equal(['collect', 'release']);
    seconds(20);
    expect(done).to.have.length(4);
    seconds(100);
    expect(done).to.have.length(6);
    seconds(1000, 1);
    expect(done).to.have.length(6);
  });

  it('is left alone while commands come, and after a few of them', () => {
    seconds(1000, 100);
    seconds(2, 5);
    expect(done).to.deep.equal([]);
    trim = new MemoryTrim({
      collect: () => done.push('collect'),
      release: () => done.push('release'),
      heapUsed: () => heap,
    });
    commands = 0;
    seconds(9, 100);
    seconds(100);
    expect(done).to.deep.equal([]);
  });

  it('is not collected where that would take long', () => {
    heap = 400e6;
    seconds(10, 500);
    seconds(5);
    expect(done).to.deep.equal(['release']);
  });

  it("is collected by V8's own collector", () => {
    const collect = collectorOfV8();
    let garbage: number[] | null = Array.from({ length: 4e6 }, (_, at) => at / 3);
    const before = process.memoryUsage().heapUsed;
    expect(garbage.length).to.equal(4e6);
    garbage = null;
    collect();
    expect(before - process.memoryUsage().heapUsed).to.be.above(16e6);
  });
});
