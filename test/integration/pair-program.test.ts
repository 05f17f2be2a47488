/** What the parent of a process pair is made of: little, linked statically, and without allocations once it runs. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ElfFile } from '../../packaging/elf.js';
import { pairProgram } from '../../src/native/pair.js';
import { TemporaryFolder, TestProcess } from '../support/child-process.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const support = `${root}test/support`;
const sources = readdirSync(`${root}native/pair`).map((name) => `${root}native/pair/${name}`);
/** elf(5), p_type. */
const [dynamic, interpreter] = [2, 3];

describe('the program of the parent of a process pair', function () {
  this.timeout(120_000);
  let folder: TemporaryFolder;
  const running: TestProcess[] = [];
  before(() => (folder = new TemporaryFolder('pair-program')));
  afterEach(async () => {
    for (const each of running.splice(0)) await each.stop('SIGKILL');
  });
  after(() => folder.remove());

  it('is less than 1,000 lines of code', () => {
    const lines = sources.flatMap((path) => readFileSync(path, 'utf8').split('\n'));
    const code = lines.filter((line) => !/^\s*(\/\/.*)?$/.test(line));
    expect(code.length).to.be.within(500, 999);
  });

  it('is linked statically', () => {
    const types = new ElfFile(readFileSync(pairProgram())).segments.map(({ type }) => type);
    expect(types).to.not.include.members([dynamic]);
    expect(types).to.not.include.members([interpreter]);
  });

  it('allocates nothing from its first child on, whatever becomes of them', async () => {
    const program = folder.file('parent');
    const words = ['-std=c++20', '-O1', '-fno-exceptions', `${support}/pair-allocations.cc`];
    const built = spawnSync('g++', [
      ...[...words, ...sources.filter((path) => path.endsWith('.cc'))],
      ...['-o', program],
    ]);
    expect(built.status, String(built.stderr)).to.equal(0);
    const start = (env: Readonly<Record<string, string>> = {}): TestProcess => {
      const child = ['/usr/bin/env', 'python3', `${support}/pair-member.py`, folder.file('ended')];
      const started = new TestProcess('parent', program, ['5000', '300', ...child], { env });
      running.push(started);
      return started;
    };
    const failing = start({ ALLOCATES: 'yes' });
    await until(() => failing.log().includes('memory was allocated'), 'an allocation that is seen');

    const parent = start();
    const told = (what: string): readonly number[] =>
      [...parent.log().matchAll(new RegExp(`^${what} (\\d+)$`, 'gm'))].map(([, pid]) =>
        Number(pid),
      );
    const times = (what: string, count: number): Promise<void> =>
      until(() => told(what).length >= count, `${what}, ${count} times`).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${parent.log()}`, { cause: error });
      });
    const active = (): number => told('active').at(-1) ?? 0;
    const spare = (): number => told('spare').at(-1) ?? 0;
    await times('spare', 1);
    process.kill(active(), 'SIGKILL');
    await times('active', 2);
    await times('spare', 2);
    process.kill(spare(), 'SIGKILL');
    await times('spare', 3);
    process.kill(active(), 'SIGSTOP');
    await times('active', 3);
    await times('spare', 4);
    parent.signal('SIGHUP');
    await times('spare', 5);
    parent.signal('SIGUSR2');
    await times('handed over', 1);
    await until(() => parent.log().includes('upgrade: done'), 'the end of the upgrade');
    parent.signal('SIGTERM');
    await parent.ended();
    expect(parent.log()).to.not.include('memory was allocated');
  });
});
