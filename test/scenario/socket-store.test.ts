/** The process dies, its sockets live on in the service manager: nothing is lost. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { expectWaited, Load } from '../support/load.js';
import { audioSdp, NgClient } from '../support/ng-client.js';
import { givenPortMode } from '../support/daemons.js';
import { startRedis } from '../support/processes.js';
import type { RedisProcess } from '../support/redis-server.js';
import { ServiceManagerProcess } from '../support/service-manager.js';
import { pause, until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayd.js', import.meta.url));
const calls = 105;
const portsPerCall = 4;
/** Then there is a socket for each thread and family, and none for a call. */
const steered = givenPortMode.includes('--port-mode=steered');
/** A socket holds some eighty packets: at this pace, longer than a busy machine takes for a restart. */
const packetMs = 100;
const seconds = 9;

describe('sockets kept by the service manager', function () {
  this.timeout(120_000);
  let redis: RedisProcess;
  let manager: ServiceManagerProcess;
  let ng: NgClient;
  let ngPort: number;
  let command: readonly string[];

  beforeEach(async () => {
    redis = await startRedis();
    ngPort = freeUdpPort();
    const { min, max } = freeUdpRange(500);
    command = [
      ...[process.execPath, program, '--config-file=none', '-f', '-E', '--socket-store=yes'],
      ...['--interface=127.0.0.1', `--listen-ng=127.0.0.1:${ngPort}`, `--redis=${redis.url()}`],
      ...[`--port-min=${min}`, `--port-max=${max}`, '--delete-delay=0'],
      ...givenPortMode,
    ];
    manager = new ServiceManagerProcess(command);
    ng = new NgClient(ngPort);
    await manager.ready();
  });
  afterEach(async () => {
    ng.close();
    await manager.end();
    await redis.stop();
  });

  for (const [order, what] of [
    ['kill', 'kill -9'],
    ['stop', 'an upgrade'],
  ] as const) {
    it(`${what} of 105 calls, three times, loses nothing that waits in a socket`, async () => {
      const portBase = freeUdpRange(calls * 4).min;
      const load = await Load.start({
        ...{ ngPort, calls, seconds, packetMs, portBase, keepCalls: true },
      });
      try {
        for (let time = 1; time <= 3; time++) {
          await pause(1500);
          manager.order(order);
          await manager.ready(time + 1);
        }
        const report = await load.report();
        console.log(`      lost ${report.lost}, longest pause ${report.longestPauseMs.max} ms`);
        expect(report).to.include({ duplicates: 0, strange: 0 });
        expect(report.sent).to.equal((calls * 2 * seconds * 1000) / packetMs);
        expectWaited(report, packetMs, order === 'kill' ? 3 : 0);
      } finally {
        await load.stop();
      }
      const list = await ng.ask({ command: 'list', limit: 1000 });
      expect(list['calls']).to.have.lengthOf(calls);
      expect(manager.count(/^ended/)).to.equal(3);
    });
  }

  it('gives them back when calls end, and those that no call wants', async function () {
    if (steered) this.skip();
    await ng.ask({ command: 'offer', 'call-id': 'one', 'from-tag': 'a', sdp: audioSdp(6000) });
    await ng.ask({ command: 'offer', 'call-id': 'two', 'from-tag': 'a', sdp: audioSdp(6004) });
    const ports = 2 * portsPerCall;
    await until(() => manager.count(/^kept /) === 1 + ports, 'copies of all ports and of NG');
    await ng.ask({ command: 'delete', 'call-id': 'one', 'from-tag': 'a' });
    await until(() => manager.count(/^removed /) === portsPerCall, 'copies removed');
    const connection = redis.connect();
    await connection.del('two');
    connection.disconnect();
    manager.order('kill');
    await manager.ready(2);
    await until(() => manager.count(/^removed /) === ports, 'the rest removed');
    expect(manager.log).to.include('Closed 4 inherited sockets that belong to no call');
    expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
  });

  it('says that it is ready while the service manager is busy with the sockets of many calls', async function () {
    if (steered) this.skip();
    const portBase = freeUdpRange(calls * 4).min;
    const load = await Load.start({ ngPort, calls, seconds: 0.2, portBase, keepCalls: true });
    await load.report();
    await manager.end();
    // Nothing is kept any more: every port of every call is new to the next one.
    manager = new ServiceManagerProcess(command, 0.004);
    await manager.ready();
    expect(manager.count(/^kept /)).to.be.lessThan(calls * portsPerCall);
    await until(() => manager.count(/^kept /) === calls * portsPerCall + 1, 'all of them kept');
  });

  it('answers what was asked while no process was there', async () => {
    const reply = ng.ask({ command: 'ping' }, { tries: 1, intervalMs: 10_000 });
    await reply;
    manager.order('kill');
    await until(() => manager.count(/^started/) === 2, 'the next process');
    // One datagram, sent before the new process can have opened anything.
    const late = ng.ask({ command: 'ping' }, { tries: 1, intervalMs: 20_000 });
    expect(await late).to.deep.equal({ result: 'pong' });
  });
});
