/** A burst of commands: what it took is given back, so that a container keeps its limit. */
import { readFileSync } from 'node:fs';
import { MediaDaemon } from '../../support/daemons.js';
import { audioSdp, type NgClient } from '../../support/ng-client.js';
import { until } from '../../support/wait.js';

const residentOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);

async function burst(ng: NgClient, calls: number): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < calls) {
      const call = { 'call-id': `burst-${(next += 1)}`, 'from-tag': 'a' };
      await ng.ask({ command: 'offer', ...call, sdp: audioSdp(6000) });
      await ng.ask({ command: 'delete', ...call, 'delete-delay': 0 });
    }
  };
  await Promise.all(Array.from({ length: 50 }, worker));
}

describe('the memory of a daemon after a burst', function () {
  this.timeout(120_000);

  it('is little more than what the kept replies need', async () => {
    const daemon = await MediaDaemon.start('rtprelayd', { logLevel: 4 });
    const ng = daemon.client();
    try {
      await burst(ng, 500);
      const before = residentOf(daemon.process.pid);
      await burst(ng, 6000);
      // 12,000 replies of some 900 bytes each stay for a minute, with what finds them again.
      const replies = (12_000 * 1400) / 1024;
      const small = (): boolean => residentOf(daemon.process.pid) < 1.1 * before + replies;
      // Before the replies go, after a minute: with them a third collection comes.
      await until(small, 'less memory', 50_000);
    } finally {
      ng.close();
      await daemon.stop();
    }
  });
});
