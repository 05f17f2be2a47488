/** What the parent of a process pair takes for the end of a child that says nothing. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { TestProcess } from '../support/child-process.js';
import { pause, until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../build/Release/rtprelay-pair', import.meta.url));
const watchdogMs = 300;

/** A child that says `READY=1`, then `WATCHDOG=1` behind each piece of work; and prints how often. */
const child = (before: string, work: string): string => `
import os, socket, time
name = os.environ['NOTIFY_SOCKET']
channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
channel.connect('\\0' + name[1:])
channel.send(b'READY=1')
print('ready', flush=True)
${before}
def work_for(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
while True:
    ${work}
    channel.send(b'WATCHDOG=1')
    print('beat', flush=True)
`;

/** On the first processor, where it gets next to nothing as long as others want it. */
const starves = `
os.sched_setaffinity(0, {0})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))`;
const busy = `
import os, time
os.sched_setaffinity(0, {0})
end = time.time() + 30
while time.time() < end: pass`;

/** Runs only while its parent does. */
const withParent = `
    time.sleep(0.1)
    while open(f'/proc/{os.getppid()}/stat').read().split()[2] == 'T': time.sleep(0.005)
    time.sleep(0.05)`;

describe('the parent of a process pair and a child that says nothing', function () {
  this.timeout(60_000);
  const running: TestProcess[] = [];
  afterEach(async () => {
    for (const each of running.splice(0)) await each.stop('SIGKILL');
  });

  const start = (...words: readonly string[]): TestProcess => {
    const [command = '', ...rest] = words;
    const started = new TestProcess('pair', command, rest);
    running.push(started);
    return started;
  };
  const watched = async (before: string, work: string): Promise<TestProcess> => {
    const words = ['python3', '-c', child(before, work)];
    const parent = start(program, String(watchdogMs), '0', '/usr/bin/env', ...words);
    await until(() => parent.log().includes('ready'), 'the child');
    return parent;
  };
  const isKilled = (parent: TestProcess): boolean => parent.log().includes('does not answer');

  it('has one killed that sleeps', async () => {
    const parent = await watched('', 'time.sleep(60)');
    await until(() => isKilled(parent), 'its end', 20_000);
  });

  it('has one killed that turns in a circle', async () => {
    const parent = await watched('', 'work_for(60)');
    await until(() => isKilled(parent), 'its end', 20_000);
  });

  it('waits for one that gets no processor', async () => {
    start('python3', '-c', busy);
    const parent = await watched(starves, 'work_for(0.05)');
    await pause(10 * watchdogMs);
    expect(isKilled(parent)).to.equal(false);
    const beats = parent.log().match(/beat/g)?.length ?? 0;
    // It would have said it sixty times.
    expect(beats).to.be.below(10);
  });

  it('waits for one that was frozen together with itself, and wakes up later', async () => {
    const parent = await watched('', withParent);
    process.kill(parent.pid, 'SIGSTOP');
    await pause(4 * watchdogMs);
    process.kill(parent.pid, 'SIGCONT');
    const before = parent.log().length;
    await until(() => parent.log().slice(before).includes('beat'), 'another beat');
    await pause(watchdogMs);
    expect(isKilled(parent)).to.equal(false);
  });
});
