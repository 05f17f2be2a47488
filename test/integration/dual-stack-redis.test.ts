/**
 * Calls on interfaces of two families that change hands over Redis, between rtpengine and us: every port
 * is opened again on the address that it had.
 */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { boundUdp } from '../support/bound-ports.js';
import {
  MediaDaemon,
  rtpengineInstalled,
  type DaemonKind,
  socketForEachPort,
} from '../support/daemons.js';
import { freeUdpRange } from '../support/free-ports.js';
import { RedisProcess } from '../support/redis-server.js';
import { rtpengine125Command } from '../support/trixie.js';
import { until } from '../support/wait.js';

const sdp = (family: 'IP4' | 'IP6', port: number): string => {
  const address = family === 'IP4' ? '127.0.0.1' : '::1';
  const lines = ['v=0', `o=- 1 1 IN ${family} ${address}`, 's=-', `c=IN ${family} ${address}`];
  return [...lines, 't=0 0', `m=audio ${port} RTP/AVP 8`, ''].join('\r\n');
};

/** Calls of each family on either side. With ICE rtpengine opens every address of the interface. */
type Call = readonly [string, Readonly<Record<string, string | readonly string[]>>];
const calls: readonly Call[] = [
  ['to-4', { 'address-family': 'IP4' }],
  ['to-6', { 'address-family': 'IP6' }],
  ['ice-4', { 'address-family': 'IP4', ICE: 'force' }],
  ['ice-6', { 'address-family': 'IP6', ICE: 'force' }],
];

const orders = [
  'pub/127.0.0.1 pub/::1 pub/127.0.0.2',
  'pub/::1 pub/127.0.0.2 pub/127.0.0.1',
  'pub/127.0.0.1 pub/127.0.0.2 pub/::1',
];
/** Members of a round-robin group, of two families each. */
const roundRobin = 'pub:1/127.0.0.1 pub:1/::1 pub:2/::1 pub:2/127.0.0.2';
const roundRobinCalls: readonly Call[] = ['IP4', 'IP6', 'IP6', 'IP4'].map((family, index) => [
  `robin-${index}`,
  { 'address-family': family, direction: ['pub', 'pub'] },
]);

describe('calls on dual-stack interfaces over Redis', function () {
  this.timeout(60_000);
  let redis: RedisProcess;
  let connection: Redis;
  let daemon: MediaDaemon | undefined;

  before(async () => {
    redis = await RedisProcess.start({ settings: ['--notify-keyspace-events', 'KA'] });
    connection = redis.connect();
  });
  after(async () => {
    connection?.disconnect();
    await redis?.stop('SIGKILL');
  });
  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    await connection.flushall();
  });

  async function start(
    kind: DaemonKind,
    order: string,
    extra: readonly string[],
    before?: MediaDaemon,
  ): Promise<MediaDaemon> {
    const interfaces = order.split(' ');
    const portRange = before === undefined ? {} : { portRange: before.ports };
    const words = [...extra, ...socketForEachPort(kind)];
    daemon = await MediaDaemon.start(kind, { interfaces, extra: words, ...portRange });
    return daemon;
  }

  /** Makes the calls and ends the daemon as a power cut would. Returns the ports that it had open. */
  async function makeCalls(at: MediaDaemon, wanted = calls): Promise<readonly string[]> {
    const ng = at.client();
    try {
      for (const [index, [callId, keys]] of wanted.entries()) {
        const request = { 'call-id': callId, 'from-tag': 'a', ...keys };
        const offered = sdp('IP4', 2000 + 10 * index);
        const offer = await ng.request({ command: 'offer', ...request, sdp: offered });
        expect(offer, callId).to.include({ result: 'ok' });
        const answered = sdp(keys['address-family'] === 'IP6' ? 'IP6' : 'IP4', 3000 + 10 * index);
        const tags = { ...request, 'to-tag': 'b', ICE: 'remove' };
        const answer = await ng.request({ command: 'answer', ...tags, sdp: answered });
        expect(answer, callId).to.include({ result: 'ok' });
      }
      const ports = boundUdp(at.process.pid, at.ports);
      expect(ports.filter((each) => each.startsWith('::1 '))).to.not.deep.equal([]);
      return ports;
    } finally {
      ng.close();
      await at.stop('SIGKILL');
    }
  }

  const references: readonly DaemonKind[] = ['rtpengine', 'rtpengine-12.5'];
  for (const reference of references) {
    const format = reference === 'rtpengine' ? 'JSON-10.5' : 'JSON-12.5';
    describe(`with ${reference}`, () => {
      before(function () {
        const there =
          reference === 'rtpengine' ? rtpengineInstalled : rtpengine125Command() !== null;
        if (!there) this.skip();
      });

      for (const order of [...orders, roundRobin]) {
        const wanted = order === roundRobin ? roundRobinCalls : calls;
        it(`are restored by us on ${order}`, async () => {
          const first = await start(reference, order, [`--redis=${redis.url(1)}`]);
          const ports = await makeCalls(first, wanted);
          const second = await start('rtprelayd', order, [`--redis=${redis.url(1)}`], first);
          expect(boundUdp(second.process.pid, first.ports)).to.deep.equal(ports);
        });

        it(`are restored by it on ${order}`, async () => {
          const own = [`--redis=${redis.url(1)}`, `--redis-format=${format}`];
          const first = await start('rtprelayd', order, own);
          const ports = await makeCalls(first, wanted);
          const second = await start(reference, order, [`--redis=${redis.url(1)}`], first);
          expect(boundUdp(second.process.pid, first.ports)).to.deep.equal(ports);
        });
      }

      it('are kept warm by a standby', async () => {
        const order = orders[0] ?? '';
        const first = await start(reference, order, [`--redis=${redis.url(1)}`]);
        const ports = await makeCalls(first);
        const own = [`--redis=${redis.url(2)}`, '--subscribe-keyspace=1'];
        const second = await start('rtprelayd', order, own, first);
        const warm = (): readonly string[] => boundUdp(second.process.pid, first.ports);
        await until(() => warm().length === ports.length, 'the ports of the standby');
        expect(warm()).to.deep.equal(ports);
      });
    });
  }

  for (const format of ['JSON', 'JSON-10.5', 'bencode']) {
    it(`are restored from what we wrote before rtpengine's numbers were known (${format})`, async () => {
      const folder = new URL('../unit/redis-store/samples/former/', import.meta.url);
      const portRange = freeUdpRange(40);
      let next = portRange.min;
      // On ports that are free here; they keep their five digits.
      const value = readFileSync(new URL(format, folder), 'latin1').replace(
        /(localport(?:":"|5:))\d{5}/g,
        (_, name: string) => `${name}${String(next++)}`,
      );
      await connection.set('dual stack', Buffer.from(value, 'latin1'));
      const interfaces = ['pub/127.0.0.1', 'pub/::1', 'pub/127.0.0.2'];
      const extra = [`--redis=${redis.url()}`];
      const words = [...extra, ...socketForEachPort('rtprelayd')];
      daemon = await MediaDaemon.start('rtprelayd', { interfaces, extra: words, portRange });
      const [first, second, third, fourth] = [0, 1, 2, 3].map((at) => portRange.min + at);
      expect(boundUdp(daemon.process.pid, portRange)).to.deep.equal([
        `127.0.0.1 ${third}`,
        `127.0.0.1 ${fourth}`,
        `::1 ${first}`,
        `::1 ${second}`,
      ]);
    });
  }
});
