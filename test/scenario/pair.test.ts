/** The process pair: a daemon that dies, hangs or is upgraded, and the other one that goes on with its calls. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TestProcess } from '../support/child-process.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { Load } from '../support/load.js';
import { audioSdp, NgClient } from '../support/ng-client.js';
import { startRedis } from '../support/processes.js';
import { until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayd.js', import.meta.url));
/** kBatchSize of native/core/packet_io.h: what a thread may have in its hands. */
const roundPackets = 16;
/** A socket holds some eighty packets: at this pace, longer than a busy machine takes for anything here. */
const packetMs = 100;
const limitMs = 60_000;

/** A parent with its two daemons. */
class Pair {
  readonly ngPort = freeUdpPort();
  readonly ng = new NgClient(this.ngPort);
  readonly #process: TestProcess;

  constructor(options: readonly string[] = []) {
    const { min, max } = freeUdpRange(500);
    this.#process = new TestProcess('pair', process.execPath, [
      ...[program, '--config-file=none', '-f', '-E', '--pair=yes', '--interface=127.0.0.1'],
      ...[`--listen-ng=127.0.0.1:${this.ngPort}`, `--port-min=${min}`, `--port-max=${max}`],
      ...['--delete-delay=0', '--log-level=6', ...options],
    ]);
  }

  get log(): string {
    return this.#process.log();
  }

  get parent(): TestProcess {
    return this.#process;
  }

  /** The active one is the first that was started. */
  children(): readonly number[] {
    const { pid } = this.#process;
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text.split(' ').flatMap((word) => (word === '' ? [] : [Number(word)]));
  }

  active(): number {
    const [, told] = [...this.log.matchAll(/process (\d+) is the active one now/g)].at(-1) ?? [];
    return told === undefined ? (this.children()[0] ?? 0) : Number(told);
  }

  count(text: RegExp): number {
    return [...this.log.matchAll(text)].length;
  }

  /** A spare process has come as far as the active one for the `times`th time. */
  async warm(times: number): Promise<void> {
    try {
      await until(
        () => this.count(/Standing by for the active process/g) >= times,
        'warm',
        limitMs,
      );
    } catch (error) {
      throw new Error(`${String(error)}\n${this.log}`, { cause: error });
    }
  }

  async serves(times: number): Promise<void> {
    await until(() => this.count(/Startup complete/g) >= times, 'serving', limitMs);
  }

  async stop(): Promise<void> {
    this.ng.close();
    const children = this.#process.running ? this.children() : [];
    await this.#process.stop();
    for (const pid of children) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended with the parent.
      }
    }
  }
}

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('the process pair, without Redis', function () {
  this.timeout(180_000);
  let pair: Pair;
  beforeEach(async () => {
    pair = new Pair();
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
      seconds: 9,
      packetMs,
      portBase,
      keepCalls: true,
    });
    for (let time = 1; time <= kills; time++) {
      await pair.warm(time);
      process.kill(pair.active(), 'SIGKILL');
      await pair.serves(time + 1);
    }
    const report = await load.report();
    console.log(
      `      lost ${report.lost} of ${report.sent}, longest pause ${report.longestPauseMs.max} ms`,
    );
    expect(report).to.include({ duplicates: 0, strange: 0 });
    expect(report.lost).to.be.at.most(kills * roundPackets);
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
    await load.report();
    await until(async () => (await packets()) > 850, 'the sum of both', 5000);
  });

  it('has a hanging process killed, and loses nothing', async () => {
    const calls = 20;
    const { ngPort } = pair;
    const portBase = freeUdpRange(calls * 4).min;
    const load = await Load.start({
      ngPort,
      calls,
      seconds: 4,
      packetMs,
      portBase,
      keepCalls: true,
    });
    const hanging = pair.active();
    process.kill(hanging, 'SIGSTOP');
    await pair.serves(2);
    expect(isThere(hanging)).to.equal(false);
    const report = await load.report();
    expect(report).to.include({ duplicates: 0, strange: 0 });
    expect(report.lost).to.be.at.most(roundPackets);
  });

  it('hands over to what is installed now, and loses nothing', async () => {
    const calls = 20;
    const { ngPort } = pair;
    const former = pair.active();
    const portBase = freeUdpRange(calls * 4).min;
    const load = await Load.start({
      ngPort,
      calls,
      seconds: 8,
      packetMs,
      portBase,
      keepCalls: true,
    });
    pair.parent.signal('SIGUSR2');
    await until(() => pair.log.includes('has handed over'), 'the hand-over', limitMs);
    await pair.serves(2);
    await until(() => !isThere(former), 'the end of the former', limitMs);
    const report = await load.report();
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

describe('the process pair, with Redis', function () {
  this.timeout(180_000);

  it('has the same calls in Redis as before, and writes and deletes them', async () => {
    const redis = await startRedis();
    const pair = new Pair([`--redis=${redis.url()}`]);
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
