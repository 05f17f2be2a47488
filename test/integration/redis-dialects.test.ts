/**
 * Calls that go from rtpengine to us and back over Redis, in the layout of that rtpengine: 10.5 of Debian
 * 12 and 12.5 of Debian 13. Every call is restored with its ports and endpoints, and goes on.
 */
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { boundUdp } from '../support/bound-ports.js';
import {
  MediaDaemon,
  rtpengineInstalled,
  type DaemonKind,
  socketForEachPort,
} from '../support/daemons.js';
import { freeUdpRange } from '../support/free-ports.js';
import { mediaPort, type NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import {
  makeDialogues,
  storedDialogues,
  streamsOf,
  type Step,
} from '../support/stored-dialogues.js';
import { rtpengine125Command } from '../support/trixie.js';
import { until } from '../support/wait.js';

const references: readonly (readonly [DaemonKind, string, boolean])[] = [
  ['rtpengine', 'JSON-10.5', rtpengineInstalled],
  ['rtpengine-12.5', 'JSON-12.5', rtpengine125Command() !== null],
];

for (const [reference, format, there] of references) {
  describe(`calls between ${reference} and us over Redis`, function () {
    this.timeout(60_000);
    let redis: RedisProcess;
    let connection: Redis;
    let daemon: MediaDaemon | undefined;
    let ng: NgClient;
    const phones: RtpEndpoint[] = [];

    beforeEach(async function () {
      if (!there) this.skip();
      redis = await RedisProcess.start();
      connection = redis.connect();
    });
    afterEach(async () => {
      if (!there) return;
      for (const phone of phones.splice(0)) phone.close();
      await end();
      connection.disconnect();
      await redis.stop('SIGKILL');
    });

    async function start(kind: DaemonKind, ...options: readonly string[]): Promise<MediaDaemon> {
      const portRange = daemon === undefined ? {} : { portRange: daemon.ports };
      const extra = [`--redis=${redis.url()}`, ...options];
      const words = [...extra, ...socketForEachPort(kind)];
      daemon = await MediaDaemon.start(kind, { extra: words, mediaPorts: 600, ...portRange });
      ng = daemon.client();
      return daemon;
    }

    /** As a power cut would. */
    async function end(): Promise<void> {
      if (daemon?.process.running !== true) return;
      ng.close();
      await daemon.stop('SIGKILL');
    }

    async function look(ids: Iterable<string>): Promise<ReadonlyMap<string, readonly string[]>> {
      const streams = new Map<string, readonly string[]>();
      for (const callId of ids) streams.set(callId, await streamsOf(ng, callId));
      return streams;
    }

    const bound = (): readonly string[] =>
      daemon === undefined ? [] : boundUdp(daemon.process.pid, daemon.ports);

    /** `a` and `b` hear each other; `forA` and `forB` are the ports that they were shown. */
    async function talk(a: RtpEndpoint, forA: number, b: RtpEndpoint, forB: number): Promise<void> {
      a.clear();
      b.clear();
      await until(() => {
        a.send(forA);
        b.send(forB);
        return a.received > 0 && b.received > 0;
      }, 'both phones to be heard');
    }

    it('are taken over, go on, and are taken back', async () => {
      const base = freeUdpRange(100).min;
      const calls = storedDialogues(base);
      const first = await start(reference);
      await makeDialogues(ng, calls);
      const ids = [...calls.keys()];
      const before = await look(ids);
      const ports = bound();
      expect(before.get('port count')).to.have.lengthOf(8);
      await end();

      const own = await start('rtprelayd');
      expect(own.process.log()).to.not.include('Failed to restore');
      expect(await look(ids)).to.deep.equal(before);
      expect(bound()).to.deep.equal(ports);
      // The last offer and answer of each call once more: nothing moves.
      const repeated = new Map<string, readonly Step[]>();
      for (const [callId, steps] of calls) {
        const last = steps.slice(-2).filter(({ command }) => command !== 'block media');
        repeated.set(callId, last);
      }
      await makeDialogues(ng, repeated);
      expect(await look(ids)).to.deep.equal(before);
      expect(bound()).to.deep.equal(ports);
      for (const callId of ids) {
        const value = (await connection.get(callId)) ?? '';
        expect(JSON.parse(value), callId).to.have.nested.property('json.rtprelay_uid_by_family');
      }
      await end();

      const second = await start(reference);
      await second.process.untilLogged('Redis restore time');
      expect(second.process.log()).to.not.match(/Failed to restore|failed to/i);
      expect(await look(ids)).to.deep.equal(before);
      expect(bound()).to.deep.equal(ports);
      expect(await connection.exists(...ids)).to.equal(ids.length);
      expect(first.ports).to.deep.equal(second.ports);
    });

    it('carry media on either, and keep what is blocked', async () => {
      const sockets = freeUdpRange(100).min;
      const calls = storedDialogues(sockets);
      const open = async (offset: number): Promise<RtpEndpoint> => {
        const phone = await RtpEndpoint.open(undefined, '127.0.0.1', sockets + offset);
        phones.push(phone);
        return phone;
      };
      const [a, b] = [await open(0), await open(2)];
      // The second pair of the call with a port count, and the call whose caller is blocked.
      const [c, d] = [await open(50), await open(54)];
      const [e, f] = [await open(40), await open(42)];
      await start(reference);
      const shown = new Map<string, readonly number[]>();
      for (const callId of ['plain', 'port count', 'blocked']) {
        const ports: number[] = [];
        for (const step of calls.get(callId) ?? []) {
          const reply = await ng.request(step);
          if ('sdp' in step) ports.push(mediaPort(reply));
        }
        shown.set(callId, ports);
      }
      const [forB = 0, forA = 0] = shown.get('plain') ?? [];
      const [forD = 0, forC = 0] = shown.get('port count') ?? [];
      const [forF = 0, forE = 0] = shown.get('blocked') ?? [];
      const check = async (): Promise<void> => {
        await talk(a, forA, b, forB);
        await talk(c, forC + 2, d, forD + 2);
        e.clear();
        f.clear();
        await until(() => {
          e.send(forE);
          f.send(forF);
          return e.received > 4;
        }, 'the one that is not blocked');
        expect(f.received).to.equal(0);
      };
      await check();
      await end();
      await start('rtprelayd');
      await check();
      await makeDialogues(ng, new Map([['plain', calls.get('plain') ?? []]]));
      await check();
      await end();
      await start(reference);
      await check();
    });

    it(`are made by us as ${format} and restored by it`, async () => {
      const calls = storedDialogues(freeUdpRange(100).min);
      await start('rtprelayd', `--redis-format=${format}`);
      await makeDialogues(ng, calls);
      const ids = [...calls.keys()];
      const before = await look(ids);
      const ports = bound();
      await end();
      const after = await start(reference);
      await after.process.untilLogged('Redis restore time');
      expect(await look(ids)).to.deep.equal(before);
      expect(bound()).to.deep.equal(ports);
      await end();
      // And back: what it has changed meanwhile is read again.
      await start('rtprelayd');
      expect(await look(ids)).to.deep.equal(before);
    });

    if (reference === 'rtpengine-12.5') {
      it('are made by us as JSON and restored by it', async () => {
        const calls = storedDialogues(freeUdpRange(100).min);
        await start('rtprelayd', '--redis-format=JSON');
        await makeDialogues(ng, calls);
        const ids = [...calls.keys()];
        const before = await look(ids);
        await end();
        const after = await start(reference);
        await after.process.untilLogged('Redis restore time');
        expect(await look(ids)).to.deep.equal(before);
        expect(await connection.exists(...ids)).to.equal(ids.length);
      });
    }

    it('cost no other call when values are damaged', async () => {
      const calls = storedDialogues(freeUdpRange(100).min);
      await start(reference);
      await makeDialogues(ng, calls);
      await end();
      const [cut = '', garbled = '', ...whole] = [...calls.keys()];
      const value = async (callId: string): Promise<Buffer> =>
        (await connection.getBuffer(callId)) ?? Buffer.alloc(0);
      await connection.set(cut, (await value(cut)).subarray(0, 700));
      await connection.set(garbled, (await value(garbled)).fill(0xff, 500, 520));
      const { process } = await start('rtprelayd');
      for (const callId of [cut, garbled]) {
        await process.untilLogged(`Failed to restore call ID '${callId}'`);
        expect(await connection.exists(callId)).to.equal(1);
      }
      await process.untilLogged('Startup complete');
      const { calls: listed } = await ng.request({ command: 'list', limit: 100 });
      expect([...(listed as string[])].sort()).to.deep.equal([...whole].sort());
    });
  });
}
