/** `--redis-encrypt-keys`: what a daemon stores, another key, and a key that is missing. */
import { expect } from 'chai';
import { writeFileSync } from 'node:fs';
import { TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { RedisProcess } from '../support/redis-server.js';
import { audio, buildSdp } from '../support/sdp.js';
import { until } from '../support/wait.js';

const keyA = `a ${'1f'.repeat(32)}`;
const keyB = `b ${'2e'.repeat(32)}`;
const sealedBy = (name: string): RegExp => new RegExp(`"rtprelay_sealed":"${name}:`);

describe('keys of a key file for Redis', function () {
  this.timeout(60_000);
  let redis: RedisProcess;
  let daemon: MediaDaemon | undefined;
  const folder = new TemporaryFolder('key-file');
  const keyFile = folder.file('keys');
  const writeKeys = (...lines: readonly string[]): void =>
    writeFileSync(keyFile, ['# for Redis', ...lines, ''].join('\n'), { mode: 0o600 });

  const start = async (): Promise<MediaDaemon> => {
    await daemon?.stop('SIGKILL');
    const options = [`--redis=${redis.url()}`, '--redis-format=JSON', '--log-level=7'];
    daemon = await MediaDaemon.start('rtprelayd', {
      extra: [...options, `--redis-encrypt-keys=${keyFile}`],
    });
    return daemon;
  };

  before(async () => {
    redis = await RedisProcess.start();
  });
  after(async () => {
    await daemon?.stop('SIGKILL');
    await redis?.stop();
    folder.remove();
  });

  it('encrypts, changes keys while it runs, and restores what any of them has encrypted', async () => {
    writeKeys(keyA);
    const first = await start();
    const ng = first.client();
    const client = redis.connect();
    const stored = async (): Promise<string> => (await client.get('secret')) ?? '';
    try {
      const reply = await ng.ask({
        ...{ command: 'offer', 'call-id': 'secret', 'from-tag': 'a' },
        ...{ sdp: buildSdp({ media: [audio(6000)] }), 'transport-protocol': 'RTP/SAVP' },
      });
      expect(String(reply['sdp'])).to.contain('a=crypto');
      expect(await stored())
        .to.match(sealedBy('a'))
        .and.not.to.contain('master_key');
      expect(first.process.log()).not.to.contain('1f1f1f1f');

      writeKeys(keyB, keyA);
      first.process.signal('SIGHUP');
      await until(async () => sealedBy('b').test(await stored()), 'the call under the new key');

      writeKeys('c nonsense');
      first.process.signal('SIGHUP');
      await first.process.untilLogged(/Line 2 of .* is not NAME and 64 hexadecimal digits/);

      writeKeys(keyA);
      const without = await start();
      await without.process.untilLogged(
        "Failed to restore call ID 'secret' from Redis: its keys are encrypted by a key that is " +
          'not in --redis-encrypt-keys',
      );
      expect(await stored(), 'a call that cannot be read is left alone').to.match(sealedBy('b'));

      writeKeys(keyA, keyB);
      const last = await start();
      const asked = last.client();
      const query = await asked.ask({ command: 'query', 'call-id': 'secret' });
      asked.close();
      expect(query['result']).to.equal('ok');
    } finally {
      ng.close();
      client.disconnect();
    }
  });
});
