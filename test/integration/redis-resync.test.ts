/**
 * A standby that follows a replica: what the replica gets by a full synchronisation, for which Redis
 * raises no notification, and keys that expire, which a replica reports as deleted.
 */
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { cliAsk, sessionsOf } from '../support/cli.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort, freeUdpRange, type PortRange } from '../support/free-ports.js';
import { audioSdp, mediaPort, type NgClient } from '../support/ng-client.js';
import type { RedisProcess } from '../support/redis-server.js';
import { startReplica, startReplicated } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { until } from '../support/wait.js';

const standbyAddress = '127.0.0.2';
const notifying = { settings: ['--notify-keyspace-events', 'KA'] };

describe('a standby that follows a replica', function () {
  this.timeout(60_000);
  let master: RedisProcess;
  let replica: RedisProcess;
  let owner: MediaDaemon;
  let standby: MediaDaemon;
  let standbyCli: number;
  let ports: PortRange;
  let ng: NgClient;
  const phones: RtpEndpoint[] = [];
  const connections: Redis[] = [];
  const timers: NodeJS.Timeout[] = [];

  async function startOwner(...more: readonly string[]): Promise<void> {
    owner = await MediaDaemon.start('rtprelayd', {
      portRange: ports,
      extra: [`--redis=${master.url(1)}`, '--delete-delay=0', ...more],
    });
    ng = owner.client();
  }

  const topology = (): readonly string[] => [
    `--redis=${replica.url(2)}`,
    `--redis-write=${master.url(2)}`,
  ];

  async function startStandby(options: readonly string[]): Promise<void> {
    standbyCli = freeTcpPort();
    standby = await MediaDaemon.start('rtprelayd', {
      interfaces: [standbyAddress],
      portRange: ports,
      extra: [`--listen-cli=127.0.0.1:${standbyCli}`, '--subscribe-keyspace=1', ...options],
    });
    await standby.process.untilLogged('to subscribe to notifications');
    expect(standby.process.log()).to.match(
      /Use Redis 127\.0\.0\.1:\d+ to subscribe to notifications/,
    );
  }

  beforeEach(async () => {
    ports = freeUdpRange(200);
    const [first, second] = await startReplicated(1, notifying);
    if (second === undefined) throw new Error('no replica');
    [master, replica] = [first, second];
  });
  afterEach(async () => {
    ng.close();
    for (const timer of timers.splice(0)) clearInterval(timer);
    for (const phone of phones.splice(0)) phone.close();
    for (const connection of connections.splice(0)) connection.disconnect();
    await standby.stop('SIGKILL');
    await owner.stop('SIGKILL');
    for (const server of [replica, master]) await server.stop('SIGKILL');
  });

  const offer = (callId: string): ReturnType<NgClient['ask']> =>
    ng.ask({ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: audioSdp(6000) });
  const remove = (callId: string): ReturnType<NgClient['ask']> =>
    ng.ask({ command: 'delete', 'call-id': callId, 'from-tag': 'a' });
  const followed = async (): Promise<readonly string[]> => {
    const text = await cliAsk(standbyCli, 'list sessions all');
    return [...text.matchAll(/(call-[a-z0-9]+)/g)].map((match) => match[1] ?? '').sort();
  };
  const follows = async (...callIds: readonly string[]): Promise<void> => {
    let last: readonly string[] = [];
    await until(
      async () => (last = await followed()).join() === callIds.join(),
      `${callIds.join()} on the standby`,
    ).catch((error: unknown) => {
      throw new Error(`${last.join()} instead: ${standby.process.log()}`, { cause: error });
    });
  };

  interface Detachment {
    readonly title: string;
    readonly settings?: Readonly<Record<string, string>>;
    /** Detaches the replica and attaches it again; `meanwhile` happens in between. */
    readonly happens: (meanwhile: () => Promise<void>) => Promise<void>;
  }
  const detachments: readonly Detachment[] = [
    {
      title: 'that was a master for a while',
      happens: async (meanwhile) => {
        await replica.follow(null);
        await meanwhile();
        await replica.follow(master);
      },
    },
    {
      // Nobody who looks now and then sees that the link was down.
      title: 'that was a master for a moment',
      happens: async (meanwhile) => {
        const connection = replica.connect();
        connections.push(connection);
        await connection.ping();
        await connection.replicaof('NO', 'ONE');
        await meanwhile();
        await connection.replicaof('127.0.0.1', master.port);
      },
    },
    {
      title: 'that loads for a while what its master sent',
      settings: { 'key-load-delay': '500000', 'loading-process-events-interval-bytes': '1024' },
      happens: async (meanwhile) => {
        await replica.follow(null);
        await meanwhile();
        await replica.follow(master);
      },
    },
    {
      title: 'that was started anew',
      happens: async (meanwhile) => {
        const { port } = replica;
        await replica.stop('SIGKILL');
        await meanwhile();
        replica = await startReplica(master, { ...notifying, port });
      },
    },
  ];
  for (const { title, settings = {}, happens } of detachments) {
    it(`has the calls of a replica ${title}`, async () => {
      await startOwner();
      await startStandby(topology());
      await offer('call-1');
      await offer('call-2');
      await follows('call-1', 'call-2');
      const connection = replica.connect();
      for (const [name, value] of Object.entries(settings)) {
        await connection.config('SET', name, value);
      }
      connection.disconnect();
      await happens(async () => {
        await remove('call-1');
        await offer('call-3');
      });
      await follows('call-2', 'call-3');
      // And goes on to follow.
      await offer('call-4');
      await remove('call-2');
      await follows('call-3', 'call-4');
    });
  }

  /** A call whose media goes by way of the standby, as when the address has moved to it. */
  async function talk(callId: string): Promise<RtpEndpoint> {
    const [caller, callee] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    phones.push(caller, callee);
    const keys = { 'call-id': callId, 'from-tag': 'a' };
    const offered = { command: 'offer', ...keys, sdp: audioSdp(caller.port) };
    const calleeSends = mediaPort(await ng.ask(offered));
    const answered = { command: 'answer', ...keys, 'to-tag': 'b', sdp: audioSdp(callee.port) };
    const callerSends = mediaPort(await ng.ask(answered));
    const timer = setInterval(() => {
      caller.sendNext({ address: standbyAddress, port: callerSends });
      callee.sendNext({ address: standbyAddress, port: calleeSends });
    }, 20);
    timers.push(timer);
    await follows('call-idle', callId);
    await until(() => callee.received > 10, 'media by way of the standby');
    return callee;
  }

  const goesOn = async (callee: RtpEndpoint): Promise<void> => {
    callee.clear();
    await until(() => callee.received > 10, 'media that goes on');
  };

  for (const promoted of [false, true]) {
    const what = promoted ? 'after its promotion' : 'while it is one';
    it(`keeps a call with media whose key expires, and no other, ${what}`, async () => {
      await startOwner('--redis-expires=2');
      await startStandby(topology());
      await offer('call-idle');
      const callee = await talk('call-live');
      await owner.stop('SIGKILL');
      if (promoted) await replica.follow(null);
      await follows('call-live');
      await goesOn(callee);
      await follows('call-live');
      expect(await sessionsOf(standbyCli)).to.deep.equal({ own: 0, foreign: 1 });
    });
  }

  it('lets go of a call with media that its owner deletes', async () => {
    await startOwner();
    await startStandby(topology());
    await offer('call-idle');
    await talk('call-live');
    await remove('call-live');
    await follows('call-idle');
  });
});
