/** The process pair: a daemon that dies, hangs or is upgraded, and the other one that goes on with its calls. */
import { expect } from 'chai';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import { boundUdp } from '../support/bound-ports.js';
import { TemporaryFolder } from '../support/child-process.js';
import { freeUdpRange } from '../support/free-ports.js';
import { Load, untilToldSeconds } from '../support/load.js';
import { steeringMissing } from '../support/port-modes.js';
import { audioSdp } from '../support/ng-client.js';
import { limitMs, ProcessPair } from '../support/process-pair.js';
import { startRedis } from '../support/processes.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const program = `${root}dist/bin/rtprelayd.js`;
/** A socket holds some eighty packets: at this pace, longer than a busy machine takes for anything here. */
const packetMs = 100;

/** The daemon as it is installed, which another version can take the place of. */
class Installation {
  readonly #folder = new TemporaryFolder('installed');
  readonly program: string;

  constructor() {
    const { path } = this.#folder;
    mkdirSync(`${path}/dist/bin`, { recursive: true });
    this.program = `${path}/dist/bin/rtprelayd.js`;
    for (const name of ['build', 'node_modules', 'package.json', 'dist/package.json'])
      symlinkSync(`${root}${name}`, `${path}/${name}`);
    symlinkSync(`${root}dist/bin/rtprelayd.bundle.js`, `${path}/dist/bin/rtprelayd.bundle.js`);
    copyFileSync(program, this.program);
  }

