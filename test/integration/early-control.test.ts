/** Commands that come while calls are still on their way from Redis. */
import { expect } from 'chai';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { getPriority } from 'node:os';
import { schedulingRefusal } from '../../src/native/relay.js';
import { childrenOf } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { audioSdp, NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { pause, until } from '../support/wait.js';

/** On the way to Redis: values that are asked for are handed on when they are let go. */
class SlowRedis {
  readonly #sockets = new Set<Socket>();
  readonly #held: (() => void)[] = [];
  #holds = true;
  /** Values were asked for. */
  asked: () => void = () => undefined;

  private constructor(
    readonly server: Server,
    readonly redis: number,
  ) {
    server.on('connection', (socket) => this.#pass(socket));
  }

  static async before(redis: number): Promise<SlowRedis> {
    const server = createServer();
    const made = new SlowRedis(server, redis);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return made;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  #pass(near: Socket): void {
    const far = connect(this.redis, '127.0.0.1');
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => near.destroy() && far.destroy());
    }
    far.pipe(near);
    let isHeld = false;
    near.on('data', (bytes) => {
      const on = (): void => void far.write(bytes);
      // Nothing overtakes what is held.
      isHeld ||= bytes.includes('MGET');
      if (!this.#holds || !isHeld) {
        on();
        return;
      }
      this.#held.push(on);
      this.asked();
    });
  }

  letGo(): void {
    this.#holds = false;
    for (const on of this.#held) on();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
  }
}

describe('control while calls are being restored', function () {
  this.timeout(60_000);

  it('answers what needs no call at once, and what is about a call when that can be told', async () => {
    const redis = await RedisProcess.start();
    const [portRange, controlPort] = [freeUdpRange(40), freeUdpPort()];
    const start = (port: number): Promise<MediaDaemon> =>
      MediaDaemon.start('rtprelayd', {
        ...{ portRange, controlPort },
        extra: [`--redis=127.0.0.1:${port}/0`, '--redis-format=JSON'],
      });
    const ng = new NgClient(controlPort);
    const slow = await SlowRedis.before(redis.port);
    let daemon = await start(redis.port);
    try {
      const offer = { command: 'offer', 'call-id': 'a', 'from-tag': 'a', sdp: audioSdp(6000) };
      const first = await ng.ask(offer);
      await daemon.stop('SIGKILL');
      const asked = new Promise<void>((resolve) => (slow.asked = resolve));
      const starting = start(slow.port);
      await asked;
      expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
      let answered = 0;
      const waiting = [
        ng.ask({ command: 'query', 'call-id': 'a' }),
        ng.ask({ ...offer, 'call-id': 'b' }),
        ng.ask(offer),
      ].map(async (reply) => {
        const done = await reply;
        answered += 1;
        return done;
      });
      await pause(300);
      expect(answered).to.equal(0);
      expect(await ng.ask({ command: 'list' })).to.include({ result: 'ok' });
      expect(await ng.ask({ command: 'statistics' })).to.include({ result: 'ok' });
      expect(answered, 'what is about a call still waits').to.equal(0);
      slow.letGo();
      const [query, other, again] = await Promise.all(waiting);
      daemon = await starting;
      expect(query).to.include({ result: 'ok' });
      expect(other).to.include({ result: 'ok' });
      expect(String(again?.['sdp'])).to.include(/m=.*/.exec(String(first['sdp']))?.[0]);
    } finally {
      ng.close();
      await daemon.stop('SIGKILL');
      slow.close();
      await redis.stop();
    }
  });

  it('has its thread as urgent as those of media', async () => {
    const redis = await RedisProcess.start();
    const slow = await SlowRedis.before(redis.port);
    const own = getPriority();
    const isPermitted = schedulingRefusal({ policy: 'default', priority: -10 }) === null;
    const database = `127.0.0.1:${slow.port}/0`;
    const extra = [`--redis=${database}`, '--redis-format=JSON', '--no-pair'];
    const asked = new Promise<void>((resolve) => (slow.asked = resolve));
    const connection = redis.connect(0);
    await connection.set('a', '{}');
    connection.disconnect();
    const starting = MediaDaemon.start('rtprelayd', { extra });
    try {
      await asked;
      const words = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'latin1');
      const restoring = childrenOf(process.pid).find((pid) => words(pid).includes(database)) ?? 0;
      expect(restoring).to.be.above(1);
      expect(getPriority(restoring), 'while calls wait for it').to.equal(isPermitted ? -10 : own);
      slow.letGo();
      await starting;
      // It answers a moment before the restore is over.
      await until(() => getPriority(restoring) === own, 'its usual priority afterwards');
    } finally {
      slow.letGo();
      await (await starting).stop('SIGKILL');
      slow.close();
      await redis.stop();
    }
  });

  it('keeps so many bytes of what waits, and refuses more', async () => {
    const redis = await RedisProcess.start();
    const slow = await SlowRedis.before(redis.port);
    const [portRange, controlPort] = [freeUdpRange(40), freeUdpPort()];
    const start = (port: number): Promise<MediaDaemon> =>
      MediaDaemon.start('rtprelayd', {
        ...{ portRange, controlPort },
        extra: [`--redis=127.0.0.1:${port}/0`, '--redis-format=JSON'],
      });
    const ng = new NgClient(controlPort);
    let daemon = await start(redis.port);
    try {
      await ng.ask({ command: 'offer', 'call-id': 'a', 'from-tag': 'a', sdp: audioSdp(6000) });
      await daemon.stop('SIGKILL');
      const asked = new Promise<void>((resolve) => (slow.asked = resolve));
      const starting = start(slow.port);
      await asked;
      const refused: unknown[] = [];
      const waiting: Promise<void>[] = [];
      const metadata = 'm'.repeat(60_000);
      for (let i = 0; i < 3000 && refused.length === 0; i += 1) {
        const query = { command: 'query', 'call-id': `b${i}`, metadata };
        waiting.push(
          ng.ask(query).then((reply) => {
            if (String(reply['error-reason']).startsWith('Too many')) refused.push(reply);
          }),
        );
        await pause(1);
      }
      await until(() => refused.length > 0, 'a refusal');
      expect(waiting.length).to.be.at.least((32 * 1024 * 1024) / 61_000);
      expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
      slow.letGo();
      daemon = await starting;
      await Promise.all(waiting);
      expect(daemon.process.log()).to.match(
        /\d+ commands of \d+ bytes wait for calls to be restored/,
      );
      expect(daemon.process.log()).to.match(/Commands refused while calls were restored: \d+/);
      expect(await ng.ask({ command: 'query', 'call-id': 'a' })).to.include({ result: 'ok' });
    } finally {
      ng.close();
      await daemon.stop('SIGKILL');
      slow.close();
      await redis.stop();
    }
  });
});
