import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { collectorOfV8, MemoryTrim, youngBytes } from '../../../src/daemon/memory-trim.js';

describe('memory after a burst', () => {
  let done: string[];
  let heap: number;
  let commands: number;
  let grown: number;
  let answered: number;
  let trim: MemoryTrim;
  const seconds = (count: number, perSecond = 0, answeredPerSecond = 0): void => {
    for (let i = 0; i < count; i++)
      trim.everySecond((commands += perSecond), (answered += answeredPerSecond));
  };
  beforeEach(() => {
    done = [];
    grown = 0;
    heap = 20e6;
    commands = 0;
    answered = 0;
    trim = new MemoryTrim({
      grow: () => (grown += 1),
      collect: () => done.push('collect'),
      release: () => done.push('release'),
      releaseProgram: () => done.push('program'),
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

  it('is given back after the start of a process that stands by, but no page of the program that it will need', () => {
    trim.started(true);
    seconds(70);
    expect(done).to.include('collect');
    expect(done).not.to.include('program');
  });

  it('is given back after a takeover, from which on something else is counted', () => {
    seconds(10, 500);
    commands = 0;
    seconds(5);
    expect(done).to.deep.equal(['collect', 'release']);
  });

  it('is given back after the start, too, and once the pages of the program with it', () => {
    seconds(70, 0);
    expect(done).to.deep.equal([]);
    trim.started();
    seconds(4);
    expect(done).to.deep.equal([]);
    seconds(1);
    expect(done).to.deep.equal(['collect', 'release']);
    // Longer than V8 looks back to tell what is allocated.
    seconds(6);
    expect(done).to.have.length(2);
    seconds(1);
    expect(done.slice(2)).to.deep.equal(['collect', 'release', 'program']);
    seconds(100);
    expect(done).to.have.length(7);
    seconds(10, 500);
    seconds(100);
    expect(done.filter((each) => each === 'program')).to.have.length(1);
  });

  it('is left alone while commands come, and after a few of them', () => {
    seconds(1000, 100);
    seconds(2, 5);
    expect(done).to.deep.equal([]);
    trim = new MemoryTrim({
      grow: () => (grown += 1),
      collect: () => done.push('collect'),
      release: () => done.push('release'),
      releaseProgram: () => done.push('program'),
      heapUsed: () => heap,
    });
    commands = 0;
    seconds(9, 100);
    seconds(100);
    expect(done).to.deep.equal([]);
  });

  it('is not spared while many commands come', () => {
    seconds(10, 5000, 99);
    expect(grown).to.equal(0);
    seconds(10, 100, 100);
    expect(grown).to.equal(10);
  });

  it('has room for them, and no more than that', () => {
    const program = `
      import { getHeapSpaceStatistics } from 'node:v8';
      import { growYoungGeneration, holdYoungGeneration } from './src/daemon/memory-trim.js';
      const size = () => getHeapSpaceStatistics().find((each) => each.space_name === 'new_space').space_size;
      const sizes = [size()];
      holdYoungGeneration();
      growYoungGeneration();
      growYoungGeneration();
      sizes.push(size());
      const kept = Array.from({ length: 2e5 }, (_, at) => ({ at }));
      sizes.push(size());
      process.stdout.write(JSON.stringify({ sizes, kept: kept.length }));`;
    const text = execFileSync(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', program],
      { encoding: 'utf8' },
    );
    const { sizes } = JSON.parse(text) as { sizes: readonly number[] };
    expect(sizes[0]).to.be.below(youngBytes);
    expect(sizes.slice(1)).to.deep.equal([youngBytes, youngBytes]);
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
