/** The log lines of calls that are refused, as rtpengine 10.5 writes them: operators look for them. */
import { MediaDaemon } from '../support/daemons.js';
import { audioSdp } from '../support/ng-client.js';
import { until } from '../support/wait.js';

const refusals: readonly (readonly [option: string, message: string, line: RegExp])[] = [
  [
    '--max-sessions=0',
    'Parallel session limit reached',
    /ERR: \[c\d+\]: \[core\] Parallel session limit reached \(0\)/,
  ],
  [
    '--max-cpu=0.01',
    'CPU usage limit exceeded',
    /WARNING: \[c\d+\]: \[core\] CPU usage limit exceeded \(\d+\.\d% > 0\.0%\)/,
  ],
];

describe('a new call that is refused', function () {
  this.timeout(60_000);

  for (const [option, message, line] of refusals) {
    it(`is logged: ${message}`, async () => {
      const daemon = await MediaDaemon.start('rtprelayd', { extra: [option] });
      const client = daemon.client();
      try {
        let calls = 0;
        await until(async () => {
          calls += 1;
          const ids = { 'call-id': `c${calls}`, 'from-tag': 'a', supports: ['load limit'] };
          // The machine has to be measured first, and to do something.
          const reply = await client.ask({ command: 'offer', ...ids, sdp: audioSdp(4000) });
          return reply['result'] === 'load limit' && reply['message'] === message;
        }, 'a refusal');
        await daemon.process.untilLogged(line);
        const without = { 'call-id': 'without', 'from-tag': 'a', sdp: audioSdp(4000) };
        await until(async () => {
          const reply = await client.ask({ command: 'offer', ...without });
          return reply['error-reason'] === 'Parallel session limit reached';
        }, 'an error for who knows no load limit');
      } finally {
        client.close();
        await daemon.stop();
      }
    });
  }
});
