/** `control-pmtu`: whether replies by UDP may be fragmented on their way, as the packets themselves say. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { isInstalled } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { until } from '../support/wait.js';

describe('control-pmtu', function () {
  this.timeout(60_000);

  before(function () {
    if (process.getuid?.() !== 0 || !isInstalled('tshark')) this.skip();
  });

  for (const [word, isWhole] of [
    ['want', true],
    ['dont', false],
  ] as const) {
    it(`${word}: replies ${isWhole ? 'may not' : 'may'} be fragmented`, async () => {
      const daemon = await MediaDaemon.start('rtprelayd', { extra: [`--control-pmtu=${word}`] });
      const client = daemon.client();
      const filter = `udp and src port ${daemon.controlPort}`;
      const fields = ['-T', 'fields', '-e', 'ip.flags.df'];
      const capture = spawn('tshark', ['-i', 'lo', '-f', filter, '-l', ...fields]);
      let told = '';
      let shown = '';
      capture.stderr.on('data', (bytes: Buffer) => (told += bytes.toString('latin1')));
      capture.stdout.on('data', (bytes: Buffer) => (shown += bytes.toString('latin1')));
      try {
        await until(() => told.includes('Capturing on'), 'tshark');
        await until(async () => {
          await client.ask({ command: 'ping' });
          return shown.includes('\n');
        }, 'a reply in the capture');
        // Releases of tshark show a flag in two ways.
        const flags = shown
          .trim()
          .split('\n')
          .map((flag) => flag === '1' || flag === 'True');
        expect(new Set(flags)).to.deep.equal(new Set([isWhole]));
      } finally {
        capture.kill();
        client.close();
        await daemon.stop();
      }
    });
  }
});
