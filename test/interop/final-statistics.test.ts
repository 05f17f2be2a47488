/** The block that both daemons log when a call ends, line by line. */
import { expect } from 'chai';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { audioSdp, mediaPort } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { pause } from '../support/wait.js';

interface Scene {
  readonly name: string;
  /** RTP packets that each phone sends; 0: nothing at all is sent. */
  readonly packets: number;
  readonly answered: boolean;
}

/** Log lines of the block, with what differs from run to run masked. */
async function blockOf(kind: DaemonKind, scene: Scene): Promise<readonly string[]> {
  const daemon = await MediaDaemon.start(kind);
  const client = daemon.client();
  const [a, b] = [await RtpEndpoint.open(0x1111), await RtpEndpoint.open(0x2222)];
  const call = { 'call-id': 'final', 'from-tag': 'a' };
  try {
    const offer = { command: 'offer', ...call, sdp: audioSdp(a.port), label: 'A' };
    const towardsA = mediaPort(await client.ask(offer));
    if (scene.answered) {
      const answer = { command: 'answer', ...call, 'to-tag': 'b', sdp: audioSdp(b.port) };
      const towardsB = mediaPort(await client.ask(answer));
      for (let i = 0; i < scene.packets; i++) {
        a.sendNext({ address: '127.0.0.1', port: towardsB }, { payloadType: 8 });
        b.sendNext({ address: '127.0.0.1', port: towardsA }, { payloadType: 8 });
        await pause(2);
      }
      await a.settled();
      await b.settled();
    }
    await client.ask({ command: 'delete', ...call, 'delete-delay': 0 });
    await pause(100);
    const lines = daemon.process.log().split('\n');
    const first = lines.findIndex((line) => line.includes('Final packet stats:'));
    const block = lines.slice(first).filter((line) => /\[core\] (?:Final|-)/.test(line));
    return block.map((line) => masked(line, daemon, a, b));
  } finally {
    client.close();
    a.close();
    b.close();
    await daemon.stop();
  }
}

function masked(line: string, daemon: MediaDaemon, a: RtpEndpoint, b: RtpEndpoint): string {
  return line
    .replace(/^.*?\[core\] /, '')
    .replace(/created \d+:\d\d ago/, 'created 0:00 ago')
    .replace(/, \d+ ts$/, ', T ts')
    .replace(/127\.0\.0\.1:(\d+)/g, (_all, port: string) => {
      const number = Number(port);
      if (daemon.ownsPort(number)) return '127.0.0.1:OWN';
      return `127.0.0.1:${number - a.port < 2 && number >= a.port ? 'A' : number - b.port < 2 && number >= b.port ? 'B' : port}`;
    });
}

describe('the final statistics in the log', () => {
  const scenes: readonly Scene[] = [
    { name: 'of a call with media', packets: 20, answered: true },
    { name: 'of a call without media', packets: 0, answered: true },
    { name: 'of an offer that nobody answered', packets: 0, answered: false },
  ];
  for (const scene of scenes) {
    it(`${scene.name} are those of rtpengine`, async function () {
      if (!rtpengineInstalled) this.skip();
      const [theirs, ours] = [await blockOf('rtpengine', scene), await blockOf('rtprelayd', scene)];
      expect(theirs).to.have.length.greaterThan(5);
      expect(ours).to.deep.equal(theirs);
    });
  }
});
