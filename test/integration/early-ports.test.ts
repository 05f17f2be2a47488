/** `rtprelay-start`: the ports of a daemon that was killed are open before the next one's Node runs. */
import { expect } from 'chai';
import { chmodSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { boundUdp } from '../support/bound-ports.js';
import { TemporaryFolder, TestProcess } from '../support/child-process.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { audioSdp, mediaPort, NgClient } from '../support/ng-client.js';
import { startRedis } from '../support/processes.js';
import type { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { steeringMissing } from '../support/port-modes.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const starter = `${root}build/Release/rtprelay-start`;
/** The command waits as long as its first word names a file. */
const gated = [
  ...['sh', '-c'],
  'echo "early: ${RTPRELAY_EARLY_SOCKETS-none}"; while [ -e "$0" ]; do sleep 0.02; done; exec "$@"',
];

const heldBy = (file: string): string => `
  const { existsSync } = require('node:fs');
  console.error('preloaded: ' + (process.env.LD_PRELOAD ?? 'nothing'));
  while (existsSync(${JSON.stringify(file)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
`;

const hasEnded = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return true;
  }
};

/** A daemon that is started again and again by the same words. */
class Started {
  readonly folder = new TemporaryFolder('started');
  readonly range = freeUdpRange(100);
  readonly ngPort = freeUdpPort();
  readonly gate = this.folder.file('gate');
  /** As long as it is there, Node runs nothing of ours. */
  readonly bolt = this.folder.file('bolt');
  readonly ng = new NgClient(this.ngPort);
  process: TestProcess;
  readonly #words: readonly string[];

  /**
   * @param given descriptors that whoever starts it has open.
   * @param isGated a shell is on the way to Node, which waits at the gate.
   */
  constructor(
    options: readonly string[],
    private readonly given: readonly number[] = [],
    isGated = true,
  ) {
    const bolted = this.folder.file('bolted.cjs');
    writeFileSync(bolted, heldBy(this.bolt));
    this.#words = [
      ...(isGated ? [...gated, this.gate] : []),
      ...[process.execPath, '--require', bolted],
      `${root}dist/bin/rtprelayd.js`,
      ...['--config-file=none', '-f', '-E', '--log-level=6', '--interface=127.0.0.1'],
      ...[`--listen-ng=127.0.0.1:${this.ngPort}`, '--delete-delay=0', '--port-mode=bound'],
      ...[`--port-min=${this.range.min}`, `--port-max=${this.range.max}`, ...options],
    ];
    this.process = this.start();
  }

  start(): TestProcess {
    const env = { RTPRELAY_PORT_RECORDS: `${this.folder.path}/ports` };
    const opens = this.given.map((fd) => `exec ${fd}</dev/null; `).join('');
    const words = ['-c', `${opens}exec "$0" "$@"`, starter, ...this.#words];
    this.process = new TestProcess('daemon', 'bash', words, { env });
    return this.process;
  }

  /** All processes that it consists of. */
  family(): readonly number[] {
    const { pid } = this.process;
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return [pid, ...text.split(' ').flatMap((word) => (word === '' ? [] : [Number(word)]))];
  }

  /** SIGKILL to all of it, and the next one is held before Node, or in it. */
  async killAndStart(where = this.gate): Promise<void> {
    const all = this.family();
    writeFileSync(where, '');
    for (const pid of all) process.kill(pid, 'SIGKILL');
    await until(() => all.every(hasEnded), 'killed');
    this.start();
    // By then its ports are open, and other programs do not get the addon.
    if (where === this.bolt) await this.process.untilLogged('preloaded: nothing');
  }

  async stop(): Promise<void> {
    this.ng.close();
    for (const file of [this.gate, this.bolt]) rmSync(file, { force: true });
    await this.process.stop();
    this.folder.remove();
  }
}

/** Two phones of a call that is established. */
async function call(ng: NgClient): Promise<{ a: RtpEndpoint; b: RtpEndpoint; towardsA: number }> {
  const [a, b] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
  const common = { 'call-id': 'early', 'from-tag': 'a' };
  await ng.ask({ command: 'offer', ...common, sdp: audioSdp(a.port) });
  const answer = { command: 'answer', ...common, 'to-tag': 'b', sdp: audioSdp(b.port) };
  return { a, b, towardsA: mediaPort(await ng.ask(answer)) };
}

