import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { collectorOfV8, MemoryTrim, youngBytes } from '../../../src/daemon/memory-trim.js';
import { nativeProcess } from '../../../src/native/process.js';
import { costsOfTurns } from '../../support/unit/turns.js';
import { until } from '../../support/wait.js';

type GcEntry = PerformanceEntry & { readonly detail: { readonly kind: number } };

describe('memory after a burst', () => {
  let done: string[];
  let heap: number;
  let begins: boolean;
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
    begins = false;
    commands = 0;
    answered = 0;
    trim = new MemoryTrim({
      grow: () => (grown += 1),
      beginCollection: () => begins && done.push('begin') > 0,
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
    expect(done).to.deep.equal(['collect']);
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
    seconds(6);
    expect(done).to.deep.equal(['collect', 'release']);
  });

  it('is given back after the start, too, and once the pages of the program with it', () => {
    seconds(70, 0);
    expect(done).to.deep.equal([]);
    trim.started();
    seconds(4);
    expect(done).to.deep.equal(['program']);
    seconds(2);
    expect(done).to.deep.equal(['program', 'collect', 'release']);
    // Longer than V8 looks back to tell what is allocated.
    seconds(5);
    expect(done).to.have.length(3);
    seconds(2);
    expect(done.slice(3)).to.deep.equal(['collect', 'release', 'program']);
    seconds(100);
    expect(done).to.have.length(8);
    seconds(10, 500);
    seconds(100);
    expect(done.filter((each) => each === 'program')).to.have.length(2);
  });

  it('has no pages of the program that nothing has needed since the start, whatever comes then', () => {
    trim.started();
    seconds(10, 500);
    expect(done).to.deep.equal(['program']);
  });

  it('is left alone while commands come, and after a few of them', () => {
    seconds(1000, 100);
    seconds(2, 5);
    expect(done).to.deep.equal([]);
    trim = new MemoryTrim({
      grow: () => (grown += 1),
      beginCollection: () => begins && done.push('begin') > 0,
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
    seconds(6);
    expect(done).to.deep.equal(['release']);
  });

  it('is collected beside commands where V8 can, however much it is', () => {
    [heap, begins] = [400e6, true];
    seconds(10, 500);
    seconds(6);
    expect(done).to.deep.equal(['begin', 'release']);
  });

  it('is collected beside commands in turns that are short beside a collection at once', async function () {
    this.timeout(60_000);
    const kept = Array.from({ length: 400_000 }, (_, at) => ({ at, of: [at / 3, `${at}`] }));
    let collections = 0;
    const observer = new PerformanceObserver((list) => {
      for (const { detail } of list.getEntries() as GcEntry[])
        if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections += 1;
    });
    observer.observe({ entryTypes: ['gc'] });
    const collect = collectorOfV8();
    const atOnce = await costsOfTurns(async () => {
      await turn();
      collect();
      await turn();
    }, 3);
    await until(() => collections > 0, 'told of them');
    const inSteps = await costsOfTurns(async () => {
      const before = collections;
      expect(nativeProcess().beginCollection()).to.equal(true);
      while (collections === before) await turn();
    });
    observer.disconnect();
    expect(inSteps.longest).to.be.below(atOnce.longest / 3);
    expect(kept).to.have.length(400_000);
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
