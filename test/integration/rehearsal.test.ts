/** What the daemon signals to itself after its start makes the first calls fast, and nothing can be seen of it. */
import { expect } from 'chai';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { MediaDaemon } from '../support/daemons.js';
import { NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { pause, until } from '../support/wait.js';

/** CPU time of the main thread so far, ns. */
function cpuTime({ process: { pid } }: MediaDaemon): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ')[0]);
}

/** Resident memory, KiB: `VmRSS`, or the part of it that are pages of files, `RssFile` (proc(5)). */
function memory({ process: { pid } }: MediaDaemon, field: 'VmRSS' | 'RssFile'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
}

const descriptors = ({ process: { pid } }: MediaDaemon): number =>
  readdirSync(`/proc/${pid}/fd`).length;

/** What only the start needed of Node's own files; a relay that nobody uses is then no larger than rtpengine and half of it. */
async function givesProgramBack(daemon: MediaDaemon): Promise<void> {
  const before = memory(daemon, 'RssFile');
  await until(() => memory(daemon, 'RssFile') < before / 2, 'less memory');
  if (!existsSync('/usr/bin/rtpengine')) return;
  const reference = await MediaDaemon.start('rtpengine');
  try {
    expect(memory(daemon, 'VmRSS')).to.be.at.most(1.5 * memory(reference, 'VmRSS'));
  } finally {
    await reference.stop();
  }
}

describe('the rehearsal of the daemon', function () {
  this.timeout(60_000);

  it('leaves no trace in log, ports, statistics and Redis', async () => {
    const redis = await RedisProcess.start();
    const daemon = await MediaDaemon.start('rtprelayd', {
      extra: [`--redis=${redis.url()}`, '--delete-delay=0'],
      logLevel: 7,
      // As the units have it: its memory is compared.
      env: { RTPRELAY_REHEARSAL: 'yes', MALLOC_ARENA_MAX: '1' },
    });
    const client = new NgClient(daemon.controlPort);
    const connection = redis.connect();
    try {
      const atStart = cpuTime(daemon);
      const open = descriptors(daemon);
      let before = atStart;
      await until(async () => {
        await pause(300);
        const now = cpuTime(daemon);
        const quiet = now - before < 5e6 && now - atStart > 20e6;
        before = now;
        return quiet;
      }, 'the end of the rehearsal');
      expect(descriptors(daemon)).to.be.at.most(open);
      expect(daemon.process.log()).to.not.include('rehears');
      expect(await connection.dbsize()).to.equal(0);
      expect((await client.ask({ command: 'list' }))['calls']).to.deep.equal([]);
      const { statistics } = await client.ask({ command: 'statistics' });
      expect(statistics).to.have.nested.property('totalstatistics.managedsessions', 0);
      await givesProgramBack(daemon);
      expect((await client.ask({ command: 'ping' }))['result']).to.equal('pong');
    } finally {
      connection.disconnect();
      client.close();
      await daemon.stop();
      await redis.stop();
    }
  });
});