async function losesNothing(started: Started): Promise<void> {
  const { ng, range } = started;
  const { a, b, towardsA } = await call(ng);
  try {
    await until(() => (a.send(towardsA), b.received > 0), 'relayed before');
    await a.settled();
    const before = b.received;
    await started.killAndStart();
    const open = (): boolean => boundUdp(started.process.pid, range).length === 4;
    await until(open, 'open before Node runs');
    await a.sendRtp({ address: '127.0.0.1', port: towardsA }, 10);
    expect(b.received, 'nobody relays yet').to.equal(before);
    rmSync(started.gate);
    await until(() => b.received === before + 10, 'all of them come, late');
    await started.process.untilLogged('ports of the previous process are open again');
    await ng.ask({ command: 'delete', 'call-id': 'early', 'from-tag': 'a' });
    const closed = (): boolean =>
      started.family().every((pid) => boundUdp(pid, range).length === 0);
    await until(closed, 'ports of a call that has ended are closed');
  } finally {
    a.close();
    b.close();
  }
}

async function emptied(redis: RedisProcess): Promise<void> {
  const connection = redis.connect();
  await connection.flushall();
  connection.disconnect();
}

/** The rest of the life of a daemon that was killed: Redis does not answer until `meanwhile` is over. */
async function goesOnWithoutRedis(
  started: Started,
  redis: RedisProcess,
  meanwhile: () => Promise<void>,
): Promise<void> {
  const pid = redis.process.pid;
  process.kill(pid, 'SIGSTOP');
  try {
    await started.killAndStart();
    rmSync(started.gate);
    await started.process.untilLogged('1 calls are relayed as by the previous process');
    await meanwhile();
    expect(started.process.log()).to.not.include('Redis restore time');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await started.process.untilLogged('Redis restore time');
}

describe('calls that are relayed before they are known', function () {
  this.timeout(120_000);

  for (const mode of ['bound', 'steered'] as const) {
    it(`go on while Redis keeps silent, with what their phones have taught (${mode} ports)`, async function () {
      if (mode === 'steered' && steeringMissing() !== null) this.skip();
      const redis = await startRedis();
      const started = new Started([
        ...['--no-pair', `--redis=127.0.0.1:${redis.port}/0`, `--port-mode=${mode}`],
        ...['--redis-connect-timeout=60000', '--redis-cmd-timeout=60000'],
      ]);
      const { a, b, towardsA } = await call(started.ng);
      const moved = await RtpEndpoint.open();
      try {
        await until(() => (moved.send(towardsA), b.received > 0), 'relayed before, from elsewhere');
        await goesOnWithoutRedis(started, redis, async () => {
          const before = b.received;
          await moved.sendRtp({ address: '127.0.0.1', port: towardsA }, 10);
          await until(() => b.received >= before + 10, 'relayed before it is known');
        });
        const before = b.received;
        await moved.sendRtp({ address: '127.0.0.1', port: towardsA }, 10);
        await until(() => b.received === before + 10, 'relayed once it is known');
        const query = await started.ng.ask({ command: 'query', 'call-id': 'early' });
        const { packets } = (query as { totals: { RTP: { packets: number } } }).totals.RTP;
        expect(packets, 'counted while it was not known').to.be.at.least(20);
        await started.ng.ask({ command: 'delete', 'call-id': 'early', 'from-tag': 'a' });
        await started.killAndStart();
        rmSync(started.gate);
        await started.process.untilLogged('Startup complete');
        expect(started.process.log()).to.not.include('are relayed as by the previous process');
      } finally {
        for (const phone of [a, b, moved]) phone.close();
        await started.stop();
        await redis.stop();
      }
    });
  }

  it('end where Redis does not have them', async () => {
    const redis = await startRedis();
    const started = new Started(['--no-pair', `--redis=127.0.0.1:${redis.port}/0`]);
    const { a, b } = await call(started.ng);
    try {
      await started.killAndStart();
      await emptied(redis);
      rmSync(started.gate);
      await started.process.untilLogged('1 calls are relayed as by the previous process');
      await started.process.untilLogged('Ended 1 calls of the previous process');
      const closed = (): boolean => boundUdp(started.process.pid, started.range).length === 0;
      await until(closed, 'its ports are closed');
    } finally {
      for (const phone of [a, b]) phone.close();
      await started.stop();
      await redis.stop();
    }
  });
});

/** A call of a daemon alone with Redis, whose first phone has moved. */
class Settled {
  private constructor(
    readonly redis: RedisProcess,
    readonly started: Started,
    readonly phones: Awaited<ReturnType<typeof call>>,
    readonly moved: RtpEndpoint,
  ) {}

  static async start(...options: readonly string[]): Promise<Settled> {
    const redis = await startRedis();
    const words = ['--no-pair', `--redis=127.0.0.1:${redis.port}/0`, ...options];
    const started = new Started(words, [], false);
    const phones = await call(started.ng);
    const settled = new Settled(redis, started, phones, await RtpEndpoint.open());
    const { moved } = settled;
    const heard = (): boolean => (moved.send(phones.towardsA), phones.b.received > 0);
    await until(heard, 'relayed before, from elsewhere');
    await moved.settled();
    return settled;
  }

  /** Ten packets of the phone that has moved; resolves when all of them have come. */
  async talk(): Promise<void> {
    const { b, towardsA } = this.phones;
    const before = b.received;
    await this.moved.sendRtp({ address: '127.0.0.1', port: towardsA }, 10);
    await until(() => b.received === before + 10, 'relayed');
  }

  async packets(): Promise<number> {
    const query = await this.started.ng.ask({ command: 'query', 'call-id': 'early' });
    return (query as { totals: { RTP: { packets: number } } }).totals.RTP.packets;
  }

  async stop(): Promise<void> {
    for (const phone of [this.phones.a, this.phones.b, this.moved]) phone.close();
    await this.started.stop();
    await this.redis.stop();
  }
}

describe('calls that are relayed before Node runs', function () {
  this.timeout(120_000);

  for (const mode of ['bound', 'steered'] as const) {
    it(`are the daemon’s afterwards, with what was counted (${mode} ports)`, async function () {
      if (mode === 'steered' && steeringMissing() !== null) this.skip();
      const settled = await Settled.start(`--port-mode=${mode}`);
      const { started } = settled;
      try {
        await started.killAndStart(started.bolt);
        await settled.talk();
        expect(started.process.log()).to.not.include('Media ports');
        rmSync(started.bolt);
        await started.process.untilLogged('1 calls are relayed as by the previous process');
        await started.process.untilLogged('Startup complete');
        await settled.talk();
        expect(await settled.packets(), 'counted before').to.be.at.least(20);
        await started.ng.ask({ command: 'delete', 'call-id': 'early', 'from-tag': 'a' });
        const closed = (): boolean => boundUdp(started.process.pid, started.range).length === 0;
        await until(closed, 'its ports are closed');
      } finally {
        await settled.stop();
      }
    });
  }

  it('are tried once: where that process ends too early, the next one begins without them', async () => {
    const settled = await Settled.start();
    const { started, phones } = settled;
    try {
      await started.killAndStart(started.bolt);
      await settled.talk();
      await started.killAndStart(started.bolt);
      const before = phones.b.received;
      await settled.moved.sendRtp({ address: '127.0.0.1', port: phones.towardsA }, 10);
      await settled.moved.settled();
      expect(phones.b.received, 'nobody relays yet').to.equal(before);
      rmSync(started.bolt);
      await until(() => phones.b.received === before + 10, 'all of them come, late');
      await started.process.untilLogged('Startup complete');
      await started.killAndStart(started.bolt);
      await settled.talk();
    } finally {
      await settled.stop();
    }
  });

  it('go on from Redis where the relay is configured otherwise now', async () => {
    const folder = new TemporaryFolder('configured');
    const file = folder.file('rtprelay.conf');
    const write = (threads: number): void =>
      writeFileSync(file, `[rtpengine]\nnum-threads = ${threads}\n`);
    write(1);
    const settled = await Settled.start(`--config-file=${file}`);
    const { started } = settled;
    try {
      await started.killAndStart(started.bolt);
      await settled.talk();
      write(2);
      rmSync(started.bolt);
      await started.process.untilLogged('Startup complete');
      await settled.talk();
      expect(await settled.packets()).to.be.at.least(10);
    } finally {
      await settled.stop();
      folder.remove();
    }
  });

  it('do not keep Node from ending before ours has run', async () => {
    const settled = await Settled.start();
    const { started } = settled;
    try {
      await started.killAndStart(started.bolt);
      await settled.talk();
      const ended = started.process;
      await ended.stop('SIGINT');
      expect(ended.log()).to.not.match(/terminate|abort/i);
      rmSync(started.bolt);
      started.start();
      await started.process.untilLogged('Startup complete');
      await settled.talk();
    } finally {
      await settled.stop();
    }
  });
});

describe('ports that are open before the daemon runs', function () {
  this.timeout(120_000);

  it('keep what arrives while Node starts and the calls come from Redis', async () => {
    const redis = await startRedis();
    const started = new Started(['--no-pair', `--redis=127.0.0.1:${redis.port}/0`]);
    try {
      await losesNothing(started);
    } finally {
      await started.stop();
      await redis.stop();
    }
  });

  for (const [pair, given] of [
    ['no', [64, 66, 68]],
    ['yes', [65]],
  ] as const) {
    it(`are open whatever descriptors whoever starts it has (pair: ${pair}; ${given.join(', ')})`, async () => {
      const redis = await startRedis();
      const options = [`--pair=${pair}`, `--redis=127.0.0.1:${redis.port}/0`];
      const started = new Started(options, given);
      try {
        await started.process.untilLogged('Startup complete');
        await losesNothing(started);
        for (const fd of given)
          expect(readlinkSync(`/proc/${started.process.pid}/fd/${fd}`)).to.equal('/dev/null');
      } finally {
        await started.stop();
        await redis.stop();
      }
    });
  }

  it('are the process pair’s, too, and the parent keeps none of them by itself', async () => {
    const redis = await startRedis();
    const started = new Started(['--pair=yes', `--redis=127.0.0.1:${redis.port}/0`]);
    try {
      await started.process.untilLogged('Startup complete');
      await losesNothing(started);
    } finally {
      await started.stop();
      await redis.stop();
    }
  });

  it('are kept by the parent once they are a call’s: the next process of the pair has them', async () => {
    const redis = await startRedis();
    const started = new Started(['--pair=yes', `--redis=127.0.0.1:${redis.port}/0`]);
    let phones: Awaited<ReturnType<typeof call>> | null = null;
    try {
      await started.process.untilLogged('Startup complete');
      const { a, b, towardsA } = (phones = await call(started.ng));
      await until(() => (a.send(towardsA), b.received > 0), 'relayed before');
      await a.settled();
      await started.killAndStart();
      rmSync(started.gate);
      await started.process.untilLogged('ports of the previous process are open again');
      await started.process.untilLogged('Standing by for the active process: 1 calls');
      const [, active = 0] = started.family();
      process.kill(active, 'SIGKILL');
      const before = b.received;
      await a.sendRtp({ address: '127.0.0.1', port: towardsA }, 10);
      await until(() => b.received === before + 10, 'all of them come');
    } finally {
      for (const phone of [phones?.a, phones?.b]) phone?.close();
      await started.stop();
      await redis.stop();
    }
  });

  it('are closed where no call wants them', async () => {
    const started = new Started(['--no-pair']);
    try {
      const { a, b } = await call(started.ng);
      await started.killAndStart();
      const bound = (): number => boundUdp(started.process.pid, started.range).length;
      await until(() => bound() === 4, 'open again', 20_000);
      rmSync(started.gate);
      await started.process.untilLogged('inherited sockets that belong to no call', 20_000);
      expect(bound()).to.equal(0);
      for (const phone of [a, b]) phone.close();
    } finally {
      await started.stop();
    }
  });

  it('are nobody else’s: not while the daemon lives, not by a folder that others may write to', async () => {
    const started = new Started(['--no-pair']);
    const { process: first } = started;
    let second: TestProcess | null = null;
    try {
      for (const phone of Object.values(await call(started.ng)))
        if (phone instanceof RtpEndpoint) phone.close();
      writeFileSync(started.gate, '');
      second = started.start();
      await second.untilLogged('early: none');
      await second.stop('SIGKILL');
      await first.stop('SIGKILL');
      chmodSync(`${started.folder.path}/ports`, 0o777);
      second = started.start();
      await second.untilLogged('early: none');
      await second.stop('SIGKILL');
      chmodSync(`${started.folder.path}/ports`, 0o700);
      second = started.start();
      await second.untilLogged('early: 64 5');
    } finally {
      await second?.stop('SIGKILL');
      await first.stop('SIGKILL');
      await started.stop();
    }
  });
});
