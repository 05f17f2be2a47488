/**
 * The way back to rtpengine: what is written unless told otherwise is what the rtpengine of this machine reads,
 * which deletes what it cannot read (docs/migration.md).
 */
import { expect } from 'chai';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { freeUdpRange } from '../support/free-ports.js';
import { RedisProcess } from '../support/redis-server.js';
import { makeDialogues, storedDialogues, streamsOf } from '../support/stored-dialogues.js';
import { rtpengine125Command } from '../support/trixie.js';
import { until } from '../support/wait.js';

const references: readonly (readonly [DaemonKind, string, boolean])[] = [
  ['rtpengine', 'JSON-10.5', rtpengineInstalled],
  ['rtpengine-12.5', 'JSON-12.5', rtpengine125Command() !== null],
];
/** docs/migration.md: which of our formats each of them reads. */
const readable: Readonly<Record<string, readonly string[]>> = {
  rtpengine: ['JSON-10.5'],
  'rtpengine-12.5': ['JSON-12.5', 'JSON'],
};

describe('the format that calls are stored in', function () {
  this.timeout(60_000);
  let redis: RedisProcess;
  let connection: Redis;
  let daemon: MediaDaemon | undefined;
  let folder: TemporaryFolder;

  beforeEach(async () => {
    redis = await RedisProcess.start();
    connection = redis.connect();
    folder = new TemporaryFolder('path');
  });
  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    connection.disconnect();
    await redis.stop('SIGKILL');
    folder.remove();
  });

  /** A directory for the PATH with a program called rtpengine, or with nothing. */
  function pathWith(script: string | null): string {
    if (script !== null) {
      writeFileSync(folder.file('rtpengine'), `#!/bin/sh\n${script}\n`);
      chmodSync(folder.file('rtpengine'), 0o755);
    }
    return folder.path;
  }

  async function start(
    kind: DaemonKind,
    options: readonly string[] = [],
    path?: string,
  ): Promise<MediaDaemon> {
    const portRange = daemon === undefined ? {} : { portRange: daemon.ports };
    const env = path === undefined ? {} : { env: { PATH: path } };
    const database = options.some((option) => option.startsWith('--redis=')) ? [] : [redis.url()];
    const extra = [...database.map((url) => `--redis=${url}`), ...options];
    daemon = await MediaDaemon.start(kind, { extra, mediaPorts: 600, ...portRange, ...env });
    return daemon;
  }

  /** What the start says of it. */
  const said = (running: MediaDaemon): string | undefined =>
    /Calls are stored in the format [^\n]*/.exec(running.process.log())?.[0];

  for (const [reference, format, there] of references) {
    it(`is by default what the ${reference} of this machine reads: it restores every call`, async function () {
      if (!there) this.skip();
      const installed =
        reference === 'rtpengine'
          ? process.env['PATH']
          : pathWith(
              `exec ${(rtpengine125Command() ?? []).map((word) => `'${word}'`).join(' ')} "$@"`,
            );
      // The wrapper needs chroot.
      const path = reference === 'rtpengine' ? installed : `${installed}:${process.env['PATH']}`;
      const calls = storedDialogues(freeUdpRange(100).min);
      const first = await start('rtprelayd', [], path);
      expect(said(first)).to.match(
        new RegExp(
          `format ${format}, the one that rtpengine [\\d.]+, installed here, reads; --redis-format=`,
        ),
      );
      const ng = first.client();
      await makeDialogues(ng, calls);
      const before = new Map<string, readonly string[]>();
      for (const callId of calls.keys()) before.set(callId, await streamsOf(ng, callId));
      ng.close();
      await first.stop('SIGKILL');
      const second = await start(reference);
      await second.process.untilLogged('Redis restore time');
      const there2 = second.client();
      for (const [callId, streams] of before)
        expect(await streamsOf(there2, callId), callId).to.deep.equal(streams);
      there2.close();
      expect(await connection.exists(...calls.keys())).to.equal(calls.size);
    });

    for (const ours of ['JSON', 'bencode', 'JSON-10.5', 'JSON-12.5']) {
      const survives = readable[reference]?.includes(ours) === true;
      it(`${ours} is ${survives ? 'read' : 'deleted'} by ${reference}`, async function () {
        if (!there) this.skip();
        const calls = storedDialogues(freeUdpRange(100).min);
        const first = await start('rtprelayd', [`--redis-format=${ours}`]);
        expect(said(first)).to.equal(
          `Calls are stored in the format ${ours}, as --redis-format says`,
        );
        const ng = first.client();
        await makeDialogues(ng, new Map([['plain', calls.get('plain') ?? []]]));
        ng.close();
        await first.stop('SIGKILL');
        const second = await start(reference);
        await second.process.untilLogged('Redis restore time');
        const query = second.client();
        const reply = await query.request({ command: 'query', 'call-id': 'plain' });
        query.close();
        expect(reply['result']).to.equal(survives ? 'ok' : 'error');
        const kept = async (): Promise<boolean> => (await connection.exists('plain')) === 1;
        if (!survives) await until(async () => !(await kept()), 'its deletion');
        else expect(await kept()).to.equal(true);
      });
    }
  }

  const others: readonly (readonly [string, string | null])[] = [
    ['there is none', null],
    ['it hangs', 'sleep 30'],
    ['it says something else', 'echo Version: none; exit 1'],
    ['it is this program', 'echo Version: 0.1.0'],
    ['it never stops talking', 'while :; do echo nothing; done'],
  ];
  for (const [what, script] of others) {
    it(`is the current one when no rtpengine tells otherwise: ${what}`, async () => {
      const running = await start(
        'rtprelayd',
        [],
        pathWith(script) + (script === null ? '' : ':/bin'),
      );
      expect(said(running)).to.match(/format JSON, that of the current rtpengine.*--redis-format=/);
    });
  }

  it('is that of stored calls before that of an installed rtpengine', async () => {
    const sample = new URL('../unit/redis-store/samples/12.5/02-relay.json', import.meta.url);
    await connection.set('stored', readFileSync(sample));
    const path = pathWith('echo Version: 10.5.3.5-1+deb12u1');
    const running = await start('rtprelayd', [], path);
    expect(said(running)).to.include(
      `JSON-12.5, that of the calls in Redis 127.0.0.1:${redis.port}, database 0`,
    );
    await running.stop('SIGKILL');
    const options = [`--redis=${redis.url(3)}`, '--subscribe-keyspace=0'];
    const standby = await start('rtprelayd', options, path);
    expect(said(standby)).to.include(
      `JSON-12.5, that of the calls in Redis 127.0.0.1:${redis.port}, database 0`,
    );
  });
});
