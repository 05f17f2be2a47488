/** The lines that the reference has of a daemon's log (docs/reference/options.md §6), as it writes them, each with its level. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { until } from '../support/wait.js';

interface Row {
  /** What is asked of the daemon. */
  readonly when: string;
  readonly lines: readonly RegExp[];
  readonly ask: (client: NgClient) => Promise<unknown>;
  readonly extra?: readonly string[];
  readonly mediaPorts?: number;
}

const ids = { 'call-id': 'c', 'from-tag': 'a' };
const offer = { command: 'offer', ...ids, sdp: audioSdp(4000) };
const answer = { command: 'answer', ...ids, 'to-tag': 'b', sdp: audioSdp(4002) };
const of = (level: string, text: string): RegExp =>
  new RegExp(`^\\[\\d+\\.\\d{6}\\] ${level}: (?:\\[c\\d?\\]: )?\\[\\w+\\] ${text}`, 'm');
const source = '127\\.0\\.0\\.1:\\d+';

const rows: readonly Row[] = [
  {
    when: 'a call is made, and ends',
    lines: [
      of('INFO', 'Startup complete, version '),
      of('INFO', `Received command 'offer' from ${source}`),
      of('NOTICE', 'Creating new call'),
      of('INFO', `Replying to 'offer' from ${source} \\(elapsed time \\d\\.\\d{6} sec\\)`),
      of('INFO', "Call branch 'a' \\(via-branch ''\\) deleted, no more branches remaining"),
      of('INFO', 'Deleting entire call'),
      of('INFO', 'Final packet stats:'),
    ],
    ask: async (client) => {
      await client.request(offer);
      await client.request(answer);
      await client.request({ command: 'delete', ...ids, 'delete-delay': 0 });
    },
  },
  {
    when: 'branches end, at once and later, and the call',
    lines: [
      of('INFO', "Scheduling deletion of call branch 'b' \\(via-branch 'v1'\\) in 30 seconds"),
      of('INFO', "Deleting call branch 'd' \\(via-branch 'v2'\\)"),
      of('INFO', 'Scheduling deletion of entire call in 7 seconds'),
    ],
    ask: async (client) => {
      for (const [tag, branch] of [
        ['b', 'v1'],
        ['d', 'v2'],
        ['e', 'v3'],
      ]) {
        await client.request({ ...offer, 'via-branch': branch ?? '' });
        await client.request({ ...answer, 'to-tag': tag ?? '', 'via-branch': branch ?? '' });
      }
      const one = { command: 'delete', ...ids };
      await client.request({ ...one, 'to-tag': 'b', 'via-branch': 'v1' });
      await client.request({ ...one, 'to-tag': 'd', 'via-branch': 'v2', 'delete-delay': 0 });
      await client.request({ command: 'delete', 'call-id': 'c', 'delete-delay': 7 });
    },
  },
  {
    when: 'a command is no good, or comes again',
    lines: [
      of('WARNING', `Protocol error in packet from ${source}: Unrecognized command \\[`),
      of('INFO', `Detected command from ${source} as a duplicate`),
      of('WARNING', 'Error parsing SDP at offset \\d+: malformed port'),
      of('WARNING', 'Failed to extract streams from SDP: No address info found for stream'),
    ],
    ask: async (client) => {
      await client.ask({ command: 'foo' });
      const socket = createSocket('udp4');
      for (let times = 0; times < 2; times += 1) {
        socket.send('again d7:command4:liste', client.port, '127.0.0.1');
        await once(socket, 'message');
      }
      socket.close();
      const head = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n';
      for (const line of ['m=audio 6000 RTP/AVP 0', 'm=audio x RTP/AVP 0'])
        await client.ask({ ...offer, sdp: `${head}${line}\r\n` });
    },
  },
  {
    when: 'there are no ports',
    mediaPorts: 2,
    lines: [
      of('ERR', 'Failed to get 2 consecutive ports on interface \\S+ for media relay'),
      of('ERR', 'Error allocating media ports'),
      of('ERR', 'Destroying call'),
    ],
    ask: (client) => client.ask({ ...offer, sdp: audioSdp(4000) }),
  },
];

describe('lines of the log', function () {
  this.timeout(60_000);
  for (const { when, lines, ask, extra = [], mediaPorts = 40 } of rows) {
    it(when, async () => {
      const daemon = await MediaDaemon.start('rtprelayd', { extra: [...extra], mediaPorts });
      const client = daemon.client();
      try {
        await ask(client);
        const missing = (): readonly string[] =>
          lines.filter((line) => !line.test(daemon.process.log())).map(String);
        const all = until(() => missing().length === 0, 'all lines', 10_000);
        await all.catch(() => expect(missing(), daemon.process.log()).to.deep.equal([]));
      } finally {
        client.close();
        await daemon.stop();
      }
    });
  }
});