  /** Another version: this before what the program does. */
  replace(code: string): void {
    const text = readFileSync(program, 'utf8').replace(/^#!.*/, '');
    writeFileSync(`${this.program}.new`, `${code}\n${text}`);
    renameSync(`${this.program}.new`, this.program);
  }

  remove(): void {
    this.#folder.remove();
  }
}

/** Lives until it has threads that relay, and half a second longer. */
const endsWhenActive = `
  setInterval(() => {
    const { readdirSync, readFileSync } = require('node:fs');
    const names = readdirSync('/proc/self/task').map((id) => readFileSync('/proc/self/task/' + id + '/comm', 'utf8'));
    if (names.some((name) => name.startsWith('rtprelay-media'))) setTimeout(() => process.kill(process.pid, 'SIGKILL'), 500);
  }, 50).unref();`;

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('the process pair, without Redis, with steered ports', function () {
  this.timeout(300_000);
  before(function () {
    if (steeringMissing() !== null) this.skip();
  });

  it('loses nothing of 40 calls when the active process is killed, and then hands over', async () => {
    const pair = new ProcessPair(['--port-mode=steered']);
    try {
      const calls = 40;
      await pair.warm(1);
      expect(pair.log).to.match(/Media ports: steered .* as the active process has them/);
      const { ngPort } = pair;
      const portBase = freeUdpRange(calls * 4).min;
      const load = await Load.start({
        ...{ ngPort, calls, seconds: untilToldSeconds, packetMs, portBase, keepCalls: true },
      });
      const [killed] = [pair.active()];
      expect(socketsOf(killed), 'no descriptor for a call').to.be.below(calls);
      process.kill(killed, 'SIGKILL');
      await pair.serves(2);
      await pair.warm(2);
      pair.parent.signal('SIGUSR2');
      await until(() => pair.log.includes('has handed over'), 'the hand-over', limitMs);
      await pair.serves(3);
      const report = await load.reportSoon();
      expect(report).to.include({ lost: 0, duplicates: 0, strange: 0 });
      expect((await pair.ng.ask({ command: 'list', limit: 1000 }))['calls']).to.have.lengthOf(
        calls,
      );
      expect(pair.log).to.not.match(/nobody looks after it|bound from now on/);
      // New ports, and those of calls that end, are written by the process that has the calls now.
      await pair.ng.ask({ command: 'delete', 'call-id': 'load-0', 'from-tag': 'a' });
      const offer = { command: 'offer', 'call-id': 'new', 'from-tag': 'a', sdp: audioSdp(6000) };
      expect(await pair.ng.ask(offer)).to.include({ result: 'ok' });
    } finally {
      await pair.stop();
    }
  });
});

/** Descriptors of sockets. */
const socketsOf = (pid: number): number =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;

describe('the process pair, without Redis', function () {
  this.timeout(300_000);
  let pair: ProcessPair;
  beforeEach(async () => {
    pair = new ProcessPair();
    await pair.warm(1);
  });
  afterEach(() => pair.stop());

  it('loses nothing of 105 calls when the active process is killed, again and again', async () => {
    const [calls, kills] = [105, 3];
    const portBase = freeUdpRange(calls * 4).min;
    const { ngPort } = pair;
    const load = await Load.start({
      ngPort,
      calls,
      seconds: untilToldSeconds,
      packetMs,
      portBase,
      keepCalls: true,
    });
    for (let time = 1; time <= kills; time++) {
      await pair.warm(time);
      process.kill(pair.active(), 'SIGKILL');
      await pair.serves(time + 1);
    }
    const report = await load.reportSoon();
    console.log(
      `      lost ${report.lost} of ${report.sent}, longest pause ${report.longestPauseMs.max} ms`,
    );
    expect(report).to.include({ lost: 0, duplicates: 0, strange: 0 });
    const list = await pair.ng.ask({ command: 'list', limit: 1000 });
    expect(list['calls']).to.have.lengthOf(calls);
  });

  it('answers a request that is sent again as the killed process answered it', async () => {
    const { ng } = pair;
    const offer = { command: 'offer', 'call-id': 'one', 'from-tag': 'a', sdp: audioSdp(6000) };
    const cookie = ng.nextCookie();
    const first = await ng.ask(offer, { cookie });
    const gone = { command: 'delete', 'call-id': 'two', 'from-tag': 'a' };
    await ng.ask({ ...offer, 'call-id': 'two' });
    const deleting = ng.nextCookie();
    const deleted = await ng.ask(gone, { cookie: deleting });
    process.kill(pair.active(), 'SIGKILL');
    await pair.serves(2);
    expect(await ng.ask(offer, { cookie })).to.deep.equal(first);
    expect(await ng.ask(gone, { cookie: deleting })).to.deep.equal(deleted);
    expect((await ng.ask({ command: 'list' }))['calls']).to.deep.equal(['one']);
  });

  it('writes of a large call what a command has changed, and goes on from all of it', async () => {
    const { ng } = pair;
    const keys = (branch: number) => ({
      ...{ 'call-id': 'large', 'from-tag': 'a', 'via-branch': `b${branch}` },
    });
    let branches = 0;
    const branch = async (): Promise<void> => {
      const more = keys(branches++);
      const offer = { command: 'offer', ...more, sdp: audioSdp(6000) };
      expect(await ng.ask(offer)).to.include({ result: 'ok' });
      const answer = { 'to-tag': `t${branches}`, sdp: audioSdp(7000 + 2 * branches) };
      expect(await ng.ask({ command: 'answer', ...more, ...answer })).to.include({ result: 'ok' });
    };
    const written = (): number => {
      const folder = `/proc/${pair.active()}/fd`;
      const files = readdirSync(folder).map((fd) => `${folder}/${fd}`);
      const journals = files.filter((file) => readlinkSync(file).includes('rtprelay-calls'));
      return Math.max(...journals.map((file) => statSync(file).size));
    };
    const tags = async (): Promise<unknown> => {
      const reply = await ng.ask({ command: 'query', 'call-id': 'large' });
      const found = Object.entries(reply['tags'] as Record<string, { medias?: unknown[] }>);
      return found.map(([tag, { medias = [] }]) => `${tag}: ${medias.length}`).sort();
    };
    while (branches < 40) await branch();
    // Whole it has more than 2 KB a branch, and two commands write it; as soon as the spare process reads along they don't.
    await until(
      async () => {
        const before = written();
        await branch();
        const more = written() - before;
        // Less than nothing in the next file.
        return branches > 100 || (more > 0 && more < 60_000);
      },
      'small records',
      limitMs,
    );
    expect(branches, 'small records').to.be.lessThan(100);
    for (const life of [2, 3]) {
      for (let more = 0; more < 3; more++) await branch();
      const before = await tags();
      expect(before).to.have.lengthOf(branches + 1);
      process.kill(pair.active(), 'SIGKILL');
      await pair.serves(life);
      expect(await tags()).to.deep.equal(before);
      await pair.warm(life);
    }
  });

  it('has no copies of the ports of calls that were over in a moment', async () => {
    const { ng } = pair;
    const offer = { command: 'offer', 'from-tag': 'a', sdp: audioSdp(6000) };
    for (let count = 0; count < 30; count++) {
      const callId = `short-${count}`;
      expect(await ng.ask({ ...offer, 'call-id': callId })).to.include({ result: 'ok' });
      await ng.ask({ command: 'delete', 'call-id': callId, 'from-tag': 'a' });
    }
    const bound = (): readonly string[] =>
      [pair.parent.pid, ...pair.children()].flatMap((pid) => boundUdp(pid, pair.ports));
    await until(() => bound().length === 0, 'nobody has them', limitMs);
    // And none of one that stays is missing.
    await ng.ask({ ...offer, 'call-id': 'stays' });
    const there = bound();
    process.kill(pair.active(), 'SIGKILL');
    await pair.serves(2);
    expect(boundUdp(pair.active(), pair.ports)).to.deep.equal(there.slice(0, 4));
    expect((await ng.ask({ command: 'list' }))['calls']).to.deep.equal(['stays']);
  });

  it('goes on from the counters of the killed process', async () => {
    const { ng, ngPort } = pair;
    const portBase = freeUdpRange(4).min;
    const load = await Load.start({ ngPort, calls: 1, seconds: 10, portBase, keepCalls: true });
    const packets = async (): Promise<number> => {
      const { totals } = await ng.ask({ command: 'query', 'call-id': 'load-0' });
      return (totals as { RTP: { packets: number } }).RTP.packets;
    };
    await until(async () => (await packets()) > 850, 'packets', limitMs);
    process.kill(pair.active(), 'SIGKILL');
    await pair.serves(2);
    await load.reportSoon();
    // At most 150 have come since; what the killed one had written down may be some seconds old.
    await until(async () => (await packets()) > 300, 'the sum of both', limitMs);
  });

  it('has a hanging process killed, and loses nothing', async () => {
    const calls = 20;
    const { ngPort } = pair;
    const portBase = freeUdpRange(calls * 4).min;
    const load = await Load.start({
      ngPort,
      calls,
      seconds: untilToldSeconds,
      packetMs,
      portBase,
      keepCalls: true,
    });
    const hanging = pair.active();
    process.kill(hanging, 'SIGSTOP');
    await pair.serves(2);
    // It runs no more; its memory may still be given back.
    await until(() => !isThere(hanging), 'its end', limitMs);
    const report = await load.reportSoon();
    expect(report).to.include({ lost: 0, duplicates: 0, strange: 0 });
  });

  it('hands over to what is installed now, and loses nothing', async () => {
    const calls = 20;
    const { ngPort } = pair;
    const former = pair.active();
    const portBase = freeUdpRange(calls * 4).min;
    const load = await Load.start({
      ngPort,
      calls,
      seconds: untilToldSeconds,
      packetMs,
      portBase,
      keepCalls: true,
    });
    pair.parent.signal('SIGUSR2');
    await until(() => pair.log.includes('has handed over'), 'the hand-over', limitMs);
    await pair.serves(2);
    await until(() => !isThere(former), 'the end of the former', limitMs);
    const report = await load.reportSoon();
    console.log(`      longest pause ${report.longestPauseMs.max} ms`);
    expect(report).to.include({ lost: 0, duplicates: 0, strange: 0 });
    expect((await pair.ng.ask({ command: 'list' }))['calls']).to.have.lengthOf(calls);
  });

  it('keeps the calls through a loop of crashes', async () => {
    const { ng } = pair;
    const offer = { command: 'offer', 'from-tag': 'a', sdp: audioSdp(6000) };
    for (const callId of ['one', 'two', 'three']) await ng.ask({ ...offer, 'call-id': callId });
    const first = await ng.ask({ ...offer, 'call-id': 'one' });
    for (let time = 0; time < 6; time++) {
      const killed = pair.children();
      for (const pid of killed) process.kill(pid, 'SIGKILL');
      await until(() => pair.children().some((pid) => !killed.includes(pid)), 'another', limitMs);
    }
    const again = await ng.ask({ ...offer, 'call-id': 'one' }, { tries: 200, intervalMs: 300 });
    const media = (reply: typeof first): string | undefined =>
      /m=.*/.exec(String(reply['sdp']))?.[0];
    expect(media(again)).to.equal(media(first));
    expect((await ng.ask({ command: 'list' }))['calls']).to.have.members(['one', 'two', 'three']);
  });

  it('starts another spare process when that dies, and ends with 0 by SIGTERM', async () => {
    const environment = readFileSync(`/proc/${pair.active()}/environ`, 'latin1').split('\0');
    expect(environment, 'memory of many threads').to.include('MALLOC_ARENA_MAX=1');
    const [active, spare = 0] = pair.children();
    process.kill(spare, 'SIGKILL');
    await pair.warm(2);
    expect(pair.active()).to.equal(active);
    const children = pair.children();
    pair.parent.signal('SIGTERM');
    expect(await pair.parent.ended()).to.equal(0);
    for (const pid of children) expect(isThere(pid)).to.equal(false);
  });

  it('goes on alone when the parent dies', async () => {
    const { ng } = pair;
    const active = pair.active();
    const [, spare = 0] = pair.children();
    pair.parent.signal('SIGKILL');
    await until(() => !isThere(spare), 'the end of the spare process', limitMs);
    expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
    process.kill(active, 'SIGTERM');
    await until(() => !isThere(active), 'its end', limitMs);
  });
});

describe('the process pair and an upgrade that fails', function () {
  this.timeout(300_000);
  const calls = 20;
  let installation: Installation;
  let pair: ProcessPair;
  beforeEach(async () => {
    installation = new Installation();
    pair = new ProcessPair([], installation.program);
    await pair.warm(1);
  });
  afterEach(async () => {
    await pair.stop();
    installation.remove();
  });

  const talk = (): Promise<Load> => {
    const portBase = freeUdpRange(calls * 4).min;
    return Load.start({
      ...{
        ngPort: pair.ngPort,
        calls,
        seconds: untilToldSeconds,
        packetMs,
        portBase,
        keepCalls: true,
      },
    });
  };

  it('stays with the version that runs when the new one does not start', async () => {
    const active = pair.active();
    const load = await talk();
    installation.replace('process.exit(3);');
    pair.parent.signal('SIGUSR2');
    await until(() => pair.log.includes('everything stays as it is'), 'its end', limitMs);
    expect(await load.reportSoon()).to.include({ lost: 0, duplicates: 0, strange: 0 });
    expect(pair.children()).to.include(active);
    expect((await pair.ng.ask({ command: 'list' }))['calls']).to.have.lengthOf(calls);
  });

  it('goes back to the former version when the new one ends', async () => {
    const [, spare] = pair.children();
    const load = await talk();
    installation.replace(endsWhenActive);
    pair.parent.signal('SIGUSR2');
    await until(() => pair.log.includes('has handed over'), 'the hand-over', limitMs);
    await until(() => pair.active() === spare, 'the former version', limitMs);
    await pair.serves(3);
    expect(await load.reportSoon()).to.include({ lost: 0, duplicates: 0, strange: 0 });
    expect((await pair.ng.ask({ command: 'list' }))['calls']).to.have.lengthOf(calls);
  });
});

describe('the process pair, with Redis', function () {
  this.timeout(300_000);

  it('has the same calls in Redis as before, and writes and deletes them', async () => {
    const redis = await startRedis();
    const pair = new ProcessPair([`--redis=${redis.url()}`]);
    const connection = redis.connect();
    const keys = async (): Promise<string[]> => (await connection.keys('*')).sort();
    try {
      await pair.warm(1);
      const { ng } = pair;
      const offer = { command: 'offer', 'from-tag': 'a', sdp: audioSdp(6000) };
      for (const callId of ['a', 'b']) await ng.ask({ ...offer, 'call-id': callId });
      // What the killed process did not write, and what it wrote although it had ended.
      await connection.del('a');
      process.kill(pair.active(), 'SIGKILL');
      await pair.serves(2);
      await until(async () => (await keys()).join() === 'a,b', 'the key again', limitMs);
      await ng.ask({ ...offer, 'call-id': 'c' });
      await ng.ask({ command: 'delete', 'call-id': 'a', 'from-tag': 'a' });
      await until(async () => (await keys()).join() === 'b,c', 'what has changed', limitMs);
    } finally {
      connection.disconnect();
      await pair.stop();
      await redis.stop();
    }
  });
});
