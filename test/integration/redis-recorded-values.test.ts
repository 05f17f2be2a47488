/** Every recorded value is restored by the daemon: 10.5, 12.5, the current release, and former ones of ours. */
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpRange } from '../support/free-ports.js';
import { RedisProcess } from '../support/redis-server.js';
import { formerSamples, samples, samples125, samples260 } from '../support/unit/redis-store.js';

const recorded: Readonly<Record<string, ReadonlyMap<string, Buffer>>> = {
  'rtpengine 10.5': samples,
  'rtpengine 12.5': samples125,
  'rtpengine 26.0': samples260,
  'ours of old': formerSamples,
};

describe('recorded values', function () {
  this.timeout(30_000);
  let redis: RedisProcess;
  let connection: Redis;
  let daemon: MediaDaemon | undefined;

  beforeEach(async () => {
    redis = await RedisProcess.start();
    connection = redis.connect();
  });
  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    connection.disconnect();
    await redis.stop('SIGKILL');
  });

  for (const [origin, values] of Object.entries(recorded)) {
    it(`of ${origin} are restored, all ${values.size}`, async () => {
      const portRange = freeUdpRange(400);
      let next = portRange.min;
      for (const [name, bytes] of values) {
        // On ports that are free here; they keep their five digits.
        const text = bytes
          .toString('latin1')
          .replace(/(localport(?:":"|5:))\d{5}/g, (_, before: string) => before + String(next++));
        await connection.set(name, Buffer.from(text, 'latin1'));
      }
      const interfaces = ['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5'];
      interfaces.push('pub/127.0.0.1', 'pub/::1', 'pub/127.0.0.2');
      const extra = [
        `--redis=${redis.url()}`,
        '--timeout=1000000000',
        '--silent-timeout=1000000000',
      ];
      daemon = await MediaDaemon.start('rtprelayd', { interfaces, extra, portRange });
      expect(daemon.process.log()).to.not.include('Failed to restore');
      const ng = daemon.client();
      const { calls } = await ng.request({ command: 'list', limit: 100 });
      ng.close();
      expect([...(calls as string[])].sort()).to.deep.equal([...values.keys()].sort());
    });
  }
});
