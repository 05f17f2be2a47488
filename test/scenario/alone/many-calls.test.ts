/** 105 calls at once: without trouble, and through the death of the daemon. */
import { expect } from 'chai';
import type { TestProcess } from '../../support/child-process.js';
import { freeUdpPort, freeUdpRange, type PortRange } from '../../support/free-ports.js';
import { Load } from '../../support/load.js';
import { NgClient } from '../../support/ng-client.js';
import { startDaemon, startRedis } from '../../support/processes.js';
import type { RedisProcess } from '../../support/redis-server.js';
import { pause } from '../../support/wait.js';

const calls = 105;
const portsOf = ({ min, max }: PortRange): readonly string[] => [
  `--port-min=${min}`,
  `--port-max=${max}`,
];

describe('105 concurrent calls', () => {
  it('are relayed both ways for 20 s without a lost packet', async function () {
    this.timeout(60_000);
    const ngPort = freeUdpPort();
    const daemon = await startDaemon(ngPort, portsOf(freeUdpRange(500)));
    const portBase = freeUdpRange(calls * 4).min;
    const load = await Load.start({ ngPort, calls, seconds: 20, portBase });
    try {
      const report = await load.report();
      expect(report.sent).to.equal(calls * 2 * 1000);
      expect(report).to.include({ lost: 0, duplicates: 0, strange: 0 });
    } finally {
      await load.stop();
      await daemon.stop();
    }
  });
});

describe('105 calls whose daemon is killed', () => {
  let redis: RedisProcess;
  let daemon: TestProcess;
  let ng: NgClient;

  before(async () => {
    redis = await startRedis();
  });
  after(async () => {
    ng?.close();
    await daemon?.stop();
    await redis?.stop();
  });

  it('are restored by the next one and go on by themselves on the same ports', async function () {
    this.timeout(60_000);
    const ngPort = freeUdpPort();
    const options = [...portsOf(freeUdpRange(500)), `--redis=${redis.url()}`];
    daemon = await startDaemon(ngPort, options);
    ng = new NgClient(ngPort);
    const portBase = freeUdpRange(calls * 4).min;
    const load = await Load.start({ ngPort, calls, seconds: 8, portBase, keepCalls: true });
    await pause(2500);
    await daemon.stop('SIGKILL');
    daemon = await startDaemon(ngPort, options);
    const restored = /Redis restore time = (\d+) ms/.exec(daemon.stderr)?.[1];
    const { lostPerStream, longestPauseMs, ...report } = await load.report();
    console.log(
      `      restored in ${restored} ms; packets lost per stream: median ${lostPerStream.median}, ` +
        `p95 ${lostPerStream.p95}, max ${lostPerStream.max}; longest pause ${longestPauseMs.max} ms`,
    );
    const list = await ng.ask({ command: 'list', limit: 1000 });
    expect(list['calls']).to.have.lengthOf(calls);
    expect(report).to.include({ sent: calls * 2 * 400, strange: 0, duplicates: 0 });
    // Something is lost while nobody listens, but every stream goes on: all of the last seconds came.
    expect(lostPerStream.max).to.be.greaterThan(0);
    expect(report.lostAtEnd.max).to.equal(0);
  });
});

describe('an orderly stop', () => {
  it('leaves the calls in Redis and ends with 0', async function () {
    this.timeout(30_000);
    const redis = await startRedis();
    const connection = redis.connect();
    const ngPort = freeUdpPort();
    const daemon = await startDaemon(ngPort, [`--redis=${redis.url()}`]);
    const portBase = freeUdpRange(20).min;
    const load = await Load.start({ ngPort, calls: 5, seconds: 0.5, portBase, keepCalls: true });
    try {
      await load.report();
      daemon.signal('SIGTERM');
      expect(await daemon.ended()).to.equal(0);
      expect(await connection.dbsize()).to.equal(5);
    } finally {
      await load.stop();
      connection.disconnect();
      await daemon.stop();
      await redis.stop();
    }
  });
});
